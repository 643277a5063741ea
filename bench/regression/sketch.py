"""An array as a digest and a few sums: equal bits are recognised, and other bits by how far off.

A digest alone would call a gate broken on every other processor, because floating point sums depend
on their order. So beside it stands a count sketch (Charikar, Chen and Farach-Colton 2002; as an
estimator of norms, Alon, Matias and Szegedy 1996): every entry is added, with a sign, to one of
`SUMS` sums, sign and sum drawn from a hash of its place. The squared difference of two sketches is,
on average over the draws, the squared distance of the arrays themselves, and by the number of sums
seldom off by more than a third. Neither array is needed for that, and the sketch of a map of a
million entries takes 128 bytes.

Numbers are compared by their relative distance |now - then| / |then|. Labels (whole numbers, truth
values) have no distance: they are compared by the share of entries that differ.
"""

import base64
import math
from functools import lru_cache
from hashlib import sha256, shake_256

import numpy as np
from jaxtyping import Float, Int, Shaped, UInt8

from bench.record import Kept

SUMS = 32
"""Of a sketch: a power of two, so that a byte of hash holds a sum's number and a sign."""
SIGN = SUMS
"""The bit of that byte that is the sign."""

Array = Shaped[np.ndarray, "..."]


class Sketch(Kept):
    """What is kept of an array."""

    digest: str
    """Sixteen hex digits of the sha256 of its type, shape and bytes."""
    shape: tuple[int, ...]
    """Its shape."""
    labels: bool
    """Whether entries are names that are equal or not, rather than numbers."""
    sums: str
    """The sums as little-endian float32, in base64."""
    norm: float | None
    """The length of the vector of numbers; `null` where one is infinite or none."""


def sketch(array: Array) -> Sketch:
    """The sketch of an array: floating point and 8-bit entries are numbers, others labels.

    >>> sketch(np.arange(4.0)).shape, sketch(np.array([True])).labels
    ((4,), True)
    """
    plain = _plain(array)
    labels = plain.dtype.kind == "i"
    head = f"{plain.dtype.str}{plain.shape}".encode()
    flat = plain.reshape(-1)
    sums = _of_labels(flat) if labels else _of_numbers(flat)
    norm = float(np.linalg.norm(flat.astype(np.float64)))
    return Sketch(
        digest=sha256(head + flat.tobytes()).hexdigest()[:16],
        shape=plain.shape,
        labels=labels,
        sums=base64.b64encode(sums.astype("<f4").tobytes()).decode(),
        norm=norm if math.isfinite(norm) else None,
    )


def distance(now: Sketch, then: Sketch) -> float:
    """How far an array is from what it was: 0 for equal bits, infinite for another shape.

    Of numbers the distance in terms of their own length; of labels the share that differ.
    """
    if now.digest == then.digest:
        return 0.0
    if (now.shape, now.labels) != (then.shape, then.labels):
        return math.inf
    squared = float(((_sums(now) - _sums(then)) ** 2).sum())
    if then.labels:
        return squared / 2 / math.prod(then.shape)
    if now.norm is None or then.norm is None or math.isnan(squared):
        return math.inf
    if then.norm == 0:
        return 0.0 if now.norm == 0 else math.inf
    return math.sqrt(squared) / then.norm


def _plain(array: Array) -> Array:
    """In one of few types, so that a digest does not depend on how an integer is stored."""
    if array.dtype.kind == "f":
        kind = "<f8" if array.dtype.itemsize == 8 else "<f4"
    else:
        kind = "|u1" if array.dtype == np.uint8 else "<i8"
    return np.ascontiguousarray(array.astype(kind, copy=False))


def _sums(sketched: Sketch) -> Float[np.ndarray, " sum"]:
    return np.frombuffer(base64.b64decode(sketched.sums), "<f4").astype(np.float64)


def _of_numbers(flat: Shaped[np.ndarray, " entry"]) -> Float[np.ndarray, " sum"]:
    code = _hashes(flat.size)[: flat.size]
    with np.errstate(over="ignore", invalid="ignore"):
        return _added(code, flat.astype(np.float64))


def _of_labels(flat: Int[np.ndarray, " entry"]) -> Float[np.ndarray, " sum"]:
    """As if every entry were a vector with a one in the place of its label."""
    values, which = np.unique(flat, return_inverse=True)
    of_value = np.array([_short_hash(int(value)) for value in values], np.uint16)
    mixed = _hashes(2 * flat.size)[: 2 * flat.size].view("<u2") ^ of_value[which]
    code: UInt8[np.ndarray, " entry"] = _mixing()[mixed]
    return _added(code, np.ones(flat.size))


def _added(
    code: UInt8[np.ndarray, " entry"], entries: Float[np.ndarray, " entry"]
) -> Float[np.ndarray, " sum"]:
    signed = np.where(code & SIGN, -entries, entries)
    return np.bincount(code & (SUMS - 1), signed, SUMS)


@lru_cache(maxsize=64)
def _hashes(size: int) -> UInt8[np.ndarray, " byte"]:
    """A byte for each place, the same on every machine and in every version of anything."""
    return np.frombuffer(shake_256(b"bench.regression.sketch").digest(size), np.uint8)


@lru_cache(maxsize=1)
def _mixing() -> UInt8[np.ndarray, " code"]:
    """A fixed random function of 16 bits: which sum and sign a place and a label come to."""
    return np.frombuffer(shake_256(b"bench.regression.labels").digest(1 << 16), np.uint8)


def _short_hash(value: int) -> int:
    return int.from_bytes(sha256(str(value).encode()).digest()[:2], "little")
