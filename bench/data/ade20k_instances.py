"""Objects of ADE20K's scene parsing benchmark as it ships them: one colour picture an image.

Red is the number of the object's class among the countable ones, from 1; green is the number of the
object. Segments follow from that and from the label map: stuff from the one, objects from the
other, over it. Countable classes of the label map that no object covers are void. The files
`ade20k_panoptic_*.json` and `ade20k_instance_*.json` that Mask2Former's scripts write hold the same
truth.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from bench.data.images import open_image
from bench.data.label_maps import require_size, single_channel
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.data.values import Values, ValueTable
from bench.errors import DataError
from bench.protocol import Strict
from bench.types import Mask, Panoptic, Segment, TrueInstance, TrueInstances

_OBJECTS = 256
"""Ids from here on are of stuff: objects are numbered by one byte."""


class Ade20kInstancesOptions(Strict):
    """Options of the reader `ade20k-instances`."""

    files: str
    """Where the pictures of objects are, with {id} in place of the sample's id."""


@dataclass(frozen=True)
class Ade20kObjects:
    """The objects of every image."""

    root: Path
    pattern: Pattern
    things: tuple[int, ...]
    """The label of each countable class, in the order of their numbers."""

    def read(self, id: str, size: tuple[int, int]) -> TrueInstances:
        """Every object of an image, with its number as id."""
        numbers, labels = self.objects(id, size)
        return TrueInstances(
            tuple(
                TrueInstance(number, label, Mask.encode(numbers == number))
                for number, label in labels.items()
            )
        )

    def objects(
        self, id: str, size: tuple[int, int]
    ) -> tuple[Int[np.ndarray, "height width"], dict[int, int]]:
        """The number of the object at every pixel, 0 for none, and the label of each number."""
        path = self.root / self.pattern.fill(id)
        pixels = np.asarray(open_image(path))
        require_size(path, pixels, size)
        if pixels.ndim != 3:
            raise DataError(f"{path} is no picture of ADE20K's objects: it needs red and green.")
        numbers = pixels[..., 1].astype(np.int32)
        pairs = np.bincount(((numbers << 8) | pixels[..., 0]).ravel(), minlength=1 << 16)
        shown = pairs.reshape(_OBJECTS, 256) > 0
        labels = {}
        for number in np.flatnonzero(shown[1:].any(axis=1)) + 1:
            found = np.flatnonzero(shown[number]).tolist()
            if len(found) > 1 or not 0 < found[0] <= len(self.things):
                raise DataError(
                    f"{path}: object {number} is of class {', '.join(map(str, found))}, and an "
                    f"object has one class of 1 to {len(self.things)}."
                )
            labels[int(number)] = self.things[found[0] - 1]
        return numbers, labels

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the samples' pictures, in the order of ids."""
        return contents(self.pattern.files_of(self.root, ids))


def open_objects(options: Ade20kInstancesOptions, opening: Opening) -> Ade20kObjects:
    """The pictures that fit a pattern, under a vocabulary."""
    home, pattern = opening.home, Pattern(options.files)
    if not pattern.fits_any(home.path):
        home.folder(".")
        raise home.missing(f"no {options.files} in {home.path}.")
    return Ade20kObjects(home.path, pattern, tuple(sorted(opening.vocabulary.things)))


INSTANCES = Reader(
    "objects as ADE20K's scene parsing benchmark ships them",
    Ade20kInstancesOptions,
    truths={"instance": open_objects},
)


class Ade20kPanopticOptions(Values, Ade20kInstancesOptions):
    """Options of the reader `ade20k-panoptic`; its values are those of the label maps."""

    labels: str
    """Where the label maps are, with {id} in place of the sample's id."""


@dataclass(frozen=True)
class Ade20kSegments:
    """The segments of every image: stuff of its label map, and over it its objects."""

    found: Ade20kObjects
    labels: Pattern
    table: ValueTable

    def read(self, id: str, size: tuple[int, int]) -> Panoptic:
        """Every segment of an image; objects keep their numbers as ids."""
        path = self.found.root / self.labels.fill(id)
        pixels = np.asarray(open_image(path))
        require_size(path, pixels, size)
        labels = self.table.labels(single_channel(pixels, path), path)
        stuff = (labels >= 0) & ~np.isin(labels, self.found.things)
        numbers, of_number = self.found.objects(id, size)
        ids = np.where(numbers > 0, numbers, np.where(stuff, labels + _OBJECTS, 0)).astype(np.int32)
        shown = np.unique(ids[ids >= _OBJECTS]).tolist()
        segments = [Segment(number, label) for number, label in of_number.items()]
        segments += [Segment(id, id - _OBJECTS) for id in shown]
        return Panoptic(ids, tuple(segments))

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the samples' pictures and label maps."""
        yield from self.found.fingerprint(ids)
        yield from contents(self.labels.files_of(self.found.root, ids))


def open_segments(options: Ade20kPanopticOptions, opening: Opening) -> Ade20kSegments:
    """Pictures and label maps that fit two patterns, under a vocabulary."""
    objects, labels = open_objects(options, opening), Pattern(options.labels)
    if not labels.fits_any(opening.home.path):
        raise opening.home.missing(f"no {options.labels} in {opening.home.path}.")
    return Ade20kSegments(objects, labels, options.table(opening.vocabulary))


PANOPTIC = Reader(
    "segments from the objects and the label maps of ADE20K's scene parsing benchmark",
    Ade20kPanopticOptions,
    truths={"panoptic": open_segments},
)
