"""Runs of one to four words, counted in many captions at once.

Words are kept as 64-bit hashes of their text, so captions are small arrays and counting them is
sorting numbers. Among a million different runs, two share a hash with probability below 1e-7.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from hashlib import blake2b

import numpy as np
from jaxtyping import Bool, Int, UInt64

LONGEST = 4
"""CIDEr and BLEU count runs of up to four words."""
_MULTIPLIER = np.uint64(0x9E3779B97F4A7C15)


@cache
def _hash(word: str) -> int:
    digest = blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest, "little")


def hashes(words: Sequence[str]) -> UInt64[np.ndarray, " word"]:
    """The words as numbers that stand for them in any process."""
    return np.array([_hash(word) for word in words], np.uint64)


@dataclass(frozen=True)
class Captions:
    """A candidate and some references for each of many images, end to end.

    The captions of an image follow each other, its candidate first.
    """

    words: UInt64[np.ndarray, " word"]
    lengths: Int[np.ndarray, " caption"]
    """Words of each caption."""
    per_image: Int[np.ndarray, " image"]
    """Captions of each image: one more than its references."""

    @cached_property
    def image(self) -> Int[np.ndarray, " caption"]:
        """The image of each caption."""
        return np.repeat(np.arange(len(self.per_image)), self.per_image)

    @cached_property
    def candidate(self) -> Int[np.ndarray, " image"]:
        """The caption that is each image's candidate."""
        first: Int[np.ndarray, " image"] = np.cumsum(self.per_image) - self.per_image
        return first

    @cached_property
    def is_reference(self) -> Bool[np.ndarray, " caption"]:
        """Whether a caption is a reference."""
        mask = np.ones(len(self.lengths), bool)
        mask[self.candidate] = False
        return mask


@dataclass(frozen=True)
class Counts:
    """How often each run of `n` words stands in each caption; runs are numbered from 0."""

    n: int
    caption: Int[np.ndarray, " row"]
    run: Int[np.ndarray, " row"]
    count: Int[np.ndarray, " row"]
    runs: int
    """How many different runs there are."""


def count(captions: Captions) -> list[Counts]:
    """Counts of runs of 1, 2, 3 and 4 words, by caption."""
    caption = np.repeat(np.arange(len(captions.lengths)), captions.lengths)
    run = np.zeros(len(captions.words), np.uint64)
    tables = []
    for n in range(1, LONGEST + 1):
        run = run[: len(captions.words) - n + 1] * _MULTIPLIER + captions.words[n - 1 :]
        inside = caption[: len(run)] == caption[n - 1 :]
        distinct, number = np.unique(run[inside], return_inverse=True)
        runs = max(len(distinct), 1)
        key, counts = np.unique(caption[: len(run)][inside] * runs + number, return_counts=True)
        tables.append(Counts(n, key // runs, key % runs, counts, runs))
    return tables
