"""The full ADE20K as released: pictures that code an object's index and instance as a colour.

Red and green give the index of the object's name among the 3,000 or so of the release, R / 10 × 256
+ G, counted from 1; 0 is nothing. Benchmarks score some of the names (847 that occur often), and
their derived label files hold positions in that list. Here the release is read without them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int
from pydantic import Field

from bench.data.images import open_image
from bench.data.label_maps import require_size
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.errors import DataError, UsageError
from bench.protocol import Strict
from bench.types import VOID, LabelMap

_MOST = 256 * 26
"""One more than the largest index that two such channels can hold."""


class Ade20kFullOptions(Strict):
    """Options of the reader `ade20k-full`."""

    files: str
    """Where the `*_seg.png` are, with {id} in place of the sample's id."""
    objects: tuple[int, ...] = Field(min_length=1)
    """The index of each class of the vocabulary, in its order. Any other object is void."""


@dataclass(frozen=True)
class Ade20kFull:
    """Label maps by sample id."""

    root: Path
    pattern: Pattern
    table: Int[np.ndarray, " index"]

    def read(self, id: str, size: tuple[int, int]) -> LabelMap:
        """The label of every pixel, void as -1."""
        path = self.root / self.pattern.fill(id)
        indices = object_indices(np.asarray(open_image(path)), path)
        require_size(path, indices, size)
        labels: LabelMap = self.table[indices]
        return labels

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the samples' files, in the order of ids."""
        return contents(self.pattern.files_of(self.root, ids))


def object_indices(pixels: np.ndarray, path: Path) -> Int[np.ndarray, "height width"]:
    """The index of every pixel's object, 0 for none.

    >>> object_indices(np.uint8([[[110, 162, 7]]]), Path("one_seg.png")).tolist()
    [[2978]]
    """
    if pixels.ndim != 3 or pixels.shape[2] < 3:
        raise DataError(f"{path} is no picture of ADE20K's objects: it needs red, green and blue.")
    red, green = pixels[..., 0].astype(np.int32), pixels[..., 1].astype(np.int32)
    indices: Int[np.ndarray, "height width"] = red // 10 * 256 + green
    return indices


def open_ade20k_full(options: Ade20kFullOptions, opening: Opening) -> Ade20kFull:
    """The pictures that fit a pattern, under a vocabulary."""
    home, pattern, classes = opening.home, Pattern(options.files), len(opening.vocabulary)
    if len(options.objects) != classes:
        raise UsageError(
            f"The dataset '{home.dataset}' gives the reader ade20k-full {len(options.objects)} "
            f"'objects', and its vocabulary has {classes} classes."
        )
    if not pattern.fits_any(home.path):
        home.folder(".")
        raise home.missing(f"no {options.files} in {home.path}.")
    table = np.full(_MOST, VOID, np.int32)
    table[list(options.objects)] = np.arange(classes)
    return Ade20kFull(home.path, pattern, table)


ADE20K_FULL = Reader(
    "the full ADE20K's pictures of objects",
    Ade20kFullOptions,
    truths={"semantic": open_ade20k_full},
)
