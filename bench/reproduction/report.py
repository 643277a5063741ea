"""Ablations as tables: the paper's numbers beside ours, and what of its findings is found here."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from bench.report.table import Cell, Number, Row, Table
from bench.reproduction.ablation import Measured
from bench.reproduction.counterparts import why
from bench.reproduction.estimate import Change
from bench.reproduction.findings import FINDINGS, Finding
from bench.reproduction.training import Budget


@dataclass(frozen=True, slots=True)
class Difference(Number):
    """A difference of two numbers, in points and with its sign."""

    def percent(self) -> str:
        """For eyes; absent is a dash.

        >>> Difference(-0.0123).percent(), Difference(0.02, bounds=(-0.01, 0.05)).percent()
        ('-1.2', '+2.0 [-1.0, +5.0]')
        """
        if math.isnan(self.value):
            return "–"
        text = f"{100 * self.value:+.1f}"
        if self.bounds is None:
            return text
        low, high = self.bounds
        return f"{text} [{100 * low:+.1f}, {100 * high:+.1f}]"


ABSENT = Number(math.nan)


def scores_table(found: Measured) -> Table:
    """Every score of every row: the paper's, ours, and how far each is from the full recipe's."""
    rows = [row for variant in found.ablation.variants for row in _rows(found, variant.change)]
    header = ("row", "column", "paper", "change", "measured on", "here", "sd", "change here")
    return Table(header, tuple(rows), found.ablation.printed.title)


def _rows(found: Measured, of: str) -> Iterator[Row]:
    ablation = found.ablation
    variant = ablation.variant(of)
    assert variant is not None
    for place, measured in ablation.asked(variant):
        printed = variant.row.cells[place].value
        assert printed is not None
        estimate = found.estimate(of, place)
        here = Number(estimate.mean, bounds=estimate.bounds) if estimate else ABSENT
        sd = Number(estimate.sd) if estimate and estimate.sd is not None else ABSENT
        changes: tuple[Cell, Cell] = ("", "")
        if of:
            full = _printed(found, "", place)
            changes = (
                ABSENT if full is None else Difference(printed - full),
                _difference(found.change(of, place)),
            )
        column = ablation.printed.columns[place].name
        head = (variant.title, column, Number(printed), changes[0])
        yield Row((*head, measured.title, here, sd, changes[1]))


def _printed(found: Measured, of: str, place: int) -> float | None:
    variant = found.ablation.variant(of)
    return None if variant is None else variant.row.cells[place].value


def _difference(change: Change | None) -> Number:
    return ABSENT if change is None else Difference(change.value, bounds=change.bounds)


def findings_table(found: Measured) -> Table | None:
    """What the paper concludes from a table and whether it is found here; `None` for nothing."""
    rows = [
        row
        for finding in FINDINGS.get(found.ablation.printed.name, ())
        for row in _finding_rows(found, finding)
    ]
    header = ("the paper says", "section", "by", "paper", "here", "verdict")
    return Table(header, tuple(rows), "Findings") if rows else None


def _finding_rows(found: Measured, finding: Finding) -> Iterator[Row]:
    ablation = found.ablation
    for place, measured in enumerate(ablation.columns):
        column = ablation.printed.columns[place]
        if measured is None or (column.dataset, column.score) not in finding.columns:
            continue
        ours, theirs = (_printed(found, of, place) for of in (finding.row, finding.against))
        if ours is None or theirs is None:
            continue
        change = found.change(finding.row, place, finding.against)
        verdict = "not measured" if change is None else change.verdict(ours - theirs)
        variant = ablation.variant(finding.row)
        assert variant is not None
        by = f"{variant.title}: {column.name} | {measured.title}"
        cells = (finding.says, finding.where, by, Difference(ours - theirs))
        yield Row((*cells, _difference(change), verdict))


def remarks(found: Measured, budget: Budget, seeds: int) -> Iterator[str]:
    """What a reader of the tables must know, in sentences."""
    ablation = found.ablation
    steps = "as many steps as it says" if budget.steps is None else f"{budget.steps:,} steps"
    before = f" after {budget.before:,} of what all begin on" if budget.before else ""
    yield (
        f"Paper: {ablation.printed.source}. Here: recipe {ablation.base} and its changes, "
        f"{steps} each{before}, {seeds} seed{'s' if seeds > 1 else ''}."
    )
    yield (
        "here: mean over seeds [95 % by the draw of images]; sd: over seeds; change: to the row "
        "that nothing is changed in [95 % by the luck of training, from what rows and seeds leave "
        "over]."
    )
    yield from _counterparts(found)
    yield from _left_out(found)
    yield from _outdated(found)


def _counterparts(found: Measured) -> Iterator[str]:
    pairs = {
        (column.dataset, measured.dataset, measured.split)
        for column, measured in zip(
            found.ablation.printed.columns, found.ablation.columns, strict=True
        )
        if column.dataset and measured
    }
    for theirs, ours, split in sorted(pairs):
        yield f"{ours}/{split} stands for {theirs}: {why(theirs)}."
    yield "All models are scored as pretraining leaves them: nothing is finetuned."


def _left_out(found: Measured) -> Iterator[str]:
    """Rows and columns of the paper that are not made here."""
    ablation = found.ablation
    made = {id(variant.row) for variant in ablation.variants}
    rows = [" ".join(row.labels) for row in ablation.printed.rows if id(row) not in made]
    if rows:
        yield f"Not made here, for want of a recipe of {ablation.model}: {', '.join(rows)}."
    columns = [
        column.name
        for column, measured in zip(ablation.printed.columns, ablation.columns, strict=True)
        if column.score and measured is None
    ]
    if columns:
        yield f"Nothing here is like {', '.join(columns)}."


def _outdated(found: Measured) -> Iterator[str]:
    """Recipes that were changed since the records were made."""
    from bench.reproduction.training import Training
    from bench.train import families
    from bench.trained import recipe_digest

    changed = set()
    for record in found.records:
        trained = record.model.trained
        assert trained is not None
        if trained.recipe not in families.recipes():
            continue
        budget = Budget(steps=trained.steps, before=trained.before)
        training = Training(
            recipe=trained.recipe, base=found.ablation.base, budget=budget, seed=trained.seed
        )
        if recipe_digest(training.values()) != trained.digest:
            changed.add(trained.recipe)
    if changed:
        yield f"Measured with other values than these recipes have today: {', '.join(changed)}."
