"""The leaderboard of a page: the one of `bench table`, with what sorting and bars need."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from bench.report.frame import Leaderboard
from bench.report.leaderboard import leaderboard_table
from bench.report.table import Number


@dataclass(frozen=True, slots=True)
class Column:
    """A score of a dataset."""

    dataset: str
    task: str
    score: str


@dataclass(frozen=True, slots=True)
class Cell:
    """A number, and where it lies in its column."""

    number: Number
    near: bool = False
    """Whether it is not the best, but inside the interval of the best."""
    place: float | None = None
    """The value, in percent of the largest bound of its column; `None`: absent."""
    low: float | None = None
    """Its bounds, likewise."""
    high: float | None = None


@dataclass(frozen=True)
class System:
    """A row: who, then a cell a column."""

    name: str
    about: tuple[str, ...]
    """What tells it from the others besides its name, in the order of `Board.about`."""
    cells: tuple[Cell, ...]
    reported: bool

    @property
    def label(self) -> str:
        """All of who it is, in a line."""
        return " · ".join((self.name, *(text for text in self.about if text)))


@dataclass(frozen=True)
class Board:
    """Systems by scores."""

    about: tuple[str, ...]
    columns: tuple[Column, ...]
    systems: tuple[System, ...]
    notes: tuple[str, ...]

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

    @property
    def marks(self) -> bool:
        """Whether anything is marked as best."""
        return any(cell.number.best for system in self.systems for cell in system.cells)


def board_of(found: Leaderboard) -> Board:
    """A leaderboard as a page shows it."""
    table = leaderboard_table(found)
    columns = tuple(Column(*map(str, column)) for column in found.values.columns)
    who = len(table.columns) - len(columns)
    numbers = [[_number(cell) for cell in row.cells[who:]] for row in table.rows]
    placed = [_placed([row[i] for row in numbers]) for i in range(len(columns))]
    systems = tuple(
        System(
            str(row.cells[0]),
            tuple(map(str, row.cells[1:who])),
            tuple(column[index] for column in placed),
            row.reported,
        )
        for index, row in enumerate(table.rows)
    )
    return Board(table.columns[1:who], columns, systems, table.notes)


def _number(cell: object) -> Number:
    assert isinstance(cell, Number)
    return cell


def _placed(numbers: Sequence[Number]) -> list[Cell]:
    """The cells of a column."""
    ends = [bound for n in numbers for bound in (n.value, *(n.bounds or ())) if bound == bound]
    top = max([*ends, 0.0])
    best = next((n for n in numbers if n.best), None)

    def share(value: float) -> float | None:
        return None if math.isnan(value) or not top else round(100 * max(value, 0.0) / top, 1)

    return [
        Cell(
            number,
            near=_near(number, best),
            place=share(number.value),
            low=share(number.bounds[0]) if number.bounds else None,
            high=share(number.bounds[1]) if number.bounds else None,
        )
        for number in numbers
    ]


def _near(number: Number, best: Number | None) -> bool:
    """Whether a number is inside the interval of the best one."""
    if best is None or best.bounds is None or number.best:
        return False
    return number.value >= best.bounds[0]
