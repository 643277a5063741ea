"""Which number of a column is best, which cannot be told from it, and how sure a rank is.

A draw of images (`bench.stats`) scores every system that saw them, so what makes images hard for
all cancels between systems. A number is level with the best where the 95 % interval of their
difference holds zero (a paired bootstrap); where the images of one of them are not known here,
where the two 95 % intervals overlap, which is blunter; and a number without an interval is compared
by its value alone. Ranks are counted draw by draw among the systems whose images are known here and
are the same.

As for intervals, draws are turned round the score: what interpolation flatters in draws is taken
off again.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench.report.frame import SUITE, Leaderboard, columns_of, number_at
from bench.report.table import Level, Rank
from bench.shelf import Drawn, mean_of
from bench.stats import LEVEL, basic_interval

Draw = Callable[[str, str, str], Drawn | None]
"""(run, task, score) -> its draws, where they are known."""


@dataclass(frozen=True)
class Place:
    """A number among those of its column."""

    best: bool = False
    level: Level | None = None
    """How it was found not to be told from the best; `None`: it is the best, or it is worse."""


@dataclass(frozen=True)
class Standings:
    """Where every number of a leaderboard stands; the frames are as its own."""

    board: Leaderboard
    """With bounds of means, where draws are known."""
    places: Mapping[tuple[int, int], Place]
    """By row and column; those that are not here are neither best nor level."""
    ranks: tuple[Rank | None, ...]
    """By row, in the column that the board is sorted by; `None` where no images are known."""


@dataclass(frozen=True)
class _Entry:
    """A number that competes."""

    row: int
    value: float
    bounds: tuple[float, float] | None
    drawn: Drawn | None


def standings(
    board: Leaderboard,
    draw: Draw = lambda *_: None,
    *,
    classes: Sequence[str | None] | None = None,
) -> Standings:
    """Compare the systems of a leaderboard, column by column.

    `classes` says for each row what it competes with, all rows of its class; `None`: with nothing.
    """
    drawn = _Draws(board, draw)
    board = _with_bounds_of_means(board, drawn)
    columns = columns_of(board.values.columns)
    of_row = [""] * len(board.values) if classes is None else classes
    places: dict[tuple[int, int], Place] = {}
    for index in range(len(columns)):
        entries = _entries(board, index, drawn)
        for each in {name for name in of_row if name is not None}:
            rivals = [entry for entry in entries if of_row[entry.row] == each]
            if len(rivals) > 1:
                found = _compared(rivals)
                places |= {(row, index): place for row, place in found.items()}
    ranks: list[Rank | None] = [None] * len(board.values)
    if board.sorted_by is not None:
        entries = _entries(board, columns.index(board.sorted_by), drawn)
        for row, rank in _ranked(entries).items():
            ranks[row] = rank
    return Standings(board, places, tuple(ranks))


def _entries(board: Leaderboard, column: int, drawn: "_Draws") -> list[_Entry]:
    """The numbers of a column."""
    found = []
    for row in range(len(board.values)):
        value = number_at(board.values, row, column)
        if not math.isnan(value):
            low, high = number_at(board.low, row, column), number_at(board.high, row, column)
            bounds = None if math.isnan(low) else (low, high)
            found.append(_Entry(row, value, bounds, drawn.of(row, column)))
    return found


def _compared(entries: Sequence[_Entry]) -> dict[int, Place]:
    """The best of a column, and those that are level with it, by row."""
    best = max(entries, key=lambda entry: entry.value)
    found = {}
    for entry in entries:
        if entry.value == best.value:
            found[entry.row] = Place(best=True)
        elif level := _level(best, entry):
            found[entry.row] = Place(level=level)
    return found


def _level(best: _Entry, other: _Entry) -> Level | None:
    """How `other` is level with the best, if it is."""
    ours, theirs = best.drawn, other.drawn
    if ours is not None and theirs is not None and ours.images == theirs.images:
        apart = best.value - other.value
        interval = basic_interval(apart, ours.values - theirs.values, LEVEL)
        return Level.PAIRED if interval.low <= 0 else None
    if best.bounds is None or other.bounds is None:
        return None
    return Level.OVERLAP if other.bounds[1] >= best.bounds[0] else None


def _ranked(entries: Sequence[_Entry]) -> dict[int, Rank]:
    """Ranks among the largest group of systems that saw the same images, if there are two."""
    groups: dict[str, list[tuple[_Entry, Drawn]]] = {}
    for entry in entries:
        if entry.drawn is not None:
            groups.setdefault(entry.drawn.images, []).append((entry, entry.drawn))
    largest = max(groups.values(), key=len, default=[])
    if len(largest) < 2:
        return {}
    values = np.array([entry.value for entry, _ in largest])
    turned = 2 * values[:, None] - np.array([drawn.values for _, drawn in largest])
    ahead = (turned[None] > turned[:, None]).sum(axis=1)
    tail = (1 - LEVEL) / 2
    low = np.quantile(ahead, tail, axis=1, method="inverted_cdf")
    high = np.quantile(ahead, 1 - tail, axis=1, method="inverted_cdf")
    return {
        entry.row: Rank(
            1 + int((values > entry.value).sum()), 1 + int(low[i]), 1 + int(high[i]), len(largest)
        )
        for i, (entry, _) in enumerate(largest)
    }


class _Draws:
    """The draws behind each value of a leaderboard, where the images of all its runs are known."""

    def __init__(self, board: Leaderboard, draw: Draw) -> None:
        self._board, self._draw = board, draw
        self._columns = columns_of(board.values.columns)
        self._known: dict[tuple[int, int], Drawn | None] = {}

    def of(self, row: int, column: int) -> Drawn | None:
        """The draws behind a value; `None` where they are not known."""
        if (row, column) not in self._known:
            is_mean = self._columns[column][0] == SUITE
            found = self._of_mean(row, column) if is_mean else self._of_runs(row, column)
            self._known[row, column] = found
        return self._known[row, column]

    def _of_runs(self, row: int, column: int) -> Drawn | None:
        """The mean over seeds, whose runs all saw the same images."""
        runs: Any = self._board.runs.iat[row, column]
        if not isinstance(runs, tuple) or not runs:
            return None
        _, task, score = self._columns[column]
        found = [self._draw(run, task, score) for run in runs]
        known = [drawn for drawn in found if drawn is not None]
        if len(known) < len(found) or len({drawn.images for drawn in known}) > 1:
            return None
        return replace(known[0], values=np.mean([drawn.values for drawn in known], axis=0))

    def _of_mean(self, row: int, column: int) -> Drawn | None:
        """The mean over the datasets that have the score."""
        _, task, score = self._columns[column]
        members = {
            of[0]: self.of(row, place)
            for place, of in enumerate(self._columns)
            if of[0] != SUITE and of[1:] == (task, score)
        }
        known = {dataset: drawn for dataset, drawn in members.items() if drawn is not None}
        return mean_of(known) if known and len(known) == len(members) else None


def _with_bounds_of_means(board: Leaderboard, drawn: _Draws) -> Leaderboard:
    """The same with intervals of means, which rest on several runs and so are nobody's own."""
    low, high = board.low.copy(), board.high.copy()
    for index, column in enumerate(board.values.columns):
        if column[0] != SUITE:
            continue
        for row in range(len(board.values)):
            value = number_at(board.values, row, index)
            found = None if math.isnan(value) else drawn.of(row, index)
            if found is not None and math.isnan(number_at(board.spread, row, index)):
                interval = basic_interval(value, found.values, LEVEL)
                low.iat[row, index], high.iat[row, index] = max(interval.low, 0.0), interval.high
    return replace(board, low=low, high=high)
