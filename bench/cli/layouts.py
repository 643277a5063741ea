"""Ways to lay out a suite's few-shot results: what `bench table --layout` prints."""

from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record
    from bench.report.sweep import Column, Entry
    from bench.spec import SuiteSpec


class Layout(StrEnum):
    """How records become a table."""

    LEADERBOARD = "leaderboard"
    """A row for each system."""
    PAPER = "paper"
    """As X-Decoder's Tables 13 to 15: a row for each model and number of shots."""
    VARIANCE = "variance"
    """How far draws of the support set and trainings move a result, told apart."""


def show_layout(
    layout: Layout,
    records: "Sequence[Record]",
    targets: Sequence[str],
    to: Format,
    models: Sequence[str] = (),
    scores: Sequence[str] = (),
    specs: Sequence[Path] = (),
) -> None:
    """Print a suite's records in one of the layouts of few-shot results.

    `models` are the only ones to show, with what was published of them; `scores` one score, or none
    for the suite's own.
    """
    suite = suite_of(targets, specs)
    columns, found, notes = sweep_of(suite, records, models, scores, specs)
    if layout is Layout.VARIANCE:
        from bench.report.variance import variance_table

        made = [variance_table(found, columns, title=suite.title or suite.name)]
    else:
        from bench.report.seginw import tables

        made = [*tables(found, columns, title=suite.title or suite.name, notes=notes, to=to)]
    for place, table in enumerate(made):
        if place:
            print()
        table.show(to)


def suite_of(targets: Sequence[str], specs: Sequence[Path]) -> "SuiteSpec":
    """The one suite that is named.

    Raises:
        UsageError: none is, or several, or it has no mean.
    """
    from bench import catalog

    suites = catalog.suites(specs)
    named = [target for target in targets if target in suites]
    if len(named) != 1 or len(targets) != 1:
        fitting = sorted(name for name in suites if catalog.suite(name, specs).mean_of)
        raise UsageError(
            f"This layout is of one suite that has a mean: {', '.join(fitting)}. "
            "As in `bench table seginw --layout paper`."
        )
    suite = catalog.suite(named[0], specs)
    if not suite.mean_of:
        raise UsageError(f"The suite '{suite.name}' has no mean, which this layout is about.")
    return suite


def sweep_of(
    suite: "SuiteSpec",
    records: "Sequence[Record]",
    models: Sequence[str] = (),
    scores: Sequence[str] = (),
    specs: Sequence[Path] = (),
) -> "tuple[tuple[Column, ...], tuple[Entry, ...], tuple[str, ...]]":
    """A suite's datasets, what was measured and published on them, and notes on what was left out.

    Of publications those count that have few-shot results: the others belong on leaderboards.

    Raises:
        UsageError: there is nothing.
    """
    from bench.report.sweep import columns_of, entries, same_model

    if len(scores) > 1:
        raise UsageError(f"This layout is of one score, not of {len(scores)}.")
    wanted = set(map(same_model, models))
    columns = columns_of(suite, specs)
    datasets = {column.dataset for column in columns}
    few_shot = {
        _publication(r) for r in records if r.tuning is not None and r.dataset.name in datasets
    }
    kept = [
        r
        for r in records
        if (not r.reported or _publication(r) in few_shot)
        and (not wanted or same_model(r.model.name) in wanted)
    ]
    (name,) = scores or suite.mean_of[:1]
    found, notes = entries(kept, columns, name, wholes=_same_members(suite, specs))
    if not found:
        raise UsageError(
            f"There is no whole run of '{suite.name}' with a score {name}. "
            f"Make some: bench run {suite.name} --model NAME --shots 0,1,3,5,10 --seeds 3"
        )
    return columns, found, notes


def _publication(record: "Record") -> str | None:
    """Where a number was published, whatever the table; `None` for a measured one."""
    return record.publication.page if record.publication else record.source


def _same_members(suite: "SuiteSpec", specs: Sequence[Path]) -> list[str]:
    """The suites of just these datasets: published averages may name any of them."""
    from bench import catalog

    def members(other: "SuiteSpec") -> set[tuple[str, str | None]]:
        return {(member.dataset, member.vocabulary) for member in other.members}

    everything = (catalog.suite(name, specs) for name in catalog.suites(specs))
    return [other.name for other in everything if members(other) == members(suite)]
