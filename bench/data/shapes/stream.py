"""Numbers from keys, the same on every machine.

A scene must not depend on the machine, on the version of numpy or on the scenes drawn before it. So
each scene has a stream of its own, keyed by what it is, of integers only (splitmix64, Steele et al.
2014: a counter and a mixing function).
"""

from collections.abc import Sequence
from hashlib import blake2b
from typing import TypeVar

import numpy as np
from jaxtyping import Int, UInt64

T = TypeVar("T")

_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15
_MIX = (0xBF58476D1CE4E5B9, 0x94D049BB133111EB)


class Stream:
    """An endless row of integers that depends on its key alone.

    >>> stream = Stream("doc", 7)
    >>> [stream.below(6) + 1 for _ in range(5)]
    [5, 3, 3, 1, 6]
    """

    __slots__ = ("_state",)

    def __init__(self, *key: int | str) -> None:
        text = "\x1f".join(map(repr, key)).encode()
        self._state = int.from_bytes(blake2b(text, digest_size=8).digest(), "little")

    def bits(self) -> int:
        """The next 64 bits."""
        self._state = state = (self._state + _GOLDEN) & _MASK
        state = ((state ^ (state >> 30)) * _MIX[0]) & _MASK
        state = ((state ^ (state >> 27)) * _MIX[1]) & _MASK
        return state ^ (state >> 31)

    def below(self, n: int) -> int:
        """A whole number in `0..n-1`."""
        return (self.bits() * n) >> 64

    def between(self, low: int, high: int) -> int:
        """A whole number in `low..high`, both included."""
        return low + self.below(high - low + 1)

    def chance(self, hits: int, of: int = 100) -> bool:
        """True in `hits` of `of` cases."""
        return self.below(of) < hits

    def choose(self, among: Sequence[T]) -> T:
        """One of them."""
        return among[self.below(len(among))]

    def sample(self, among: Sequence[T], n: int) -> list[T]:
        """`n` different ones of them, in random order."""
        left = list(among)
        return [left.pop(self.below(len(left))) for _ in range(n)]


def scatter(key: int, height: int, width: int) -> Int[np.ndarray, "{height} {width}"]:
    """A grid of hashed values in 0..255: what `Stream` is for one scene, for a whole picture."""
    state: UInt64[np.ndarray, " n"] = np.arange(height * width, dtype=np.uint64)
    state += np.uint64(Stream("scatter", key).bits())
    state *= np.uint64(_GOLDEN)  # uint64 arrays wrap around, silently and exactly
    state = (state ^ (state >> np.uint64(30))) * np.uint64(_MIX[0])
    state = (state ^ (state >> np.uint64(27))) * np.uint64(_MIX[1])
    return (state >> np.uint64(56)).astype(np.int32).reshape(height, width)
