"""The order in which training data are gone through: random, endless, and never written down.

A run continues at any step by asking for the examples of that step, so an order must give any
place of any epoch at once, and the same whenever it is asked.
"""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from itertools import accumulate
from typing import Any, Protocol

import numpy as np

WINDOW = 8
"""Shards whose pairs are mixed with one another."""


class Places(Protocol):
    """Which example is at each position of an endless run."""

    def __getitem__(self, position: int) -> Any:
        """What a source knows the example by."""
        ...


class Source(Protocol):
    """Training data."""

    @property
    def notes(self) -> Sequence[str]:
        """What was decided about the data, a sentence each."""
        ...

    def __len__(self) -> int:
        """How many images, or pairs, an epoch has."""
        ...

    def order(self, seed: int) -> Places:
        """An order to go through them."""
        ...

    def examples(self, places: Sequence[Any], chance: np.random.Generator) -> Any:
        """The examples of one step; `chance` decides whatever is random about them."""
        ...


@dataclass(frozen=True)
class Order:
    """Numbers below `n` in random order, then in another one, and so on without end.

    Each epoch's order is a permutation that is computed place by place (a Feistel network, and
    walking on while the result is not below `n`), so any place of any epoch costs the same, and
    ten million pairs take no memory.

    >>> order = Order(5, seed=1)
    >>> [sorted(order[i] for i in range(start, start + 5)) for start in (0, 5)]
    [[0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    """

    n: int
    seed: int

    def __getitem__(self, position: int) -> int:
        epoch, place = divmod(position, self.n)
        half = max(1, -(-(self.n - 1).bit_length() // 2))
        while True:
            place = self._shuffled(place, half, epoch)
            if place < self.n:
                return place

    def _shuffled(self, place: int, half: int, epoch: int) -> int:
        """A permutation of all numbers of `2 * half` bits."""
        mask = (1 << half) - 1
        left, right = place >> half, place & mask
        for turn in range(4):
            key = b"%d %d %d %d" % (self.seed, epoch, turn, right)
            mixed = int.from_bytes(blake2b(key, digest_size=8).digest(), "little")
            left, right = right, left ^ (mixed & mask)
        return left << half | right


@dataclass(frozen=True)
class ShardOrder:
    """The pairs of shards: in each epoch all of them, once.

    Shards come in random order, and within a window of some of them pairs do: so pairs of one file
    are read close together, as files want to be read.

    >>> order = ShardOrder((3, 1, 2), seed=0)
    >>> sorted(order[position] for position in range(6, 12))
    [(0, 0), (0, 1), (0, 2), (1, 0), (2, 0), (2, 1)]
    """

    sizes: tuple[int, ...]
    """The pairs of each shard."""
    seed: int

    def __getitem__(self, position: int) -> tuple[int, int]:
        """The shard at a position, and the pair in it."""
        epoch, place = divmod(position, sum(self.sizes))
        shards, starts = _epoch(self.sizes, self.seed, epoch)
        first = (bisect_right(starts, place) - 1) // WINDOW * WINDOW
        begin, end = starts[first], starts[min(first + WINDOW, len(shards))]
        window = Order(end - begin, self.seed + first + 1)
        mixed = begin + window[epoch * (end - begin) + place - begin]
        at = bisect_right(starts, mixed) - 1
        return shards[at], mixed - starts[at]


@lru_cache(maxsize=4)
def _epoch(
    sizes: tuple[int, ...], seed: int, epoch: int
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """The shards in the epoch's order, and how many pairs come before each, and before the end."""
    order = Order(len(sizes), seed)
    shards = tuple(order[epoch * len(sizes) + i] for i in range(len(sizes)))
    return shards, (0, *accumulate(sizes[shard] for shard in shards))
