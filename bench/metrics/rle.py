"""Run lengths: COCO's two spellings of them, polygons, area, box, and overlap without pixels.

`bench.types.Mask` is the form that travels. Its run lengths alternate zeros and ones down the
columns, beginning with zeros. Everything here agrees exactly with `pycocotools.mask`, which is what
rasterises polygons.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from jaxtyping import Bool, Float, Float64, Int, UInt32
from pycocotools import mask as pycocotools_mask

from bench.types import Mask

_FIRST = 48
"""The character of the digit 0."""
_MORE = 0x20
"""The bit of a digit that says that another digit follows."""
_LONGEST = 13
"""Digits of 5 bits that hold any 64-bit number."""


def compress(mask: Mask) -> bytes:
    """The mask's `counts` as COCO's compressed string.

    >>> compress(Mask.encode(np.array([[0, 1], [1, 1]], bool)))
    b'13'
    """
    counts = mask.counts.astype(np.int64)
    left = counts.copy()
    left[3:] -= counts[1:-2]
    digits = np.zeros((len(left), _LONGEST), np.uint8)
    lengths = np.zeros(len(left), np.int64)
    open_ = np.arange(len(left))
    for place in range(_LONGEST):
        digit = left[open_] & 0x1F
        left[open_] >>= 5
        rest = left[open_]
        more = np.where(digit & 0x10, rest != -1, rest != 0)
        digits[open_, place] = digit | (more * _MORE)
        lengths[open_] = place + 1
        open_ = open_[more]
        if not open_.size:
            break
    written = np.arange(_LONGEST) < lengths[:, None]
    return (digits[written] + _FIRST).astype(np.uint8).tobytes()


def decompress(counts: bytes | str, height: int, width: int) -> Mask:
    """The mask that a compressed string spells.

    Raises:
        ValueError: not such a string, or its runs do not fill the mask.

    >>> decompress("13", 2, 2).decode().tolist()
    [[False, True], [True, True]]
    """
    text = counts.encode("ascii", "replace") if isinstance(counts, str) else counts
    digits = np.frombuffer(text, np.uint8).astype(np.int64) - _FIRST
    if digits.size and not (digits.min() >= 0 and digits.max() < 2 * _MORE):
        raise ValueError(
            "the compressed run lengths hold a character that is not of their alphabet"
        )
    last = np.flatnonzero(~digits & _MORE)
    if digits.size and (not last.size or last[-1] != len(digits) - 1):
        raise ValueError("the compressed run lengths end within a number")
    first = np.concatenate(([0], last[:-1] + 1)) if last.size else last
    places = np.arange(len(digits)) - np.repeat(first, last - first + 1)
    if places.size and places.max() >= _LONGEST:
        raise ValueError("the compressed run lengths hold a number that is too long")
    runs = np.zeros(len(last), np.int64)
    if last.size:
        runs = np.add.reduceat((digits & 0x1F) << (5 * places), first)
        negative = (digits[last] & 0x10) > 0
        runs[negative] -= np.int64(1) << (5 * (places[last[negative]] + 1))
    # From the fourth on, a number is the difference to the run two before it.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return from_counts(runs, height, width)


def from_counts(counts: Sequence[int] | Int[np.ndarray, " run"], height: int, width: int) -> Mask:
    """The mask of uncompressed run lengths, after checking that they fill it.

    Runs of length 0 in the middle, which some writers leave, are merged away.

    >>> from_counts([1, 2, 0, 1], 2, 2).counts.tolist()
    [1, 3]
    """
    runs = np.asarray(counts, np.int64)
    if (runs < 0).any() or int(runs.sum()) != height * width:
        raise ValueError(
            f"the run lengths add up to {int(runs.sum())}, and a mask of {height}×{width} has "
            f"{height * width} pixels"
        )
    if not runs.size or (runs[1:] == 0).any():
        runs = _merge_empty(runs)
    return Mask(height, width, runs.astype(np.uint32))


def _merge_empty(runs: Int[np.ndarray, " run"]) -> Int[np.ndarray, " canonical"]:
    """The same mask with no empty run but perhaps the first."""
    ends = np.cumsum(runs)[runs > 0]
    ones = (np.arange(len(runs)) % 2 == 1)[runs > 0]
    last = np.append(ones[1:] != ones[:-1], True) if ones.size else ones
    lead = [0, 0] if ones.size and ones[0] else [0]
    merged = np.diff(np.concatenate((lead, ends[last])))
    return merged if merged.size else np.zeros(1, np.int64)


def from_polygons(polygons: Iterable[Sequence[float]], height: int, width: int) -> Mask:
    """The union of polygons (x, y, x, y, …), rasterised by pycocotools.

    >>> from_polygons([[0, 0, 2, 0, 2, 2, 0, 2]], 3, 4).area
    4
    """
    parts = pycocotools_mask.frPyObjects([list(map(float, p)) for p in polygons], height, width)
    return decompress(pycocotools_mask.merge(parts)["counts"], height, width)


@dataclass(frozen=True)
class Runs:
    """Many masks of one size, laid end to end for arithmetic on all of them at once.

    Mask `i` takes the places `i * pixels` to `(i + 1) * pixels`, column after column.
    """

    ends: Int[np.ndarray, " run"]
    """Where each run ends, counted from the first pixel of the first mask."""
    starts: Int[np.ndarray, " mask"]
    """The index of each mask's first run."""
    pixels: int
    """Height × width."""
    height: int

    @classmethod
    def of(cls, masks: Sequence[Mask]) -> "Runs":
        """Lay out masks; `ValueError` unless they have one size."""
        sizes = {(mask.height, mask.width) for mask in masks}
        if len(sizes) > 1:
            raise ValueError(f"masks of one image have one size, found {sorted(sizes)}")
        height, width = sizes.pop() if sizes else (0, 0)
        lengths = np.array([len(mask.counts) for mask in masks], np.int64)
        counts = [mask.counts for mask in masks]
        ends = np.cumsum(np.concatenate(counts), dtype=np.int64) if masks else lengths
        return cls(ends, np.cumsum(lengths) - lengths, height * width, height)

    def __len__(self) -> int:
        return len(self.starts)

    @cached_property
    def lengths(self) -> Int[np.ndarray, " mask"]:
        """How many runs each mask has."""
        return np.diff(np.append(self.starts, len(self.ends)))

    @cached_property
    def signs(self) -> Int[np.ndarray, " run"]:
        """+1 where a run of ones ends, -1 where it begins, 0 at a last run of zeros.

        So the sum of `signs * f(ends)` over a mask is the sum of f's growth over its ones.
        """
        place = np.arange(len(self.ends)) - np.repeat(self.starts, self.lengths)
        signs = np.where(place % 2 == 1, 1, -1)
        final = self.starts + self.lengths - 1
        signs[final[self.lengths % 2 == 1]] = 0
        return signs

    @cached_property
    def areas(self) -> Int[np.ndarray, " mask"]:
        """Pixels inside each mask."""
        return self._sum(self.ends)

    def slice(self, first: int, last: int) -> "Runs":
        """The masks `first` to `last`, the latter left out."""
        bounds = np.append(self.starts, len(self.ends))
        ends = self.ends[bounds[first] : bounds[last]] - first * self.pixels
        return Runs(ends, self.starts[first:last] - bounds[first], self.pixels, self.height)

    def overlap(self, mask: Mask) -> Int[np.ndarray, " mask"]:
        """Pixels shared with one mask of the same size."""
        knots = np.concatenate(([0], np.cumsum(mask.counts, dtype=np.int64)))
        ones = np.where(np.arange(len(mask.counts)) % 2 == 1, mask.counts, 0)
        inside = np.concatenate(([0], np.cumsum(ones, dtype=np.int64)))
        # Between knots the count of ones grows by 0 or 1 a pixel: interpolation is exact.
        return self._sum(np.interp(self._own_ends, knots, inside)).astype(np.int64)

    @cached_property
    def _own_ends(self) -> Float64[np.ndarray, " run"]:
        """Where each run ends within its own mask."""
        shift = np.repeat(np.arange(len(self)) * self.pixels, self.lengths)
        return (self.ends - shift).astype(np.float64)

    def _sum(self, values: np.ndarray) -> np.ndarray:
        if not len(self):
            return np.zeros(0, np.int64)
        return np.asarray(np.add.reduceat(values * self.signs, self.starts))


def areas(masks: Sequence[Mask]) -> Int[np.ndarray, " mask"]:
    """Pixels inside each mask."""
    return Runs.of(masks).areas


def iou(
    predicted: Sequence[Mask] | Runs,
    true: Sequence[Mask],
    crowd: Bool[np.ndarray, " true"],
) -> Float64[np.ndarray, "predicted true"]:
    """Intersection over union of every pair; for a crowd, over the prediction's own area.

    Exactly `pycocotools.mask.iou`: empty masks overlap nothing.
    """
    runs = predicted if isinstance(predicted, Runs) else Runs.of(predicted)
    shared = np.zeros((len(runs), len(true)), np.int64)
    for column, mask in enumerate(true):
        if len(runs) and mask.height * mask.width != runs.pixels:
            raise ValueError(
                f"a true mask is {mask.height}×{mask.width}, the predicted ones have "
                f"{runs.pixels} pixels"
            )
        shared[:, column] = runs.overlap(mask)
    own = runs.areas[:, None]
    union = np.where(crowd, own, own + np.array([m.area for m in true], np.int64) - shared)
    return np.divide(shared, union, out=np.zeros(shared.shape), where=shared > 0)


def boxes(masks: Sequence[Mask]) -> Float[np.ndarray, "mask 4"]:
    """The tight box of each mask as x, y, x, y, right and bottom exclusive; zeros where empty."""
    found = np.zeros((len(masks), 4))
    for row, mask in enumerate(masks):
        found[row] = _box(mask.counts, mask.height)
    return found


def _box(counts: UInt32[np.ndarray, " run"], height: int) -> tuple[float, float, float, float]:
    bounds = np.cumsum(counts, dtype=np.int64)
    last = bounds[1::2] - 1
    first = bounds[::2][: len(last)]
    filled = last >= first
    first, last = first[filled], last[filled]
    if not first.size:
        return 0.0, 0.0, 0.0, 0.0
    left, right = int(first[0]) // height, int(last[-1]) // height
    if (first // height != last // height).any():  # a run goes over the foot of a column
        return float(left), 0.0, right + 1.0, float(height)
    top, bottom = int((first % height).min()), int((last % height).max())
    return float(left), float(top), right + 1.0, bottom + 1.0


def box_iou(
    predicted: Float[np.ndarray, "predicted 4"],
    true: Float[np.ndarray, "true 4"],
    crowd: Bool[np.ndarray, " true"],
) -> Float64[np.ndarray, "predicted true"]:
    """Intersection over union of every pair of boxes (x, y, x, y), as `pycocotools.mask.iou`."""
    low = np.maximum(predicted[:, None, :2], true[None, :, :2])
    high = np.minimum(predicted[:, None, 2:], true[None, :, 2:])
    extent = high - low
    shared = np.where((extent > 0).all(-1), extent[..., 0] * extent[..., 1], 0.0)
    own, other = box_areas(predicted)[:, None], box_areas(true)[None]
    union = np.where(crowd, own, own + other - shared)
    return np.divide(shared, union, out=np.zeros(shared.shape), where=shared > 0)


def box_areas(boxes: Float[np.ndarray, "box 4"]) -> Float64[np.ndarray, " box"]:
    """Width × height of each box."""
    return (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
