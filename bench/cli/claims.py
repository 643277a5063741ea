"""`bench claims`: published numbers, what each needs to be got again, and what came of trying."""

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
    words,
)
from bench.errors import UnknownName, UsageError, nearest
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.claims import Verdict
    from bench.report.table import Row, Table


def claims(
    targets: Annotated[
        list[str] | None,
        typer.Argument(
            help="Tables (table2, figure8, …), systems, datasets or suites; all in short without."
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option(help="Hold this model's runs against the claims, whoever made them."),
    ] = None,
    status: Annotated[
        list[str] | None, typer.Option(help="Only claims that this became of, as `off`.")
    ] = None,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    as_json: Json = False,
    results: Results = RESULTS_DEFAULT,
    data: Data = DATA_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
) -> None:
    """List published numbers with what reproducing them takes, and what was measured of them.

    A claim is reproduced if the printed number lies in the 95% interval of what was measured, on
    all images, under the protocol card nearest to the publication's where it was run under that.
    """
    from bench.claims import Surroundings, judge
    from bench.claims import claims as chosen
    from bench.measured import Measurements
    from bench.store import Store

    search = tuple(specs or ())
    found = chosen(targets or (), search)
    measurements = Measurements(Store(results), search=search)
    if model is not None and model not in measurements.models:
        advice = nearest(model, measurements.models)
        meant = f" Did you mean {' or '.join(map(repr, advice))}?" if advice else ""
        raise UsageError(f"There is no whole run of '{model}' in {results}.{meant}")
    verdicts = judge(found, measurements, Surroundings(data, search), model=model)
    kept = _of_status(verdicts, words(status))
    if as_json:
        print_json([_plain(verdict) for verdict in kept])
    elif targets or status or model:
        _table(kept, data, results).show(table_format)
    else:
        _summary(kept).show(table_format)
    note(_count(kept), quiet=quiet)


def _of_status(verdicts: "Sequence[Verdict]", names: Sequence[str]) -> "Sequence[Verdict]":
    from bench.claims import Status

    for name in names:
        if name not in set(Status):
            raise UnknownName("status", name, [str(status) for status in Status])
    return [v for v in verdicts if not names or v.status in names]


def _count(verdicts: "Sequence[Verdict]") -> str:
    """How many there are of each status."""
    from bench.claims import Status

    counts = [(status, sum(v.status is status for v in verdicts)) for status in Status]
    said = ", ".join(f"{count} {status}" for status, count in counts if count)
    noun = "claim" if len(verdicts) == 1 else "claims"
    return f"{len(verdicts)} {noun}" + (f": {said}" if said else "")


# --- tables --------------------------------------------------------------------------------------


def _summary(verdicts: "Sequence[Verdict]") -> "Table":
    """A row for each publication's table: how many claims came to what."""
    from bench import reported
    from bench.claims import Status
    from bench.report.table import Row, Table

    names = list(dict.fromkeys(verdict.claim.table for verdict in verdicts))
    used = [s for s in Status if any(verdict.status is s for verdict in verdicts)]
    rows = []
    for name in names:
        mine = [verdict.status for verdict in verdicts if verdict.claim.table == name]
        counts = [mine.count(status) for status in used]
        rows.append(Row((name, reported.table(name).title, len(mine), *counts)))
    return Table(
        ("name", "what is printed there", "claims", *used),
        tuple(rows),
        notes=("Claim by claim: `bench claims NAME`, of a table, system, dataset or suite.",),
    )


def _table(verdicts: "Sequence[Verdict]", data: Path, results: Path) -> "Table":
    """A row for each claim; what is the same in all is said once, under the table."""
    from bench.report.table import Table

    columns: dict[str, list[Any]] = {
        "table": [v.claim.table for v in verdicts],
        "system": [v.claim.record.model.name for v in verdicts],
        "tuned": [_tuned(v) for v in verdicts],
        "dataset": _datasets(verdicts),
        "score": [_score(v) for v in verdicts],
        "printed": [v.claim.cell.text for v in verdicts],
        "measured": [_measured(v) for v in verdicts],
        "status": [_status(v) for v in verdicts],
        "needs": [v.needs.missing for v in verdicts],
        "protocol": [_protocol(v) for v in verdicts],
    }
    notes = []
    for name in ("table", "system", "tuned", "dataset", "score", "needs", "protocol", "measured"):
        values = set(map(str, columns[name]))
        if len(values) == 1 and len(verdicts) > 1:
            (value,) = values
            del columns[name]
            if value not in ("", "–"):
                notes.append(f"{name.capitalize()}: {value}.")
    notes += _remarks(verdicts, data, results)
    rows = _rows(list(columns.values()))
    return Table(tuple(columns), rows, notes=tuple(notes))


def _rows(columns: Sequence[Sequence[Any]]) -> "tuple[Row, ...]":
    from bench.report.table import Row

    return tuple(Row(cells) for cells in zip(*columns, strict=True))


def _tuned(verdict: "Verdict") -> str:
    """How it was tuned, as the titles of jobs say it."""
    from bench.claims import FINETUNED

    tuning = verdict.claim.record.tuning
    if tuning is None:
        return ""
    few = tuning.strategy != FINETUNED
    return f"{tuning.shots}-shot {tuning.strategy}" if few else tuning.strategy


def _datasets(verdicts: "Sequence[Verdict]") -> list[str]:
    """The dataset of each, with its split where it is not the one that is scored by default."""
    from bench import catalog

    used = [verdict.claim.record.dataset for verdict in verdicts]
    known = catalog.datasets()
    names = {dataset.name for dataset in used if dataset.name in known}
    usual = {name: catalog.dataset(name).split()[0] for name in names}
    return [
        f"{dataset.name}/{dataset.split}"
        if usual.get(dataset.name, dataset.split) != dataset.split
        else dataset.name
        for dataset in used
    ]


def _score(verdict: "Verdict") -> str:
    """The score, with its task where two tasks of the paper's tables share the name."""
    cell = verdict.claim.cell
    return f"{cell.task} {cell.score}" if cell.score == "AP" else cell.score


def _measured(verdict: "Verdict") -> str:
    from bench.report.table import Number

    found = verdict.measured
    return "–" if found is None else Number(found.value, bounds=found.bounds).percent()


def _status(verdict: "Verdict") -> str:
    """In words, with how far off where it is."""
    from bench.claims import Status

    if verdict.off_by is None or verdict.status is Status.REPRODUCED:
        return str(verdict.status)
    off = f"off by {100 * verdict.off_by:+.1f}"
    return off if verdict.status is Status.OFF else f"{off}, {verdict.status}"


def _protocol(verdict: "Verdict") -> str:
    """The card the claim is nearest to, and another one where it was measured under that."""
    wanted, found = verdict.needs.protocol or "", verdict.measured
    if found is None or found.protocol == wanted:
        return wanted
    return f"{wanted or 'not stated'}; measured under {found.protocol}"


def _remarks(verdicts: "Sequence[Verdict]", data: Path, results: Path) -> list[str]:
    """Commands that would measure what was not, and doubts about what is printed."""
    from bench.claims import Status

    open_ = [v for v in verdicts if v.status is Status.NOT_ATTEMPTED]
    commands = list(dict.fromkeys(v.needs.command for v in open_ if v.needs.command))
    remarks = [f"To measure: {command}" for command in commands[:SHOWN]]
    if len(commands) > SHOWN:
        remarks.append(f"… and {len(commands) - SHOWN} more commands: --json lists them.")
    doubts = dict.fromkeys(
        f"{v.claim.record.model.name}: {text}"
        for v in verdicts
        for text in v.claim.record.notes
        if not text.startswith("Protocol:")
    )
    remarks += [*doubts][:SHOWN]
    if len(doubts) > SHOWN:
        remarks.append(f"… and {len(doubts) - SHOWN} more remarks: --json lists them.")
    if any(v.needs.data for v in verdicts):
        remarks.append(f"Data is looked for in {data}, runs in {results}.")
    return remarks


SHOWN = 6
"""Under a table so many commands are listed, and so many doubts."""


# --- JSON ----------------------------------------------------------------------------------------


def _plain(verdict: "Verdict") -> dict[str, Any]:
    """A claim with everything that is known of it; numbers are fractions."""
    claim, record, found = verdict.claim, verdict.claim.record, verdict.measured
    return {
        "table": claim.table,
        "source": record.source,
        "model": record.model.name,
        "card": claim.card,
        "dataset": record.dataset.name,
        "split": record.dataset.split,
        "task": claim.cell.task,
        "score": claim.cell.score,
        "shots": record.tuning.shots if record.tuning else "0",
        "strategy": record.tuning.strategy if record.tuning else None,
        "printed": claim.cell.text,
        "reported": claim.printed,
        "measured": found and found.value,
        "interval": found and found.bounds,
        "measured_under": found and found.protocol,
        "runs": list(found.runs) if found else [],
        "status": verdict.status,
        "off_by": verdict.off_by,
        "needs": {
            "weights": verdict.needs.weights or None,
            "data": verdict.needs.data or None,
            "protocol": verdict.needs.protocol,
            "command": verdict.needs.command,
        },
        "notes": list(record.notes),
    }
