"""From what detections found to curves of precision over recall, as COCO draws them.

The curve of a class at a threshold follows its detections of all images from the highest score
down. Precision is made to fall by taking its maximum to the right, and is read at 101 recalls. It
changes at detections that find something only, so nothing else is looked at: the numbers are those
of pycocotools' `accumulate` to the last bit.

Weights say how often each image counts. Every function takes many sets of weights at once, one a
row, so that a bootstrap costs little more than the arithmetic.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int, UInt16

from bench.metrics.matching import THRESHOLDS
from bench.metrics.meter import Statistics

RECALLS: Float64[np.ndarray, " recall"] = np.linspace(0.0, 1.0, 101)
"""Where precision is read."""

ABSENT = -1.0
"""Precision and recall of a class without objects, as in pycocotools' arrays."""

_LEVELS = np.arange(len(THRESHOLDS), dtype=np.uint16)
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
        np.add.at(
            totals,
            (slice(None), self.object_classes),
            weights[:, self.object_images] * self.objects[size],
        )
        return totals


def _joined(statistics: Sequence[Statistics], name: str, dtype: type) -> np.ndarray:
    """The arrays of all images end to end, along their last axis."""
    rows = () if name in ("labels", "scores", "true_labels") else (4,)
    empty = np.zeros((*rows, 0), dtype)
    return np.concatenate([empty, *(image[name] for image in statistics)], axis=-1)


@dataclass(frozen=True)
class Curve:
    """Precision over recall of one class at one threshold, where something is found."""

    threshold: int
    recall: Float64[np.ndarray, "draw hit"]
    precision: Float64[np.ndarray, "draw hit"]
    """The highest precision at this recall or a higher one."""
    scores: Float64[np.ndarray, " hit"]

    def reached(self) -> Int[np.ndarray, "draw hit"]:
        """How many of `RECALLS` are reached at each hit."""
        return np.searchsorted(RECALLS, self.recall, side="right")


def curves(
    ledger: Ledger,
    label: int,
    size: int,
    cap: int,
    weights: Int[np.ndarray, "draw image"],
    totals: Int[np.ndarray, " draw"],
) -> Iterator[Curve]:
    """The curve of a class at each threshold that some detection reaches.

    `totals` is the number of the class's objects in each draw, at least 1.
    """
    members = np.arange(ledger.starts[label], ledger.starts[label + 1])
    members = members[ledger.ranks[members] < cap]
    counted = ~_bits(ledger.ignored[size, members])
    hit = _bits(ledger.found[size, members]) & counted
    if not hit.any():
        return
    considered = counted.any(axis=0)
    members, counted, hit = members[considered], counted[:, considered], hit[:, considered]
    times = weights[:, ledger.images[members]]
    # Thresholds differ in few detections: those that count at all of them are summed once.
    always = counted.all(axis=0)
    seen_always = np.cumsum(times * always, axis=1)
    for threshold in np.flatnonzero(hit.any(axis=1)):
        hits = np.flatnonzero(hit[threshold])
        found = np.cumsum(times[:, hits], axis=1)
        seen = seen_always[:, hits]
        sometimes = np.flatnonzero(counted[threshold] & ~always)
        if sometimes.size:
            more = np.cumsum(times[:, sometimes], axis=1)
            before = np.searchsorted(sometimes, hits, side="right")
            seen = seen + np.where(before > 0, more[:, before - 1], 0)
        precision = found / (seen + _EPSILON)
        falling = np.maximum.accumulate(precision[:, ::-1], axis=1)[:, ::-1]
        yield Curve(int(threshold), found / totals[:, None], falling, ledger.scores[members[hits]])


def _bits(packed: UInt16[np.ndarray, " detection"]) -> Bool[np.ndarray, "threshold detection"]:
    return (packed >> _LEVELS[:, None] & 1).astype(bool)


def average_precision(
    ledger: Ledger, size: int, cap: int, weights: Int[np.ndarray, "draw image"]
) -> tuple[
    Float64[np.ndarray, "draw threshold class"], Float64[np.ndarray, "draw threshold class"]
]:
    """Mean precision over `RECALLS`, and final recall; NaN for a class without objects."""
    shape = (len(weights), len(THRESHOLDS), ledger.classes)
    precision, recall = np.zeros(shape), np.zeros(shape)
    totals = ledger.totals(size, weights)
    for label in np.flatnonzero(totals.any(axis=0)):
        there = np.maximum(totals[:, label], 1)
        for curve in curves(ledger, label, size, cap, weights, there):
            steps = np.diff(curve.reached(), axis=1, prepend=0)
            mean = (curve.precision * steps).sum(axis=1) / len(RECALLS)
            precision[:, curve.threshold, label] = mean
            recall[:, curve.threshold, label] = curve.recall[:, -1]
    absent = np.broadcast_to((totals == 0)[:, None], shape)
    precision[absent] = recall[absent] = np.nan
    return precision, recall


@dataclass(frozen=True)
class Readings:
    """Pycocotools' arrays for one size range and cap: `ABSENT` for a class without objects."""

    precision: Float64[np.ndarray, "threshold recall class"]
    recall: Float64[np.ndarray, "threshold class"]
    scores: Float64[np.ndarray, "threshold recall class"]
    """The score at which each recall is reached; 0 where it never is."""


def readings(ledger: Ledger, size: int, cap: int, weights: Int[np.ndarray, " image"]) -> Readings:
    """Precision at every recall, for every class and threshold."""
    draw = weights[None]
    totals = ledger.totals(size, draw)
    shape = (len(THRESHOLDS), len(RECALLS), ledger.classes)
    present = totals[0] > 0
    precision = np.where(present, np.zeros(shape), ABSENT)
    scores = precision.copy()
    recall = precision[:, 0].copy()
    for label in np.flatnonzero(present):
        best = ledger.scores[ledger.starts[label] : ledger.starts[label + 1]][:1]
        scores[:, 0, label] = best if best.size else 0.0
        for curve in curves(ledger, label, size, cap, draw, totals[:, label]):
            at = curve.threshold
            reached = curve.reached()[0]
            steps = np.diff(reached, prepend=0)
            precision[at, : reached[-1], label] = np.repeat(curve.precision[0], steps)
            scores[at, 1 : reached[-1], label] = np.repeat(curve.scores, steps)[1:]
            recall[at, label] = curve.recall[0, -1]
    return Readings(precision, recall, scores)
