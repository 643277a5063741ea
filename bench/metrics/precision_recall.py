"""From what detections found to curves of precision over recall, as COCO draws them.

The curve of a class at a threshold follows its detections of all images from the highest score
down. Precision is made to fall by taking its maximum to the right, and is read at 101 recalls. It
changes at detections that find something only, so nothing else is looked at: the numbers are those
of pycocotools' `accumulate` to the last bit.

Weights say how often each image counts. Every function takes many sets of weights at once, one a
row, so that a bootstrap costs little more than the arithmetic.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, UInt16

from bench.metrics.matching import THRESHOLDS
from bench.metrics.meter import Statistics

RECALLS: Float64[np.ndarray, " recall"] = np.linspace(0.0, 1.0, 101)
"""Where precision is read."""

PerThreshold = Float64[np.ndarray, "draw threshold class"]

ABSENT = -1.0
"""Precision and recall of a class without objects, as in pycocotools' arrays."""

_LEVELS = np.arange(len(THRESHOLDS), dtype=np.uint16)
_ALL = np.uint16((1 << len(THRESHOLDS)) - 1)
_EPSILON = np.spacing(1)


@dataclass(frozen=True)
class Ledger:
    """Every detection of a set of images, class by class from the highest score down.

    Equal scores keep the order of the images, and within an image that of its detections.
    """

    starts: Int[np.ndarray, " bound"]
    """Where each class begins, and where the last ends."""
    scores: Float64[np.ndarray, " detection"]
    images: Int[np.ndarray, " detection"]
    ranks: Int[np.ndarray, " detection"]
    """The place of a detection among those of its class and image."""
    found: UInt16[np.ndarray, "size detection"]
    """Whether it finds an object: one bit a threshold."""
    ignored: UInt16[np.ndarray, "size detection"]
    """Whether it counts neither for nor against: one bit a threshold."""
    objects: Int[np.ndarray, "size image_class"]
    """How many objects there are to find, for each row of `object_images`."""
    object_images: Int[np.ndarray, " image_class"]
    object_classes: Int[np.ndarray, " image_class"]

    @classmethod
    def of(cls, statistics: Sequence[Statistics], classes: int) -> "Ledger":
        """Sort the detections of images into one ledger."""
        labels = _joined(statistics, "labels", np.int32)
        scores = _joined(statistics, "scores", np.float64)
        images = np.repeat(np.arange(len(statistics)), [len(s["labels"]) for s in statistics])
        # An image's detections are sorted by class, so a class begins where its label does.
        group = images * classes + labels
        first = np.flatnonzero(np.diff(group, prepend=-1))
        ranks = np.arange(len(group)) - np.repeat(first, np.diff(np.append(first, len(group))))
        order = np.lexsort((-scores, labels))
        object_images = np.repeat(
            np.arange(len(statistics)), [len(s["true_labels"]) for s in statistics]
        )
        return cls(
            np.searchsorted(labels[order], np.arange(classes + 1)),
            scores[order],
            images[order],
            ranks[order],
            _joined(statistics, "found", np.uint16)[:, order],
            _joined(statistics, "ignored", np.uint16)[:, order],
            _joined(statistics, "true_counts", np.int64),
            object_images,
            _joined(statistics, "true_labels", np.int32).astype(np.int64),
        )

    @property
    def classes(self) -> int:
        """How many classes there are."""
        return len(self.starts) - 1

    def totals(
        self, size: int, weights: Int[np.ndarray, "draw image"]
    ) -> Int[np.ndarray, "draw class"]:
        """How many objects there are to find, by class."""
        totals = np.zeros((len(weights), self.classes), np.int64)
        counted = weights[:, self.object_images] * self.objects[size]
        np.add.at(totals.T, self.object_classes, counted.T)
        return totals


def _joined(statistics: Sequence[Statistics], name: str, dtype: type) -> np.ndarray:
    """The arrays of all images end to end, along their last axis."""
    rows = () if name in ("labels", "scores", "true_labels") else (4,)
    empty = np.zeros((*rows, 0), dtype)
    return np.concatenate([empty, *(image[name] for image in statistics)], axis=-1)


@dataclass(frozen=True)
class Curves:
    """Precision over recall of every class at every threshold, where detections find something.

    Hits are sorted by threshold, then class; a curve is the hits of one threshold and class.
    """

    thresholds: Int[np.ndarray, " curve"]
    labels: Int[np.ndarray, " curve"]
    starts: Int[np.ndarray, " curve"]
    """The first hit of each curve."""
    detections: Int[np.ndarray, " hit"]
    """Which detection of the ledger each hit is."""
    recall: Float64[np.ndarray, "draw hit"]
    precision: Float64[np.ndarray, "draw hit"]
    """The highest precision at this recall or a higher one."""

    def ends(self) -> Int[np.ndarray, " curve"]:
        """One past the last hit of each curve."""
        return np.append(self.starts, len(self.detections))[1:]

    def steps(self) -> Int[np.ndarray, "draw hit"]:
        """How many of `RECALLS` are first reached at each hit."""
        reached = np.searchsorted(RECALLS, self.recall, side="right")
        steps = reached.copy()
        steps[:, 1:] -= reached[:, :-1]
        steps[:, self.starts] = reached[:, self.starts]
        return steps


def curves(
    ledger: Ledger,
    size: int,
    cap: int,
    weights: Int[np.ndarray, "draw image"],
    totals: Int[np.ndarray, "draw class"],
) -> Curves:
    """The curves of a size range, of the first `cap` detections of each image and class."""
    kept = np.flatnonzero((ledger.ranks < cap) & (ledger.ignored[size] != _ALL))
    labels = np.searchsorted(ledger.starts, kept, side="right") - 1
    begins = np.searchsorted(kept, ledger.starts)[labels]
    counted = ~ledger.ignored[size, kept]
    level, hit = np.nonzero(_bits(ledger.found[size, kept] & counted))
    times = weights[:, ledger.images[kept]]
    # Thresholds differ in few detections: those that count at all of them are summed only once.
    always = counted & _ALL == _ALL
    seen = _between(_sums(times * always), begins[hit], hit + 1)
    other_level, other = np.nonzero(_bits(np.where(always, 0, counted).astype(np.uint16)))
    others = other_level * len(kept) + other
    since, until = (
        np.searchsorted(others, level * len(kept) + place) for place in (begins[hit], hit + 1)
    )
    seen += _between(_sums(times[:, other]), since, until)

    curve = level * ledger.classes + labels[hit]
    starts = np.flatnonzero(np.diff(curve, prepend=-1))
    lengths = np.diff(np.append(starts, len(hit)))
    found = _between(_sums(times[:, hit]), np.repeat(starts, lengths), np.arange(len(hit)) + 1)
    precision = found / (seen + _EPSILON)
    for low, high in zip(starts, starts + lengths, strict=True):
        backwards = precision[:, low:high][:, ::-1]
        np.maximum.accumulate(backwards, axis=1, out=backwards)
    recall = found / np.maximum(totals[:, labels[hit]], 1)
    return Curves(level[starts], labels[hit][starts], starts, kept[hit], recall, precision)


def _bits(packed: UInt16[np.ndarray, " detection"]) -> Bool[np.ndarray, "threshold detection"]:
    return (packed >> _LEVELS[:, None] & 1).astype(bool)


def _sums(values: Int[np.ndarray, "draw place"]) -> Int[np.ndarray, "draw bound"]:
    """Sums of all values before each place, and of all."""
    sums = np.zeros((len(values), values.shape[1] + 1), np.int64)
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _between(
    sums: Int[np.ndarray, "draw bound"],
    low: Int[np.ndarray, " place"],
    high: Int[np.ndarray, " place"],
) -> Int[np.ndarray, "draw place"]:
    between: Int[np.ndarray, "draw place"] = sums[:, high] - sums[:, low]
    return between


def final_recall(
    ledger: Ledger, size: int, cap: int, weights: Int[np.ndarray, "draw image"]
) -> PerThreshold:
    """The share of objects found at all; NaN for a class without objects."""
    hits = _bits(ledger.found[size] & ~ledger.ignored[size]) & (ledger.ranks < cap)
    level, hit = np.nonzero(hits)
    curve = level * ledger.classes + np.searchsorted(ledger.starts, hit, side="right") - 1
    shape = len(weights), len(THRESHOLDS), ledger.classes
    found = np.zeros((shape[0], shape[1] * shape[2]))
    for row, times in zip(found, weights[:, ledger.images[hit]], strict=True):
        row[:] = np.bincount(curve, times, len(row))
    return _ratio(found.reshape(shape), ledger.totals(size, weights)[:, None])


def average_precision(
    ledger: Ledger, size: int, cap: int, weights: Int[np.ndarray, "draw image"]
) -> PerThreshold:
    """Mean precision over `RECALLS`; NaN for a class without objects."""
    totals = ledger.totals(size, weights)
    drawn = curves(ledger, size, cap, weights, totals)
    precision = np.zeros((len(weights), len(THRESHOLDS), ledger.classes))
    if len(drawn.starts):
        area = np.add.reduceat(drawn.precision * drawn.steps(), drawn.starts, axis=1)
        precision[:, drawn.thresholds, drawn.labels] = area / len(RECALLS)
    return np.where(totals[:, None] > 0, precision, np.nan)


@dataclass(frozen=True)
class Readings:
    """Pycocotools' arrays for one size range and cap: `ABSENT` for a class without objects."""

    precision: Float64[np.ndarray, "threshold recall class"]
    recall: Float64[np.ndarray, "threshold class"]
    scores: Float64[np.ndarray, "threshold recall class"]
    """The score at which each recall is reached; 0 where it never is."""


def readings(ledger: Ledger, size: int, cap: int, weights: Int[np.ndarray, " image"]) -> Readings:
    """Precision at every recall, for every class and threshold."""
    totals = ledger.totals(size, weights[None])
    precision = np.zeros((len(THRESHOLDS), len(RECALLS), ledger.classes))
    scores, recall = precision.copy(), precision[:, 0].copy()
    # Recall 0 is reached at the first detection, whatever it finds.
    some = np.flatnonzero(np.diff(ledger.starts))
    scores[:, 0, some] = ledger.scores[ledger.starts[some]]

    drawn = curves(ledger, size, cap, weights[None], totals)
    steps = drawn.steps()[0]
    hit = np.repeat(np.arange(len(steps)), steps)
    per_curve = np.add.reduceat(steps, drawn.starts) if len(steps) else steps
    curve = np.repeat(np.arange(len(drawn.starts)), per_curve)
    place = np.arange(len(hit)) - np.repeat(per_curve.cumsum() - per_curve, per_curve)
    at = drawn.thresholds[curve], place, drawn.labels[curve]
    precision[at] = drawn.precision[0, hit]
    later = place > 0
    scores[tuple(axis[later] for axis in at)] = ledger.scores[drawn.detections[hit[later]]]
    recall[drawn.thresholds, drawn.labels] = drawn.recall[0, drawn.ends() - 1]
    for values in (precision, recall, scores):
        values[..., totals[0] == 0] = ABSENT
    return Readings(precision, recall, scores)


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of whole; NaN of nothing."""
    absent = np.full(np.broadcast_shapes(part.shape, whole.shape), np.nan)
    ratio: np.ndarray = np.divide(part, whole, out=absent, where=whole > 0)
    return ratio
