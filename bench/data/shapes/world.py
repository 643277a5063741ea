"""Which scenes there can be: the parameters of the embedded world `shapes`.

What a small model can and cannot learn here was measured before these values were chosen: colours,
masks and plain stuff are learned in minutes, shapes are what takes time. `EASY`, `STANDARD` and
`HARD` differ in that; a world of one's own is `replace(STANDARD, …)`.
"""

from dataclasses import dataclass, replace
from enum import Enum
from functools import cached_property
from types import MappingProxyType

from bench.data.shapes.domain import Domain
from bench.data.shapes.stream import Stream

RGB = tuple[int, int, int]

COLOURS: MappingProxyType[str, RGB] = MappingProxyType(
    {
        "red": (208, 34, 34),
        "orange": (244, 134, 22),
        "yellow": (240, 216, 40),
        "green": (44, 158, 58),
        "blue": (38, 74, 206),
        "purple": (132, 44, 168),
        "pink": (246, 142, 184),
        "white": (240, 240, 240),
        "black": (34, 34, 38),
        "cyan": (56, 204, 214),
    }
)
"""Colours of things, before jitter and light."""

SHAPES = (
    "circle",
    "square",
    "triangle",
    "star",
    "cross",
    "ring",
    "heart",
    "moon",
    "hexagon",
    "arrow",
)
"""Outlines of things; `bench.data.shapes.figure` draws them."""

TEXTURES = ("plain", "striped", "dotted", "checkered")
"""How a thing is covered with its colour and a second tone of it."""

STUFF = ("sky", "sea", "grass", "hedge", "sand", "wood", "soil", "brick", "snow", "tiles")
"""What things lie on. Neighbours in this list share their hues and differ in pattern."""

ABOVE = frozenset({"sky", "sea", "hedge", "wood", "brick", "snow"})
"""Stuff that can lie behind other stuff; what is not here is always in front."""
IN_FRONT = frozenset(STUFF) - {"sky"}
"""Stuff that can lie in front of other stuff."""

DISTRACTORS = (
    "banana", "bicycle", "bottle", "bridge", "camera", "candle", "carpet", "chair",
    "clock", "cloud", "curtain", "door", "elephant", "fence", "fork", "guitar",
    "hammer", "horse", "kettle", "ladder", "lamp", "mirror", "pillow", "shoe",
)  # fmt: skip
"""Names of nothing in this world, for a model to learn that a name may be absent."""

HELD_OUT_DISTRACTORS = (
    "anchor", "basket", "cactus", "dolphin", "envelope", "feather",
    "glove", "helmet", "island", "jacket", "kite", "lemon",
)  # fmt: skip
"""Names of nothing in this world that training must never use: the test of the above."""


class Split(Enum):
    """Which scenes; no scene of one is a scene of another."""

    TRAIN = "train"
    """No thing of an unseen pair of colour and shape."""
    VAL = "val"
    """All pairs, each as likely as any other."""
    UNSEEN = "unseen"
    """As validation, and each thing has an even chance to be of an unseen pair."""


@dataclass(frozen=True)
class World:
    """What scenes are made of. Lengths are pixels on a canvas of 128; `size` only scales them.

    So one scene can be drawn at any size, and the same things are in it.
    """

    seed: int = 0
    """Another seed, other scenes."""
    size: int = 128
    """Height and width of the picture."""
    shapes: tuple[str, ...] = SHAPES[:8]
    colours: tuple[str, ...] = tuple(COLOURS)[:8]
    textures: tuple[str, ...] = TEXTURES
    stuff: tuple[str, ...] = STUFF
    things: tuple[int, int] = (1, 6)
    """The fewest and the most things in a scene."""
    radius: tuple[int, int] = (9, 32)
    tilt: int = 25
    """Things are turned by up to this many hundredths of a half turn's tangent: 25 is 28 degrees,
    100 is 90 degrees."""
    visible_share: int = 30
    """Percent of each thing that is never covered."""
    visible_area: int = 25
    """Pixels (on a canvas of 128) of each thing that are never covered."""
    two_grounds: int = 70
    """Percent of scenes that have two kinds of stuff, with a horizon between them."""
    unseen_percent: int = 15
    """Share of the pairs of colour and shape that training never shows."""
    jitter: int = 18
    """How far each channel of a thing's or stuff's colour strays."""
    noise: int = 7
    """Amplitude of the noise of pixels."""
    domains: tuple[Domain, ...] = (Domain.DAYLIGHT,)
    """How scenes look; each is drawn in one of these."""

    def __post_init__(self) -> None:
        known = (
            ("shape", self.shapes, SHAPES),
            ("colour", self.colours, tuple(COLOURS)),
            ("texture", self.textures, TEXTURES),
            ("stuff", self.stuff, STUFF),
        )
        for noun, names, possible in known:
            if not names or len(set(names)) < len(names) or not set(names) <= set(possible):
                raise ValueError(f"each {noun} must be one of {possible}, once; found {names}")
        if not 0 <= self.things[0] <= self.things[1] <= 12:
            raise ValueError(f"things must be (fewest, most) within 0..12, found {self.things}")
        if not 3 <= self.radius[0] <= self.radius[1] <= 64:
            raise ValueError(f"radius must be (least, most) within 3..64, found {self.radius}")
        if not 32 <= self.size <= 1024:
            raise ValueError(f"size must be within 32..1024, found {self.size}")
        if not any(kind in IN_FRONT for kind in self.stuff):
            raise ValueError("stuff needs at least one kind besides 'sky', which is always behind")

    @cached_property
    def pairs(self) -> tuple[tuple[str, str], ...]:
        """Every (colour, shape)."""
        return tuple((colour, shape) for shape in self.shapes for colour in self.colours)

    @cached_property
    def unseen_pairs(self) -> tuple[tuple[str, str], ...]:
        """The (colour, shape) pairs that training never shows, spread evenly.

        Each colour and each shape loses at most two of its pairs, so both are met in many others;
        without that, an unseen pair could not be understood from its two words.
        """
        wanted = len(self.pairs) * self.unseen_percent // 100
        order = sorted(self.pairs, key=lambda pair: Stream("unseen pair", *pair).bits())
        losses = dict.fromkeys(self.colours + self.shapes, 0)
        chosen: list[tuple[str, str]] = []
        for most in (1, 2):
            for pair in order:
                if (
                    len(chosen) < wanted
                    and pair not in chosen
                    and max(losses[w] for w in pair) < most
                ):
                    chosen.append(pair)
                    for word in pair:
                        losses[word] += 1
        return tuple(sorted(chosen, key=self.pairs.index))

    @cached_property
    def seen_pairs(self) -> tuple[tuple[str, str], ...]:
        """The (colour, shape) pairs of training."""
        unseen = set(self.unseen_pairs)
        return tuple(pair for pair in self.pairs if pair not in unseen)


STANDARD = World()
EASY = replace(
    STANDARD, shapes=SHAPES[:6], stuff=("sky", "grass", "sand", "brick", "sea", "snow"),
    radius=(10, 32), things=(1, 5),
)  # fmt: skip
HARD = replace(STANDARD, shapes=SHAPES, colours=tuple(COLOURS), radius=(7, 30), things=(1, 8))
