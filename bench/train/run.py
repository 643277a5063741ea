"""A whole training run: data, learner, checkpoints and journal around the loop.

`bench train` is this and nothing else. A run lives in a folder; the same call goes on where the
folder's checkpoint ends.
"""

import time
from collections.abc import Iterator
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch

from bench.data.questioned import answers_of
from bench.data.training import open_source
from bench.durable import explained
from bench.errors import UsageError
from bench.recipe import Family, Recipe
from bench.train import checkpoint
from bench.train.journal import Journal
from bench.train.loop import Diverged, Step, begin, distributed, train
from bench.train.mixture import Mixture
from bench.train.plot import plot
from bench.train.processes import ALONE, Share, meet, of_all
from bench.trained import BEFORE as BEFORE


@dataclass(frozen=True)
class Run:
    """Where a recipe is trained, and habits that change no number."""

    out: Path
    """Its folder: checkpoint, journal and its plot, model and recipe."""
    data: Path = Path("data")
    """Where datasets lie."""
    start: Path | None = None
    """A saved model to begin from; absent: fresh weights, or those of the recipe before."""
    device: str = "cpu"
    share: Share = ALONE
    """Which of the processes of this run this is; the first one writes."""
    workers: int = 0
    """Processes that prepare batches ahead."""
    seconds_between: float = 300.0
    """Between two checkpoints."""


@dataclass(frozen=True)
class Progress:
    """One step of a run, or where it began."""

    recipe: Recipe
    done: int
    """Steps."""
    step: Step | None = None
    """`None` at the beginning of a recipe."""
    saved: bool = False
    """Whether a checkpoint was written behind it."""


def run(recipe: Recipe, family: Family, place: Run) -> Iterator[Progress]:
    """Train a recipe, and before it those that it builds on; yields its progress.

    Raises:
        Diverged: a loss was not finite; the batch that made it is saved in the run's folder.
        UsageError: the folder holds another run, or is not the same to all processes.
    """
    start = place.start
    if recipe.before is not None and start is None:
        earlier = Run(**{**vars(place), "out": place.out / BEFORE})
        yield from run(recipe.before, family, earlier)
        meet()  # the first process may still be writing what the others are about to read
        start = earlier.out
    if start is not None and not start.exists():
        raise UsageError(f"There is no saved model at {start} to begin from.")
    with explained(place.out, "--out"):
        place.out.mkdir(parents=True, exist_ok=True)
    parts = tuple(open_source(part.data, place.data) for part in recipe.parts)
    recipe = recipe.settled(len(parts[0]))
    mixture = Mixture(recipe.parts, parts, recipe.accumulate, recipe.seed, place.share)
    learner = family.learner(recipe, place.device, start, answers_of(parts))
    assert isinstance(learner, torch.nn.Module)
    state = begin(learner, recipe)
    checkpoint.load(place.out, recipe, learner, state)
    begun = of_all(state.step)
    if len(set(begun)) > 1:
        raise UsageError(
            f"The processes of this run would go on from steps {', '.join(map(str, begun))}: not "
            f"all of them see the checkpoint in {place.out}. Put --out on a disk that all machines "
            "share."
        )
    yield Progress(recipe, state.step)
    if state.step == recipe.steps:
        return
    steps = train(distributed(learner), mixture, recipe, state, workers=place.workers)
    first = place.share.rank == 0
    saved = time.monotonic()
    with Journal.open(place.out, state.step) if first else nullcontext() as journal:
        try:
            for step in steps:
                if journal is not None:
                    journal.write(step)
                last = step.number == recipe.steps
                save = first and (last or time.monotonic() - saved >= place.seconds_between)
                if save:
                    with explained(place.out, "--out"):
                        checkpoint.save(place.out, recipe, learner, state)
                        plot(place.out)
                    saved = time.monotonic()
                yield Progress(recipe, step.number, step, save)
        except Diverged as error:
            path = place.out / f"diverged-{error.step}-{place.share.rank}.pt"
            torch.save(error.batches, path)
            raise
