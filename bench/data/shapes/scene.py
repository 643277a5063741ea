"""What is in a scene: the one description that picture, truth, captions and questions follow from.

A scene is a value, and a pure function of world, split and number: any scene can be drawn at any
moment by any worker, with no state between.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Bool, Int

from bench.data.shapes.domain import Domain
from bench.data.shapes.figure import HALF, RADIUS, REACH, depth_table
from bench.data.shapes.stream import Stream
from bench.data.shapes.world import ABOVE, COLOURS, IN_FRONT, RGB, Split, World

UNIT = 16
"""Scene coordinates are sixteenths of a pixel on a canvas of `CANVAS`."""
CANVAS = 128
SPAN = UNIT * CANVAS
"""Width and height of every scene, in its own units."""

TURN = 12
"""Bits of the fraction in `Thing.turn`."""


@dataclass(frozen=True)
class Thing:
    """One figure. Positions and lengths in scene units, y down."""

    shape: str
    colour: str
    texture: str
    x: int
    y: int
    radius: int
    turn: tuple[int, int]
    """Cosine and sine of the tilt, times 2**TURN."""
    rgb: RGB
    """The colour as it is in this scene."""


@dataclass(frozen=True)
class Horizon:
    """The line between two kinds of stuff: a height, a slope and two waves."""

    height: int
    slope: int
    """Rise over the whole width."""
    waves: tuple[tuple[int, int, int], ...]
    """(amplitude, length, phase) of each, in scene units."""


@dataclass(frozen=True)
class Ground:
    """A kind of stuff, as it is in this scene."""

    kind: str
    shade: tuple[int, int, int]
    """Added to the kind's colours."""
    offset: tuple[int, int]
    """Where in its pattern it starts, y and x, in hundredths of what there is room for."""


@dataclass(frozen=True)
class Scene:
    """Things from back to front on one ground, or on a ground in front of another."""

    world: World
    split: Split
    index: int
    things: tuple[Thing, ...]
    grounds: tuple[Ground, ...]
    """One, or the one above the horizon and the one below."""
    horizon: Horizon | None
    domain: Domain

    def stream(self, purpose: str) -> Stream:
        """Random numbers of this scene for one purpose, whatever is drawn for others."""
        return Stream(purpose, self.world.seed, self.split.value, self.index)


def scene(world: World, split: Split, index: int) -> Scene:
    """Scene number `index` of a split of the world."""
    stream = Stream("scene", world.seed, split.value, index)
    domain = stream.choose(world.domains)
    grounds, horizon = _grounds(world, stream)
    things = _things(world, split, stream)
    return Scene(world, split, index, things, grounds, horizon, domain)


def _grounds(world: World, stream: Stream) -> tuple[tuple[Ground, ...], Horizon | None]:
    front = [kind for kind in world.stuff if kind in IN_FRONT]
    kinds = [stream.choose(front)]
    behind = [kind for kind in world.stuff if kind in ABOVE and kind != kinds[0]]
    if behind and stream.chance(world.two_grounds):
        kinds.insert(0, stream.choose(behind))
    grounds = tuple(
        Ground(kind, _jitter(world, stream), (stream.below(101), stream.below(101)))
        for kind in kinds
    )
    if len(grounds) == 1:
        return grounds, None
    waves = ((110, 1500, 3000), (30, 350, 900))
    horizon = Horizon(
        height=stream.between(SPAN * 30 // 100, SPAN * 65 // 100),
        slope=stream.between(-260, 260),
        waves=tuple(
            (stream.between(0, most), length := stream.between(low, high), stream.below(length))
            for most, low, high in waves
        ),
    )
    return grounds, horizon


def _jitter(world: World, stream: Stream) -> tuple[int, int, int]:
    return tuple(stream.between(-world.jitter, world.jitter) for _ in range(3))  # type: ignore[return-value]


def _things(world: World, split: Split, stream: Stream) -> tuple[Thing, ...]:
    """Figures placed one after the other, each in front of those before it.

    A place that would hide too much of anything is given up for another; after some tries the
    scene stays as it is, so a crowded world may hold fewer things than it wanted.
    """
    wanted = stream.between(*world.things)
    occupancy = np.zeros((CANVAS, CANVAS), np.int32)
    things: list[Thing] = []
    visible: list[int] = []  # pixels of each thing that can be seen now …
    needed: list[int] = []  # … and that must stay so
    for _ in range(3 * wanted):
        if len(things) == wanted:
            break
        thing = _thing(world, split, stream)
        box, depth = footprint(thing, CANVAS)
        mask = depth > 0
        area = int(np.count_nonzero(mask))
        least = max(world.visible_area, area * world.visible_share // 100)
        covered = np.bincount(occupancy[box][mask], minlength=len(things) + 1)[1:].tolist()
        left = [now - lost for now, lost in zip(visible, covered, strict=True)]
        if area < least or any(n < m for n, m in zip(left, needed, strict=True)):
            continue
        things.append(thing)
        visible, needed = [*left, area], [*needed, least]
        occupancy[box][mask] = len(things)
    return tuple(things)


def _thing(world: World, split: Split, stream: Stream) -> Thing:
    colour, shape = stream.choose(_pairs(world, split, stream))
    low, high = (UNIT * r for r in world.radius)
    # Between uniform and quadratic: small things are more frequent, nearly log-uniform.
    part = stream.below(1025)
    radius = low + (high - low) * part * (part + 1024) // (2 * 1024 * 1024)
    margin = radius * 2 // 3  # up to a third of the radius may lie outside the picture
    x, y = (stream.between(margin, SPAN - margin) for _ in range(2))
    jitter = _jitter(world, stream)
    rgb = tuple(c + j for c, j in zip(COLOURS[colour], jitter, strict=True))
    turn = _turn(stream.between(-world.tilt, world.tilt))
    return Thing(shape, colour, stream.choose(world.textures), x, y, radius, turn, rgb)  # type: ignore[arg-type]


def _pairs(world: World, split: Split, stream: Stream) -> tuple[tuple[str, str], ...]:
    if split is Split.TRAIN:
        return world.seen_pairs
    if split is Split.UNSEEN and world.unseen_pairs and stream.chance(50):
        return world.unseen_pairs
    return world.pairs


def _turn(t: int) -> tuple[int, int]:
    """Cosine and sine of the angle whose half has the tangent t/100: rational, so exact.

    >>> _turn(0), _turn(100)
    ((4096, 0), (0, 4096))
    """
    whole = 100 * 100 + t * t
    return (100 * 100 - t * t << TURN) // whole, (200 * t << TURN) // whole


# --- where a thing is on a canvas ----------------------------------------------------------------


Box = tuple[slice, slice]


def _extent(centre: int, radius: int, size: int) -> tuple[int, int]:
    """First pixel and last pixel + 1 that a figure may touch along one axis of a canvas."""
    reach = radius * REACH // RADIUS + SPAN // (2 * size)  # half a pixel more, for soft edges
    low, high = (centre - reach) * size // SPAN, (centre + reach) * size // SPAN + 1
    return max(low, 0), min(high, size)


def cells(thing: Thing, size: int) -> tuple[Box, Int[np.ndarray, "height width"]]:
    """A box on the canvas around the thing, and the table cell each of its pixels falls into."""
    (x0, x1), (y0, y1) = (_extent(c, thing.radius, size) for c in (thing.x, thing.y))
    # Pixel centres relative to the thing, in scene units; then turned and scaled to cells, with 16
    # bits of fraction: products stay below HALF << 16, far from 2**31.
    dx = (2 * np.arange(x0, x1, dtype=np.int32) + 1) * (SPAN // 2) // size - np.int32(thing.x)
    dy = (2 * np.arange(y0, y1, dtype=np.int32) + 1) * (SPAN // 2) // size - np.int32(thing.y)
    cosine, sine = ((part * RADIUS << (16 - TURN)) // thing.radius for part in thing.turn)
    half = HALF << 16
    u = ((cosine * dx)[None, :] + (sine * dy + half)[:, None]) >> 16
    v = ((-sine * dx)[None, :] + (cosine * dy + half)[:, None]) >> 16
    return (slice(y0, y1), slice(x0, x1)), v * (2 * HALF) + u


@lru_cache(maxsize=32)
def footprint(thing: Thing, size: int) -> tuple[Box, Int[np.ndarray, "height width"]]:
    """A box on the canvas around the thing, and each pixel's depth inside it (see `depth_table`).

    Kept for the things of the latest scenes: a scene is drawn right after it is laid out.
    """
    box, index = cells(thing, size)
    return box, depth_table(thing.shape).take(index)


def silhouette(thing: Thing, size: int) -> Bool[np.ndarray, "{size} {size}"]:
    """The whole thing on an empty canvas, whatever may cover it."""
    canvas = np.zeros((size, size), bool)
    box, depth = footprint(thing, size)
    canvas[box] = depth > 0
    return canvas
