"""`bench report`: runs as one HTML page to look at and to hand on."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    DATA_DEFAULT,
    RESULTS_DEFAULT,
    Data,
    Json,
    Quiet,
    Results,
    Specs,
    note,
    print_json,
    words,
)
from bench.cli.progress import progress
from bench.errors import UsageError

if TYPE_CHECKING:
    from bench.record import Record
    from bench.store import Store

OUT = Path("bench-report.html")


def report(
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Keys of runs, or models for all of theirs; without any, all runs."),
    ] = None,
    dataset: Annotated[list[str] | None, typer.Option(help="Only runs on these datasets.")] = None,
    out: Annotated[Path, typer.Option(help="The file to write.", dir_okay=False)] = OUT,
    title: Annotated[str, typer.Option(help="The heading of the page.")] = "",
    images: Annotated[
        int, typer.Option(min=0, help="How many best and how many worst images each run shows.")
    ] = 4,
    published: Annotated[
        bool, typer.Option(help="Numbers that others published on the same datasets too.")
    ] = True,
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write runs as one HTML page that opens from disk and loads nothing.

    Predictions are drawn where raw answers were kept (bench run --keep-raw).
    """
    from bench.report.page import compose, write
    from bench.reported import records as of_others
    from bench.store import Store

    store = Store(results)
    records = _chosen(runs or (), store, words(dataset))
    with progress("report", len(records), quiet=quiet) as advance:
        page = compose(
            records,
            store,
            published=of_others() if published else (),
            title=title,
            images=images,
            data=data,
            specs=tuple(specs or ()),
            done=advance,
        )
    size = write(page, out)
    if as_json:
        print_json({"file": out, "bytes": size, "runs": [record.key for record in records]})
    else:
        print(out)
    missing = [gallery for part in page.datasets for gallery in part.galleries if gallery.missing]
    if missing:
        note(f"{len(missing)} runs lack pictures; the page says why and what to do.", quiet=quiet)
    note(f"{len(records)} runs, {size / 1e6:.1f} MB", quiet=quiet)


def _chosen(names: Sequence[str], store: "Store", datasets: Sequence[str]) -> "list[Record]":
    """The runs that are named, each once, in the order they were made in."""
    from bench.cli.runs import runs_named

    records = store.records()
    if not records:
        raise UsageError(f"There is no run in {store.folder}. `bench run` makes them.")
    keys = {record.key for name in names for record in runs_named(name, store)}
    found = [r for r in records if not names or r.key in keys]
    found = [record for record in found if not datasets or record.dataset.name in datasets]
    if not found:
        raise UsageError(
            f"None of the {len(records)} runs in {store.folder} is on {', '.join(datasets)}."
        )
    return found
