"""Scenes to train on: an endless source of images that come with everything.

Names alternate from step to step between shapes, pairs of colour and shape, and colours, so that a
model learns what each word means by itself; a few distractors are asked about each time, so that it
learns that a name may be absent. Pairs that training never shows are never named, not even as
absent: names that only ever mean «no» would be learned as that.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from bench.data.order import Order
from bench.data.shapes.caption import captions
from bench.data.shapes.draw import Drawing, draw
from bench.data.shapes.naming import Naming, by_colour, by_pair, by_shape
from bench.data.shapes.phrase import Kind, phrases
from bench.data.shapes.scene import Scene, scene
from bench.data.shapes.words import Description, plural
from bench.data.shapes.world import DISTRACTORS, STANDARD, Split, World
from bench.recipe import Example, Examples, Named, Pointed
from bench.types import VOID, Image, Segment

SCENES = 2**40
"""How many scenes of the training split there are: as many as anyone asks for."""


@dataclass(frozen=True)
class TrainingScenes:
    """Whole scenes with segments, phrases and captions."""

    world: World = STANDARD
    scenes: int = SCENES
    """How many there are: the first so many."""
    distractors: int = 3
    """Names of nothing that each step's vocabulary has besides."""
    spoken_of: tuple[Kind, ...] = tuple(Kind)
    """The kinds of phrases there are."""
    shares: tuple[float, float, float] = (0.45, 0.45, 0.1)
    """How often things are named by shape, by colour and shape, by colour."""

    notes: ClassVar = ()

    def __len__(self) -> int:
        return self.scenes

    def order(self, seed: int) -> Order:
        """See `bench.data.order.Source`."""
        return Order(self.scenes, seed)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> Examples:
        """Those scenes, under names drawn for this step."""
        naming = self._naming(chance)
        return Examples(
            tuple(self._example(scene(self.world, Split.TRAIN, index), naming) for index in places),
            naming.vocabulary,
        )

    def _naming(self, chance: np.random.Generator) -> Naming:
        world = self.world
        of = (by_shape(world), by_pair(world, world.seen_pairs), by_colour(world))
        naming = of[chance.choice(len(of), p=self.shares)]
        return naming.with_absent(chance.choice(DISTRACTORS, self.distractors, replace=False))

    def _example(self, found: Scene, naming: Naming) -> Example:
        drawing, said = draw(found), captions(found)
        labels = naming.labels(found)
        spoken = (p for p in phrases(found) if p.kind in self.spoken_of)
        return Example(
            drawing.image,
            drawing.ids,
            tuple(Segment(id, label) for id, label in enumerate(labels, 1) if label != VOID),
            tuple(Pointed((p.text,), drawing.ids == p.id) for p in spoken),
            said,
            tuple(_nouns(caption, found.world) for caption in said),
        )


def _nouns(caption: str, world: World) -> tuple[str, ...]:
    """The words of a caption for a thing or for stuff, as they stand there."""
    known = {*world.shapes, *map(plural, world.shapes), *world.stuff}
    return tuple(word for word in caption.replace(",", "").split() if word in known)


@dataclass(frozen=True)
class TrainingCrops:
    """A window around one thing of each scene, and what it is called.

    The vocabularies are all that can be said of a thing: its shape, its colour, its texture, and
    the pairs of colour and shape that training shows.
    """

    world: World = STANDARD
    side: int = 64
    """Height and width of the window, in pixels."""

    notes: ClassVar = ()

    def __len__(self) -> int:
        return SCENES

    def order(self, seed: int) -> Order:
        """See `bench.data.order.Source`."""
        return Order(SCENES, seed)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> Named:
        """One crop for each index; scenes give all their things in turn, so few need be drawn."""
        world = self.world
        pairs = world.seen_pairs
        crops: list[Image] = []
        labels = []
        numbers = iter(places)
        while len(crops) < len(places):
            index = next(numbers, None)  # exhausted only where many scenes are empty
            found = scene(
                world, Split.TRAIN, int(chance.integers(SCENES)) if index is None else index
            )
            drawing = draw(found)
            for number, thing in enumerate(found.things[: len(places) - len(crops)], start=1):
                crops.append(_window(drawing, number, self.side))
                labels.append(
                    (
                        world.shapes.index(thing.shape),
                        world.colours.index(thing.colour),
                        world.textures.index(thing.texture),
                        pairs.index((thing.colour, thing.shape)),
                    )
                )
        vocabularies = (
            world.shapes,
            tuple(str(Description(colour=colour)) for colour in world.colours),
            tuple(str(Description(texture=texture)) for texture in world.textures),
            tuple(str(Description(shape, colour)) for colour, shape in pairs),
        )
        return Named(tuple(crops), vocabularies, np.array(labels).T)


def _window(drawing: Drawing, number: int, side: int) -> Image:
    """The window inside the picture that is nearest to centred on what is seen of a thing."""
    size = len(drawing.image)
    seen = drawing.ids == number
    middles = (np.flatnonzero(seen.any(axis=axis)) for axis in (1, 0))
    top, left = (
        min(max((int(places[0]) + int(places[-1]) + 1 - side) // 2, 0), size - side)
        for places in middles
    )
    return drawing.image[top : top + side, left : left + side]
