"""What trials will be before they are done: how far each is, and how long the rest takes."""

from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import perf_counter

from bench.recipe import Recipe
from bench.record import Record
from bench.reproduction.training import place_of
from bench.reproduction.trial import Trial
from bench.train import families
from bench.train.run import Run, run
from bench.trained import trained_in


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
    if own is not None and own.steps:
        return Stage(recipe, own.steps, own.seconds / own.steps)
    return Stage(recipe, 0, _pace(recipe, root, records))


def _pace(recipe: Recipe, root: Path, records: Sequence[Record]) -> float | None:
    """Seconds a step of this recipe took, in another run here or in one whose records are known."""
    known = [
        trained.seconds / trained.steps
        for folder in root.glob(f"{recipe.name}-*")
        if (trained := trained_in(folder)) and trained.recipe == recipe.name and trained.steps
    ]
    known += [
        trained.seconds / trained.steps
        for record in records
        if (trained := record.model.trained) and trained.recipe == recipe.name and trained.seconds
    ]
    return known[0] if known else None


def timed(recipe: Recipe, data: Path, steps: int = 2) -> float:
    """Seconds a step of a recipe takes here and now, found out by doing some."""
    _, family = families.find(recipe.name)
    with TemporaryDirectory(prefix="bench-pace-") as passing:
        events = run(replace(recipe, before=None), family, Run(Path(passing), data=data))
        with closing(events):
            next(events)  # where it begins
            next(events)  # the first step warms up
            start = perf_counter()
            for _ in range(steps):
                next(events)
            return (perf_counter() - start) / steps
