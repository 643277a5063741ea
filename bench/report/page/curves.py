"""Few-shot curves: what a score gains with each image that a model is tuned on."""

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from statistics import fmean, stdev

from bench.record import Record
from bench.report.page.scores import Bounds, title_of

WIDTH, HEIGHT = 640, 300
LEFT, RIGHT, TOP, BOTTOM = 46, 16, 14, 46
"""Margins of the plot, in its own units: room for the numbers at both axes."""
STYLES = 8
"""So many lines can be told apart by colour, marker and dashes; then they come again."""


@dataclass(frozen=True, slots=True)
class Point:
    """A number of shots, and the mean score over seeds."""

    shots: str
    value: float
    low: float | None
    """Over several seeds a standard deviation below the mean, of a single run the 95 % bound; no
    score is below zero."""
    high: float | None
    seeds: int
    x: float
    y: float
    y_low: float | None
    y_high: float | None


@dataclass(frozen=True)
class Line:
    """One model, tuned in one way."""

    name: str
    style: int
    points: tuple[Point, ...]

    @property
    def path(self) -> str:
        """Its points, joined, as SVG has it."""
        return "M" + " L".join(f"{point.x:g},{point.y:g}" for point in self.points)


@dataclass(frozen=True)
class Tick:
    """A number at an axis."""

    text: str
    at: float


@dataclass(frozen=True)
class Figure:
    """One score of one dataset against the number of images tuned on."""

    dataset: str
    task: str
    score: str
    unit: str
    across: tuple[Tick, ...]
    up: tuple[Tick, ...]
    lines: tuple[Line, ...]

    @property
    def averaged(self) -> bool:
        """Whether some point is a mean over seeds."""
        return any(point.seeds > 1 for line in self.lines for point in line.points)


@dataclass
class _Scores:
    """What the runs of one model, tuning and number of shots scored."""

    values: list[float] = field(default_factory=list)
    bounds: list[tuple[float, float] | None] = field(default_factory=list)

    def spread(self) -> tuple[float, float] | None:
        if len(self.values) == 1:
            return self.bounds[0]
        mean, deviation = fmean(self.values), stdev(self.values)
        return max(mean - deviation, 0.0), mean + deviation


_Series = dict[str, dict[str, _Scores]]
"""line -> number of shots -> scores."""


def few_shot_figures(records: Sequence[Record], bounds: Bounds) -> tuple[Figure, ...]:
    """A figure for each headline score with a complete tuned run; zero-shot runs begin the lines.

    Runs of one model with one protocol that differ in seeds alone are averaged.
    """
    whole = [record for record in records if not record.partial]
    found = []
    for dataset in dict.fromkeys(r.dataset.name for r in whole if r.tuning):
        of_dataset = [record for record in whole if record.dataset.name == dataset]
        for unit in dict.fromkeys(r.tuning.unit for r in of_dataset if r.tuning):
            runs = [r for r in of_dataset if r.tuning is None or r.tuning.unit == unit]
            for task in dict.fromkeys(task for r in runs if r.tuning for task in r.scores):
                score = next(name for r in runs for name in r.scores.get(task, ()))
                lines = _series(runs, task, score, bounds)
                if lines:
                    found.append(_figure(dataset, task, score, unit, lines))
    return tuple(found)


def _series(records: Sequence[Record], task: str, score: str, bounds: Bounds) -> _Series:
    """The scores of each line; a zero-shot run is on every line of its model."""
    named = _line_names([record for record in records if task in record.scores])
    lines: _Series = {name: {} for name in named.values()}
    for record in records:
        number = record.scores.get(task, {}).get(score)
        if number is None or number.value is None:
            continue
        if record.tuning is not None:
            of_record, shots = [named[_line(record)]], record.tuning.shots
        else:
            of_record = [name for key, name in named.items() if key[:3] == _line(record)[:3]]
            shots = "0"
        for name in of_record:
            scores = lines[name].setdefault(shots, _Scores())
            scores.values.append(number.value)
            scores.bounds.append(bounds(record).get((task, score)))
    return {name: by_shots for name, by_shots in lines.items() if by_shots}


_LineKey = tuple[str, str | None, str, str]


def _line(record: Record) -> _LineKey:
    strategy = record.tuning.strategy if record.tuning else ""
    return record.model.name, record.model.weights_digest, record.protocol.name, strategy


def _line_names(records: Iterable[Record]) -> dict[_LineKey, str]:
    """What each line is called: model and strategy, and what else tells it from the others."""
    keys = list(dict.fromkeys(_line(record) for record in records if record.tuning))
    names = {}
    for model, weights, protocol, strategy in keys:
        parts = [model, strategy]
        if len({key[1] for key in keys if key[0] == model}) > 1:
            parts.append(f"weights {(weights or 'none')[:8]}")
        if len({key[2] for key in keys if key[0] == model}) > 1:
            parts.append(f"protocol {protocol}")
        names[model, weights, protocol, strategy] = " · ".join(parts)
    return names


# --- geometry ------------------------------------------------------------------------------------


def _figure(dataset: str, task: str, score: str, unit: str, lines: _Series) -> Figure:
    shots = sorted({count for line in lines.values() for count in line}, key=_rank)
    step = (WIDTH - LEFT - RIGHT) / max(1, len(shots) - 1)
    across = {count: LEFT + index * step for index, count in enumerate(shots)}
    if len(shots) == 1:
        across = {shots[0]: (LEFT + WIDTH - RIGHT) / 2}
    ends = [
        end
        for line in lines.values()
        for scores in line.values()
        for end in (*scores.values, *(scores.spread() or ()))
    ]
    ticks = _round_ticks(min(ends), max(ends))

    def at(value: float) -> float:
        share = (value - ticks[0]) / (ticks[-1] - ticks[0])
        return round(HEIGHT - BOTTOM - share * (HEIGHT - TOP - BOTTOM), 1)

    def point(count: str, scores: _Scores) -> Point:
        value, spread = fmean(scores.values), scores.spread()
        low, high = spread or (None, None)
        return Point(
            count,
            value,
            low,
            high,
            len(scores.values),
            round(across[count], 1),
            at(value),
            None if low is None else at(low),
            None if high is None else at(high),
        )

    drawn = tuple(
        Line(name, index % STYLES, tuple(point(c, line[c]) for c in shots if c in line))
        for index, (name, line) in enumerate(lines.items())
    )
    step_up = 100 * (ticks[1] - ticks[0])
    digits = next((d for d in (0, 1) if math.isclose(round(step_up, d), step_up)), 2)
    return Figure(
        dataset,
        title_of(task),
        score,
        "images per class" if unit == "images-per-class" else "images",
        tuple(Tick(count, round(across[count], 1)) for count in shots),
        tuple(Tick(f"{100 * tick:.{digits}f}", at(tick)) for tick in ticks),
        drawn,
    )


def _rank(shots: str) -> float:
    """The order of numbers of shots; `all` is last."""
    return float(shots) if shots.isdigit() else math.inf


def _round_ticks(low: float, high: float) -> list[float]:
    """Four to seven round numbers around a range of fractions.

    >>> [round(tick, 2) for tick in _round_ticks(0.31, 0.68)]
    [0.3, 0.4, 0.5, 0.6, 0.7]
    """
    reach = max(high - low, 0.01)
    magnitude = 10.0 ** math.floor(math.log10(reach / 4))
    step = magnitude * next(m for m in (1, 2, 2.5, 5, 10) if reach / (magnitude * m) <= 5)
    first = max(0, math.floor(low / step + 1e-9))
    last = max(math.ceil(high / step - 1e-9), first + 1)
    return [tick * step for tick in range(first, last + 1)]


def legend(figures: Sequence[Figure]) -> Mapping[str, int]:
    """The style of each line by name, over all figures."""
    return {line.name: line.style for figure in figures for line in figure.lines}
