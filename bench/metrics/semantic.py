"""Mean IoU and its kin, from the confusion matrix of the whole dataset.

The confusion of every image is kept, as its few non-zero entries. Sums over the dataset are divided
once: averaging per-image ratios gives another number, which published tables do not use.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.metrics.runs import PairRuns
from bench.protocol import MiouAverage, SaidVoid, SemanticMetric
from bench.types import VOID, LabelMap

NAMES = ("mIoU", "fwIoU", "pAcc", "mAcc")


def confusion(prediction: LabelMap, truth: LabelMap, classes: int) -> Int[np.ndarray, "true said"]:
    """Pixels by true class and said class; the last column is void, which claims no class.

    Pixels whose truth is void are left out.

    >>> confusion(np.array([[0, 1, -1]]), np.array([[0, 0, 1]]), 2)
    array([[1, 1, 0],
           [0, 0, 1]])
    """
    counts = np.zeros((classes, classes + 1), np.int64)
    pairs = _sparse(prediction, truth, classes)
    counts[pairs["true"], pairs["said"]] = pairs["pixels"]
    return counts


def _sparse(prediction: LabelMap, truth: LabelMap, classes: int) -> dict[str, np.ndarray]:
    """The non-zero entries of the confusion matrix."""
    runs = PairRuns.of(truth, prediction)
    width = classes - VOID
    codes = _from_void(runs.left, classes, "true")
    codes *= width
    codes += _from_void(runs.right, classes, "predicted")
    if width * width <= DENSE:
        counts = np.bincount(codes, weights=runs.lengths)
        pairs = np.flatnonzero(counts)
        pixels = counts[pairs]
    else:
        pairs, places = np.unique(codes, return_inverse=True)
        pixels = np.bincount(places, weights=runs.lengths, minlength=len(pairs))
    true, said = np.divmod(pairs, width)
    scored = true > 0
    return {
        "true": (true[scored] + VOID).astype(np.int32),
        "said": (said[scored] + VOID).astype(np.int32),
        "pixels": pixels[scored].astype(np.int64),
    }


DENSE = 2**20
"""Up to so many pairs of labels a table of all of them is cheaper than sorting those there are."""


def _from_void(labels: Int[np.ndarray, " run"], classes: int, what: str) -> Int[np.ndarray, " run"]:
    """Labels counted from 0, which stands for void."""
    shifted = labels.astype(np.intp)
    shifted -= VOID
    # Read without their sign, negative numbers are the greatest.
    if shifted.size and shifted.view(np.uintp).max() > classes:
        raise ValueError(
            f"{what} labels must be in 0..{classes - 1} or {VOID} for void, found "
            f"{labels.min()}..{labels.max()}"
        )
    return shifted


class MeanIoU:
    """Scores label maps. A score's `n` counts the pixels whose truth is a class.

    mIoU averages IoU over the classes that the protocol names; mAcc averages the share of true
    pixels found over classes with truth; fwIoU weighs IoU by true pixels; pAcc is the share of all
    pixels found. What a pixel counts for that was predicted as void, `SaidVoid` says. The formulas
    are detectron2's, which X-Decoder uses; with `MiouAverage.SEEN_OR_SAID` mIoU is mmseg's too.
    """

    names = NAMES

    def __init__(self, classes: Sequence[str], metric: SemanticMetric | None = None) -> None:
        self.classes = tuple(classes)
        self.metric = metric or SemanticMetric()

    def measure(self, prediction: LabelMap, truth: LabelMap) -> Statistics:
        """The non-zero entries of the confusion matrix: `true`, `said` (-1: void), `pixels`."""
        return _sparse(prediction, truth, len(self.classes))

    def confusion(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Int[np.ndarray, "true said"]:
        """Pixels by true class and said class over images; the last column is void."""
        counts = np.zeros((len(self.classes), len(self.classes) + 1), np.int64)
        for image, times in zip(statistics, repeats(statistics, weights), strict=True):
            counts[image["true"], image["said"]] += times * image["pixels"]
        return counts

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Scores over images; pixels of image `i` count `weights[i]` times."""
        counts = self.confusion(statistics, weights)
        judged = counts if self.metric.said_void is SaidVoid.MISSED else counts[:, :-1]
        found, true, said = np.diagonal(counts), judged.sum(axis=1), counts[:, :-1].sum(axis=0)
        iou, accuracy = _ratio(found, true + said - found), _ratio(found, true)
        averaged, seen, n = self._averaged(true, said), true > 0, int(true.sum())
        # Sums in detectron2's order, so that even the last digit is its own.
        shares = _ratio(true, np.full(len(true), n))
        return {
            "mIoU": Score(
                _quotient(iou[seen].sum(), averaged.sum()),
                n,
                self._named(np.where(averaged, iou, np.nan)),
            ),
            "fwIoU": Score(float((shares[seen] * iou[seen]).sum()) if n else np.nan, n),
            "pAcc": Score(_quotient(found.sum(), n), n),
            "mAcc": Score(_quotient(accuracy[seen].sum(), seen.sum()), n, self._named(accuracy)),
        }

    def _named(self, values: Float[np.ndarray, " class"]) -> dict[str, float]:
        return dict(zip(self.classes, values.tolist(), strict=True))

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Every score under many draws of images: what `compute` gives for each row of weights."""
        shape = (3, len(statistics), len(self.classes) + 1)
        found, true, said = np.zeros(shape)
        leave_out = self.metric.said_void is SaidVoid.LEFT_OUT
        for row, image in enumerate(statistics):
            right = image["true"] == image["said"]
            found[row, image["true"][right]] = image["pixels"][right]
            judged = image["said"] != VOID if leave_out else slice(None)
            np.add.at(true[row], image["true"][judged], image["pixels"][judged])
            np.add.at(said[row], image["said"], image["pixels"])
        times = np.asarray(weights, np.float64)
        found, true, said = (times @ part[:, :-1] for part in (found, true, said))
        iou = np.nan_to_num(_ratio(found, true + said - found))
        accuracy = np.nan_to_num(_ratio(found, true))
        total = true.sum(axis=1)
        return {
            "mIoU": _ratio(iou.sum(axis=1), self._averaged(true, said).sum(axis=1)),
            "fwIoU": _ratio((true * iou).sum(axis=1), total),
            "pAcc": _ratio(found.sum(axis=1), total),
            "mAcc": _ratio(accuracy.sum(axis=1), (true > 0).sum(axis=1)),
        }

    def _averaged(
        self, true: Num[np.ndarray, "*draw class"], said: Num[np.ndarray, "*draw class"]
    ) -> Bool[np.ndarray, "*draw class"]:
        only_seen = self.metric.average is MiouAverage.SEEN
        averaged: np.ndarray = (true if only_seen else true + said) > 0
        return averaged


def _ratio(part: np.ndarray, whole: np.ndarray) -> np.ndarray:
    """Part of whole; NaN of nothing."""
    absent = np.full(np.shape(whole), np.nan)
    ratio: np.ndarray = np.divide(part, whole, out=absent, where=np.asarray(whole > 0))
    return ratio


def _quotient(part: float | np.number, whole: int | float | np.number) -> float:
    return float(part / whole) if whole else np.nan
