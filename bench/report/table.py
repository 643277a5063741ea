"""Tables as people and programs read them: terminal, Markdown, LaTeX, CSV, JSON.

Numbers stay fractions up to here. For eyes they are printed in percent with one decimal, their
interval beside them; for programs as they are, bounds in columns of their own. What is marked is
marked by a sign, for programs by a word: bold and italics only repeat it.
"""

import csv
import io
import json
import math
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import TYPE_CHECKING, TextIO

if TYPE_CHECKING:
    from rich.table import Table as Grid

    from bench.metrics.meter import Scores


class Format(StrEnum):
    """How a table is printed."""

    TERMINAL = "terminal"
    MARKDOWN = "markdown"
    CSV = "csv"
    LATEX = "latex"
    JSON = "json"


class Level(StrEnum):
    """How a number was found not to be told from the best of its column."""

    PAIRED = "paired"
    """The 95 % interval of their difference, drawn on the images both scored, holds zero."""
    OVERLAP = "overlap"
    """Their 95 % intervals overlap."""


BEST = "★"
SIGNS = {Level.PAIRED: "≈", Level.OVERLAP: "~"}
REPORTED = "°"
"""The signs beside numbers, and beside the name of a row of published ones."""


@dataclass(frozen=True, slots=True)
class Number:
    """A fraction in a cell, and how sure it is."""

    value: float
    """NaN: there was nothing to score, or nobody tried."""
    bounds: tuple[float, float] | None = None
    """95 % interval."""
    spread: float | None = None
    """Standard deviation over seeds."""
    best: bool = False
    """Whether no other number of its column is higher."""
    level: Level | None = None
    """How it was found to be level with the best, if it is not the best itself."""

    def percent(self) -> str:
        """For eyes, in percent; absent is a dash.

        >>> Number(0.5234, bounds=(0.51, 0.54)).percent(), Number(float("nan")).percent()
        ('52.3 [51.0, 54.0]', '–')
        """
        if math.isnan(self.value):
            return "–"
        text = f"{100 * self.value:.1f}"
        if self.spread is not None:
            return f"{text} ± {100 * self.spread:.1f}"
        if self.bounds is not None:
            low, high = self.bounds
            return f"{text} [{100 * low:.1f}, {100 * high:.1f}]"
        return text

    @property
    def sign(self) -> str:
        """The sign of the best, of one level with it, or nothing."""
        return BEST if self.best else SIGNS[self.level] if self.level else ""


@dataclass(frozen=True, slots=True)
class Rank:
    """A place in a column, counted from 1, and how sure it is."""

    place: int
    low: int
    """The best place among 95 % of the draws of images."""
    high: int
    """The worst."""
    of: int
    """Among how many."""

    def __str__(self) -> str:
        """For eyes.

        >>> str(Rank(2, 1, 3, 5)), str(Rank(1, 1, 1, 2))
        ('2 [1–3]', '1')
        """
        sure = self.low == self.high
        return f"{self.place}" if sure else f"{self.place} [{self.low}–{self.high}]"


Cell = str | int | Number | Rank | None
"""`None`: nothing to say."""


@dataclass(frozen=True)
class Row:
    """A row of a table."""

    cells: tuple[Cell, ...]
    reported: bool = False
    """Whether its numbers were published elsewhere and not measured here."""


@dataclass(frozen=True)
class Table:
    """What is printed, before anyone knows how."""

    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    title: str = ""
    notes: tuple[str, ...] = field(default=())
    """Sentences under the table."""

    def turned(self) -> "Table":
        """Rows as columns: readable where there are many scores of few systems."""
        who = [
            " ".join(t for t, c in zip(_shown(row), row.cells, strict=True) if isinstance(c, str))
            for row in self.rows
        ]
        scores = [
            place
            for place in range(len(self.columns))
            if not any(isinstance(row.cells[place], str) for row in self.rows)
        ]
        rows = (
            Row((self.columns[place], *(row.cells[place] for row in self.rows))) for place in scores
        )
        return Table(("", *who), tuple(rows), self.title, self.notes)

    def render(self, to: Format) -> str:
        """The table as text, without a newline at its end."""
        return _RENDERERS[to](self)

    def show(self, to: Format = Format.TERMINAL, file: TextIO | None = None) -> None:
        """Print the table; colours and the width of the window where `file` is a terminal."""
        file = file or sys.stdout
        if to == Format.TERMINAL:
            _print_rich(self, file)
        else:
            print(self.render(to), file=file)


def stacked(tables: Sequence[tuple[str, Table]], by: str) -> Table:
    """Several tables as one, for programs: which table a row is of stands in its first column.

    >>> one = Table(("model", "PQ"), (Row(("a", Number(0.5))),))
    >>> two = Table(("model", "AP"), (Row(("a", Number(0.2))),))
    >>> stacked([("x", one), ("y", two)], "task").columns
    ('task', 'model', 'PQ', 'AP')
    """
    columns = tuple(dict.fromkeys(name for _, table in tables for name in table.columns))
    rows = [
        replace(row, cells=(group, *(known.get(name) for name in columns)))
        for group, table in tables
        for row in table.rows
        for known in [dict(zip(table.columns, row.cells, strict=True))]
    ]
    notes = tuple(dict.fromkeys(note for _, table in tables for note in table.notes))
    return Table((by, *columns), tuple(rows), notes=notes)


# --- one run -------------------------------------------------------------------------------------


def scores_table(scores: "Scores", *, title: str = "", by_class: bool = False) -> Table:
    """The scores of one run: value and count, and with `by_class` each class's below."""
    rows = []
    for name, score in scores.items():
        rows.append(Row((name, Number(score.value), score.n)))
        if by_class and score.by_class:
            rows += [
                Row((f"  {label}", Number(value), "")) for label, value in score.by_class.items()
            ]
    return Table(("score", "value", "n"), tuple(rows), title)


def print_scores(
    scores: "Scores", *, title: str = "", by_class: bool = False, to: str = Format.TERMINAL
) -> None:
    """Print the scores of one run."""
    scores_table(scores, title=title, by_class=by_class).show(Format(to))


# --- how it is printed ---------------------------------------------------------------------------


def _plain(cell: Cell) -> str:
    if isinstance(cell, Number):
        return f"{cell.percent()} {cell.sign}".rstrip()
    return "–" if cell is None else str(cell)


def _shown(row: Row) -> list[str]:
    """The cells of a row for eyes; what was published has its sign behind the first."""
    cells = [_plain(cell) for cell in row.cells]
    return [f"{cells[0]} {REPORTED}", *cells[1:]] if row.reported and cells else cells


def _right(table: Table) -> list[bool]:
    """Which columns are numbers, and so stand right."""
    return [
        bool(table.rows)
        and all(row.cells[i] == "" or not isinstance(row.cells[i], str) for row in table.rows)
        for i in range(len(table.columns))
    ]


def _print_rich(table: Table, file: TextIO) -> None:
    """Print for eyes: turned where it does not fit the window, in full where there is none."""
    from rich.console import Console
    from rich.measure import Measurement

    class Plain(Console):
        """A console that leaves it to the command line what a reader who left means."""

        def on_broken_pipe(self) -> None:
            raise BrokenPipeError

    console = Plain(file=file)
    if not console.is_terminal:  # a pipe has no width to fit into
        console = Plain(file=file, width=10_000)
    grid, turned = _grid(table), _grid(table.turned())
    free = console.options.update(width=10_000)
    widths = [Measurement.get(console, free, each).maximum for each in (grid, turned)]
    console.print(turned if widths[1] < widths[0] and widths[0] > console.width else grid)
    for note in table.notes:
        console.print(note, style="dim", highlight=False, markup=False)


def _grid(table: Table) -> "Grid":
    from rich.table import Table as Grid
    from rich.text import Text

    grid = Grid(title=table.title or None, title_justify="left", header_style="bold")
    for name, right in zip(table.columns, _right(table), strict=True):
        grid.add_column(Text(name), justify="right" if right else "left", overflow="fold")
    for row in table.rows:
        grid.add_row(
            *(
                Text(text, style="bold" if _is_best(cell) else "")
                for text, cell in zip(_shown(row), row.cells, strict=True)
            ),
            style="italic" if row.reported else None,
        )
    return grid


def _is_best(cell: Cell) -> bool:
    return isinstance(cell, Number) and cell.best


def _terminal(table: Table) -> str:
    text = io.StringIO()
    _print_rich(table, text)
    return text.getvalue().rstrip("\n")


def _markdown(table: Table) -> str:
    def shown(text: str, cell: Cell) -> str:
        text = text.replace("|", "\\|").replace("~", "\\~")
        return f"**{text}**" if _is_best(cell) else text

    lines = [f"**{table.title}**", ""] if table.title else []
    lines.append("| " + " | ".join(table.columns) + " |")
    lines.append("|" + "|".join("---:" if right else ":---" for right in _right(table)) + "|")
    lines += ["| " + " | ".join(map(shown, _shown(row), row.cells)) + " |" for row in table.rows]
    lines += [line for note in table.notes for line in ("", note)]
    return "\n".join(lines)


_LATEX = str.maketrans(
    {c: f"\\{c}" for c in "&%$#_{}"}
    | {"~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "\\": r"\textbackslash{}"}
    | {"±": r"$\pm$", "–": "--", BEST: r"$\star$", "≈": r"$\approx$", REPORTED: r"$^\circ$"}
)


def _latex(table: Table) -> str:
    def shown(text: str, cell: Cell) -> str:
        text = text.translate(_LATEX)
        return rf"\textbf{{{text}}}" if _is_best(cell) else text

    def line(cells: Sequence[str]) -> str:
        return "  " + " & ".join(cells) + r" \\"

    columns = "".join("r" if right else "l" for right in _right(table))
    comments = [f"% {text}" for text in (table.title, *table.notes) if text]
    body = [line([*map(shown, _shown(row), row.cells)]) for row in table.rows]
    return "\n".join(
        [
            "% Needs \\usepackage{booktabs}.",
            *comments,
            rf"\begin{{tabular}}{{{columns}}}",
            r"  \toprule",
            line([name.translate(_LATEX) for name in table.columns]),
            r"  \midrule",
            *body,
            r"  \bottomrule",
            r"\end{tabular}",
        ]
    )


def _open(row: Row, columns: Sequence[str]) -> dict[str, str | int | float | None]:
    """A row for programs: fractions, with bounds and spread in columns of their own."""
    found: dict[str, str | int | float | None] = {}
    for name, cell in zip(columns, row.cells, strict=True):
        if isinstance(cell, Rank):
            found[name] = cell.place
            found |= {f"{name} low": cell.low, f"{name} high": cell.high, f"{name} of": cell.of}
            continue
        if not isinstance(cell, Number):
            found[name] = cell
            continue
        found[name] = None if math.isnan(cell.value) else cell.value
        if cell.bounds is not None:
            found[f"{name} low"], found[f"{name} high"] = cell.bounds
        if cell.spread is not None:
            found[f"{name} sd"] = cell.spread
        if cell.best or cell.level:
            found[f"{name} mark"] = "best" if cell.best else f"level ({cell.level})"
    return found


def _csv(table: Table) -> str:
    rows = [_open(row, table.columns) for row in table.rows]
    ends = ("low", "high", "of", "sd", "mark")
    possible = [(name, *(f"{name} {end}" for end in ends)) for name in table.columns]
    header = [
        key
        for keys in possible
        for key in keys
        if key == keys[0] or any(key in row for row in rows)
    ]
    text = io.StringIO()
    writer = csv.DictWriter(text, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue().rstrip("\n")


def _json(table: Table) -> str:
    rows = [_open(row, table.columns) for row in table.rows]
    content = {"title": table.title, "rows": rows, "notes": table.notes}
    return json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)


_RENDERERS: Mapping[Format, Callable[[Table], str]] = {
    Format.TERMINAL: _terminal,
    Format.MARKDOWN: _markdown,
    Format.CSV: _csv,
    Format.LATEX: _latex,
    Format.JSON: _json,
}
