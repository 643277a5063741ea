"""`shapes-in-the-wild`: small datasets of other looks and other names, to tune on with few shots.

In miniature what Segmentation in the Wild is: each dataset has a domain of its own and calls things
as its owners do, sometimes plainly (`circle`), sometimes by what they mean to them (`ripe`), which
no model can know without being shown.
"""

from dataclasses import dataclass, replace

from bench.data.shapes.domain import Domain
from bench.data.shapes.naming import Category
from bench.data.shapes.words import Description
from bench.data.shapes.world import HARD, STANDARD, World

TRAIN, VALID, TEST = 40, 30, 10
"""Images in each split of each dataset."""


@dataclass(frozen=True)
class WildDataset:
    """One dataset of the suite."""

    name: str
    title: str
    world: World
    categories: tuple[Category, ...]


def _shapes(*names: str) -> tuple[Category, ...]:
    return tuple(Category(name, (Description(shape=name),)) for name in names)


def _called(name: str, *means: Description) -> Category:
    return Category(name, means)


def _world(seed: int, world: World = STANDARD, **changes: object) -> World:
    """A world for this suite: all pairs may occur, as nothing is trained on it from the start."""
    return replace(world, seed=seed, unseen_percent=0, **changes)  # type: ignore[arg-type]


SUITE: tuple[WildDataset, ...] = (
    WildDataset(
        "night-watch",
        "Shapes at night",
        _world(101, domains=(Domain.NIGHT,), noise=12),
        _shapes("circle", "square", "star", "heart"),
    ),
    WildDataset(
        "orchard",
        "Fruit by its colour: names that say what a thing means, not what it looks like",
        _world(
            102, size=160, shapes=("circle", "heart"), colours=("red", "green", "yellow"),
            stuff=("hedge", "grass", "sky", "soil"), things=(2, 8), radius=(6, 14), tilt=20,
        ),
        (
            _called("ripe", Description(colour="red")),
            _called("unripe", Description(colour="green")),
            _called("overripe", Description(colour="yellow")),
        ),
    ),
    WildDataset(
        "thermal",
        "Shapes to a thermal camera: colours are gone",
        _world(103, domains=(Domain.THERMAL,), noise=10),
        _shapes("ring", "cross", "moon", "triangle"),
    ),
    WildDataset(
        "sketchbook",
        "Line drawings",
        _world(104, size=160, domains=(Domain.SKETCH,), radius=(12, 34)),
        _shapes("circle", "triangle", "star", "moon", "ring"),
    ),
    WildDataset(
        "aerial",
        "Many tiny things from above, turned any way",
        _world(
            105, size=160, things=(6, 12), radius=(5, 9), tilt=100, visible_area=14,
            shapes=("square", "cross", "triangle"), two_grounds=30,
        ),
        _shapes("square", "cross", "triangle"),
    ),
    WildDataset(
        "fabric",
        "Classes told apart by pattern alone",
        _world(106, textures=("striped", "dotted", "checkered"), radius=(14, 32), things=(1, 4)),
        (
            _called("striped", Description(texture="striped")),
            _called("dotted", Description(texture="dotted")),
            _called("checkered", Description(texture="checkered")),
        ),
    ),
    WildDataset(
        "darkroom",
        "Photographic negatives, named by the true colour",
        _world(
            107, domains=(Domain.NEGATIVE,), colours=("red", "blue", "green", "yellow"),
            shapes=("circle", "square", "star", "heart"), things=(2, 6),
        ),
        tuple(
            Category(f"{colour} {shape}", (Description(shape, colour),))
            for colour, shape in (
                ("red", "circle"), ("blue", "square"), ("green", "star"),
                ("yellow", "heart"), ("blue", "circle"), ("red", "star"),
            )
        ),
    ),
    WildDataset(
        "harbour",
        "Signs in fog and out of focus, two of them of shapes the standard world lacks",
        _world(
            108, HARD, size=144, domains=(Domain.FOG, Domain.BLUR), stuff=("sea", "sky", "sand"),
            radius=(10, 30), things=(1, 5), shapes=("arrow", "hexagon", "circle", "cross"),
            colours=("red", "orange", "white", "black", "cyan"),
        ),
        (
            _called("arrow", Description(shape="arrow")),
            _called("hexagon", Description(shape="hexagon")),
            _called("buoy", Description("circle", "red"), Description("circle", "orange")),
            _called("cross", Description(shape="cross")),
        ),
    ),
)  # fmt: skip
