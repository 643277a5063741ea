"""Descriptions of things in words, and every word this world can say."""

from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import product

from bench.data.shapes.scene import Thing
from bench.data.shapes.world import DISTRACTORS, HELD_OUT_DISTRACTORS, World

ANY_SHAPE = "thing"
NUMBERS = (
    "no", "one", "two", "three", "four", "five", "six",
    "seven", "eight", "nine", "ten", "eleven", "twelve",
)  # fmt: skip

_GRAMMAR = """
    a above an and are at below bottom color highest how is largest left leftmost lowest many
    nothing of on pattern right rightmost shape smallest the there thing things top under what yes
    , ?
"""


@dataclass(frozen=True)
class Description:
    """What is said of a thing; nothing is said where `None`."""

    shape: str | None = None
    colour: str | None = None
    texture: str | None = None

    def fits(self, thing: Thing) -> bool:
        """Whether all that is said is true of the thing."""
        return (
            self.shape in (None, thing.shape)
            and self.colour in (None, thing.colour)
            and self.texture in (None, thing.texture)
        )

    def __str__(self) -> str:
        return " ".join(filter(None, (self.texture, self.colour, self.shape or ANY_SHAPE)))

    @property
    def plural(self) -> str:
        """As for several: `striped red crosses`."""
        return plural(str(self))

    @property
    def specific(self) -> bool:
        """Whether anything is said at all."""
        return self != Description()


def descriptions(thing: Thing) -> tuple[Description, ...]:
    """Everything that can be said of a thing, from nothing but `thing` to all it is."""
    shapes, colours, textures = ((None, thing.shape), (None, thing.colour), (None, thing.texture))
    return tuple(Description(*parts) for parts in product(shapes, colours, textures))


def plural(noun: str) -> str:
    """The plural of a noun phrase: `red crosses`, `red stars`."""
    return noun + ("es" if noun.endswith(("s", "x")) else "s")


def article(noun: str) -> str:
    """A noun phrase with its indefinite article."""
    return f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"


def listing(parts: Sequence[str]) -> str:
    """Several noun phrases as one: `a, b and c`."""
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


class Direction(Enum):
    """How one thing lies to another: its words, and the step on x and y that leads there."""

    LEFT = ("left of", "leftmost", -1, 0)
    RIGHT = ("right of", "rightmost", 1, 0)
    ABOVE = ("above", "highest", 0, -1)
    BELOW = ("below", "lowest", 0, 1)

    def __init__(self, relation: str, superlative: str, x: int, y: int) -> None:
        self.relation = relation
        """As in `the star left of the ring`."""
        self.superlative = superlative
        """As in `the leftmost star`."""
        self.step = (x, y)

    def along(self, x: int, y: int) -> int:
        """How far (x, y) goes in this direction."""
        return self.step[0] * x + self.step[1] * y


def words(world: World) -> tuple[str, ...]:
    """Every word of any caption, phrase, question, answer or class name, and the distractors."""
    said = {*_GRAMMAR.split(), "background", *NUMBERS, *map(str, range(len(NUMBERS)))}
    said |= {*world.shapes, *map(plural, world.shapes), *world.colours, *world.textures}
    return tuple(sorted({*said, *world.stuff, *DISTRACTORS, *HELD_OUT_DISTRACTORS}))
