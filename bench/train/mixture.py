"""Which examples enter which step: balanced sampling, as a pure function of the step.

Each part of a recipe goes through its own source at its own pace, again and again in new random
orders. So segmentation data keep their epochs whatever the number of image-text pairs (section
4.1). Nothing is remembered between steps: a run continues at step `n` by asking for step `n`.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Protocol

import numpy as np
from torch.utils.data import DataLoader, Dataset

from bench.errors import UsageError
from bench.recipe import Part
from bench.train.processes import ALONE, Share


class Source(Protocol):
    """Training data that can be asked for by number."""

    def __len__(self) -> int:
        """How many images, or pairs, an epoch has."""
        ...

    def examples(self, indices: Sequence[int], chance: np.random.Generator) -> Any:
        """Those examples, for one step; `chance` decides whatever is random about them."""
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
class Mixture(Dataset[tuple[Any, ...]]):
    """The batches of a run: item `step * passes + k` is this process's share of pass `k`.

    Args:
        parts: what enters a step.
        sources: one a part.
        passes: passes a step, whose gradients are accumulated.
        seed: of everything random here.
        share: which process this is.
    """

    parts: tuple[Part, ...]
    sources: tuple[Source, ...]
    passes: int = 1
    seed: int = 0
    share: Share = ALONE

    def __post_init__(self) -> None:
        slices = self.passes * self.share.world
        for part, source in zip(self.parts, self.sources, strict=True):
            if part.batch % slices:
                raise UsageError(
                    f"The batch of {part.batch} of '{part.data}' cannot be split evenly over "
                    f"{self.share.world} processes and {self.passes} passes: change "
                    "parts' batch, --processes or accumulate."
                )
            if not len(source):
                raise UsageError(f"'{part.data}' holds nothing to train on.")

    def __getitem__(self, item: int) -> tuple[Any, ...]:
        """One batch a part."""
        slices = self.passes * self.share.world
        own = item * self.share.world + self.share.rank  # among all slices of the run
        chance = self.chance(item)
        batches = []
        for number, (part, source) in enumerate(zip(self.parts, self.sources, strict=True)):
            order = Order(len(source), seed=self.seed + number)
            n = part.batch // slices
            indices = [order[position] for position in range(own * n, own * n + n)]
            batches.append(part.batched(source.examples(indices, chance), chance))
        return tuple(batches)

    def chance(self, item: int) -> np.random.Generator:
        """The random numbers that batches are made with, of one pass of this process."""
        return np.random.default_rng([self.seed, item, self.share.rank, 0])

    def torch_seed(self, item: int) -> int:
        """The seed of everything random behind the batches, of one pass of this process."""
        return int(np.random.default_rng([self.seed, item, self.share.rank, 1]).integers(2**62))

    def load(self, first: int, last: int, workers: int = 0) -> Iterator[tuple[Any, ...]]:
        """Items `first` to `last - 1` in order, prepared ahead by so many worker processes."""
        loader: DataLoader[tuple[Any, ...]] = DataLoader(
            self,
            batch_size=None,
            sampler=range(first, last),
            num_workers=workers,
            prefetch_factor=4 if workers else None,
        )
        return iter(loader)
