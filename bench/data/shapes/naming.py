"""What the things and stuff of a scene are called: the world under one vocabulary or another."""

from collections.abc import Iterable
from dataclasses import dataclass, replace

from bench.data.shapes.scene import Scene, Thing
from bench.data.shapes.words import Description
from bench.data.shapes.world import World
from bench.types import VOID, Vocabulary


@dataclass(frozen=True)
class Category:
    """A class of things: its name, and descriptions of which one must fit."""

    name: str
    means: tuple[Description, ...]

    def holds(self, thing: Thing) -> bool:
        """Whether the thing is one of these."""
        return any(description.fits(thing) for description in self.means)


@dataclass(frozen=True)
class Naming:
    """Labels for things and stuff: categories first, then kinds of stuff, in this order."""

    categories: tuple[Category, ...]
    stuff: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    """Names that nothing has, asked about all the same; after the stuff, and countable."""

    @property
    def vocabulary(self) -> Vocabulary:
        """The names as a model is asked."""
        names = (*(category.name for category in self.categories), *self.stuff, *self.absent)
        things = set(range(len(names))) - {names.index(kind) for kind in self.stuff}
        return Vocabulary(names, things=frozenset(things))

    def label_of(self, thing: Thing) -> int:
        """The label of the first category that holds the thing; void where none does."""
        found = (i for i, category in enumerate(self.categories) if category.holds(thing))
        return next(found, VOID)

    def labels(self, scene: Scene) -> tuple[int, ...]:
        """The label of each segment of the scene's drawing, in the order of their ids from 1."""
        first = len(self.categories)
        kinds = {kind: first + i for i, kind in enumerate(self.stuff)}
        grounds = (kinds.get(ground.kind, VOID) for ground in scene.grounds)
        return (*map(self.label_of, scene.things), *grounds)

    def with_absent(self, names: Iterable[str]) -> "Naming":
        """The same, and asked about these names too."""
        return replace(self, absent=tuple(names))


def by_shape(world: World) -> Naming:
    """`shapes`: the names of shapes, and stuff."""
    shapes = (Category(shape, (Description(shape=shape),)) for shape in world.shapes)
    return Naming(tuple(shapes), world.stuff)


def by_colour(world: World) -> Naming:
    """`shapes-colours`: things by their colour alone (`red thing`), and stuff."""
    described = (Description(colour=colour) for colour in world.colours)
    return Naming(tuple(Category(str(d), (d,)) for d in described), world.stuff)


def by_pair(world: World, pairs: Iterable[tuple[str, str]] | None = None) -> Naming:
    """`shapes-pairs`: all pairs of a colour and a shape, or some of them, and stuff."""
    chosen = world.pairs if pairs is None else pairs
    return Naming(
        tuple(Category(f"{c} {s}", (Description(shape=s, colour=c),)) for c, s in chosen),
        world.stuff,
    )
