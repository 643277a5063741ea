"""What is taken for what: confusion matrices, of pixels or of objects.

Semantic segmentation keeps each image's confusion among its statistics, so its matrix costs
nothing. Panoptic and instance segmentation keep matches of one class only: theirs are counted from
raw answers, where those were kept.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from bench.metrics import rle
from bench.metrics.meter import Statistics
from bench.metrics.semantic import MeanIoU, confusion
from bench.types import VOID, Instances, LabelMap, Panoptic, TrueInstances

SHOWN = 20
"""A matrix has at most so many classes: those most often mistaken."""
LARGEST = 8
"""So many of the largest confusions are said in words."""
OVERLAP = 0.5
"""A predicted and a true object are the same one from this IoU on."""
SURE = 0.5
"""Objects with a lower score are not counted."""


@dataclass(frozen=True, slots=True)
class Mistake:
    """A true class taken for another."""

    true: str
    said: str
    share: float
    """Of all that is truly `true`."""
    count: int


@dataclass(frozen=True, slots=True)
class MatrixRow:
    """A true class, and what was said about it."""

    name: str
    count: int
    shares: tuple[float, ...]
    """In percent of `count`, a column each."""


@dataclass(frozen=True)
class Confusion:
    """What a run takes for what."""

    run: str
    unit: str
    """`pixels` or `objects`."""
    columns: tuple[str, ...]
    rows: tuple[MatrixRow, ...]
    mistakes: tuple[Mistake, ...]
    classes: int
    """How many classes there are in all."""
    source: str
    """A sentence on where it was counted."""


Counts = Int[np.ndarray, "true said"]
"""True classes by said ones; the last column is «none of them»."""


def from_statistics(classes: Sequence[str], statistics: Sequence[Statistics]) -> Counts:
    """Pixels, from what semantic segmentation keeps of each image."""
    return MeanIoU(classes).confusion(statistics)


def of_panoptic(pairs: Iterable[tuple[Panoptic, Panoptic]], classes: int) -> Counts:
    """Pixels, from pairs of prediction and truth; crowds count as their class."""
    counts = np.zeros((classes, classes + 1), np.int64)
    for prediction, truth in pairs:
        counts += confusion(_labels(prediction), _labels(truth), classes)
    return counts


def _labels(panoptic: Panoptic) -> LabelMap:
    """The class of each pixel."""
    ids = np.array([0, *(segment.id for segment in panoptic.segments)])
    labels = np.array([VOID, *(segment.label for segment in panoptic.segments)])
    order = np.argsort(ids)
    place = np.searchsorted(ids[order], panoptic.ids).clip(max=len(ids) - 1)
    listed = ids[order][place] == panoptic.ids
    found: LabelMap = np.where(listed, labels[order][place], VOID)
    return found


def of_instances(pairs: Iterable[tuple[Instances, TrueInstances]], classes: int) -> Counts:
    """Objects, from pairs of prediction and truth: the surest prediction takes its object first.

    Objects are matched whatever their class; a row more than `classes` has predictions that match
    nothing.
    """
    counts = np.zeros((classes + 1, classes + 1), np.int64)
    for prediction, truth in pairs:
        objects = [instance for instance in truth.instances if not instance.crowd]
        sure = np.flatnonzero(prediction.scores >= SURE)
        sure = sure[np.argsort(-prediction.scores[sure], kind="stable")]
        masks = [prediction.masks[index] for index in sure]
        overlap = rle.iou(masks, [o.mask for o in objects], np.zeros(len(objects), bool))
        free = np.ones(len(objects), bool)
        for place, index in enumerate(sure):
            label = prediction.labels[index]
            candidates = np.where(free, overlap[place], 0.0) if objects else np.zeros(1)
            best = int(candidates.argmax())
            if candidates[best] >= OVERLAP:
                counts[objects[best].label, label] += 1
                free[best] = False
            else:
                counts[classes, label] += 1
        for lost in np.flatnonzero(free):
            counts[objects[lost].label, classes] += 1
    return counts


def confusion_of(
    run: str, classes: Sequence[str], counts: Counts, unit: str, source: str
) -> Confusion | None:
    """A matrix as it is shown: the classes most often mistaken; `None` where nothing was seen."""
    rows = [*classes, "nothing there"][: len(counts)]
    columns = [*classes, "missed" if unit == "objects" else "void"]
    totals = counts.sum(axis=1)
    if not totals.sum():
        return None
    wrong = counts.copy()
    np.fill_diagonal(wrong, 0)
    blame = wrong.sum(axis=1)[: len(classes)] + wrong.sum(axis=0)[: len(classes)]
    blame = np.where(totals[: len(classes)] + counts.sum(axis=0)[: len(classes)] > 0, blame, -1)
    chosen = np.sort(np.argsort(-blame, kind="stable")[:SHOWN])
    chosen = chosen[blame[chosen] >= 0]
    across, others = [*chosen, len(classes)], len(chosen) < int((blame >= 0).sum())
    down = [*chosen, *range(len(classes), len(rows))]
    shares = 100 * counts / np.maximum(totals, 1)[:, None]
    shown = [
        MatrixRow(
            rows[true],
            int(totals[true]),
            (
                *(round(float(shares[true, said]), 1) for said in across),
                *([round(float(100 - shares[true, across].sum()), 1)] if others else []),
            ),
        )
        for true in down
        if totals[true]
    ]
    return Confusion(
        run,
        unit,
        (*(columns[said] for said in across), *(["others"] if others else [])),
        tuple(shown),
        _mistakes(wrong, totals, rows, columns),
        len(classes),
        source,
    )


def _mistakes(
    wrong: Counts, totals: Int[np.ndarray, " true"], rows: Sequence[str], columns: Sequence[str]
) -> tuple[Mistake, ...]:
    """The largest confusions, by how much there is of them."""
    order = np.argsort(-wrong, axis=None, kind="stable")[:LARGEST]
    places = [np.unravel_index(index, wrong.shape) for index in order]
    return tuple(
        Mistake(rows[t], columns[s], float(wrong[t, s] / totals[t]), int(wrong[t, s]))
        for t, s in places
        if wrong[t, s]
    )
