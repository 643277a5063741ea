"""A table whose rows are trainings: which recipes stand for its rows, and what they score here."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import isnan, nan

import numpy as np

from bench import catalog
from bench.printed import PrintedRow, PrintedTable
from bench.recipe import Recipe, ShapesCrops, ShapesQuestions, ShapesScenes
from bench.record import Record, RecordedScore
from bench.reproduction.counterparts import Counterpart, counterpart
from bench.reproduction.estimate import BySeed, Change, Noise, change, noise
from bench.reproduction.training import Budget, Training
from bench.reproduction.trial import Target, Trial, is_of, trial

PRINTED_BASE = "pretrain-T"
"""The recipe that the rows of printed ablations are changes of."""


@dataclass(frozen=True)
class Variant:
    """A row of the table and the recipe that makes it here."""

    row: PrintedRow
    change: str
    """How its recipe differs from the full one's, as `no-retrieval`; empty: not."""
    recipe: str

    @property
    def title(self) -> str:
        """What the row is called."""
        return " ".join(self.row.labels)


@dataclass(frozen=True)
class Ablation:
    """A printed table of trainings, and how it is made again with a model of ours."""

    printed: PrintedTable
    model: str
    base: str
    """Our recipe for the row that nothing is changed in."""
    variants: tuple[Variant, ...]

    def variant(self, of: str) -> Variant | None:
        """The row with that change; `None` where there is no such recipe."""
        return next((v for v in self.variants if v.change == of), None)

    @cached_property
    def columns(self) -> tuple[Counterpart | None, ...]:
        """For each printed column what is measured here; `None`: nothing."""
        return tuple(counterpart(c.dataset, c.task, c.score) for c in self.printed.columns)

    def asked(self, variant: Variant) -> tuple[tuple[int, Counterpart], ...]:
        """The columns that a row has a number in, and what is measured here for each."""
        return tuple(
            (place, measured)
            for place, measured in enumerate(self.columns)
            if measured is not None and variant.row.cells[place].value is not None
        )

    def trials(self, budget: Budget, seeds: Sequence[int], limit: int | None) -> tuple[Trial, ...]:
        """Every training that is behind the table, and what its model is asked."""
        return tuple(
            trial(
                Training(recipe=variant.recipe, base=self.base, budget=budget, seed=seed),
                targets([measured for _, measured in self.asked(variant)], limit),
            )
            for variant in self.variants
            for seed in seeds
        )


def ablation(printed: PrintedTable, model: str) -> Ablation | None:
    """How a table is made again with a model of the embedded world.

    `None` where its rows are no trainings, or nothing that they change can be changed in the
    model's recipe, or that recipe reads files: such trainings take days.
    """
    from bench.train import families

    changes = {
        row.recipe: row.recipe.removeprefix(PRINTED_BASE).removeprefix("-")
        for row in printed.rows
        if row.recipe and f"{row.recipe}-".startswith(f"{PRINTED_BASE}-")
    }
    known = families.recipes()
    bases = [
        name
        for name, (recipe, _) in known.items()
        if recipe.model.name == model
        and _is_drawn(recipe)
        and any(f"{name}-{change}" in known for change in changes.values() if change)
    ]
    if not bases:
        return None
    base = min(bases, key=len)
    variants = tuple(
        Variant(row, changes[row.recipe], recipe)
        for row in printed.rows
        if row.recipe in changes
        and (recipe := f"{base}-{changes[row.recipe]}".removesuffix("-")) in known
    )
    return Ablation(printed, model, base, variants)


def _is_drawn(recipe: Recipe) -> bool:
    """Whether a recipe reads no files: it is trained on what is drawn."""
    drawn = (ShapesScenes, ShapesCrops, ShapesQuestions)
    return all(isinstance(part.data, drawn) for part in recipe.parts)


def targets(asked: Iterable[Counterpart], limit: int | None) -> tuple[Target, ...]:
    """What scores are measured on: each split once, with the tasks that are asked for."""
    tasks: dict[tuple[str, str], list[str]] = {}
    for one in asked:
        of = tasks.setdefault((one.dataset, one.split), [])
        if one.task not in of:
            of.append(one.task)
    return tuple(
        Target(dataset=dataset, split=split, tasks=tuple(of), limit=_within(dataset, split, limit))
        for (dataset, split), of in tasks.items()
    )


def _within(dataset: str, split: str, limit: int | None) -> int | None:
    """A limit that leaves something out, or none."""
    _, part = catalog.dataset(dataset).split(split)
    return None if limit is None or (part.size or limit + 1) <= limit else limit


# --- what is measured ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Estimate:
    """A score of one row over its seeds."""

    scores: dict[int, RecordedScore]
    """By seed."""

    @property
    def values(self) -> BySeed:
        """By seed, of those that have any."""
        return {seed: s.value for seed, s in self.scores.items() if s.value is not None}

    @property
    def mean(self) -> float:
        """Over seeds; NaN without any."""
        return float(np.mean(list(self.values.values()))) if self.values else nan

    @property
    def sd(self) -> float | None:
        """Standard deviation over seeds; `None` for fewer than two."""
        return float(np.std(list(self.values.values()), ddof=1)) if len(self.values) > 1 else None

    @property
    def bounds(self) -> tuple[float, float] | None:
        """95 % by the luck of the draw of images: the mean of the seeds' intervals.

        All seeds are scored on the same images, so their intervals do not shrink together.
        """
        known = [s.interval for s in self.scores.values() if s.interval is not None]
        if not known:
            return None
        low, high = (float(side) for side in np.mean(known, axis=0))
        return low, high


@dataclass(frozen=True)
class Measured:
    """The rows of an ablation as far as records go."""

    ablation: Ablation
    estimates: dict[tuple[str, int], Estimate]
    """By change and column; no entry where nothing is known."""
    scatter: dict[int, Noise]
    """By column; no entry where there are too few rows and seeds."""
    records: tuple[Record, ...]
    """Those that it rests on."""

    def estimate(self, of: str, column: int) -> Estimate | None:
        """A row's score in a column, if it is known."""
        return self.estimates.get((of, column))

    def change(self, of: str, column: int, against: str = "") -> Change | None:
        """How a row differs from another in a column, if both are known."""
        ours, theirs = self.estimate(of, column), self.estimate(against, column)
        if ours is None or theirs is None:
            return None
        found = change(ours.values, theirs.values, self.scatter.get(column))
        return None if found is None or isnan(found.value) else found


def measured(
    ablation: Ablation,
    records: Sequence[Record],
    budget: Budget,
    seeds: Sequence[int],
    limit: int | None,
) -> Measured:
    """What records say about the rows of an ablation at a budget; later ones count."""
    estimates: dict[tuple[str, int], Estimate] = {}
    used: dict[str, Record] = {}
    for variant in ablation.variants:
        for place, asked in ablation.asked(variant):
            (target,) = targets([asked], limit)
            scores: dict[int, RecordedScore] = {}
            for seed in seeds:
                one = Training(recipe=variant.recipe, base=ablation.base, budget=budget, seed=seed)
                for record in records:
                    if target.within(record) and is_of(record, one):
                        scores[seed] = record.scores[asked.task][asked.score]
                        used[record.key] = record
            if scores:
                estimates[variant.change, place] = Estimate(scores)
    scatter = {}
    for place in range(len(ablation.columns)):
        of_column = [e.values for (_, column), e in estimates.items() if column == place]
        if (found := noise(of_column)) is not None:
            scatter[place] = found
    return Measured(ablation, estimates, scatter, tuple(used.values()))
