"""Which detection finds which object: COCO's greedy rule, all thresholds and sizes at once.

From the highest score down, each detection takes the object it overlaps most among those that are
still free, if the overlap reaches the threshold. Objects to ignore (crowds, objects outside the
size range) are taken only where no other object can be; a crowd can be taken again and again. Of
equal overlaps, the later object wins.
"""

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

NOBODY = -1
"""The object of a detection that finds none."""

THRESHOLDS: Float[np.ndarray, " threshold"] = np.linspace(0.5, 0.95, 10)
"""The overlaps that COCO averages over."""

_REACHED = np.minimum(THRESHOLDS, 1 - 1e-10)


@dataclass(frozen=True)
class Pairs:
    """Detections and objects that overlap enough to match at some threshold, class by class.

    Detections are numbered within their image by class, then by falling score, so an order by
    number is an order by score within every class.
    """

    detection: Int[np.ndarray, " pair"]
    object: Int[np.ndarray, " pair"]
    overlap: Float[np.ndarray, " pair"]

    @classmethod
    def that_reach(
        cls,
        detection: Int[np.ndarray, " pair"],
        object: Int[np.ndarray, " pair"],
        overlap: Float[np.ndarray, " pair"],
    ) -> "Pairs":
        """Those that overlap enough for the lowest threshold."""
        enough = overlap >= _REACHED[0]
        return cls(detection[enough], object[enough], overlap[enough])

    def __len__(self) -> int:
        return len(self.detection)


def match(
    pairs: Pairs,
    detections: int,
    crowd: Bool[np.ndarray, " object"],
    ignored: Bool[np.ndarray, "size object"],
) -> Int[np.ndarray, "size threshold detection"]:
    """The object that each of `detections` detections finds, or `NOBODY`.

    `pairs` are ordered by detection. `ignored` says, per size range, which objects do not count.
    """
    found = np.full((len(ignored), len(THRESHOLDS), detections), NOBODY, np.int32)
    if not len(pairs):
        return found
    contested = _contested(pairs, detections, len(crowd))
    _match_single(found, _subset(pairs, ~contested), crowd)
    _match_in_turn(found, _subset(pairs, contested), crowd, ignored)
    return found


def _subset(pairs: Pairs, chosen: Bool[np.ndarray, " pair"]) -> Pairs:
    return Pairs(pairs.detection[chosen], pairs.object[chosen], pairs.overlap[chosen])


def _contested(pairs: Pairs, detections: int, objects: int) -> Bool[np.ndarray, " pair"]:
    """Pairs that hang together with a detection of several objects.

    Masks that do not overlap each other leave a detection one object at most, so these are few.
    """
    several = np.bincount(pairs.detection, minlength=detections) > 1
    contested: np.ndarray = several[pairs.detection]
    while contested.any():
        touched = np.zeros(objects, bool)
        touched[pairs.object[contested]] = True
        drawn = np.zeros(detections, bool)
        drawn[pairs.detection[touched[pairs.object]]] = True
        grown: np.ndarray = drawn[pairs.detection]
        if (grown == contested).all():
            break
        contested = grown
    return contested


def _match_single(
    found: Int[np.ndarray, "size threshold detection"],
    pairs: Pairs,
    crowd: Bool[np.ndarray, " object"],
) -> None:
    """Where each detection has one object: the first that reaches the threshold takes it."""
    if not len(pairs):
        return
    order = np.argsort(pairs.object, kind="stable")
    object_, overlap = pairs.object[order], pairs.overlap[order]
    reached = overlap >= _REACHED[:, None]
    so_far = np.cumsum(reached, axis=1)
    first = np.flatnonzero(np.diff(object_, prepend=NOBODY))
    before = so_far[:, first] - reached[:, first]
    earlier = np.repeat(before, np.diff(np.append(first, len(object_))), axis=1)
    takes = reached & (crowd[object_] | (so_far - earlier == 1))
    found[:, :, pairs.detection[order]] = np.where(takes, object_, NOBODY)


def _match_in_turn(
    found: Int[np.ndarray, "size threshold detection"],
    pairs: Pairs,
    crowd: Bool[np.ndarray, " object"],
    ignored: Bool[np.ndarray, "size object"],
) -> None:
    """Where detections choose: one after the other, every size range and threshold side by side."""
    if not len(pairs):
        return
    sizes = np.arange(len(ignored))[:, None, None]
    levels = np.arange(len(THRESHOLDS))[None, :, None]
    free = np.ones((len(ignored), len(THRESHOLDS), len(crowd)), bool)
    # Choices compare ranks, which are exact: by overlap, then by the object's place in the file.
    rank = np.empty(len(pairs), np.int64)
    rank[np.lexsort((pairs.object, pairs.overlap))] = np.arange(1, len(pairs) + 1)
    first = np.flatnonzero(np.diff(pairs.detection, prepend=NOBODY))
    for low, high in zip(first, np.append(first[1:], len(pairs)), strict=True):
        detection, objects = pairs.detection[low], pairs.object[low:high]
        open_ = (free[:, :, objects] | crowd[objects]) & (
            pairs.overlap[low:high] >= _REACHED[:, None]
        )
        counts = ~ignored[:, None, objects]
        preference = np.where(open_, rank[low:high] + counts * (len(pairs) + 1), 0)
        best = preference.argmax(axis=2)
        takes = preference.max(axis=2) > 0
        chosen = np.where(takes, objects[best], NOBODY)
        found[:, :, detection] = chosen
        free[sizes[..., 0], levels[..., 0], np.where(takes, chosen, objects[0])] &= ~takes
