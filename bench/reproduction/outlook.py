"""What trials will be before they are done: how far each is, and how long the rest takes."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.recipe import Recipe
from bench.record import Record
from bench.reproduction.training import place_of
from bench.reproduction.trial import Trial
from bench.train import families
from bench.train.run import Run, run
from bench.trained import pace_of, trained_in


@dataclass(frozen=True)
class Stage:
    """A recipe to be trained for one or more trials."""

    recipe: Recipe
    done: int
    """Steps that are in its checkpoint."""
    pace: float | None
    """Seconds a step takes, where a run of it is known."""

    @property
    def seconds(self) -> float | None:
        """How long the rest takes on one core, if that is known."""
        return None if self.pace is None else (self.recipe.steps - self.done) * self.pace


def stages(trials: Iterable[Trial], root: Path, records: Sequence[Record]) -> tuple[Stage, ...]:
    """Every recipe that the trials train, what they begin on first."""
    found: dict[Path, Recipe] = {}
    for one in trials:
        recipe, _ = one.training.resolved()
        for stage in filter(None, (recipe.before, recipe)):
            found.setdefault(place_of(stage, root), stage)
    ordered = sorted(found.items(), key=lambda item: item[1].before is not None)
    return tuple(_stage(recipe, folder, root, records) for folder, recipe in ordered)


def _stage(recipe: Recipe, folder: Path, root: Path, records: Sequence[Record]) -> Stage:
    own = trained_in(folder)
    pace = pace_of(folder) or _pace(recipe, root, records)
    return Stage(recipe, 0 if own is None else own.steps, pace)


def _pace(recipe: Recipe, root: Path, records: Sequence[Record]) -> float | None:
    """Seconds a step of this recipe took, in another run here or in one whose records are known."""
    for folder in root.glob(f"{recipe.name}-*"):
        run = trained_in(folder)
        if run is not None and run.recipe == recipe.name and (pace := pace_of(folder)):
            return pace
    for record in records:
        trained = record.model.trained
        if trained is not None and trained.recipe == recipe.name and trained.seconds:
            return trained.seconds / trained.steps
    return None


def timed(recipe: Recipe, data: Path, steps: int = 2) -> float:
    """Seconds a step of a recipe takes here and now, found out by doing some."""
    _, family = families.find(recipe.name)
    with TemporaryDirectory(prefix="bench-pace-") as passing:
        events = run(replace(recipe, before=None), family, Run(Path(passing), data=data))
        seconds = [now.step.seconds for now in islice(events, steps + 2) if now.step]
    return min(seconds)  # the first ones warm up
