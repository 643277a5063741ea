"""`bench table`: records as a leaderboard, measured and published numbers told apart."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layouts import Layout, show_layout
from bench.cli.options import (
    RESULTS_DEFAULT,
    Quiet,
    Results,
    Specs,
    note,
)
from bench.errors import UnknownName, UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record
    from bench.report.frame import Intervals
    from bench.report.table import Table
    from bench.store import Store


def table(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Suites or datasets, in column order; without any, all that were run."),
    ] = None,
    model: Annotated[list[str] | None, typer.Option(help="Only these models.")] = None,
    score: Annotated[
        list[str] | None, typer.Option(help="Scores to show; without it each task's headline.")
    ] = None,
    sort: Annotated[str | None, typer.Option(help="The score to sort by, best first.")] = None,
    intervals: Annotated[
        bool, typer.Option(help="95% intervals: bootstrap over images, from stored statistics.")
    ] = True,
    published: Annotated[bool, typer.Option(help="Numbers that others published too.")] = True,
    layout: Annotated[
        Layout, typer.Option(help="Of few shots: as the paper lays it out, or their variance.")
    ] = Layout.LEADERBOARD,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
) -> None:
    """Show what was measured and what others published, as one table.

    A suite has a mean only where all of it was run; partial runs are left out and said so.
    """
    from bench.report import frame
    from bench.store import Store

    store = Store(results)
    if layout is not Layout.LEADERBOARD:
        everything = frame.load(results) if published else store.records()
        search, names = tuple(specs or ()), score or ()
        show_layout(layout, everything, targets or [], table_format, model or (), names, search)
        return
    records = [
        record
        for record in (frame.load(results) if published else store.records())
        if not model or record.model.name in model
    ]
    datasets, mean_of = _columns(targets or [], tuple(specs or ()))
    shown = datasets or {record.dataset.name for record in store.records()}
    records = [record for record in records if record.dataset.name in shown]
    if not records:
        asked = f" of {', '.join(targets)}" if targets else ""
        raise UsageError(
            f"There is no record{asked} in {results}. `bench run` makes them; a suite or dataset "
            "by name shows what others published."
        )
    found = _leaderboard(
        records,
        store,
        datasets=datasets,
        names=score or (),
        mean_of=mean_of,
        sort_by=sort,
        intervals=intervals,
    )
    found.show(table_format)
    note(f"{len(records)} records", quiet=quiet)


def _columns(targets: Sequence[str], search: Sequence[Path]) -> tuple[list[str], tuple[str, ...]]:
    """The datasets that suites and names stand for, and the scores a suite has a mean of."""
    from bench import catalog

    suites = catalog.suites(search)
    datasets: list[str] = []
    mean_of: tuple[str, ...] = ()
    for target in targets:
        if target in suites:
            suite = catalog.suite(target, search)
            datasets += [member.dataset for member in suite.members]
            mean_of = suite.mean_of if len(targets) == 1 else ()
        else:
            datasets.append(target)
    return list(dict.fromkeys(datasets)), mean_of


def _leaderboard(
    records: "Sequence[Record]",
    store: "Store",
    *,
    datasets: Sequence[str],
    names: Sequence[str],
    mean_of: Sequence[str],
    sort_by: str | None,
    intervals: bool,
) -> "Table":
    from bench.report.frame import leaderboard, scores
    from bench.report.leaderboard import leaderboard_table

    long = scores(records, _bounds(store) if intervals else None)
    known = set(long["score"])
    for name in (*names, *([sort_by] if sort_by else [])):
        if name not in known:
            raise UnknownName("score", name, known)
    board = leaderboard(long, datasets=datasets, names=names, mean_of=mean_of, sort_by=sort_by)
    return leaderboard_table(board)


def _bounds(store: "Store") -> "Intervals":
    from bench.stats import record_intervals

    def bounds(record: "Record") -> dict[tuple[str, str], tuple[float, float]]:
        found = record_intervals(record, store)
        return {key: (interval.low, interval.high) for key, interval in found.items()}

    return bounds


def print_records(
    records: "Sequence[Record]", store: "Store", to: Format, *, quiet: bool = False
) -> None:
    """What a command ran: one run with its scores, several as a leaderboard."""
    if len(records) == 1:
        _one(records[0], store).show(to)
    else:
        whole = [record for record in records if not record.partial] or list(records)
        _leaderboard(
            whole, store, datasets=(), names=(), mean_of=(), sort_by=None, intervals=True
        ).show(to)
    for record in records:
        for line in _remarks(record):
            note(line, quiet=quiet)


def _one(record: "Record", store: "Store") -> "Table":
    """The main scores of one run, each with its interval and what it rests on."""
    from bench.report.table import Number, Row, Table
    from bench.stats import meters_of, record_intervals

    bounds = record_intervals(record, store)
    rows = []
    for task, meters in meters_of(record).items():
        for name in meters[0].names:
            score, interval = record.scores[task][name], bounds.get((task, name))
            number = Number(
                float("nan") if score.value is None else score.value,
                bounds=(interval.low, interval.high) if interval else None,
            )
            rows.append(Row((task, name, number, score.n or 0)))
    title = f"{record.model.name} on {record.dataset.name}, {record.dataset.split}"
    notes = (
        f"Protocol: {record.protocol.name} ({record.protocol.digest}).",
        f"Every score, per class too: bench show {record.key}.",
    )
    return Table(("task", "score", "percent [95%]", "n"), tuple(rows), title, notes)


def _remarks(record: "Record") -> list[str]:
    """What a person must know besides the numbers."""
    name = f"{record.model.name} on {record.dataset.name}"
    remarks = [f"{name}: {text}" for text in record.model.notes]
    remarks += [f"{name}: {task} not scored: {why}" for task, why in record.unanswered.items()]
    images = record.images
    if images is not None and images.limit is not None:
        remarks.append(f"{name}: partial, only {images.asked} images; kept off leaderboards.")
    if images is not None and images.failed:
        first = images.failures[0]
        remarks.append(
            f"{name}: partial, {images.failed} of {images.asked} images could not be scored; "
            f"the first is {first.id}: {first.reason}"
        )
    return remarks
