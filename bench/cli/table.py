"""`bench table`: records as a leaderboard, measured and published numbers told apart."""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from enum import StrEnum
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
    words,
)
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record
    from bench.report.frame import Intervals
    from bench.report.query import Answer
    from bench.report.table import Table
    from bench.shelf import Shelf
    from bench.store import Store


class By(StrEnum):
    """By what one table becomes several; the values of `bench.report.query.Grouping`."""

    TASK = "task"
    DOMAIN = "domain"


def table(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Suites or datasets, in column order; without any, all that were run."),
    ] = None,
    model: Annotated[
        list[str] | None, typer.Option(help="Only these models; 'xdecoder-*' is a pattern.")
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only these datasets.")] = None,
    task: Annotated[list[str] | None, typer.Option(help="Only these tasks.")] = None,
    split: Annotated[str | None, typer.Option(help="This split of every dataset.")] = None,
    protocol: Annotated[list[str] | None, typer.Option(help="Only under these cards.")] = None,
    shots: Annotated[list[str] | None, typer.Option(help="Only with so many: 0, 5, all.")] = None,
    tune: Annotated[list[str] | None, typer.Option(help="Only tuned by these strategies.")] = None,
    supervision: Annotated[
        list[str] | None,
        typer.Option(help="Only trained with: masks, classes, captions, pairs, full; or no-masks…"),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(help="Only from here: measured, or a publication as in '*Table 2'."),
    ] = None,
    score: Annotated[
        list[str] | None,
        typer.Option(help="Scores to show; without it the paper's, or each task's headline."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="A column, a score or a dataset, or 'mean'; best first.")
    ] = None,
    by: Annotated[By | None, typer.Option(help="A table for each task, or each domain.")] = None,
    intervals: Annotated[
        bool, typer.Option(help="95% intervals: bootstrap over images, from stored statistics.")
    ] = True,
    ranks: Annotated[bool, typer.Option(help="How sure each rank is.")] = True,
    own: Annotated[bool, typer.Option(help="Runs of the results folder.")] = True,
    shipped: Annotated[bool, typer.Option(help="Runs that ship with bench.")] = True,
    published: Annotated[bool, typer.Option(help="Numbers that others published too.")] = True,
    also: Annotated[
        list[Path] | None,
        typer.Option("--with", help="More results folders.", exists=True, file_okay=False),
    ] = None,
    layout: Annotated[
        Layout, typer.Option(help="Of few shots: as the paper lays it out, or their variance.")
    ] = Layout.LEADERBOARD,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    export: Annotated[
        Path | None,
        typer.Option(help="Copy the runs on the table, with their statistics, to this folder."),
    ] = None,
    export_images: Annotated[
        bool, typer.Option(help="Whether statistics are copied, or records alone.")
    ] = True,
    update: Annotated[
        Path | None, typer.Option(help="Make the tables in a Markdown file anew; see the docs.")
    ] = None,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
) -> None:
    """Show what was measured and what others published, as one table or several.

    A suite has a mean only where all of it was run; partial runs are left out and said so.
    """
    search = tuple(specs or ())
    if update is not None:
        from bench.cli.inserted import renew

        note(f"{renew(update)} tables in {update}", quiet=quiet)
        return
    for folder in (*([results] if own else []), *(also or ())):
        if folder != RESULTS_DEFAULT and not folder.exists():
            note(f"There is no results folder at {folder}.", quiet=quiet)
    shelf = _shelf(results if own else None, also or (), shipped=shipped, published=published)
    if layout is not Layout.LEADERBOARD:
        show_layout(
            layout, shelf.records, targets or [], table_format, words(model), words(score), search
        )
        return
    from bench.report.query import Grouping, Query, answer
    from bench.report.selection import Selection

    query = Query(
        targets=tuple(targets or _datasets_of(shelf)),
        selection=Selection(
            model=words(model),
            dataset=words(dataset),
            task=words(task),
            protocol=words(protocol),
            shots=words(shots),
            strategy=words(tune),
            source=tuple(source or ()),
            supervision=words(supervision),
        ),
        split=split,
        scores=words(score),
        sort=sort,
        by=None if by is None else Grouping(by.value),
        intervals=intervals,
        ranks=ranks,
        search=search,
    )
    found = answer(query, shelf)
    _show(found, by, table_format)
    note(f"{len(found.runs)} records", quiet=quiet)
    if export is not None:
        count = shelf.export(found.runs, export, images=export_images)
        note(f"{count} runs copied to {export}", quiet=quiet)


def _shelf(
    results: Path | None, also: Iterable[Path], *, shipped: bool, published: bool
) -> "Shelf":
    """All records there are, a person's own before others'."""
    from bench import store
    from bench.shelf import Shelf

    folders = [*([] if results is None else [results]), *also]
    stores = [*map(store.Store, folders), *(store.shipped() if shipped else ())]
    return Shelf(tuple(stores), published)


def _datasets_of(shelf: "Shelf") -> list[str]:
    """What the first folder with runs has runs on: what a person means who names nothing."""
    for store in shelf.stores:
        if found := [record.dataset.name for record in store.records()]:
            return list(dict.fromkeys(found))
    return []


def _show(found: "Answer", by: By | None, to: Format) -> None:
    """Print the tables of an answer: for programs as one."""
    from bench.report.table import stacked

    if by is not None and to in (Format.CSV, Format.JSON):
        stacked(found.tables, by.value).show(to)
        return
    for place, (_, each) in enumerate(found.tables):
        if place:
            print()
        each.show(to)


def _bounds(store: "Store") -> "Intervals":
    from bench.stats import record_intervals

    def bounds(record: "Record") -> dict[tuple[str, str], tuple[float, float]]:
        found = record_intervals(record, store)
        return {key: (interval.low, interval.high) for key, interval in found.items()}

    return bounds


def print_records(
    records: "Sequence[Record]",
    store: "Store",
    to: Format,
    *,
    targets: Sequence[str] = (),
    specs: Sequence[Path] = (),
    quiet: bool = False,
) -> None:
    """What a command ran: one run with its scores, several as a leaderboard.

    The columns are those of `bench table` for the same `targets`, where each has a run. Partial
    runs are kept off a leaderboard of whole ones, and stand below it, for a person to see.
    """
    if len(records) == 1:
        _one(records[0], store).show(to)
    else:
        _several(records, store, targets, specs).show(to)
        partial = [record for record in records if record.partial]
        if len(partial) < len(records) and to in (Format.TERMINAL, Format.MARKDOWN):
            for record in partial:
                print()
                _one(record, store).show(to)
    for line in _remarks(records):
        note(line, quiet=quiet)


def _several(
    records: "Sequence[Record]", store: "Store", targets: Sequence[str], specs: Sequence[Path]
) -> "Table":
    """The runs of a command as a leaderboard; partial ones too where there are no others."""
    from bench import catalog
    from bench.report.query import Query, answer
    from bench.shelf import Shelf

    whole = [record for record in records if not record.partial]
    if partial := not whole:
        whole = [record.model_copy(update={"partial": False}) for record in records]
    suites = [name for name in targets if name in catalog.suites(specs)]
    in_suites = {m.dataset for name in suites for m in catalog.suite(name, specs).members}
    others = dict.fromkeys(r.dataset.name for r in whole if r.dataset.name not in in_suites)
    query = Query(targets=(*suites, *others), ranks=False, search=tuple(specs))
    ((_, found),) = answer(query, Shelf((store,), only=tuple(whole))).tables
    if not partial:
        return found
    return replace(found, notes=(*found.notes, _PARTIAL))


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
        *((_PARTIAL,) if record.partial else ()),
    )
    return Table(("task", "score", "percent [95%]", "n"), tuple(rows), title, notes)


_PARTIAL = "Partial: not all images were scored."
_NAMED = 3
"""So many datasets of one remark are named; of more, the number."""


def _remarks(records: "Sequence[Record]") -> list[str]:
    """What a person must know besides the numbers, each thing about a model once."""
    datasets: dict[tuple[str, str], list[str]] = {}
    for record in records:
        for remark in _remarks_on(record):
            datasets.setdefault((record.model.name, remark), []).append(record.dataset.name)
    lines = []
    for (model, remark), names in datasets.items():
        names = list(dict.fromkeys(names))
        more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
        lines.append(f"{model} on {', '.join(names[:_NAMED])}{more}: {remark}")
    return lines


def _remarks_on(record: "Record") -> list[str]:
    """The same of one run."""
    remarks = [*record.model.notes]
    remarks += [f"{task} not scored: {why}" for task, why in record.unanswered.items()]
    images = record.images
    if images is not None and images.limit is not None:
        remarks.append(f"partial, --limit {images.limit}; kept off leaderboards.")
    if images is not None and images.failed:
        first = images.failures[0]
        remarks.append(
            f"partial, {images.failed} of {images.asked} images could not be scored; "
            f"the first is {first.id}: {first.reason}"
        )
    return remarks
