"""Run lengths: COCO's two spellings of them, polygons, area, box, and overlap without pixels.

`bench.types.Mask` is the form that travels. Its run lengths alternate zeros and ones down the
columns, beginning with zeros. Everything here agrees exactly with `pycocotools.mask`, which is what
rasterises polygons.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import chain
from typing import Any

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
_FAR = 10**6
"""Pixels outside of the image up to which polygons are rasterised: pycocotools takes memory for
every pixel along an edge, and does not come back from edges much longer."""


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
    text = counts.encode("utf-8", "surrogatepass") if isinstance(counts, str) else counts
    runs, _ = _numbers(text)
    # From the fourth on, a number is the difference to the run two before it.
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return from_counts(runs, height, width)


def _numbers(text: bytes) -> tuple[Int[np.ndarray, " number"], Int[np.ndarray, " number"]]:
    """The numbers that a compressed string spells, and the place of each one's last character."""
    # Without a sign, characters before the first are the greatest.
    digits = np.frombuffer(text, np.uint8) - np.uint8(_FIRST)
    if digits.size and digits.max() >= 2 * _MORE:
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
        runs = np.add.reduceat((digits & 0x1F).astype(np.int64) << (5 * places), first)
        negative = (digits[last] & 0x10) > 0
        runs[negative] -= np.int64(1) << (5 * (places[last[negative]] + 1))
    return runs, last


def strings_fill(strings: Sequence[str], pixels: Sequence[int]) -> bool:
    """Whether each compressed string spells a mask of so many pixels, without decoding one.

    `decompress` says what is wrong with one that does not, and knows that an empty one may be none.

    >>> strings_fill(["13", "4"], [4, 4]), strings_fill(["13", "3"], [4, 4])
    (True, False)
    """
    text = "".join(strings)
    lengths = np.array([len(string) for string in strings], np.int64)
    if not text.isascii() or not lengths.all():
        return False
    try:
        numbers, last = _numbers(text.encode())
    except ValueError:
        return False
    # A number over the end of a string leaves that end without one.
    ends = np.searchsorted(last, np.cumsum(lengths) - 1, side="right")
    counts = np.diff(ends, prepend=0)
    if not np.array_equal(last[ends - 1], np.cumsum(lengths) - 1) or not counts.all():
        return False
    first = ends - counts
    place = np.arange(len(numbers)) - np.repeat(first, counts)
    runs = np.where(place == 0, numbers, 0)
    for chosen in (place & 1 == 1, (place & 1 == 0) & (place > 0)):
        sums = np.cumsum(np.where(chosen, numbers, 0))
        before = np.where(first > 0, sums[first - 1], 0)
        runs += np.where(chosen, sums - np.repeat(before, counts), 0)
    return _fill(runs, first, counts, pixels)


def lists_fill(lists: Sequence[Sequence[Any]], pixels: Sequence[int]) -> bool:
    """Whether each list is whole run lengths of a mask of so many pixels.

    `from_counts` says what is wrong with one that is not, and knows floats that are whole.

    >>> lists_fill([[1, 3], [4]], [4, 4]), lists_fill([[1, 3], [4.5]], [4, 4])
    (True, False)
    """
    runs = _flat(lists)
    counts = np.array([len(numbers) for numbers in lists], np.int64)
    if not lists:
        return True
    if runs is None or runs.dtype.kind not in "iu" or not counts.all():
        return False
    return _fill(runs, np.cumsum(counts) - counts, counts, pixels)


def _fill(
    runs: Int[np.ndarray, " run"],
    first: Int[np.ndarray, " mask"],
    counts: Int[np.ndarray, " mask"],
    pixels: Sequence[int],
) -> bool:
    """Whether the runs of each mask add up to its pixels, and none is negative."""
    if not len(first):
        return True
    whole = np.array(pixels, np.int64)
    # None above its mask's pixels, so that no sum overflows.
    inside = bool((runs >= 0).all() and (runs <= np.repeat(whole, counts)).all())
    return inside and np.array_equal(np.add.reduceat(runs, first), whole)


def polygons_near(polygons: Sequence[Any]) -> bool:
    """Whether these are lists of x, y, x, y, … near any image, whatever its size.

    >>> polygons_near([[0, 0, 2, 0, 2, 2]]), polygons_near([[0, 0, 1e9, 0, 2, 2]])
    (True, False)
    """
    numbers = _flat(polygons)
    if numbers is None or numbers.dtype.kind not in "iuf":
        return False
    even = not any(len(polygon) % 2 for polygon in polygons)
    # Not by their absolute values: the least integer has none.
    return even and bool(((numbers >= -_FAR) & (numbers <= _FAR)).all())


def _flat(lists: Sequence[Any]) -> np.ndarray | None:
    """The members of all lists, end to end; `None` where they are no lists of plain values."""
    if not all(isinstance(members, list) for members in lists):
        return None
    try:
        flat = np.array(list(chain.from_iterable(lists)))
    except (ValueError, OverflowError):
        return None
    return flat if flat.ndim == 1 else None


def from_counts(counts: Sequence[Any] | Int[np.ndarray, " run"], height: int, width: int) -> Mask:
    """The mask of uncompressed run lengths, after checking that they fill it.

    Runs of length 0 in the middle, which some writers leave, are merged away.

    >>> from_counts([1, 2, 0, 1], 2, 2).counts.tolist()
    [1, 3]
    """
    runs = _whole(counts)
    if runs.size and runs.min() < 0:
        raise ValueError(f"the run lengths hold {runs.min()}, and none may be negative")
    total = sum(runs.tolist()) if runs.size and runs.max() > height * width else int(runs.sum())
    if total != height * width:
        raise ValueError(
            f"the run lengths add up to {total}, and a mask of {height}×{width} has "
            f"{height * width} pixels"
        )
    if not runs.size or (runs[1:] == 0).any():
        runs = _merge_empty(runs)
    return Mask(height, width, runs.astype(np.uint32))


def _whole(counts: Sequence[Any] | Int[np.ndarray, " run"]) -> Int[np.ndarray, " run"]:
    """Run lengths as whole numbers, which floats without a fraction are too."""
    try:
        runs = np.asarray(counts)
    except (ValueError, OverflowError):  # lists in the list, of several lengths
        runs = np.empty(0, object)
    if runs.ndim == 1 and not len(counts):
        return np.zeros(0, np.int64)
    if runs.ndim == 1 and runs.dtype.kind in "iu":
        return runs.astype(np.int64, copy=False)
    if runs.ndim == 1 and runs.dtype.kind == "f":
        with np.errstate(invalid="ignore"):
            whole = runs.astype(np.int64)
        if np.array_equal(whole, runs):
            return whole
    raise ValueError("the run lengths are not all whole numbers")


def _merge_empty(runs: Int[np.ndarray, " run"]) -> Int[np.ndarray, " canonical"]:
    """The same mask with no empty run but perhaps the first."""
    ends = np.cumsum(runs)[runs > 0]
    ones = (np.arange(len(runs)) % 2 == 1)[runs > 0]
    last = np.append(ones[1:] != ones[:-1], True) if ones.size else ones
    lead = [0, 0] if ones.size and ones[0] else [0]
    merged = np.diff(np.concatenate((lead, ends[last])))
    return merged if merged.size else np.zeros(1, np.int64)


def from_polygons(polygons: Iterable[Sequence[float | int]], height: int, width: int) -> Mask:
    """The union of polygons (x, y, x, y, …), rasterised by pycocotools.

    Raises:
        ValueError: a coordinate is no finite number, or too far outside of the image to rasterise.

    >>> from_polygons([[0, 0, 2, 0, 2, 2, 0, 2]], 3, 4).area
    4
    """
    points = [list(map(float, polygon)) for polygon in polygons]
    numbers = np.fromiter(chain.from_iterable(points), np.float64)
    far = ~((numbers >= -_FAR) & (numbers <= max(height, width) + _FAR))
    if far.any():
        raise ValueError(
            f"a polygon has the coordinate {numbers[far][0]:g}, far outside of an image of "
            f"{height}×{width} (are they pixels?)"
        )
    parts = pycocotools_mask.frPyObjects(points, height, width)
    return decompress(pycocotools_mask.merge(parts)["counts"], height, width)


@dataclass(frozen=True)
class Runs:
    """The run lengths of many masks of one size, end to end, for arithmetic on all at once."""

    ends: Int[np.ndarray, " run"]
    """Where each run ends: mask `i` takes the places `i * pixels` to `(i + 1) * pixels`."""
    starts: Int[np.ndarray, " mask"]
    """The index of each mask's first run."""
    lengths: Int[np.ndarray, " mask"]
    """How many runs each mask has."""
    size: tuple[int, int]
    """Height and width; both 0 where there are no masks."""

    @classmethod
    def of(cls, masks: Sequence[Mask]) -> "Runs":
        """Lay out masks; `ValueError` unless they have one size."""
        sizes = {(mask.height, mask.width) for mask in masks}
        if len(sizes) > 1:
            raise ValueError(f"masks of one image have one size, found {sorted(sizes)}")
        size = sizes.pop() if sizes else (0, 0)
        counts = [mask.counts for mask in masks]
        lengths = np.array([len(runs) for runs in counts], np.int64)
        ends = np.concatenate(counts).cumsum(dtype=np.int64) if counts else lengths
        return cls(ends, lengths.cumsum() - lengths, lengths, size)

    def __len__(self) -> int:
        return len(self.starts)

    @property
    def pixels(self) -> int:
        """Height × width."""
        return self.size[0] * self.size[1]

    @cached_property
    def signs(self) -> Int[np.ndarray, " run"]:
        """+1 where a run of ones ends, -1 where it begins, 0 at a last run of zeros.

        So the sum of `signs * f(ends)` over a mask is the sum of f's growth over its ones.
        """
        place = np.arange(len(self.ends)) - np.repeat(self.starts, self.lengths)
        signs: Int[np.ndarray, " run"] = (place & 1) * 2 - 1
        signs[(self.starts + self.lengths - 1)[self.lengths & 1 == 1]] = 0
        return signs

    @cached_property
    def areas(self) -> Int[np.ndarray, " mask"]:
        """Pixels inside each mask."""
        if not len(self):
            return np.zeros(0, np.int64)
        return np.asarray(np.add.reduceat(self.ends * self.signs, self.starts))

    def shared(
        self, other: "Runs", mine: Int[np.ndarray, " pair"], theirs: Int[np.ndarray, " pair"]
    ) -> Int[np.ndarray, " pair"]:
        """Pixels in both masks of each pair: number `mine` of these, number `theirs` of `other`."""
        if not len(mine):
            return np.zeros(0, np.int64)
        if self.size != other.size:
            raise ValueError(f"masks of different sizes, {self.size} and {other.size}")
        lengths = self.lengths[mine]
        first = lengths.cumsum() - lengths
        run = np.arange(first[-1] + lengths[-1]) + np.repeat(self.starts[mine] - first, lengths)
        place = self.ends[run] + np.repeat((theirs - mine) * self.pixels, lengths)
        # Between knots the count of ones grows by 0 or 1 a pixel, so interpolation is exact.
        ones = np.interp(place, *other._ones)
        return np.asarray(np.add.reduceat(ones * self.signs[run], first), np.int64)

    @cached_property
    def _ones(self) -> tuple[Int[np.ndarray, " knot"], Int[np.ndarray, " knot"]]:
        """The end of every run, and the number of ones of all masks up to there."""
        starts = np.append(0, self.ends[:-1])
        inside = np.where(self.signs > 0, self.ends - starts, 0)
        return np.append(0, self.ends), np.append(0, inside.cumsum())


def areas(masks: Sequence[Mask]) -> Int[np.ndarray, " mask"]:
    """Pixels inside each mask."""
    return Runs.of(masks).areas


def iou(
    predicted: Sequence[Mask], true: Sequence[Mask], crowd: Bool[np.ndarray, " true"]
) -> Float64[np.ndarray, "predicted true"]:
    """Intersection over union of every pair; for a crowd, over the prediction's own area.

    Exactly `pycocotools.mask.iou`: empty masks overlap nothing.
    """
    shape = len(predicted), len(true)
    rows, columns = np.divmod(np.arange(shape[0] * shape[1]), max(shape[1], 1))
    return pair_iou(Runs.of(predicted), Runs.of(true), crowd, rows, columns).reshape(shape)


def pair_iou(
    predicted: Runs,
    true: Runs,
    crowd: Bool[np.ndarray, " true"],
    rows: Int[np.ndarray, " pair"],
    columns: Int[np.ndarray, " pair"],
) -> Float64[np.ndarray, " pair"]:
    """As `iou`, for some pairs: predicted mask `rows`, true mask `columns`."""
    shared = predicted.shared(true, rows, columns)
    own = predicted.areas[rows]
    union = np.where(crowd[columns], own, own + true.areas[columns] - shared)
    overlap: np.ndarray = np.divide(shared, union, out=np.zeros(len(shared)), where=shared > 0)
    return overlap


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


def box_pair_iou(
    predicted: Float[np.ndarray, "predicted 4"],
    true: Float[np.ndarray, "true 4"],
    crowd: Bool[np.ndarray, " true"],
    rows: Int[np.ndarray, " pair"],
    columns: Int[np.ndarray, " pair"],
) -> Float64[np.ndarray, " pair"]:
    """Intersection over union of some pairs of boxes (x, y, x, y), as `pycocotools.mask.iou`."""
    low = np.maximum(predicted[rows, :2], true[columns, :2])
    high = np.minimum(predicted[rows, 2:], true[columns, 2:])
    extent = high - low
    shared = np.where((extent > 0).all(axis=1), extent[:, 0] * extent[:, 1], 0.0)
    own = box_areas(predicted)[rows]
    union = np.where(crowd[columns], own, own + box_areas(true)[columns] - shared)
    overlap: np.ndarray = np.divide(shared, union, out=np.zeros(len(shared)), where=shared > 0)
    return overlap


def box_areas(boxes: Float[np.ndarray, "box 4"]) -> Float64[np.ndarray, " box"]:
    """Width × height of each box."""
    areas: np.ndarray = (boxes[:, 2] - boxes[:, 0]) * (boxes[:, 3] - boxes[:, 1])
    return areas.astype(np.float64)
