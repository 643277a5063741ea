"""Referring segmentation: cumulative IoU, mean IoU per expression, precision at thresholds.

Definitions as in X-Decoder's grounding evaluation (and LAVT's, MTTR's, LISA's: `ReferringIoU` says
where they differ). cIoU divides the sum of intersections by the sum of unions over all expressions,
so large objects weigh more; mIoU averages expressions alike.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int

from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.protocol import ReferringIoU, ReferringMetric
from bench.types import Mask

THRESHOLDS = (0.5, 0.6, 0.7, 0.8, 0.9)
_EPSILON = np.float32(1e-6)


class ReferringSegmentation:
    """Scores one mask per expression. A score's `n` counts expressions."""

    def __init__(self, metric: ReferringMetric | None = None) -> None:
        self.metric = metric or ReferringMetric()

    @property
    def names(self) -> tuple[str, ...]:
        """The scores, cIoU first."""
        return ("cIoU", "mIoU", *(f"P@{threshold}" for threshold in THRESHOLDS))

    def measure(self, prediction: Sequence[Mask], truth: Sequence[Mask]) -> Statistics:
        """Intersection and union, in pixels, of each expression's two masks."""
        if len(prediction) != len(truth):
            raise ValueError(f"{len(truth)} expressions but {len(prediction)} predicted masks")
        pairs = list(zip(prediction, truth, strict=True))
        intersection = np.array([overlap(said, true) for said, true in pairs], np.int64)
        areas = np.array([said.area + true.area for said, true in pairs], np.int64)
        return {"intersection": intersection, "union": areas - intersection}

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Scores over expressions; those of image `i` count `weights[i]` times."""
        counts = repeats(statistics, weights)
        n = sum(int(c) * len(image["union"]) for c, image in zip(counts, statistics, strict=True))
        values = self.resample(statistics, counts[None])
        return {name: Score(float(value[0]), n) for name, value in values.items()}

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Every score under each row of weights."""
        image = np.repeat(np.arange(len(statistics)), [len(s["union"]) for s in statistics])
        intersection = _joined(statistics, "intersection")
        union = _joined(statistics, "union")
        ratio = iou(intersection, union, self.metric.iou)

        def total(values: np.ndarray) -> Float[np.ndarray, " draw"]:
            """The weighted sum over expressions."""
            per_image = np.bincount(image, values, len(statistics)).astype(np.float64)
            total: Float[np.ndarray, " draw"] = weights @ per_image
            return total

        n = total(np.ones(len(image)))
        with np.errstate(invalid="ignore"):
            scores = {"cIoU": total(intersection) / total(union), "mIoU": total(ratio) / n}
            for threshold in THRESHOLDS:
                found = _found(ratio, threshold, self.metric.iou)
                scores[f"P@{threshold}"] = total(found) / n
        return scores


def overlap(left: Mask, right: Mask) -> int:
    """Pixels in both masks, from their run lengths.

    >>> square, corner = np.ones((2, 2), bool), np.array([[True, False], [False, False]])
    >>> overlap(Mask.encode(square), Mask.encode(corner))
    1
    """
    if (left.height, left.width) != (right.height, right.width):
        raise ValueError(
            f"masks of different sizes: {left.height}×{left.width} and {right.height}×{right.width}"
        )
    if not left.area or not right.area:
        return 0
    bounds = np.cumsum(left.counts, dtype=np.int64)
    ends = bounds[1::2]
    starts = bounds[::2][: len(ends)]
    return int((_ones_before(right, ends) - _ones_before(right, starts)).sum())


def iou(
    intersection: Int[np.ndarray, " expression"],
    union: Int[np.ndarray, " expression"],
    definition: ReferringIoU,
) -> Float[np.ndarray, " expression"]:
    """The ratio of each expression, with the rounding that its definition's code has."""
    match definition:
        case ReferringIoU.X_DECODER:
            return intersection.astype(np.float32) / (union.astype(np.float32) + _EPSILON)
        case ReferringIoU.MTTR:
            return (intersection.astype(np.float32) + _EPSILON) / (
                union.astype(np.float32) + _EPSILON
            )
        case ReferringIoU.LAVT | ReferringIoU.GRES:
            nothing = 1.0 if definition is ReferringIoU.GRES else 0.0
            return np.where(union > 0, intersection / np.maximum(union, 1), nothing)


def _found(
    ratio: Float[np.ndarray, " expression"], threshold: float, definition: ReferringIoU
) -> Bool[np.ndarray, " expression"]:
    if definition is ReferringIoU.MTTR:  # compared in double precision: 0.6 in single is above 0.6
        return ratio.astype(np.float64) > threshold
    found: Bool[np.ndarray, " expression"] = ratio >= ratio.dtype.type(threshold)
    return found


def _ones_before(mask: Mask, places: Int[np.ndarray, " place"]) -> Int[np.ndarray, " place"]:
    """How many ones lie before each place, counting down the columns."""
    bounds = np.concatenate(([0], np.cumsum(mask.counts, dtype=np.int64)))
    is_one = np.arange(len(mask.counts)) % 2 == 1
    ones = np.concatenate(([0], np.cumsum(np.where(is_one, mask.counts, 0), dtype=np.int64)))
    run = np.clip(np.searchsorted(bounds, places, side="right") - 1, 0, len(mask.counts) - 1)
    return ones[run] + np.where(is_one[run], places - bounds[run], 0)


def _joined(statistics: Sequence[Statistics], name: str) -> Int[np.ndarray, " expression"]:
    if not statistics:
        return np.zeros(0, np.int64)
    return np.concatenate([image[name] for image in statistics])
