"""Which scores are what they were: paired intervals of the difference, and what they come to."""

import math
from dataclasses import dataclass
from enum import StrEnum

from bench.stats import Difference

MARGIN = 0.005
"""Half a point: what a score may lose."""
UPPER = 0.05
"""Five points: what it may gain before somebody should look why."""
FEWEST = 10
"""Images: an interval from fewer promises more than it holds."""


class Verdict(StrEnum):
    """What a gate, or one score, comes to."""

    PASSED = "pass"
    FAILED = "fail"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True)
class Rules:
    """How strict a gate is."""

    margin: float = MARGIN
    """A score may be lower by this, as a fraction."""
    upper: float = UPPER
    """A score may be higher by this."""
    scores: tuple[str, ...] = ()
    """The scores that are judged; empty: each task's headline."""
    new_weights: bool = False
    """Whether the weights are meant to be others: then what follows from them is not held against
    the model, only what it scores."""


DEFAULT = Rules()


@dataclass(frozen=True, slots=True)
class ScoreCheck:
    """One score, then and now."""

    dataset: str
    task: str
    score: str
    then: float
    """As recorded."""
    verdict: Verdict
    reason: str
    """Why, in a sentence."""
    difference: Difference | None = None
    """Now minus then; `None` where the two cannot be compared."""
    reach: float = 0.0
    """What was allowed besides the margin, because the number format alone may do it."""

    @property
    def name(self) -> str:
        """`shapes: panoptic PQ`."""
        return f"{self.dataset}: {self.task} {self.score}"


def judged(difference: Difference, rules: Rules, reach: float = 0.0) -> tuple[Verdict, str]:
    """What a difference comes to, and why.

    Args:
        difference: now minus then.
        rules: the margins.
        reach: how far the number format alone may move the score; it widens both margins.
    """
    low, high = difference.interval.low, difference.interval.high
    value, images = difference.value, difference.images
    if math.isnan(difference.theirs) and math.isnan(difference.ours):
        return Verdict.PASSED, "there was nothing to score, and there is nothing."
    if math.isnan(value) or math.isnan(low):
        return Verdict.FAILED, "there is a score on one side alone."
    if low == high == 0:
        return Verdict.PASSED, "no image scores otherwise."
    margin, upper = rules.margin + reach, rules.upper + reach
    found = f"{_points(value)} points, 95% interval {_points(low)} to {_points(high)}"
    loss = f"{100 * margin:.3g}"
    if images < FEWEST:
        return Verdict.UNDECIDED, f"{found}: {images} images are too few for an interval."
    if high < -margin:
        return Verdict.FAILED, f"{found}: lower by more than {loss}."
    if low > upper:
        why = f"higher by more than {100 * upper:.3g}, which wants a reason."
        return Verdict.FAILED, f"{found}: {why}"
    if low < -margin:
        why = f"{images} images are too few to rule out a loss of {loss}."
        return Verdict.UNDECIDED, f"{found}: {why}"
    return Verdict.PASSED, f"{found}: not lower by {loss}."


def _points(value: float) -> str:
    return f"{100 * value:+.2f}"
