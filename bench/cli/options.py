"""Options that several commands share, spelled once, and how output is printed."""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.report.table import Format, Row, Table

Results = Annotated[
    Path,
    typer.Option(
        "--results",
        envvar="BENCH_RESULTS",
        help="Folder that runs are written to and read from.",
        file_okay=False,
    ),
]
RESULTS_DEFAULT = Path("bench-results")

Data = Annotated[
    Path,
    typer.Option(
        "--data",
        envvar="BENCH_DATA",
        help="Folder that holds the datasets, each under the 'home' of its spec.",
        file_okay=False,
    ),
]
DATA_DEFAULT = Path("data")

Specs = Annotated[
    list[Path] | None,
    typer.Option(
        "--specs",
        envvar="BENCH_SPECS",
        help="More folders of YAML specs, laid out as the shipped ones.",
        file_okay=False,
        exists=True,
    ),
]

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print results and errors only.")]


def words(options: Sequence[str] | None) -> tuple[str, ...]:
    """The names in a list option, which may be given several times or hold several with commas.

    >>> words(["PQ, mIoU", "AP"])
    ('PQ', 'mIoU', 'AP')
    """
    return tuple(
        word.strip() for option in options or () for word in option.split(",") if word.strip()
    )


def print_json(value: Any) -> None:
    """One JSON value on standard output; NaN becomes null, as JSON has none."""
    print(json.dumps(_plain(value), indent=2, ensure_ascii=False, allow_nan=False))


def _plain(value: Any) -> Any:
    """`value` with NaN as None and paths as text, all the way down."""
    if isinstance(value, dict):
        return {str(k): _plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(v) for v in value]
    if isinstance(value, float) and value != value:
        return None
    if isinstance(value, Path):
        return str(value)
    return value


def note(message: str, *, quiet: bool = False) -> None:
    """A line for the person at the terminal; standard output stays fit for pipes."""
    if not quiet:
        print(message, file=sys.stderr)


def print_rows(rows: Sequence[Mapping[str, Any]], to: Format) -> None:
    """Rows with the same keys as a table, on standard output."""
    columns = tuple(rows[0])
    cells = [tuple("" if row[c] is None else row[c] for c in columns) for row in rows]
    Table(columns, tuple(map(Row, cells))).show(to)
