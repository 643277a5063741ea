"""Panoptic quality (Kirillov et al. 2019, section 4), as COCO's panopticapi computes it.

A predicted and a true segment of one class match above IoU 0.5; pixels that are void in the truth
leave the union. Unmatched predictions that lie mostly in void or in a crowd of their class are
neither right nor wrong. Crowds need not be found. (`VoidRule` of the protocol has BDD100K's rule.)

Kept from panopticapi, because published numbers have it: the size of a true segment is the one its
file states (`PanopticMetric.area`); of several crowds of one class in an image only the last listed
excuses predictions; pixels of a true segment that nobody lists are no void.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Int

from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.metrics.runs import PairRuns
from bench.protocol import AreaSource, PanopticMetric, VoidRule
from bench.types import Panoptic, Segment

_EXCUSED = 0.5
"""An unmatched prediction is excused if more than this share of it is void or crowd."""


@dataclass(frozen=True)
class Listed:
    """The segments of one map, in the order of their ids; number 0 is void."""

    segments: tuple[Segment, ...]
    ids: Int[np.ndarray, " segment"]
    labels: Int[np.ndarray, " segment"]

    @classmethod
    def of(cls, panoptic: Panoptic, what: str) -> "Listed":
        """Sort the segments of a map; `ValueError` if two share an id or one has void's."""
        ordered = tuple(sorted(panoptic.segments, key=lambda segment: segment.id))
        ids = [segment.id for segment in ordered]
        if len(set(ids)) < len(ids) or 0 in ids:
            raise ValueError(f"{what} segments need ids of their own other than 0, found {ids}")
        labels = [segment.label for segment in ordered]
        return cls(ordered, np.array(ids, np.int64), np.array(labels, np.int32))

    def number(self, ids: Int[np.ndarray, " run"]) -> Int[np.ndarray, " run"]:
        """The segment of each id, counted from 1; 0 for void, one more than all if not listed."""
        known = np.append(self.ids, np.iinfo(np.int64).max)
        at = np.searchsorted(known, ids)
        unlisted = np.where(ids == 0, 0, len(self.segments) + 1)
        return np.where(known[at] == ids, at + 1, unlisted)


def count(prediction: Panoptic, truth: Panoptic, metric: PanopticMetric) -> dict[str, np.ndarray]:
    """What matched, in one image, and what did not.

    `matched` and `iou` hold the class and the IoU of every match; `wrong` and `missed` the classes
    of predictions and true segments without one.

    Raises:
        ValueError: a predicted id is in the map and not listed, or listed and not in the map.
    """
    true, said = Listed.of(truth, "true"), Listed.of(prediction, "predicted")
    runs = PairRuns.of(truth.ids, prediction.ids)
    shape = (len(true.segments) + 2, len(said.segments) + 2)
    table = runs.table(true.number(runs.left), said.number(runs.right), shape)
    said_area = table.sum(axis=0)[1:-1]
    _require_listed(prediction, said, table, said_area)
    crowd = np.array([segment.crowd for segment in true.segments], bool)

    rows, columns = np.nonzero(table[1:-1, 1:-1])
    same = ~crowd[rows] & (true.labels[rows] == said.labels[columns])
    rows, columns = rows[same], columns[same]
    shared = table[rows + 1, columns + 1]
    bdd100k = metric.void is VoidRule.BDD100K
    void = table[0, 1:-1]
    true_area = _true_area(true, table.sum(axis=1)[1:-1], metric.area)
    union = said_area[columns] + true_area[rows] - shared
    if not bdd100k:
        union -= void[columns]
    if (union < shared).any():
        segment = true.segments[int(rows[np.argmax(union < shared)])]
        raise ValueError(
            f"true segment {segment.id} is stated to have {segment.area} pixels, fewer than lie in "
            "its match; set the protocol's pq.area to 'mask' to count them"
        )
    iou = shared / union
    right = iou > metric.iou_threshold
    missed, unmatched = ~crowd, np.ones(len(said.segments), bool)
    missed[rows[right]], unmatched[columns[right]] = False, False
    if bdd100k:
        excused = said_area - table[1:-1, 1:-1][~crowd].sum(axis=0)
    else:
        excused = void + _in_crowd(truth, true, said, table)
    wrong = unmatched & (excused / said_area <= _EXCUSED)
    return {
        "matched": true.labels[rows[right]],
        "iou": iou[right],
        "wrong": said.labels[wrong],
        "missed": true.labels[missed],
    }


def _require_listed(
    prediction: Panoptic,
    said: Listed,
    table: Int[np.ndarray, "true said"],
    area: Int[np.ndarray, " segment"],
) -> None:
    if table[:, -1].any():
        shown = np.unique(prediction.ids)
        strange = shown[(shown != 0) & ~np.isin(shown, said.ids)]
        raise ValueError(f"the predicted map shows segment {strange[0]}, which is not listed")
    if not area.all():
        raise ValueError(f"predicted segment {said.ids[area == 0][0]} has no pixel in the map")


def _true_area(
    true: Listed, counted: Int[np.ndarray, " segment"], source: AreaSource
) -> Int[np.ndarray, " segment"]:
    if source is AreaSource.MASK:
        return counted
    stated = [-1 if segment.area is None else segment.area for segment in true.segments]
    areas = np.array(stated, np.int64)
    return np.where(areas < 0, counted, areas)


def _in_crowd(
    truth: Panoptic, true: Listed, said: Listed, table: Int[np.ndarray, "true said"]
) -> Int[np.ndarray, " segment"]:
    """The pixels of each prediction in the crowd of its class that is listed last."""
    last = {segment.label: segment.id for segment in truth.segments if segment.crowd}
    shared = np.zeros(len(said.segments), np.int64)
    for label, id in last.items():
        crowd = int(np.searchsorted(true.ids, id)) + 1
        of_class = said.labels == label
        shared[of_class] = table[crowd, 1:-1][of_class]
    return shared


class PanopticQuality:
    """Scores panoptic maps: PQ, SQ and RQ over all classes, things and stuff.

    Each is the mean over the classes that some image shows or predicts. A score's `n` counts true
    segments, crowds left out.
    """

    def __init__(
        self,
        classes: Sequence[str],
        things: Collection[int] = (),
        metric: PanopticMetric | None = None,
    ) -> None:
        self.classes = tuple(classes)
        self.metric = metric or PanopticMetric()
        thing = np.zeros(len(self.classes), bool)
        thing[list(things)] = True
        self._groups = {"": np.ones(len(self.classes), bool), "_things": thing, "_stuff": ~thing}

    @property
    def names(self) -> tuple[str, ...]:
        """The scores, PQ first."""
        return tuple(name + group for group in self._groups for name in ("PQ", "SQ", "RQ"))

    def measure(self, prediction: Panoptic, truth: Panoptic) -> Statistics:
        """The matches of an image, and what has none: see `count`."""
        labels = [s.label for p in (prediction, truth) for s in p.segments]
        if labels and not 0 <= min(labels) <= max(labels) < len(self.classes):
            raise ValueError(
                f"labels must be in 0..{len(self.classes) - 1}, found {min(labels)}..{max(labels)}"
            )
        return count(prediction, truth, self.metric)

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Scores over images; segments of image `i` count `weights[i]` times."""
        return self.scores(self.counts(statistics, weights))

    def scores(self, counts: "Counts") -> Scores:
        """The table, from what every class adds up to."""
        table: dict[str, Score] = {}
        for group, members in self._groups.items():
            n = int((counts.matched + counts.missed)[members].sum())
            for name, values in counts.qualities().items():
                by_class = None if group else dict(zip(self.classes, values.tolist(), strict=True))
                table[name + group] = Score(_mean(values[members]), n, by_class)
        return table

    def counts(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> "Counts":
        """Matches, errors and the sum of IoU of every class."""
        times = repeats(statistics, weights)
        return Counts(*(self._added(statistics, times, name) for name in _COUNTED))

    def _added(
        self, statistics: Sequence[Statistics], times: np.ndarray, name: str
    ) -> Float[np.ndarray, " class"]:
        """Add up in the order of images, as panopticapi on one core: the last digit tells."""
        source = "matched" if name == "iou" else name
        labels = [np.zeros(0, np.int32), *(image[source] for image in statistics)]
        each = np.repeat(times, [len(part) for part in labels[1:]]).astype(np.float64)
        if name == "iou":
            each = each * np.concatenate([np.zeros(0), *(image["iou"] for image in statistics)])
        total = np.bincount(np.concatenate(labels), each, len(self.classes))
        return total.astype(np.float64)

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Every score under many draws of images: what `compute` gives for each row of weights."""
        times = np.asarray(weights, np.float64)
        one = np.ones(1, np.int64)
        drawn = Counts(
            *(
                times @ np.array([self._added([image], one, name) for image in statistics])
                for name in _COUNTED
            )
        )
        table = {}
        for group, members in self._groups.items():
            for name, values in drawn.qualities().items():
                chosen = values[:, members]
                present = (~np.isnan(chosen)).sum(axis=1)
                table[name + group] = _ratio(np.nansum(chosen, axis=1), present)
        return table


_COUNTED = ("matched", "wrong", "missed", "iou")


@dataclass(frozen=True)
class Counts:
    """What panoptic quality is made of, by class."""

    matched: Float[np.ndarray, "*draw class"]
    wrong: Float[np.ndarray, "*draw class"]
    missed: Float[np.ndarray, "*draw class"]
    iou: Float[np.ndarray, "*draw class"]

    def qualities(self) -> dict[str, Float[np.ndarray, "*draw class"]]:
        """PQ, SQ and RQ; NaN for a class that nobody shows or predicts."""
        size = self.matched + 0.5 * self.wrong + 0.5 * self.missed
        segmentation = _ratio(self.iou, self.matched)
        return {
            "PQ": _ratio(self.iou, size),
            "SQ": np.where((size > 0) & (self.matched == 0), 0.0, segmentation),
            "RQ": _ratio(self.matched, size),
        }


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of whole; NaN of nothing."""
    ratio: np.ndarray = np.divide(
        part, whole, out=np.full(np.shape(whole), np.nan), where=whole > 0
    )
    return ratio


def _mean(values: Float[np.ndarray, " class"]) -> float:
    """The mean of what is there, added in the order of classes as panopticapi does."""
    present = values[~np.isnan(values)]
    return float(np.cumsum(present)[-1] / len(present)) if present.size else np.nan
