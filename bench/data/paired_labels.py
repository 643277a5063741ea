"""Label maps whose names say nothing of their images': both folders sorted, and taken in turn.

So SUN RGB-D is distributed: images are numbered from 1 in each part, labels are numbered otherwise
from copy to copy, and only the order is the same.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.images import SUFFIXES, open_image
from bench.data.label_maps import require_size, single_channel
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.data.values import Values, ValueTable
from bench.errors import DataError
from bench.types import LabelMap


class PairedOptions(Values):
    """Options of the reader `paired-label-map`."""

    images: str
    """Where the images are, with {id} in place of the sample's id."""
    files: str
    """Where the label maps are, with {id} in place of whatever tells them apart."""


@dataclass(frozen=True)
class PairedLabels:
    """Label maps by the id of the image in their place."""

    paths: Mapping[str, Path]
    table: ValueTable

    def read(self, id: str, size: tuple[int, int]) -> LabelMap:
        """The label of every pixel, void as -1."""
        path = self.paths[id]
        pixels = np.asarray(open_image(path))
        require_size(path, pixels, size)
        return self.table.labels(single_channel(pixels, path), path)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """Which image each of the samples' label maps goes with, and its bytes."""
        wanted = set(ids)
        for id, path in self.paths.items():
            if id in wanted:
                yield id.encode()
                yield from contents([path])


def open_paired_labels(options: PairedOptions, opening: Opening) -> PairedLabels:
    """The label maps of a folder, under a vocabulary; `DataError` where images and maps differ."""
    home = opening.home
    images = [id for id, path in _files(options.images, home.path) if path.suffix in SUFFIXES]
    labels = [path for _, path in _files(options.files, home.path)]
    if not labels:
        home.folder(".")
        raise home.missing(f"no {options.files} in {home.path}.")
    if len(images) != len(labels):
        raise DataError(
            f"{home.path} has {len(images)} images {options.images} and {len(labels)} label maps "
            f"{options.files}, which go together in the order of their names: it needs as many."
        )
    return PairedLabels(dict(zip(images, labels, strict=True)), options.table(opening.vocabulary))


def _files(pattern: str, root: Path) -> list[tuple[str, Path]]:
    return list(Pattern(pattern).files(root))


PAIRED_LABEL_MAP = Reader(
    "label maps that go with images by their order only",
    PairedOptions,
    truths={"semantic": open_paired_labels},
)
