"""Why few-shot results differ: by the draw of the support set, or by the training on it.

With several trainings on each of several draws (`bench run --seeds D --trainings S`), the score of
training s on draw d is taken as

    y[d, s] = mean + draw[d] + training[d, s],

both random and independent (a training's seed is made of both numbers, so trainings of two draws
have nothing in common). The variances are those of the analysis of variance, with D draws, N runs,
n[d] trainings on draw d:

    MS_within  = sum (y[d, s] - y[d])^2 / (N - D)           estimates var(training)
    MS_between = sum n[d] (y[d] - y)^2 / (D - 1)            estimates var(training) + n0 var(draw)
    var(draw)  = (MS_between - MS_within) / n0, 0 if negative
    n0         = (N - sum n[d]^2 / N) / (D - 1)             = S, where all draws have S

Intervals are of 95 %: chi-squared for the trainings, and the modified large-sample one for the draw
(Ting, Burdick, Graybill, Jeyaratnam and Lu 1990; Burdick and Graybill 1992, section 3.2), exact for
many trainings. Over datasets the mean squares are averaged and their degrees of freedom are
Satterthwaite's: the outcome is of a typical dataset. In 1500 simulated sweeps with 3 x 3 runs the
intervals held the truth in 94 to 98 %; averaged over 8 datasets in 98 %, a little wide.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain

import numpy as np
from scipy.stats import chi2, f

from bench.report.sweep import AVERAGE, ZERO_SHOT, Column, Entry
from bench.report.table import Number, Row, Table

LEVEL = 0.95
ONE_DATASET = "one dataset"
"""What the variances of a typical dataset are called."""


@dataclass(frozen=True, slots=True)
class Estimate:
    """A variance, and between which bounds it lies."""

    variance: float
    low: float
    high: float

    @property
    def sd(self) -> float:
        """The standard deviation."""
        return math.sqrt(self.variance)

    @property
    def bounds(self) -> tuple[float, float]:
        """Those of the standard deviation."""
        return math.sqrt(self.low), math.sqrt(self.high)


@dataclass(frozen=True, slots=True)
class Squares:
    """The mean squares that everything follows from."""

    within: float
    """NaN where each draw was trained on once."""
    within_freedom: float
    between: float
    """NaN where there is one draw."""
    between_freedom: float
    trainings: float
    """n0: how many trainings a draw has, on average."""
    draws: int
    runs: int


@dataclass(frozen=True, slots=True)
class Components:
    """How far each of the two moves a score."""

    draw: Estimate | None
    """`None` where there is one draw, or each was trained on once."""
    training: Estimate | None
    """`None` where each draw was trained on once."""
    draws: int
    runs: int


# --- from scores ---------------------------------------------------------------------------------


def squares(groups: Sequence[Sequence[float]]) -> Squares:
    """The mean squares of scores, a group for each draw.

    >>> squares([[0.0, 2.0], [4.0, 6.0]]).within, squares([[0.0, 2.0], [4.0, 6.0]]).between
    (2.0, 16.0)
    """
    sizes = np.array([len(group) for group in groups])
    runs, draws = int(sizes.sum()), len(groups)
    means = np.array([np.mean(group) for group in groups])
    centre = float(sizes @ means / runs)
    inside = sum(
        float(np.square(np.subtract(group, mean)).sum())
        for group, mean in zip(groups, means, strict=True)
    )
    between = float(sizes @ (means - centre) ** 2)
    return Squares(
        inside / (runs - draws) if runs > draws else math.nan,
        runs - draws,
        between / (draws - 1) if draws > 1 else math.nan,
        draws - 1,
        float((runs - (sizes**2).sum() / runs) / (draws - 1)) if draws > 1 else float(runs),
        draws,
        runs,
    )


def pooled(parts: Sequence[Squares]) -> Squares:
    """The mean squares of a typical one of several datasets."""
    within, within_freedom = _satterthwaite([(p.within, p.within_freedom) for p in parts])
    between, between_freedom = _satterthwaite([(p.between, p.between_freedom) for p in parts])
    trainings = float(np.mean([part.trainings for part in parts]))
    draws, runs = min(part.draws for part in parts), min(part.runs for part in parts)
    return Squares(within, within_freedom, between, between_freedom, trainings, draws, runs)


def _satterthwaite(parts: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """The mean of mean squares, and degrees of freedom that give it the right variance."""
    known = [(value, freedom) for value, freedom in parts if not math.isnan(value)]
    if not known:
        return math.nan, 0.0
    total = sum(value for value, _ in known)
    spread = sum(value**2 / freedom for value, freedom in known)
    freedom = total**2 / spread if spread else sum(freedom for _, freedom in known)
    return total / len(known), freedom


def components(of: Squares, level: float = LEVEL) -> Components:
    """The two variances with their intervals, as far as they can be told apart."""
    training = None if math.isnan(of.within) else _training(of, level)
    apart = training is not None and not math.isnan(of.between)
    return Components(_draw(of, level) if apart else None, training, of.draws, of.runs)


def _training(of: Squares, level: float) -> Estimate:
    total, freedom = of.within * of.within_freedom, of.within_freedom
    low, high = (total / chi2.ppf(p, freedom) for p in ((1 + level) / 2, (1 - level) / 2))
    return Estimate(of.within, float(low), float(high))


def _draw(of: Squares, level: float) -> Estimate:
    """The modified large-sample interval of a difference of mean squares.

    Names as in Burdick and Graybill: 1 is between, 2 within; G and H bound each alone, and the
    cross terms make the interval exact where one of the two is all there is.
    """
    above, below = (1 + level) / 2, (1 - level) / 2
    s1, n1, s2, n2 = of.between, of.between_freedom, of.within, of.within_freedom
    g1, g2 = (1 - n / chi2.ppf(above, n) for n in (n1, n2))
    h1, h2 = (n / chi2.ppf(below, n) - 1 for n in (n1, n2))
    f1, f2 = f.ppf(above, n1, n2), f.ppf(below, n1, n2)
    g12 = ((f1 - 1) ** 2 - (g1 * f1) ** 2 - h2**2) / f1
    h12 = ((1 - f2) ** 2 - (h1 * f2) ** 2 - g2**2) / f2
    low = (g1 * s1) ** 2 + (h2 * s2) ** 2 + g12 * s1 * s2
    high = (h1 * s1) ** 2 + (g2 * s2) ** 2 + h12 * s1 * s2
    difference = s1 - s2
    bounds = (difference - math.sqrt(max(low, 0.0)), difference + math.sqrt(max(high, 0.0)))
    value, least, most = (max(0.0, float(x)) / of.trainings for x in (difference, *bounds))
    return Estimate(value, least, most)


# --- from a sweep --------------------------------------------------------------------------------


def of_entry(entry: Entry, columns: Sequence[Column]) -> dict[str, Squares]:
    """The mean squares of a setting: of each dataset, of a typical one, and of the average.

    Runs on the same support set are of one draw, whatever their seeds. The average is there where
    the setting is complete; its draws are the seeds, for on each dataset they are other images.
    """
    found = {
        column.label: squares(_by_draw(entry, column.label))
        for column in columns
        if column.label in entry.runs
    }
    parts = list(found.values())
    if entry.average is not None:
        groups = _averages_by_draw(entry, columns)
        one = all(part.draws == 1 for part in parts)
        found[AVERAGE] = squares([list(chain(*groups))] if one else groups)
    return {**found, ONE_DATASET: pooled(parts)}


def _by_draw(entry: Entry, label: str) -> list[list[float]]:
    """A dataset's scores, a list for each support set."""
    groups: dict[str, list[float]] = {}
    for run, record in entry.runs[label].items():
        assert record.tuning is not None
        drawn = record.tuning.support or str(run.draw)
        groups.setdefault(drawn, []).append(entry.values[label][run])
    return list(groups.values())


def _averages_by_draw(entry: Entry, columns: Sequence[Column]) -> list[list[float]]:
    """The averages over all datasets, a list for each seed of the draw."""
    groups: dict[int, list[float]] = {}
    values = [entry.values[column.label] for column in columns]
    for run in values[0]:
        groups.setdefault(run.draw, []).append(float(np.mean([of[run] for of in values])))
    return list(groups.values())


# --- as a table ----------------------------------------------------------------------------------


SAID = (
    "Standard deviations in points, with 95% intervals: how far a score moves when other images "
    "are drawn, or when the same ones are trained on again.",
    "'one dataset' is a typical one: variances averaged over datasets.",
)


def variance_table(found: Sequence[Entry], columns: Sequence[Column], *, title: str) -> Table:
    """For each few-shot setting how far draws and trainings move a typical dataset and the average.

    Settings that were run once are left out.
    """
    rows, untold = [], False
    for entry in found:
        if entry.reported or entry.setting.strategy == ZERO_SHOT:
            continue
        of = {name: components(part) for name, part in of_entry(entry, columns).items()}
        if of[ONE_DATASET].runs > 1:
            rows.append(_row(entry, of[ONE_DATASET], of.get(AVERAGE)))
            untold = untold or of[ONE_DATASET].draw is None
    notes = [*SAID, UNTOLD] if untold else list(SAID)
    return Table(_COLUMNS, tuple(rows), f"{title}: what makes runs differ", tuple(notes))


UNTOLD = (
    "A dash: each draw was trained on once, or there was one support set. "
    "`bench run … --seeds 3 --trainings 3` tells the two apart."
)
_COLUMNS = (
    *("model", "strategy", "shots", "draws", "runs"),
    *("one dataset: draw", "one dataset: training", "average: draw", "average: training"),
)


def _row(entry: Entry, one: Components, average: Components | None) -> Row:
    setting = entry.setting
    head = (entry.label, setting.strategy, setting.shots, one.draws, one.runs)
    whole = (average.draw, average.training) if average else (None, None)
    return Row((*head, *map(_number, (one.draw, one.training, *whole))))


def _number(of: Estimate | None) -> Number:
    return Number(math.nan) if of is None else Number(of.sd, bounds=of.bounds)
