"""Options that several commands share, spelled once, and how output is printed."""

import csv
import json
import sys
from collections.abc import Mapping, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

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


class TableFormat(StrEnum):
    """How a table is printed."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"
    JSON = "json"


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


def print_rows(rows: Sequence[Mapping[str, Any]], to: TableFormat) -> None:
    """Rows with the same keys as a table, on standard output."""
    columns = list(rows[0])
    cells = [["" if row[c] is None else str(row[c]) for c in columns] for row in rows]
    match to:
        case TableFormat.JSON:
            print_json(list(rows))
        case TableFormat.CSV:
            writer = csv.writer(sys.stdout, lineterminator="\n")
            writer.writerows([columns, *cells])
        case TableFormat.MARKDOWN:
            for line in (columns, ["---"] * len(columns), *cells):
                print("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |")
        case TableFormat.LATEX:
            print(f"\\begin{{tabular}}{{{'l' * len(columns)}}}\n\\toprule")
            print(" & ".join(map(_tex, columns)) + " \\\\\n\\midrule")
            for line in cells:
                print(" & ".join(map(_tex, line)) + " \\\\")
            print("\\bottomrule\n\\end{tabular}")
        case TableFormat.TERMINAL:
            _print_terminal(columns, cells)


def _tex(cell: str) -> str:
    for special in "&%$#_{}":
        cell = cell.replace(special, "\\" + special)
    return cell


def _print_terminal(columns: Sequence[str], cells: Sequence[Sequence[str]]) -> None:
    from rich import box
    from rich.console import Console
    from rich.table import Table

    table = Table(*columns, box=box.SIMPLE_HEAD)
    for line in cells:
        table.add_row(*line)
    console = Console()
    if not console.is_terminal:
        console = Console(width=200)  # a pipe has no width: do not fold what others read
    console.print(table)
