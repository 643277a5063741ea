"""What a metric is here: it measures one image, and computes scores from many measurements.

`measure` turns a prediction and a truth into that image's sufficient statistics: a few small
arrays that depend on nothing else. `compute` turns the statistics of any set of images into scores.
So two halves merge by putting their lists together, a killed run continues from what it wrote, and
an interval is `compute` with other weights: no second inference. Meters themselves hold no state;
`Accumulator` holds the list.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np

Statistics = Mapping[str, np.ndarray]
"""One image's sufficient statistics, by name. Arrays may differ in length from image to image."""


@dataclass(frozen=True, slots=True)
class Score:
    """A number and what it rests on. A fraction; NaN where there was nothing to score."""

    value: float
    n: int
    """How many things were counted: pixels, true objects, expressions (the meter says)."""
    by_class: Mapping[str, float] | None = None
    """The same score per class name; NaN for a class without anything to score."""


Scores = Mapping[str, Score]


@runtime_checkable
class Meter(Protocol):
    """Measures single images and computes scores over many."""

    @property
    def names(self) -> tuple[str, ...]:
        """The scores that `compute` gives, in table order, the headline first."""
        ...

    def measure(self, prediction: Any, truth: Any) -> Statistics:
        """The sufficient statistics of one image."""
        ...

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Scores over images; image `i` counts `weights[i]` times (once each where absent)."""
        ...


@dataclass
class Accumulator:
    """The statistics of the images seen so far, and their meter."""

    meter: Meter
    statistics: list[Statistics] = field(default_factory=list)

    def update(self, prediction: Any, truth: Any) -> None:
        """Measure one image."""
        self.statistics.append(self.meter.measure(prediction, truth))

    def merge(self, other: "Accumulator") -> None:
        """Add what another accumulator of the same meter has seen."""
        self.statistics.extend(other.statistics)

    def compute(self) -> Scores:
        """Scores over everything seen."""
        return self.meter.compute(self.statistics)


@runtime_checkable
class SetMeter(Protocol):
    """A meter whose scores compare each image with the whole set: a gallery, word frequencies.

    `settle` looks at the whole set once and gives statistics that need it no more. `compute` takes
    both kinds; on settled ones any weights are cheap, and the set stays the whole one. So a
    bootstrap settles once and then draws images, with gallery and frequencies fixed.
    """

    def settle(self, statistics: Sequence[Statistics]) -> list[Statistics]:
        """For each image, statistics that no longer depend on the other images."""
        ...


def settled(meter: Meter, statistics: Sequence[Statistics]) -> Sequence[Statistics]:
    """Statistics fit for computing many times with different weights."""
    return meter.settle(statistics) if isinstance(meter, SetMeter) else statistics


def repeats(statistics: Sequence[Statistics], weights: Sequence[int] | None) -> np.ndarray:
    """How many times each image counts, as integers: once each where `weights` is absent."""
    if weights is None:
        return np.ones(len(statistics), np.int64)
    counts = np.asarray(weights, np.int64)
    if counts.shape != (len(statistics),):
        raise ValueError(f"{len(statistics)} images but weights of shape {counts.shape}")
    return counts
