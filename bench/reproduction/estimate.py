"""How sure the mean of few seeds is, and the difference between two means.

A handful of seeds says little about the luck of one row, but rows of a table are trained alike:
their seeds scatter alike too, and all rows together say how much. That is the analysis of a
randomised block design: each score is the sum of a row's effect, a seed's effect and noise, whose
variance is estimated from what rows and seeds leave over, with (rows - 1)(seeds - 1) degrees of
freedom (Montgomery, Design and Analysis of Experiments, section 4.1).

The luck of the draw of images is apart from this: its intervals come with each score. All rows are
scored on the same images, so most of it cancels between them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt

import numpy as np

from bench.stats import LEVEL

BySeed = Mapping[int, float]


@dataclass(frozen=True, slots=True)
class Noise:
    """How far scores scatter that differ in nothing but luck of training."""

    sd: float
    degrees: int
    """Of freedom of the estimate."""

    def margin(self, seeds: int) -> float:
        """Half the 95 % interval of the difference between two means over so many seeds."""
        from scipy.stats import t

        return float(t.ppf((1 + LEVEL) / 2, self.degrees) * self.sd * sqrt(2 / seeds))


def noise(rows: Sequence[BySeed]) -> Noise | None:
    """The noise of scores by row and seed; `None` where two rows do not share two seeds.

    Rows that lack a seed of the others are left out.

    >>> noise([{0: 0.5, 1: 0.6}, {0: 0.3, 1: 0.4}])  # the second seed is luckier, for both alike
    Noise(sd=0.0, degrees=1)
    >>> noise([{0: 0.5}, {0: 0.3}]) is None
    True
    """
    seeds = sorted({seed for row in rows for seed in row})
    table = np.array([[row[seed] for seed in seeds] for row in rows if row.keys() >= set(seeds)])
    if table.size == 0 or min(table.shape) < 2:
        return None
    degrees = (table.shape[0] - 1) * (table.shape[1] - 1)
    over = table - table.mean(0) - table.mean(1, keepdims=True) + table.mean()
    return Noise(float(np.sqrt((over**2).sum() / degrees).round(12)), degrees)


@dataclass(frozen=True, slots=True)
class Change:
    """How much better one row scores than another, over the seeds that both have."""

    value: float
    bounds: tuple[float, float] | None
    """95 %, by the luck of training; `None` where it cannot be known from so few seeds."""
    seeds: int

    def verdict(self, sign: float) -> str:
        """Whether it goes the way of `sign`.

        >>> Change(-0.02, (-0.03, -0.01), 2).verdict(-1)
        'found'
        """
        if self.bounds is None:
            return "one seed: undecided"
        low, high = self.bounds
        if low <= 0 <= high:
            return "undecided"
        return "found" if (low > 0) == (sign > 0) else "the opposite"


def change(ours: BySeed, theirs: BySeed, scatter: Noise | None) -> Change | None:
    """Ours minus theirs, seed by seed the same; `None` where they share no seed."""
    seeds = sorted(ours.keys() & theirs.keys())
    if not seeds:
        return None
    value = float(np.mean([ours[seed] - theirs[seed] for seed in seeds]))
    if scatter is None:
        return Change(value, None, len(seeds))
    margin = scatter.margin(len(seeds))
    return Change(value, (value - margin, value + margin), len(seeds))
