"""The layout of X-Decoder's Tables 13 to 15, for any suite that has a mean.

A row for each model and number of shots, a column for each dataset; in front their average and how
many parameters were tuned. A table for each way of tuning, each with the zero-shot rows in it.
Where a complete row was published too, the published one and the difference stand below it.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import pandas as pd

from bench.report.sweep import AVERAGE, ZERO, ZERO_SHOT, Column, Entry
from bench.report.table import Cell, Format, Number, Row, Table

MEASURED, REPORTED, DIFFERENCE = "measured", "reported", "difference"
FOR_PROGRAMS = frozenset({Format.CSV, Format.JSON})


@dataclass(frozen=True, slots=True)
class Difference(Number):
    """Ours minus theirs, in points and with its sign."""

    def percent(self) -> str:
        """For eyes; absent is a dash.

        >>> Difference(-0.0123).percent(), Difference(0.2).percent()
        ('-1.2', '+20.0')
        """
        return "–" if math.isnan(self.value) else f"{100 * self.value:+.1f}"


def tables(
    found: Sequence[Entry],
    columns: Sequence[Column],
    *,
    title: str,
    notes: Sequence[str] = (),
    to: Format = Format.TERMINAL,
) -> tuple[Table, ...]:
    """A table for each way of tuning; for programs one of all, which says what is missing too.

    Args:
        found: what `sweep.entries` gives.
        columns: the datasets, in order.
        title: what the suite is called.
        notes: sentences for under the last table.
        to: who it is for.
    """
    if to in FOR_PROGRAMS:
        return (_whole(found, columns, title, notes),)
    strategies = list(dict.fromkeys(e.setting.strategy for e in found if not _zero(e)))
    made = [
        _table(
            [e for e in found if e.setting.strategy == strategy or _zero(e)],
            columns,
            f"{title}, tuned: {strategy}",
        )
        for strategy in strategies
    ] or [_table(found, columns, f"{title}, {ZERO_SHOT}")]
    last = made[-1]
    made[-1] = Table(last.columns, last.rows, last.title, (*last.notes, *notes))
    return tuple(made)


def _zero(entry: Entry) -> bool:
    return entry.setting.shots == ZERO


# --- for eyes ------------------------------------------------------------------------------------


def _table(found: Sequence[Entry], columns: Sequence[Column], title: str) -> Table:
    sourced = any(entry.reported for entry in found)
    rows = [row for entry in _once(found) for row in _rows(entry, columns, sourced)]
    header = ("model", *(["source"] if sourced else []), "shots", "tuned", AVERAGE)
    labels = [column.label for column in columns]
    return Table((*header, *labels), tuple(rows), title, _remarks(found, columns))


def _once(found: Sequence[Entry]) -> Iterable[Entry]:
    """Published rows that stand below a measured one are not shown a second time."""
    below = {id(entry.reference) for entry in found if entry.reference}
    return (entry for entry in found if id(entry) not in below)


def _rows(entry: Entry, columns: Sequence[Column], sourced: bool) -> Iterable[Row]:
    yield _row(entry, columns, sourced)
    if entry.reference is not None:
        yield _row(entry.reference, columns, sourced)
        cells = [Difference(entry.difference(label)) for label in _labels(columns)]
        yield Row((entry.label, DIFFERENCE, entry.setting.shots, "", *cells))


def _row(entry: Entry, columns: Sequence[Column], sourced: bool) -> Row:
    source = [REPORTED if entry.reported else MEASURED] if sourced else []
    numbers = [_number(entry, label) for label in _labels(columns)]
    head = (entry.label, *source, entry.setting.shots, counted(entry.parameters))
    return Row((*head, *numbers), reported=entry.reported)


def _labels(columns: Sequence[Column]) -> list[str]:
    return [AVERAGE, *(column.label for column in columns)]


def _number(entry: Entry, label: str) -> Number:
    spread = entry.spread(label)
    return Number(math.nan) if spread is None else Number(spread.mean, spread=spread.sd)


def counted(parameters: Sequence[int]) -> str:
    """A number of parameters as the paper prints it; the range where datasets differ.

    >>> counted([262_144]), counted([39_300_000]), counted([9_216]), counted([])
    ('0.26M', '39.3M', '9.2k', '')
    """
    shown = list(dict.fromkeys(_short(count) for count in parameters))
    return "" if not shown else shown[0] if len(shown) == 1 else f"{shown[0]} to {shown[-1]}"


def _short(count: int) -> str:
    if count >= 10_000_000:
        return f"{count / 1e6:.1f}M"
    if count >= 100_000:
        return f"{count / 1e6:.2f}M"
    return f"{count / 1e3:.1f}k" if count >= 1000 else str(count)


def _remarks(found: Sequence[Entry], columns: Sequence[Column]) -> tuple[str, ...]:
    """What the numbers are, and which rows have no average."""
    runs = sorted({s.runs for e in found for s in e.scores.values() if s.sd is not None and s.runs})
    remarks = []
    if runs:
        many = " or ".join(map(str, runs))
        remarks.append(
            f"± is the standard deviation over {many} runs; of an average, over the runs' averages."
        )
    for entry in found:
        if entry.missing and not entry.reported:
            count = entry.setting.shots
            shots = f"{count} shot{'' if count == '1' else 's'}, {entry.setting.strategy}"
            remarks.append(
                f"No average: {entry.label}, {ZERO_SHOT if _zero(entry) else shots}, lacks "
                f"{len(entry.missing)} of {len(columns)}: {', '.join(entry.missing)}."
            )
    return tuple(remarks)


# --- for programs --------------------------------------------------------------------------------


def _whole(
    found: Sequence[Entry], columns: Sequence[Column], title: str, notes: Sequence[str]
) -> Table:
    """Every row once: fractions, counts as numbers, and what is missing in a column of its own."""
    header = ("model", "source", "strategy", "shots", "unit", "parameters", "missing", AVERAGE)
    rows = [row for entry in _once(found) for row in _plain_rows(entry, columns)]
    labels = [column.label for column in columns]
    return Table((*header, *labels), tuple(rows), title, (*_remarks(found, columns), *notes))


def _plain_rows(entry: Entry, columns: Sequence[Column]) -> Iterable[Row]:
    labels = _labels(columns)
    yield _plain_row(entry, [_number(entry, label) for label in labels])
    if entry.reference is not None:
        theirs = entry.reference
        yield _plain_row(theirs, [_number(theirs, label) for label in labels])
        differences = [Number(entry.difference(label)) for label in labels]
        yield _plain_row(entry, differences, source=DIFFERENCE)


def _plain_row(entry: Entry, numbers: Sequence[Number], source: str = "") -> Row:
    setting = entry.setting
    parameters: Cell = entry.parameters[-1] if entry.parameters else ""
    missing = "; ".join(entry.missing)
    head = (entry.label, source or setting.source, setting.strategy, setting.shots, setting.unit)
    return Row((*head, parameters, missing, *numbers), reported=entry.reported)


# --- as a frame ----------------------------------------------------------------------------------


def frame(found: Iterable[Entry], columns: Sequence[Column]) -> pd.DataFrame:
    """One row for each setting and dataset, and one for its average, labelled `AVERAGE`.

    Columns: model, source («measured», or where it was published), strategy, shots, unit,
    parameters (tuned; absent where unknown), dataset, value, sd, runs, and where a complete row was
    published too, reference and reference_sd, and difference (value minus reference). Fractions.
    """
    rows = [
        _plain(entry, label)
        for entry in found
        for label in (AVERAGE, *(column.label for column in columns))
    ]
    whole = pd.DataFrame(rows, columns=_FRAME)
    numbers = ["value", "sd", "reference", "reference_sd", "difference"]
    counts = ["parameters", "runs"]
    return whole.astype(dict.fromkeys(numbers, "float64") | dict.fromkeys(counts, "Int64"))


_FRAME = [
    *("model", "source", "strategy", "shots", "unit", "parameters", "dataset"),
    *("value", "sd", "runs", "reference", "reference_sd", "difference"),
]


def _plain(entry: Entry, label: str) -> dict[str, object]:
    setting, spread = entry.setting, entry.spread(label)
    reference = entry.reference.spread(label) if entry.reference else None
    return {
        "model": entry.label,
        "source": setting.source,
        "strategy": setting.strategy,
        "shots": setting.shots,
        "unit": setting.unit,
        "parameters": entry.parameters[-1] if entry.parameters else None,
        "dataset": label,
        "value": spread.mean if spread else None,
        "sd": spread.sd if spread else None,
        "runs": spread.runs if spread else None,
        "reference": reference.mean if reference else None,
        "reference_sd": reference.sd if reference else None,
        "difference": entry.difference(label),
    }
