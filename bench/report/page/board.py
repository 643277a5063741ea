"""The leaderboard of a page: the one of `bench table`, with what sorting and bars need."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

from bench.report.frame import Leaderboard
from bench.report.leaderboard import leaderboard_table
from bench.report.standing import Draw
from bench.report.table import Cell as TableCell
from bench.report.table import Number

SCALES = (0.1, 0.2, 0.5, 1.0)
"""Bars of a column are drawn on the first of these that holds all of it."""


@dataclass(frozen=True, slots=True)
class Column:
    """A score of a dataset."""

    dataset: str
    task: str
    score: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, and where it lies on the scale of its column."""

    number: Number
    place: float | None = None
    """The value, in percent of the scale of its column; `None`: absent."""
    low: float | None = None
    """Its bounds, likewise, or a standard deviation to each side."""
    high: float | None = None


@dataclass(frozen=True)
class System:
    """A row: who, then a cell a column."""

    name: str
    about: tuple[str, ...]
    """What tells it from the others besides its name, in the order of `Board.about`."""
    cells: tuple[Cell, ...]
    reported: bool
    label: str
    """All of who it is, in a line."""


@dataclass(frozen=True)
class Board:
    """Systems by scores."""

    about: tuple[str, ...]
    columns: tuple[Column, ...]
    systems: tuple[System, ...]
    notes: tuple[str, ...]
    sorted_by: int | None
    """The place of the column that the systems are sorted by."""

    @property
    def groups(self) -> list[tuple[str, int]]:
        """Datasets with how many columns each has, in order."""
        runs = groupby(column.dataset for column in self.columns)
        return [(dataset, len(list(of))) for dataset, of in runs]

    @property
    def datasets(self) -> list[str]:
        """The datasets, each once."""
        return list(dict.fromkeys(column.dataset for column in self.columns))

    @property
    def tasks(self) -> list[str]:
        """The tasks, each once."""
        return list(dict.fromkeys(column.task for column in self.columns))

    @property
    def has_reported(self) -> bool:
        """Whether some rows were published elsewhere."""
        return any(system.reported for system in self.systems)


def board_of(found: Leaderboard, draw: Draw) -> Board:
    """A leaderboard as a page shows it; `draw` gives the draws behind a score."""
    table = leaderboard_table(found, draw=draw, ranks=True)
    columns = tuple(Column(*map(str, column)) for column in found.values.columns)
    who = len(table.columns) - len(columns)
    numbers = [[_number(cell) for cell in row.cells[who:]] for row in table.rows]
    placed = [_placed([row[i] for row in numbers]) for i in range(len(columns))]
    systems = tuple(
        System(
            str(row.cells[0]),
            tuple("" if cell is None else str(cell) for cell in row.cells[1:who]),
            tuple(column[index] for column in placed),
            row.reported,
            _label(table.columns[1:who], row.cells),
        )
        for index, row in enumerate(table.rows)
    )
    shown: list[Any] = found.values.columns.to_list()
    key = None if found.sorted_by is None else shown.index(found.sorted_by)
    return Board(table.columns[1:who], columns, systems, table.notes, key)


def _label(about: Sequence[str], cells: Sequence[TableCell]) -> str:
    """Who a row is about, in a line; its rank is not who it is."""
    parts = [str(cells[0])]
    for name, cell in zip(about, cells[1:], strict=False):
        if name == "shots":
            parts.append("zero-shot" if cell == "0" else f"{cell}-shot")
        elif isinstance(cell, str) and cell:
            parts.append(cell)
    return " · ".join(parts)


def _number(cell: object) -> Number:
    assert isinstance(cell, Number)
    return cell


def _placed(numbers: Sequence[Number]) -> list[Cell]:
    """The cells of a column."""
    ends = [_ends(number) for number in numbers]
    top = max((high for _, high in ends if not math.isnan(high)), default=0.0)
    top = next((mark for mark in SCALES if top <= mark), top)

    def share(value: float) -> float | None:
        return None if math.isnan(value) or not top else round(100 * max(value, 0.0) / top, 1)

    return [
        Cell(number, share(number.value), share(low), share(high))
        for number, (low, high) in zip(numbers, ends, strict=True)
    ]


def _ends(number: Number) -> tuple[float, float]:
    """Where a number's whisker ends: at the number itself where nothing says how sure it is."""
    if number.spread is not None:
        return number.value - number.spread, number.value + number.spread
    return number.bounds or (number.value, number.value)
