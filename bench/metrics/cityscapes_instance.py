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
        counts true objects that nothing overlaps enough; `truths` and `said` count by class.
        """
        regions = _Regions(truth)
        classes = self._class_of[prediction.labels]
        areas, shares = regions.shared(prediction.masks)
        rows: list[tuple[int, int, bool]] = []
        confidence: list[float] = []
        missed = np.zeros((len(CLASSES), len(OVERLAPS)), np.int64)
        truths = np.zeros(len(CLASSES), np.int64)
        said = np.zeros(len(CLASSES), np.int64)
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
            truths[number], said[number] = scene.counted.sum(), len(chosen)
            for step, overlap in enumerate(OVERLAPS):
                true, false, missed[number, step] = scene.findings(overlap)
                rows += [(number, step, True)] * len(true) + [(number, step, False)] * len(false)
                confidence += [*true, *false]
        return {
            "findings": np.array(rows, np.int64).reshape(-1, 3),
            "confidence": np.array(confidence, np.float64),
            "missed": missed,
            "truths": truths,
            "said": said,
        }

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """AP over images; image `i` counts `weights[i]` times."""
        counts = repeats(statistics, weights)
        findings = np.concatenate(
            [np.zeros((0, 3), np.int64), *(image["findings"] for image in statistics)]
        )
        confidence = np.concatenate([np.zeros(0), *(image["confidence"] for image in statistics)])
        weight = np.repeat(counts, [len(image["confidence"]) for image in statistics])
        missed = _total(statistics, "missed", counts, (len(CLASSES), len(OVERLAPS)))
        truths = _total(statistics, "truths", counts, (len(CLASSES),))
        said = _total(statistics, "said", counts, (len(CLASSES),))

        precision = np.full((len(CLASSES), len(OVERLAPS)), np.nan)
        curve_of = findings[:, 0] * len(OVERLAPS) + findings[:, 1]
        for curve in range(precision.size):
            number, step = divmod(curve, len(OVERLAPS))
            if not truths[number]:
                continue
            here = (curve_of == curve) & (weight > 0)
            precision[number, step] = (
                average_precision(
                    confidence[here], findings[here, 2], weight[here], int(missed[number, step])
                )
                if said[number]
                else 0.0
            )
        n = int(truths.sum())
        return {
            "AP": _score(precision.mean(axis=1), precision, n),
            "AP50": _score(precision[:, 0], precision[:, :1], n),
        }


def average_precision(
    confidence: Float[np.ndarray, " finding"],
    true: Int[np.ndarray, " finding"],
    weight: Int[np.ndarray, " finding"],
    missed: int,
) -> float:
    """Area under the curve of precision over recall, a point for each distinct confidence.

    The curve begins at precision 1 for recall 0, and each point's width is half the recall between
    its neighbours.
    `missed` true objects have no finding. Without any finding the area is 0, where the reference
    stops with an error.
    """
    if not len(confidence):
        return 0.0
    order = np.argsort(confidence, kind="stable")
    _, first = np.unique(confidence[order], return_index=True)
    found = true[order] * weight[order]
    found_below = np.concatenate(([0], np.cumsum(found)))[first]
    all_below = np.concatenate(([0], np.cumsum(weight[order])))[first]
    hits = found.sum() - found_below
    precision = hits / (weight.sum() - all_below)
    recall = hits / (found.sum() + missed)
    precision = np.append(precision, 1.0)
    recall = np.concatenate((recall[:1], recall, [0.0, 0.0]))
    return float(precision @ (recall[:-2] - recall[2:])) / 2


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
    counts: Int[np.ndarray, " image"],
    shape: tuple[int, ...],
) -> Int[np.ndarray, "..."]:
    """The weighted sum of one array over images."""
    total = np.zeros(shape, np.int64)
    for count, image in zip(counts, statistics, strict=True):
        total += count * image[name]
    return total


def _score(
    by_class: Float[np.ndarray, " class"], precision: Float[np.ndarray, "class overlap"], n: int
) -> Score:
    """The mean over classes with truth, and each class's own."""
    known = ~np.isnan(precision)
    value = float(precision[known].mean()) if known.any() else np.nan
    return Score(value, n, dict(zip(CLASSES, by_class.tolist(), strict=True)))
