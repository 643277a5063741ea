"""The numbers of any table as bars: leaderboards above all."""

import math
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import UsageError
from bench.report import style
from bench.report.table import Number, Row, Table

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure


def table_bars(table: Table, *, title: str = "") -> "Figure":
    """A panel for each column of numbers, a bar for each row, with its interval or spread.

    Rows keep their order, the first on top; published ones are hatched.

    Raises:
        UsageError: the table has no numbers.
    """
    places = [
        place
        for place in range(len(table.columns))
        if any(isinstance(row.cells[place], Number) for row in table.rows)
    ]
    if not places:
        raise UsageError("There is no number to draw.")
    names = [_who(row, table.columns) for row in table.rows]
    with style.applied():
        wide, lines = style.grid(len(places))
        label = 0.065 * max(map(len, names))  # inches
        figure = style.blank(0.4 + label + 2.0 * wide, lines * (0.6 + 0.24 * len(names)) + 0.4)
        grid = figure.subplots(lines, wide, sharey=True, squeeze=False)
        every = [*grid.ravel()]
        for axes, place in zip(every, places, strict=False):
            for spot, row in enumerate(table.rows):
                cell = row.cells[place]
                if isinstance(cell, Number):
                    _bar(axes, spot, cell, reported=row.reported)
            axes.set_title(table.columns[place])
            axes.set_yticks(range(len(names)), names)
            axes.set_ylim(len(names) - 0.4, -0.6)
            axes.set_xlim(0, None)
            axes.margins(x=0.15)
            axes.grid(visible=False, axis="y")
            axes.grid(visible=True, axis="x")
            axes.tick_params(axis="y", length=0)
            axes.set_xlabel("%")
        for axes in every[len(places) :]:
            axes.remove()
        if title or table.title:
            figure.suptitle(title or table.title, x=0.01, ha="left", fontsize=10)
    return figure


NAMING = ("model", "shots", "strategy", "protocol")
"""The columns of a leaderboard that a bar is called by; hatching says what was published."""


def _who(row: Row, columns: Sequence[str]) -> str:
    """What the bar of a row is called; of another table than a leaderboard, all its words."""
    words = {c: cell for c, cell in zip(columns, row.cells, strict=True) if isinstance(cell, str)}
    chosen = [words[name] for name in NAMING if words.get(name)] or [*words.values()]
    return textwrap.shorten(" · ".join(filter(None, chosen)), 60, placeholder=" …")


def _bar(axes: "Axes", spot: int, cell: Number, *, reported: bool) -> None:
    if math.isnan(cell.value):
        axes.annotate(" –", (0, spot), va="center", fontsize=6.5, color=style.GREY)
        return
    value = 100 * cell.value
    axes.barh(spot, value, 0.7, **style.bar(0, published=reported))
    low, high = value, value
    if cell.bounds is not None:
        low, high = 100 * cell.bounds[0], 100 * cell.bounds[1]
    elif cell.spread is not None:
        low, high = value - 100 * cell.spread, value + 100 * cell.spread
    if high > low:
        axes.plot([low, high], [spot, spot], color=style.DARK, linewidth=1)
    text = f" {value:.1f}"
    axes.annotate(text, (max(value, high), spot), va="center", fontsize=6.5, annotation_clip=False)
