"""A metric: the Dice coefficient of each class, averaged over the classes with truth.

A meter measures one image and computes scores from any number of measurements: that is why bench
can merge halves, continue a killed run and draw intervals without asking the model again.
"""

from collections.abc import Sequence

import numpy as np

from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.protocol import Protocol
from bench.tasks import Addition
from bench.types import VOID, LabelMap, Vocabulary


class Dice:
    """Twice the pixels found over the sum of true and said ones, void left out."""

    names = ("Dice",)

    def __init__(self, classes: Sequence[str]) -> None:
        self.classes = tuple(classes)

    def measure(self, prediction: LabelMap, truth: LabelMap) -> Statistics:
        """Pixels found, true and said, of each class."""
        scored = truth != VOID
        true, said = truth[scored], prediction[scored]
        n = len(self.classes)
        return {
            "found": np.bincount(true[true == said], minlength=n),
            "true": np.bincount(true, minlength=n),
            "said": np.bincount(said[said != VOID], minlength=n),
        }

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """The score over images, image `i` counted `weights[i]` times; `n` counts true pixels."""
        times = repeats(statistics, weights)
        total = {
            name: sum((w * s[name] for w, s in zip(times, statistics, strict=True)), np.zeros(1))
            for name in ("found", "true", "said")
        }
        true = np.broadcast_to(total["true"], len(self.classes))
        with np.errstate(invalid="ignore"):
            dice = np.where(true > 0, 2 * total["found"] / (true + total["said"]), np.nan)
        value = float(np.nanmean(dice)) if (true > 0).any() else float("nan")
        by_class = dict(zip(self.classes, dice.tolist(), strict=True))
        return {"Dice": Score(value, int(true.sum()), by_class)}


def _meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Dice, ...]:
    return (Dice(vocabulary.names),)


DICE = Addition("semantic", _meters)
"""What the entry point names: wherever label maps are scored, Dice is too."""
