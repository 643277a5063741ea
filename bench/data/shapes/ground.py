"""The kinds of stuff: their colours and the patterns that tell look-alikes apart.

A pattern is a picture drawn once per size and kind, in whole numbers; a scene shows a window of it.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int

from bench.data.shapes.stream import scatter
from bench.data.shapes.world import RGB

Coordinates = Int[np.ndarray, "#height #width"]
"""x or y of pixels, in eighths of a pixel on a canvas of 128."""
Pattern = Int[np.ndarray, "height width"]

CELL = 8


@dataclass(frozen=True)
class Stuff:
    """A kind of ground: a colour, and a pattern of about -40..40 added to all channels."""

    rgb: RGB
    pattern: Callable[[Coordinates, Coordinates], Pattern]


def _triangle(t: Pattern, period: int, height: int) -> Pattern:
    """A triangle wave between -height and height."""
    wave: Pattern = abs(t % period - period // 2) * 4 - period
    return wave * height // period


def _hash(x: Coordinates, y: Coordinates) -> Pattern:
    """A value in 0..255 for every whole (x, y), without visible order."""
    values: Pattern = _NOISE[y & 255, x & 255]
    return values


_NOISE = scatter(1, 256, 256)


def _value_noise(x: Coordinates, y: Coordinates, scale: int) -> Pattern:
    """Smooth noise in 0..255 with blobs of about `scale` eighths of a pixel."""
    (i, p), (j, q) = divmod(x, scale), divmod(y, scale)
    top = _hash(i, j) * (scale - p) + _hash(i + 1, j) * p
    bottom = _hash(i, j + 1) * (scale - p) + _hash(i + 1, j + 1) * p
    noise: Pattern = (top * (scale - q) + bottom * q) // (scale * scale)
    return noise


def _flat(x: Coordinates, y: Coordinates) -> Pattern:
    """Clouds too faint to call a pattern."""
    return (_value_noise(x, y, 40 * CELL) - 128) // 12


def _waves(x: Coordinates, y: Coordinates) -> Pattern:
    """Rows of crests that rise and fall."""
    bend = _value_noise(x, y // 2, 12 * CELL) * 12 * CELL // 256
    return _triangle(y + bend, 8 * CELL, 26)


def _blades(x: Coordinates, y: Coordinates) -> Pattern:
    """Upright strokes, two pixels wide and several long."""
    return (_value_noise(x * 4, y, 9 * CELL) - 128) * 38 // 128


def _leaves(x: Coordinates, y: Coordinates) -> Pattern:
    """Round clumps, light above and dark below."""
    blob = _value_noise(x, y, 7 * CELL) - _value_noise(x, y + 3 * CELL, 7 * CELL)
    clumps: Pattern = np.clip(blob, -80, 80) // 2 - 6
    return clumps


def _grains(x: Coordinates, y: Coordinates) -> Pattern:
    """Speckles of one pixel."""
    return (_hash(x // CELL, y // CELL) - 128) * 26 // 128


def _planks(x: Coordinates, y: Coordinates) -> Pattern:
    """Lying boards with grain along them and dark joints."""
    board = 13 * CELL
    grain = (_value_noise(x // 6, y, 2 * CELL) - 128) * 16 // 128
    return np.where(y % board < CELL + CELL // 2, -44, grain + _hash(y // board, y * 0) // 12 - 10)


def _clods(x: Coordinates, y: Coordinates) -> Pattern:
    """Coarse lumps."""
    lumps = _value_noise(x, y, 4 * CELL) - 128
    return np.where(lumps > 22, 24, np.where(lumps < -30, -34, lumps // 8))


def _bricks(x: Coordinates, y: Coordinates) -> Pattern:
    """Courses of bricks with light mortar."""
    tall, wide = 8 * CELL, 18 * CELL
    course = y // tall
    along = x + (course & 1) * (wide // 2)
    mortar = (y % tall < CELL + 4) | (along % wide < CELL + 4)
    return np.where(mortar, 44, (_hash(along // wide, course) - 128) * 18 // 128)


def _drifts(x: Coordinates, y: Coordinates) -> Pattern:
    """Broad soft mounds."""
    return (_value_noise(x // 2, y, 16 * CELL) - 128) * 14 // 128


def _tiles(x: Coordinates, y: Coordinates) -> Pattern:
    """A square lattice of thin dark joints."""
    side = 15 * CELL
    joint = (x % side < CELL + 4) | (y % side < CELL + 4)
    return np.where(joint, -52, (_hash(x // side, y // side) - 128) * 6 // 128)


KINDS: dict[str, Stuff] = {
    "sky": Stuff((136, 180, 226), _flat),
    "sea": Stuff((112, 164, 214), _waves),
    "grass": Stuff((112, 164, 82), _blades),
    "hedge": Stuff((96, 146, 80), _leaves),
    "sand": Stuff((214, 188, 140), _grains),
    "wood": Stuff((196, 160, 112), _planks),
    "soil": Stuff((146, 102, 76), _clods),
    "brick": Stuff((166, 100, 80), _bricks),
    "snow": Stuff((222, 228, 236), _drifts),
    "tiles": Stuff((206, 210, 214), _tiles),
}

ROOM = 50
"""Percent by which a drawn pattern is wider and higher than a canvas, so windows of it differ."""


@lru_cache(maxsize=64)
def tile(kind: str, size: int) -> Pattern:
    """The pattern of a kind for canvases of one size, with room for windows to differ."""
    line = np.arange(size + size * ROOM // 100, dtype=np.int32) * (128 * CELL) // size
    pattern = KINDS[kind].pattern(line[None, :], line[:, None])
    return np.broadcast_to(pattern, (len(line), len(line))).astype(np.int16)
