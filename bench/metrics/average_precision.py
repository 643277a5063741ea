"""Average precision of masks and boxes, as COCO and LVIS define it.

An image's statistics say what each detection found, at ten thresholds and in four size ranges, and
how many objects there were: enough for every score, any merge and any interval. Scores are those of
pycocotools to the last digit; where it errs (annotation id 0) or tools differ, `AveragePrecision`
of `bench.protocol` names the choice.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from bench.metrics import rle
from bench.metrics.matching import NOBODY, THRESHOLDS, Pairs, match
from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.metrics.precision_recall import (
    ABSENT,
    Ledger,
    Readings,
    average_precision,
    final_recall,
    readings,
)
from bench.protocol import (
    AnnotationZero,
    AreaSource,
    AveragePrecision,
    ClassUse,
    DetectionArea,
    DetectionCap,
)
from bench.types import Instances, TrueInstance, TrueInstances

SIZES = {
    "": (0.0, 1e5**2),
    "s": (0.0, 32.0**2),
    "m": (32.0**2, 96.0**2),
    "l": (96.0**2, 1e5**2),
}
"""The size ranges in pixels, both ends included: any, small, medium, large."""

_UPPER, _LOWER = np.array(list(SIZES.values())).T[::-1, :, None]
_SIZE = np.arange(len(SIZES))[:, None, None]
_BITS = (1 << np.arange(len(THRESHOLDS))).astype(np.uint16)

_AT_ONCE = 2_000_000
"""Detections times draws computed side by side: enough to hide overheads, few enough to fit."""

Lane = tuple[int, int, bool]
"""Which of `SIZES`, how many detections, and whether recall alone is asked."""


@dataclass(frozen=True)
class Measure:
    """One of the numbers in the table."""

    name: str
    size: int
    """Which of `SIZES`."""
    cap: int
    """How many detections count."""
    of_recall: bool = False
    threshold: int | None = None
    """Which of `THRESHOLDS`; the mean over all where absent."""

    @property
    def lane(self) -> Lane:
        """What it is computed from."""
        return self.size, self.cap, self.of_recall


def measures(max_dets: Sequence[int]) -> tuple[Measure, ...]:
    """The table: AP, AP50, AP75, AP by size, AR by number of detections, AR by size.

    >>> [m.name for m in measures((1, 10, 100))][5:]
    ['APl', 'AR1', 'AR10', 'AR100', 'ARs', 'ARm', 'ARl']
    """
    last = max_dets[-1]
    return (
        Measure("AP", 0, last),
        Measure("AP50", 0, last, threshold=0),
        Measure("AP75", 0, last, threshold=5),
        *(Measure(f"AP{name}", i, last) for i, name in enumerate(SIZES) if i),
        *(Measure(f"AR{cap}", 0, cap, of_recall=True) for cap in max_dets),
        *(Measure(f"AR{name}", i, last, of_recall=True) for i, name in enumerate(SIZES) if i),
    )


class MaskAveragePrecision:
    """Scores instances by the overlap of their masks. A score's `n` counts objects.

    `groups` adds one AP a group of labels, by name: LVIS's rare, common and frequent classes.
    """

    prefix = ""

    def __init__(
        self,
        classes: Sequence[str],
        scored: Sequence[int] | None = None,
        metric: AveragePrecision | None = None,
        groups: Mapping[str, frozenset[int]] | None = None,
    ) -> None:
        self.metric = metric or AveragePrecision()
        self.scored = tuple(range(len(classes)) if scored is None else scored)
        self.groups = dict(groups or {})
        self._pooled = self.metric.classes is ClassUse.POOLED
        self.classes = ("all",) if self._pooled else tuple(classes[label] for label in self.scored)
        self._place = np.full(len(classes), NOBODY, np.int32)
        self._place[list(self.scored)] = 0 if self._pooled else np.arange(len(self.scored))
        self._measures = measures(self.metric.max_dets)

    @property
    def names(self) -> tuple[str, ...]:
        """The scores, AP first."""
        return tuple(self.prefix + n for n in (*(m.name for m in self._measures), *self.groups))

    # --- one image -------------------------------------------------------------------------------

    def measure(self, prediction: Instances, truth: TrueInstances) -> Statistics:
        """What each detection finds, and how many objects there are.

        Detections are kept by class, from the highest score down, as many as the protocol counts:
        `labels`, `scores`, and one bit a threshold in `found` and `ignored` for each size range.
        """
        if not np.isfinite(prediction.scores).all():
            raise ValueError("a detection's score is not a finite number")
        objects = [o for o in truth.instances if self._place[o.label] != NOBODY]
        if self._pooled:
            objects.sort(key=lambda o: o.label)
        chosen, labels = self._ranked(prediction)
        true_labels = self._place[np.array([o.label for o in objects], np.intp)]
        crowd = np.array([o.crowd for o in objects], bool)
        uncounted = crowd | _outside(np.array([self._true_area(o) for o in objects], np.float64))
        geometry = self._geometry(prediction, chosen, objects)
        detection, object_ = np.nonzero(labels[:, None] == true_labels)
        pairs = geometry.pairs(detection, object_, crowd)
        taken = match(pairs, len(chosen), crowd, uncounted)
        found = taken != NOBODY
        # An object's flags at the place -1 are those of nobody.
        ignored = np.append(uncounted, np.zeros((len(SIZES), 1), bool), axis=1)[_SIZE, taken]
        if self.metric.annotation_zero is AnnotationZero.NEVER_FOUND:
            found &= ~np.array([*(o.id == 0 for o in objects), False])[taken]
        unjudged = _outside(geometry.areas)
        if truth.exhaustive is not None:
            unjudged |= ~np.isin(prediction.labels[chosen], list(truth.exhaustive))
        ignored |= ~found & unjudged[:, None]
        present, where = np.unique(true_labels, return_inverse=True)
        counts = np.zeros((len(SIZES), len(present)), np.int32)
        np.add.at(counts.T, where, ~uncounted.T)
        return {
            "labels": labels,
            "scores": np.asarray(prediction.scores, np.float64)[chosen],
            "found": _packed(found),
            "ignored": _packed(ignored),
            "true_labels": present.astype(np.int32),
            "true_counts": counts,
        }

    def _ranked(
        self, prediction: Instances
    ) -> tuple[Int[np.ndarray, " chosen"], Int[np.ndarray, " chosen"]]:
        """Which detections count, by class and then falling score, and the place of their class."""
        labels = np.asarray(prediction.labels, np.intp)
        if labels.size and not 0 <= labels.min() <= labels.max() < len(self._place):
            raise ValueError(f"labels must be in 0..{len(self._place) - 1}, found {labels.max()}")
        falling = -np.asarray(prediction.scores, np.float64)
        kept = np.flatnonzero(self._place[labels] != NOBODY)
        cap = self.metric.max_dets[-1]
        if self.metric.cap is DetectionCap.PER_IMAGE:
            kept = np.sort(kept[np.argsort(falling[kept], kind="stable")[:cap]])
        # Classes in one pool keep their order where scores are equal, as pycocotools joins them.
        order = np.lexsort((labels[kept], falling[kept], self._place[labels[kept]]))
        chosen = kept[order]
        places = self._place[labels[chosen]]
        if self.metric.cap is DetectionCap.PER_CLASS:
            first = np.searchsorted(places, places)
            below = np.arange(len(places)) - first < cap
            chosen, places = chosen[below], places[below]
        return chosen, places

    def _true_area(self, instance: TrueInstance) -> float:
        if self.metric.area is AreaSource.FIELD and instance.area is not None:
            return float(instance.area)
        return float(instance.mask.area)

    def _geometry(
        self,
        prediction: Instances,
        chosen: Int[np.ndarray, " chosen"],
        objects: Sequence[TrueInstance],
    ) -> "Masks | Boxes":
        runs = rle.Runs.of([prediction.masks[i] for i in chosen])
        stated = self.metric.detection_area is DetectionArea.STATED_BOX
        boxes = prediction.boxes[chosen] if stated and prediction.boxes is not None else None
        areas = runs.areas if boxes is None else rle.box_areas(boxes)
        return Masks(areas, runs, rle.Runs.of([o.mask for o in objects]))

    # --- many images -----------------------------------------------------------------------------

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Scores over images; detections of image `i` count `weights[i]` times.

        Where scores are equal, earlier images come first: for pycocotools' order, sort by image id.
        """
        ledger = Ledger.of(statistics, len(self.classes))
        times = repeats(statistics, weights)
        drawn: dict[Lane, np.ndarray] = {}
        for lane in {m.lane for m in self._measures}:
            size, cap, of_recall = lane
            if of_recall:
                drawn[lane] = final_recall(ledger, size, cap, times[None])[0]
            else:
                drawn[lane] = readings(ledger, size, cap, times).precision
        totals = np.array([ledger.totals(size, times[None])[0] for size in range(len(SIZES))])
        return self.scores(drawn, totals)

    def curves(self, statistics: Sequence[Statistics]) -> Mapping[tuple[int, int], Readings]:
        """Precision, recall and scores for each of `SIZES` (by its place) and each cap."""
        ledger = Ledger.of(statistics, len(self.classes))
        times = repeats(statistics, None)
        lanes = [(size, cap) for size in range(len(SIZES)) for cap in self.metric.max_dets]
        return {lane: readings(ledger, *lane, times) for lane in lanes}

    def scores(
        self, drawn: Mapping[Lane, np.ndarray], totals: Int[np.ndarray, "size class"]
    ) -> Scores:
        """The table, from precision (threshold, recall, class) and recall (threshold, class).

        A class without objects has NaN or `ABSENT`; `totals` are the objects of each class.
        """
        table: dict[str, Score] = {}
        for m in self._measures:
            values = drawn[m.lane]
            if m.threshold is not None:
                values = values[[m.threshold]]
            by_class = {n: _mean(values[..., k]) for k, n in enumerate(self.classes)}
            table[self.prefix + m.name] = Score(_mean(values), int(totals[m.size].sum()), by_class)
        precision = drawn[self._measures[0].lane]
        for group, members in self._groups():
            value = _mean(precision[..., members])
            table[self.prefix + group] = Score(value, int(totals[0, members].sum()))
        return table

    def _groups(self) -> Iterator[tuple[str, list[int]]]:
        """Each group's name and the places of its classes."""
        for group, labels in self.groups.items():
            yield group, [k for k, label in enumerate(self.scored) if label in labels]

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Every score under many draws of images: what `compute` gives for each row of weights."""
        ledger = Ledger.of(statistics, len(self.classes))
        at_once = max(1, _AT_ONCE // max(1, len(ledger.scores)))
        drawn = [
            self._draw(ledger, weights[first : first + at_once])
            for first in range(0, len(weights), at_once)
        ]
        return {name: np.concatenate([part[name] for part in drawn]) for name in self.names}

    def _draw(
        self, ledger: Ledger, weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        means: dict[Lane, np.ndarray] = {}
        for lane in {m.lane for m in self._measures}:
            size, cap, of_recall = lane
            draw = final_recall if of_recall else average_precision
            means[lane] = draw(ledger, size, cap, weights)
        table = {}
        for m in self._measures:
            values = means[m.lane]
            chosen = values if m.threshold is None else values[:, [m.threshold]]
            table[self.prefix + m.name] = _nanmean(chosen)
        for group, members in self._groups():
            table[self.prefix + group] = _nanmean(means[self._measures[0].lane][..., members])
        return table


class BoxAveragePrecision(MaskAveragePrecision):
    """Scores instances by the overlap of their boxes; a mask's tight box where none is stated.

    As in pycocotools, the size of an object stays that of its annotation, and the size of a
    detection without a stated box that of its mask.
    """

    prefix = "box "

    def _geometry(
        self,
        prediction: Instances,
        chosen: Int[np.ndarray, " chosen"],
        objects: Sequence[TrueInstance],
    ) -> "Masks | Boxes":
        true = np.array([o.box or rle.boxes([o.mask])[0] for o in objects]).reshape(-1, 4)
        if prediction.boxes is None:
            masks = [prediction.masks[i] for i in chosen]
            return Boxes(rle.areas(masks), rle.boxes(masks), true)
        said = np.asarray(prediction.boxes, np.float64)[chosen]
        return Boxes(rle.box_areas(said), said, true)


@dataclass(frozen=True)
class Masks:
    """The masks of an image's detections and objects."""

    areas: Num[np.ndarray, " detection"]
    """The sizes of the detections, for the size ranges."""
    predicted: rle.Runs
    true: rle.Runs

    def pairs(
        self,
        detection: Int[np.ndarray, " pair"],
        object: Int[np.ndarray, " pair"],
        crowd: Bool[np.ndarray, " object"],
    ) -> Pairs:
        """Those of the given pairs that overlap enough to match at some threshold."""
        # An overlap of one half needs areas within a factor of two, a crowd half the detection's.
        own, other = self.predicted.areas[detection], self.true.areas[object]
        possible = (2 * other >= own) & ((2 * own >= other) | crowd[object])
        detection, object = detection[possible], object[possible]
        overlap = rle.pair_iou(self.predicted, self.true, crowd, detection, object)
        return Pairs.that_reach(detection, object, overlap)


@dataclass(frozen=True)
class Boxes:
    """The boxes of an image's detections and objects."""

    areas: Num[np.ndarray, " detection"]
    """The sizes of the detections, for the size ranges."""
    predicted: Float[np.ndarray, "detection 4"]
    true: Float[np.ndarray, "object 4"]

    def pairs(
        self,
        detection: Int[np.ndarray, " pair"],
        object: Int[np.ndarray, " pair"],
        crowd: Bool[np.ndarray, " object"],
    ) -> Pairs:
        """Those of the given pairs that overlap enough to match at some threshold."""
        overlap = rle.box_pair_iou(self.predicted, self.true, crowd, detection, object)
        return Pairs.that_reach(detection, object, overlap)


def _outside(areas: Num[np.ndarray, " thing"]) -> Bool[np.ndarray, "size thing"]:
    outside: Bool[np.ndarray, "size thing"] = (areas < _LOWER) | (areas > _UPPER)
    return outside


def _packed(flags: Bool[np.ndarray, "size threshold detection"]) -> np.ndarray:
    """One bit a threshold."""
    packed: np.ndarray = (flags * _BITS[:, None]).sum(axis=1, dtype=np.uint16)
    return packed


def _mean(values: np.ndarray) -> float:
    """The mean of what is not `ABSENT`, summed in pycocotools' order; NaN of nothing."""
    present = values[values > ABSENT]
    return float(np.mean(present)) if present.size else np.nan


def _nanmean(values: Float[np.ndarray, "draw threshold class"]) -> Float[np.ndarray, " draw"]:
    present = ~np.isnan(values)
    count = present.sum(axis=(1, 2))
    total = np.where(present, values, 0.0).sum(axis=(1, 2))
    mean: np.ndarray = np.divide(total, count, out=np.full(len(values), np.nan), where=count > 0)
    return mean
