"""`bench submit`: the zip that the Segmentation-in-the-Wild challenge takes, and its local twin."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

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
)
from bench.cli.progress import progress
from bench.errors import DataError, DataMissing, UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record
    from bench.report.table import Table
    from bench.store import Store
    from bench.submission import Absent, Part, Verdict


def submit(
    suite: Annotated[str, typer.Argument(help="seginw, or another suite that is laid out so.")],
    runs: Annotated[
        list[str] | None,
        typer.Argument(help="Runs made with --keep-raw: keys, or one model for all datasets."),
    ] = None,
    check: Annotated[
        Path | None, typer.Option(help="Check this zip as the server would, and score it.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Where to write; SUITE.zip without it.", dir_okay=False)
    ] = None,
    shots: Annotated[str, typer.Option(help="Of a model's runs those with so many shots.")] = "0",
    tune: Annotated[
        str | None, typer.Option(help="Of a model's runs those with this tuning strategy.")
    ] = None,
    draw: Annotated[int, typer.Option(help="Of a model's tuned runs those on this draw.")] = 0,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table of the check is printed.")
    ] = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Write a submission to the SegInW challenge from runs whose answers were kept, and check it.

    With --check FILE nothing is written. A set that is not complete is neither written nor given an
    average, though the server would average whatever it finds.
    """
    from bench import catalog, submission
    from bench.store import Store

    search = tuple(specs or ())
    asked = submission.parts(catalog.suite(suite, search), data, search)
    if check is None:
        chosen = _chosen(runs or [], asked, Store(results), shots, tune, draw)
        check = out or Path(f"{suite}.zip")
        _write(check, chosen, asked, Store(results), data, search, quiet=quiet)
    elif runs:
        raise UsageError("Give runs to write a submission, or --check FILE to check one; not both.")
    verdict = submission.check(check, asked)
    if as_json:
        print_json(_plain(verdict))
    else:
        _table(verdict).show(table_format)
    for part in asked:
        if isinstance(part, submission.Part) and not part.released and suite == "seginw":
            note(f"{part.label}: a plain export; its image ids need not be the server's.")
    if verdict.problems:
        raise DataError(_refusal(verdict))


# --- which runs ----------------------------------------------------------------------------------


def _chosen(
    names: Sequence[str],
    asked: "Sequence[Part | Absent]",
    store: "Store",
    shots: str,
    tune: str | None,
    draw: int,
) -> "dict[str, Record]":
    """The one run of each dataset, by the dataset's name.

    Raises:
        DataMissing: a dataset's annotations are not here.
        UsageError: a dataset has no such run, or several.
    """
    from bench.cli.runs import listed, runs_named
    from bench.submission import Absent

    if not names:
        raise UsageError("Say which runs to submit: keys, or a model; or --check FILE.")
    for part in asked:
        if isinstance(part, Absent):
            raise DataMissing(f"{part.label} cannot be submitted. {part.reason}")
    found: dict[str, dict[str, Record]] = {part.dataset: {} for part in asked}
    for name in names:
        for record in runs_named(name, store):
            by_key = record.key.startswith(name)
            fits = by_key or _fits(record, shots, tune, draw)
            if record.dataset.name in found and fits and not record.partial:
                found[record.dataset.name][record.key] = record
    kept = {
        dataset: [r for r in of.values() if store.raw(r.key).exists()]
        for dataset, of in found.items()
    }
    if missing := [part.label for part in asked if not kept[part.dataset]]:
        raise DataMissing(
            f"{len(asked) - len(missing)} of {len(asked)} datasets have a whole run with its raw "
            f"answers; there is none of {', '.join(missing)}. The server would average the others, "
            f"which is no result. Make them: bench run … --model {names[0]} --keep-raw"
        )
    for of in kept.values():
        if len(of) > 1:
            raise UsageError(f"Several runs would do, give keys: {listed(of)}.")
    return {dataset: of[0] for dataset, of in kept.items()}


def _fits(record: "Record", shots: str, tune: str | None, draw: int) -> bool:
    tuning = record.tuning
    if tuning is None:
        return shots == "0"
    asked = (shots, tune or tuning.strategy, draw, 0)
    return (tuning.shots, tuning.strategy, tuning.draw_seed, tuning.train_seed) == asked


def _write(
    path: Path,
    chosen: "dict[str, Record]",
    asked: "Sequence[Part | Absent]",
    store: "Store",
    data: Path,
    specs: Sequence[Path],
    *,
    quiet: bool,
) -> None:
    from bench import submission

    files = {}
    with progress(f"writing {path}", len(asked), quiet=quiet) as advance:
        for part in asked:
            assert isinstance(part, submission.Part)
            record = chosen[part.dataset]
            found = submission.results(record, store, part, data=data, specs=specs)
            files[part.file] = list(found)
            advance()
    submission.write(path, files)
    note(f"wrote {path}: {path.stat().st_size:,} bytes", quiet=quiet)


# --- what the check says -------------------------------------------------------------------------


def _table(verdict: "Verdict") -> "Table":
    from bench.report.table import Number, Row, Table

    rows = [
        Row(
            (
                one.label,
                "–" if one.results is None else one.results,
                Number(one.score),
                Number(one.corrected),
                " ".join(one.faults),
            )
        )
        for one in verdict.datasets
    ]
    notes = [
        "AP as the server has it: the object with annotation id 0 is never found. "
        "Behind it with that object counted."
    ]
    if verdict.average is not None and verdict.median is not None:
        rows += [
            Row((name, "", Number(value), "", ""))
            for name, value in (
                ("Average Score", verdict.average),
                ("Median Score", verdict.median),
            )
        ]
    else:
        notes.append(_no_average(verdict))
    notes += verdict.faults
    columns = ("dataset", "results", "AP", "id 0 counted", "problems")
    return Table(columns, tuple(rows), f"{verdict.path}", tuple(notes))


def _no_average(verdict: "Verdict") -> str:
    scored = sum(one.score == one.score for one in verdict.datasets)
    return f"No average and no median: {scored} of {len(verdict.datasets)} datasets have a score."


def _refusal(verdict: "Verdict") -> str:
    problems = verdict.problems
    more = f" ({len(problems) - 1} more)" if len(problems) > 1 else ""
    return f"{verdict.path} is not fit to submit. {problems[0]}{more} {_no_average(verdict)}"


def _plain(verdict: "Verdict") -> dict[str, Any]:
    return {
        "file": verdict.path,
        "complete": verdict.complete,
        "average": verdict.average,
        "median": verdict.median,
        "problems": list(verdict.problems),
        "datasets": {
            one.label: {
                "results": one.results,
                "AP": one.score,
                "AP_with_id_0": one.corrected,
                "problems": list(one.faults),
            }
            for one in verdict.datasets
        },
    }
