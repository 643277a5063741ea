"""`bench compare`: two runs, image by image, and whether their difference is more than luck."""

from collections.abc import Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import RESULTS_DEFAULT, Json, Quiet, Results, note, print_json, words
from bench.cli.points import percent, points
from bench.errors import UsageError
from bench.report.table import Format, Row, Table

if TYPE_CHECKING:
    from bench.record import Record
    from bench.stats import Difference
    from bench.store import Store

Differences = Mapping[tuple[str, str], "Difference"]


def compare(
    ours: Annotated[str, typer.Argument(metavar="RUN_A", help="A run: its key, or its model.")],
    theirs: Annotated[str, typer.Argument(metavar="RUN_B", help="What it is compared with.")],
    dataset: Annotated[str | None, typer.Option(help="Only runs on this dataset.")] = None,
    score: Annotated[
        list[str] | None, typer.Option(help="Scores to show; without it each task's main ones.")
    ] = None,
    resamples: Annotated[int, typer.Option(min=100, help="How many draws of images.")] = 1000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    results: Results = RESULTS_DEFAULT,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Compare two runs by a paired bootstrap over the images that both scored.

    For each score: A minus B, its 95% interval, and how often luck alone does as much (p).
    """
    from bench.stats import compare as compared
    from bench.store import Store

    store = Store(results)
    a, b = _pair(ours, theirs, store, dataset)
    found = compared(a, b, store, resamples=resamples, seed=seed)
    if as_json:
        print_json(as_plain(a, b, found))
        return
    comparison_table(a, b, found, _chosen(a, found, words(score))).show(table_format)
    for line in _remarks(a, b, found):
        note(line, quiet=quiet)


def _pair(ours: str, theirs: str, store: "Store", dataset: str | None) -> "tuple[Record, Record]":
    """The two runs that the names mean: those on one dataset, under one card where there are some.

    Raises:
        UsageError: several pairs would do, or none.
    """
    from bench.cli.runs import listed, runs_named

    left, right = runs_named(ours, store, dataset), runs_named(theirs, store, dataset)
    pairs = [(a, b) for a, b in product(left, right) if a.key != b.key]
    if not pairs:
        raise UsageError(f"'{ours}' and '{theirs}' are one run, {left[0].key}: name two.")
    for alike in (_on_one_dataset, _under_one_card):
        pairs = [pair for pair in pairs if alike(*pair)] or pairs
    if len(pairs) > 1:
        several = {record.key: record for pair in pairs for record in pair}
        raise UsageError(
            f"'{ours}' and '{theirs}' may mean several runs. Give keys, or --dataset: "
            f"{listed(list(several.values()))}."
        )
    return pairs[0]


def _on_one_dataset(a: "Record", b: "Record") -> bool:
    return (a.dataset.name, a.dataset.split) == (b.dataset.name, b.dataset.split)


def _under_one_card(a: "Record", b: "Record") -> bool:
    return a.protocol.digest == b.protocol.digest


def _chosen(record: "Record", found: Differences, names: Sequence[str]) -> list[tuple[str, str]]:
    """The scores to show: those asked for, or those of each task's first meter."""
    from bench.errors import UnknownName
    from bench.stats import meters_of

    known = {name for _, name in found}
    for name in names:
        if name not in known:
            raise UnknownName("score", name, known)
    if names:
        return [key for key in found if key[1] in names]
    main = {task: meters[0].names for task, meters in meters_of(record).items()}
    return [(task, name) for task, name in found if name in main[task]]


def comparison_table(
    a: "Record", b: "Record", found: Differences, chosen: Sequence[tuple[str, str]]
) -> Table:
    """A line a score: both, their difference in points with its interval, and p."""
    rows = []
    for task, name in chosen:
        d = found[task, name]
        low, high = d.interval.low, d.interval.high
        interval = "–" if low != low else f"[{points(low)}, {points(high)}]"
        cells = (percent(d.ours), percent(d.theirs), points(d.value), interval, _p(d.p))
        rows.append(Row((task, name, *cells)))
    images = next(iter(found.values())).images
    title = f"A: {_who(a)}; B: {_who(b)}; on {a.dataset.name}, {a.dataset.split}"
    notes = (
        f"Percent and points; paired bootstrap over the {images} images that both scored.",
        "p is for one score looked at alone: among twenty, one below 0.05 is luck.",
    )
    columns = ("task", "score", "A", "B", "A minus B", "95% interval", "p")
    return Table(columns, tuple(rows), title, notes)


def as_plain(a: "Record", b: "Record", found: Differences) -> dict[str, Any]:
    """A comparison as JSON has it: fractions."""
    scores: dict[str, dict[str, Any]] = {}
    for (task, name), d in found.items():
        scores.setdefault(task, {})[name] = {
            "a": d.ours,
            "b": d.theirs,
            "difference": d.value,
            "interval": [d.interval.low, d.interval.high],
            "level": d.interval.level,
            "p": d.p,
            "images": d.images,
        }
    return {"a": _plain_run(a), "b": _plain_run(b), "scores": scores}


def _plain_run(record: "Record") -> dict[str, Any]:
    return {
        "run": record.key,
        "model": record.model.name,
        "dataset": record.dataset.name,
        "split": record.dataset.split,
        "protocol": record.protocol.name,
        "protocol_digest": record.protocol.digest,
    }


def _who(record: "Record") -> str:
    shots = f", {record.tuning.shots}-shot {record.tuning.strategy}" if record.tuning else ""
    return f"{record.model.name}{shots} ({record.protocol.name}, {record.key[:8]})"


def _remarks(a: "Record", b: "Record", found: Differences) -> list[str]:
    """What a person must know besides the numbers."""
    remarks = []
    if not _under_one_card(a, b):
        remarks.append(
            f"The protocols differ ({a.protocol.name}, {b.protocol.name}): the difference is not "
            "of the models alone. `bench show RUN` prints what each was asked."
        )
    images = next(iter(found.values())).images
    for record in (a, b):
        if record.images is not None and record.images.scored > images:
            rest = record.images.scored - images
            remarks.append(f"{rest} images of {_who(record)} are not in the other run: left out.")
    return remarks


def _p(value: float) -> str:
    if value != value:
        return "–"
    return "< 0.01" if value < 0.01 else f"{value:.2f}"
