"""Scenes as the images and truths of a dataset, like those that readers find on disk."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from hashlib import sha256

import numpy as np

from bench.data.dataset import Dataset
from bench.data.shapes.draw import Drawing, draw
from bench.data.shapes.naming import Naming
from bench.data.shapes.scene import Scene, scene
from bench.data.shapes.world import Split, World
from bench.data.source import TruthSource
from bench.types import (
    VOID,
    Image,
    LabelMap,
    Mask,
    Panoptic,
    Segment,
    TrueInstance,
    TrueInstances,
)


def shapes_dataset(
    name: str, world: World, split: Split, n: int, naming: Naming, *, spec_digest: str = ""
) -> Dataset:
    """The first `n` scenes of a split, with truth for all three segmentation tasks."""
    scenes = Scenes(world, split, n)
    truths: dict[str, TruthSource] = {
        "panoptic": PanopticTruth(scenes, naming),
        "instance": InstanceTruth(scenes, naming),
        "semantic": SemanticTruth(scenes, naming),
    }
    return Dataset(name, split.value, naming.vocabulary, scenes, truths, spec_digest=spec_digest)


@lru_cache(maxsize=16)
def _drawn(world: World, split: Split, index: int) -> tuple[Scene, Drawing]:
    """A scene and its drawing, kept while its image and its truths are asked for in turn."""
    found = scene(world, split, index)
    return found, draw(found)


@dataclass(frozen=True)
class Scenes:
    """The first `n` scenes of a split as an image source."""

    world: World
    split: Split
    n: int

    @property
    def ids(self) -> tuple[str, ...]:
        """`val-000000` and so on."""
        return tuple(f"{self.split.value}-{index:06d}" for index in range(self.n))

    def drawn(self, id: str) -> tuple[Scene, Drawing]:
        """The scene of that id and its drawing, which the caller must not write to."""
        split, _, index = id.rpartition("-")
        if split != self.split.value or not index.isdecimal() or int(index) >= self.n:
            raise ValueError(f"no scene {id!r} among the {self.n} of {self.split.value}")
        return _drawn(self.world, self.split, int(index))

    def read(self, id: str) -> Image:
        """The picture."""
        image: Image = self.drawn(id)[1].image.copy()
        return image

    def digest(self, id: str) -> str:
        """Sha256 of the pixels."""
        return sha256(self.drawn(id)[1].image.tobytes()).hexdigest()

    def fingerprint(self) -> Iterator[bytes]:
        """The world's parameters, the split, and the first drawing: what the code makes of it."""
        yield f"{self.world!r} {self.split.value} {self.n}".encode()
        _, drawing = _drawn(self.world, self.split, 0)
        yield drawing.image.tobytes() + drawing.ids.astype("<i4").tobytes()


@dataclass(frozen=True)
class _Truth:
    """What the truths of scenes have in common: scenes, and what is in them called."""

    scenes: Scenes
    naming: Naming

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The naming; the pixels are in the fingerprint of the scenes."""
        yield repr(self.naming).encode()

    def _labelled(self, id: str) -> tuple[Drawing, tuple[int, ...]]:
        """The drawing and each segment's label: void where it has none or no pixel at this size."""
        found, drawing = self.scenes.drawn(id)
        labels = self.naming.labels(found)
        areas = np.bincount(drawing.ids.ravel(), minlength=len(labels) + 1)[1:].tolist()
        return drawing, tuple(n if area else VOID for n, area in zip(labels, areas, strict=True))


class PanopticTruth(_Truth):
    """Every pixel's segment; pixels of what the naming leaves out are void."""

    def read(self, id: str, size: tuple[int, int]) -> Panoptic:
        """Segments of one scene, with the ids of its drawing."""
        drawing, labels = self._labelled(id)
        named = [(number, label) for number, label in enumerate(labels, start=1) if label != VOID]
        keep = np.zeros(len(labels) + 1, np.int32)
        for number, _ in named:
            keep[number] = number
        return Panoptic(keep[drawing.ids], tuple(Segment(*segment) for segment in named))


class InstanceTruth(_Truth):
    """The visible part of every thing that has a name."""

    def read(self, id: str, size: tuple[int, int]) -> TrueInstances:
        """Things of one scene, with the ids of its drawing."""
        drawing, labels = self._labelled(id)
        things = self.naming.vocabulary.things
        return TrueInstances(
            tuple(
                TrueInstance(number, label, Mask.encode(drawing.ids == number))
                for number, label in enumerate(labels, start=1)
                if label in things
            )
        )


class SemanticTruth(_Truth):
    """Every pixel's label."""

    def read(self, id: str, size: tuple[int, int]) -> LabelMap:
        """Label map of one scene."""
        drawing, labels = self._labelled(id)
        found: LabelMap = np.array((VOID, *labels), np.int32)[drawing.ids]
        return found
