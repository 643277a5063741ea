"""Cityscapes' own instance AP. It is another number than COCO's AP, and they never share a column.

As `evalInstanceLevelSemanticLabeling` of the Cityscapes scripts computes it. Where it differs from
COCO: a match needs IoU above the threshold, not at it; the curve is not made monotone, is not
sampled at fixed recalls, and has one point for equal scores; there is no limit on detections; true
objects under 100 pixels are left out, and so is a false prediction of which more than the
threshold's share lies on void, on groups (regions of a class not told apart) or on objects left
out.
"""

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
from jaxtyping import Float, Int

from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.types import Instances, Mask

CLASSES: Mapping[str, int] = MappingProxyType(
    {
        "person": 24,
        "rider": 25,
        "car": 26,
        "truck": 27,
        "bus": 28,
        "train": 31,
        "motorcycle": 32,
        "bicycle": 33,
    }
)
"""Label ids of the classes with evaluated instances."""
VOID = (-1, 0, 1, 2, 3, 4, 5, 6, 9, 10, 14, 15, 16, 18, 29, 30)
"""Label ids that no evaluation counts."""
OVERLAPS = np.arange(0.5, 1.0, 0.05)
SMALLEST = 100
"""Pixels of the smallest true object that counts."""
_FIRST_INSTANCE = 1000
"""Ids from here on are label id × 1000 + number; below, the region is void, stuff or a group."""


class CityscapesInstanceAP:
    """Average precision over IoU above 0.5, 0.55, …, 0.95, by class. `n` counts true objects.

    A truth is the map of `*_gtFine_instanceIds.png`. A prediction's labels index `names`; those of
    classes without evaluated instances are passed over.
    """

    def __init__(self, names: Sequence[str] = tuple(CLASSES)) -> None:
        self._class_of = np.array(
            [list(CLASSES).index(name) if name in CLASSES else -1 for name in names], np.int64
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The mean over all overlaps, and at 0.5."""
        return ("AP", "AP50")

    def measure(self, prediction: Instances, truth: Int[np.ndarray, "height width"]) -> Statistics:
        """True and false findings of one image, by class and overlap.

        Each row of `findings` is (class, overlap, whether true), with its `confidence`. `missed`
        counts true objects that nothing overlaps enough, `truths` those that count, by class.
        """
        regions = _Regions(truth)
        classes = self._class_of[prediction.labels]
        areas, shares = regions.shared(prediction.masks)
        rows: list[tuple[int, int, bool]] = []
        confidence: list[float] = []
        missed = np.zeros((len(CLASSES), len(OVERLAPS)), np.int64)
        truths = np.zeros(len(CLASSES), np.int64)
        for number, label_id in enumerate(CLASSES.values()):
            chosen = np.flatnonzero((classes == number) & (areas > 0))
            of_class = regions.of_class(label_id)
            scene = _ClassScene(
                shares[np.ix_(chosen, of_class)],
                areas[chosen],
                np.asarray(prediction.scores, np.float64)[chosen],
                shares[np.ix_(chosen, regions.void)].sum(axis=1),
                regions.areas[of_class],
                regions.ids[of_class] < _FIRST_INSTANCE,
            )
            truths[number] = scene.counted.sum()
            for step, overlap in enumerate(OVERLAPS):
                true, false, missed[number, step] = scene.findings(overlap)
                rows += [(number, step, True)] * len(true) + [(number, step, False)] * len(false)
                confidence += [*true, *false]
        return {
            "findings": np.array(rows, np.int64).reshape(-1, 3),
            "confidence": np.array(confidence, np.float64),
            "missed": missed,
            "truths": truths,
        }

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """AP over images; image `i` counts `weights[i]` times."""
        counts = repeats(statistics, weights)
        precision = _precisions(statistics, counts[None])[..., 0]
        n = int(sum(c * s["truths"].sum() for c, s in zip(counts, statistics, strict=True)))
        return {
            name: Score(
                float(_mean_of_known(values[..., None])[0]),
                n,
                dict(zip(CLASSES, values.mean(axis=1).tolist(), strict=True)),
            )
            for name, values in (("AP", precision), ("AP50", precision[:, :1]))
        }

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Both scores under each row of weights."""
        precision = _precisions(statistics, weights)
        return {"AP": _mean_of_known(precision), "AP50": _mean_of_known(precision[:, :1])}


def _precisions(
    statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
) -> Float[np.ndarray, "class overlap draw"]:
    """The average precision of every class at every overlap; NaN where a draw has no truth."""
    findings = np.concatenate([np.zeros((0, 3), np.int64), *(s["findings"] for s in statistics)])
    confidence = np.concatenate([np.zeros(0), *(s["confidence"] for s in statistics)])
    image = np.repeat(np.arange(len(statistics)), [len(s["confidence"]) for s in statistics])
    missed = _total(statistics, "missed", weights, (len(CLASSES), len(OVERLAPS)))
    truths = _total(statistics, "truths", weights, (len(CLASSES),))
    curve_of = findings[:, 0] * len(OVERLAPS) + findings[:, 1]
    precision = np.full((len(CLASSES), len(OVERLAPS), len(weights)), np.nan)
    for curve in np.flatnonzero(truths.any(axis=0).repeat(len(OVERLAPS))):
        number, step = divmod(int(curve), len(OVERLAPS))
        here = curve_of == curve
        found = average_precision(
            confidence[here], findings[here, 2], weights[:, image[here]], missed[:, number, step]
        )
        precision[number, step] = np.where(truths[:, number] > 0, found, np.nan)
    return precision


def average_precision(
    confidence: Float[np.ndarray, " finding"],
    true: Int[np.ndarray, " finding"],
    weights: Int[np.ndarray, "draw finding"],
    missed: Int[np.ndarray, " draw"],
) -> Float[np.ndarray, " draw"]:
    """Area under the curve of precision over recall, a point for each distinct confidence.

    The curve begins at precision 1 for recall 0, and each point's width is half the recall between
    its neighbours; so a point without weight changes nothing. `missed` true objects have no
    finding. Without any finding the area is 0, where the reference stops with an error.
    """
    if not len(confidence):
        return np.zeros(len(weights))
    order = np.argsort(confidence, kind="stable")
    _, first = np.unique(confidence[order], return_index=True)
    said = np.add.reduceat(weights[:, order], first, axis=1)
    right = np.add.reduceat(weights[:, order] * true[order], first, axis=1)
    said = np.cumsum(said[:, ::-1], axis=1)[:, ::-1]  # with this confidence or more
    right = np.cumsum(right[:, ::-1], axis=1)[:, ::-1]
    objects = right[:, :1] + missed[:, None]
    start = np.ones((len(weights), 1))
    precision = np.hstack([np.divide(right, said, out=np.ones(said.shape), where=said > 0), start])
    recall = right / np.maximum(objects, 1)
    recall = np.hstack([recall[:, :1], recall, 0 * start, 0 * start])
    area: Float[np.ndarray, " draw"] = (precision * (recall[:, :-2] - recall[:, 2:])).sum(axis=1)
    return area / 2


class _Regions:
    """The regions of a map of instance ids: their pixels, and which predicted masks share them."""

    def __init__(self, ids: Int[np.ndarray, "height width"]) -> None:
        self._size = ids.shape
        flat = ids.ravel(order="F").astype(np.int64)
        lowest = min(flat.min(), 0)
        present = np.bincount(flat - lowest) > 0
        self.ids = np.flatnonzero(present) + lowest
        place = np.cumsum(present) - 1
        self._region = place[flat - lowest]
        self.areas = np.bincount(self._region, minlength=len(self.ids))
        self.void = np.flatnonzero(np.isin(self.ids, VOID))

    def of_class(self, label_id: int) -> Int[np.ndarray, " region"]:
        """The objects and groups of a class."""
        is_object = self.ids >= _FIRST_INSTANCE
        label = np.where(is_object, self.ids // _FIRST_INSTANCE, self.ids)
        return np.flatnonzero(label == label_id)

    def shared(
        self, masks: Sequence[Mask]
    ) -> tuple[Int[np.ndarray, " mask"], Int[np.ndarray, "mask region"]]:
        """Pixels of each mask, and how many of them lie in each region."""
        shares = np.zeros((len(masks), len(self.ids)), np.int64)
        for row, mask in zip(shares, masks, strict=True):
            if (mask.height, mask.width) != self._size:
                raise ValueError(
                    f"a mask of {mask.height}×{mask.width} for an image of "
                    f"{self._size[0]}×{self._size[1]}"
                )
            row[:] = np.bincount(self._inside(mask), minlength=len(self.ids))
        return shares.sum(axis=1), shares

    def _inside(self, mask: Mask) -> Int[np.ndarray, " pixel"]:
        """The region of each pixel of a mask."""
        start, runs = int(mask.counts[0]) if len(mask.counts) else 0, mask.counts[1:]
        inside = np.repeat(np.arange(len(runs)) % 2 == 0, runs)
        region: Int[np.ndarray, " pixel"] = self._region[start:][inside]
        return region


class _ClassScene:
    """The predictions and the truth of one class in one image."""

    def __init__(
        self,
        shared: Int[np.ndarray, "said true"],
        areas: Int[np.ndarray, " said"],
        confidence: Float[np.ndarray, " said"],
        on_void: Int[np.ndarray, " said"],
        true_areas: Int[np.ndarray, " true"],
        is_group: np.ndarray,
    ) -> None:
        small = true_areas < SMALLEST
        self.counted = ~is_group & ~small
        self._confidence = confidence
        self._iou = shared / np.maximum(areas[:, None] + true_areas - shared, 1)
        # A group that is small besides is counted twice: so does the reference.
        ignored = on_void + shared @ (is_group.astype(np.int64) + small)
        self._ignored_share = ignored / areas

    def findings(self, overlap: float) -> tuple[list[float], list[float], int]:
        """Confidences of the true and of the false findings, and how many objects are missed.

        Of several predictions for one object the most confident is true and the others are false.
        """
        matched = self._iou > overlap
        true: list[float] = []
        false: list[float] = []
        missed = 0
        for column in np.flatnonzero(self.counted):
            confidences = sorted(self._confidence[matched[:, column]].tolist())
            if confidences:
                true.append(confidences.pop())
                false += confidences
            else:
                missed += 1
        unmatched = ~matched.any(axis=1) & (self._ignored_share <= overlap)
        return true, false + self._confidence[unmatched].tolist(), missed


def _total(
    statistics: Sequence[Statistics],
    name: str,
    weights: Int[np.ndarray, "draw image"],
    shape: tuple[int, ...],
) -> Int[np.ndarray, "draw ..."]:
    """The weighted sum of one array over images."""
    stacked = np.array([image[name] for image in statistics], np.int64).reshape(-1, *shape)
    total: Int[np.ndarray, "draw ..."] = np.tensordot(weights, stacked, 1)
    return total


def _mean_of_known(
    precision: Float[np.ndarray, "class overlap draw"],
) -> Float[np.ndarray, " draw"]:
    """The mean over classes that have truth in a draw, and their overlaps."""
    known = ~np.isnan(precision)
    with np.errstate(invalid="ignore"):
        mean: Float[np.ndarray, " draw"] = np.where(known, precision, 0).sum(
            axis=(0, 1)
        ) / known.sum(axis=(0, 1))
    return mean
