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
