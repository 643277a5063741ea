"""Which examples enter which step: balanced sampling, as a pure function of the step.

Each part of a recipe goes through its own source at its own pace, again and again in new random
orders. So segmentation data keep their epochs whatever the number of image-text pairs (section
4.1). Nothing is remembered between steps: a run continues at step `n` by asking for step `n`.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from torch.utils.data import DataLoader, Dataset

from bench.data.order import Source
from bench.errors import UsageError
from bench.recipe import Part
from bench.train.processes import ALONE, Share


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
                    f"The batch of {part.batch} of {part.data.title} cannot be split evenly over "
                    f"{self.share.world} processes and {self.passes} passes: change "
                    "parts' batch, --processes or accumulate."
                )
            if not len(source):
                raise UsageError(f"{part.data.title} holds nothing to train on.")

    def __getitem__(self, item: int) -> tuple[Any, ...]:
        """One batch a part."""
        slices = self.passes * self.share.world
        own = item * self.share.world + self.share.rank  # among all slices of the run
        chance = self.chance(item)
        batches = []
        for number, (part, source) in enumerate(zip(self.parts, self.sources, strict=True)):
            order = source.order(self.seed + number)
            n = part.batch // slices
            places = [order[position] for position in range(own * n, own * n + n)]
            batches.append(part.batched(source.examples(places, chance), chance))
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
