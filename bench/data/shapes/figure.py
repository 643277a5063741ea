"""The outlines of things and the patterns on them, as tables that pixels look themselves up in.

A figure is drawn once, large, on a grid of cells; a thing on the canvas maps its pixels to cells
with whole-number arithmetic (turn, scale, shift), so every shape at every size is the same few
array operations, and no floating-point rounding can move a pixel from one machine to the next.
"""

from collections.abc import Callable
from functools import cache

import numpy as np
from jaxtyping import Bool, Int
from scipy.ndimage import distance_transform_edt

RADIUS = 112
"""Cells from the centre of a figure to its rim."""
REACH = 129
"""No cell of a figure is farther from its centre than this, however it is turned."""
HALF = 256
"""Half the side of a table: room for the corners of the turned box around the smallest thing."""

Grid = Int[np.ndarray, "#row #column"]
Inside = Bool[np.ndarray, "#row #column"]
Outline = Callable[[Grid, Grid], Inside]
"""Which cells are inside, from x (to the right) and y (down) in half cells, always odd."""

_U = 2 * RADIUS


def _disc(x: Grid, y: Grid, percent: int, at: tuple[int, int] = (0, 0)) -> Inside:
    """A disc, its radius and its centre in percent of the figure's radius."""
    dx, dy = 100 * x - at[0] * _U, 100 * y - at[1] * _U
    inside: Inside = dx * dx + dy * dy <= (percent * _U) ** 2
    return inside


def _box(x: Grid, y: Grid, width: int, height: int) -> Inside:
    """A centred box, its half width and half height in percent of the figure's radius."""
    return (100 * abs(x) <= width * _U) & (100 * abs(y) <= height * _U)


def _polygon(x: Grid, y: Grid, *corners: tuple[int, int]) -> Inside:
    """A polygon by the even-odd rule, its corners in percent of the figure's radius."""
    px, py = 100 * x, 100 * y
    inside = np.zeros(np.broadcast(x, y).shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        ax, ay, bx, by = x0 * _U, y0 * _U, x1 * _U, y1 * _U
        crosses = (py < ay) != (py < by)
        left = (px - ax) * (by - ay) < (bx - ax) * (py - ay)
        inside ^= crosses & (left if by > ay else ~left)
    return inside


def _heart(x: Grid, y: Grid) -> Inside:
    """The curve (x² + y² - 1)³ = -x² y³ (y down), at 80% of the figure's radius."""
    unit = _U * 4 // 5
    y = y - unit // 8  # the curve is higher than it is deep: centre it
    x2, y2 = x * x, y * y
    inside: Inside = (x2 + y2 - unit * unit) ** 3 + unit * x2 * y2 * y <= 0
    return inside


_STAR = (
    (0, -100), (25, -34), (95, -31), (40, 13), (59, 81),
    (0, 42), (-59, 81), (-40, 13), (-95, -31), (-25, -34),
)  # fmt: skip
_ARROW = ((-100, -28), (5, -28), (5, -75), (100, 0), (5, 75), (5, 28), (-100, 28))
_HEXAGON = ((-95, 0), (-48, -83), (48, -83), (95, 0), (48, 83), (-48, 83))

OUTLINES: dict[str, Outline] = {
    "circle": lambda x, y: _disc(x, y, 95),
    "square": lambda x, y: _box(x, y, 80, 80),
    "triangle": lambda x, y: _polygon(x, y, (0, -98), (92, 66), (-92, 66)),
    "star": lambda x, y: _polygon(x, y, *_STAR),
    "cross": lambda x, y: _box(x, y, 32, 98) | _box(x, y, 98, 32),
    "ring": lambda x, y: _disc(x, y, 97) & ~_disc(x, y, 52),
    "heart": _heart,
    "moon": lambda x, y: _disc(x, y, 97) & ~_disc(x, y, 76, at=(48, 0)),
    "hexagon": lambda x, y: _polygon(x, y, *_HEXAGON),
    "arrow": lambda x, y: _polygon(x, y, *_ARROW),
}

TONES: dict[str, Callable[[Grid, Grid], Grid]] = {
    "plain": lambda x, y: np.zeros(np.broadcast(x, y).shape, np.int32),
    "striped": lambda x, y: 256 + 24 * (_wave(x + y, 144) - 36),
    "dotted": lambda x, y: 24 * (46 - _length(_wave(x, 136), _wave(y, 136))),
    "checkered": lambda x, y: 128 + (_wave(x, 200) - 50) * (_wave(y, 200) - 50) * 2,
}
"""How much of the second tone each cell shows, before it is cut to 0..256."""


def _wave(x: Grid, period: int) -> Grid:
    """A triangle wave: the distance to the nearest multiple of `period`."""
    wave: Grid = abs((x + period // 2) % period - period // 2)
    return wave


def _length(x: Grid, y: Grid) -> Grid:
    """The length of (x, y), by an octagon in place of the circle."""
    x, y = abs(x), abs(y)
    length: Grid = np.maximum(np.maximum(x, y), (x + y) * 181 // 256)
    return length


def _cells(half: int) -> tuple[Grid, Grid]:
    """The x and y of the cells of a table, in half cells."""
    line = 2 * np.arange(-half, half) + 1
    return line[None, :], line[:, None]


@cache
def depth_table(shape: str) -> Int[np.ndarray, " cell"]:
    """For each cell, half cells to the outline: positive inside, negative outside; flat."""
    x, y = np.broadcast_arrays(*_cells(REACH))
    inside = OUTLINES[shape](x, y)
    # An exact transform: square roots of whole numbers, which every machine rounds alike.
    depth = np.where(inside, 1, -1) * np.rint(
        2 * np.maximum(distance_transform_edt(inside), distance_transform_edt(~inside)) - 1
    )
    table = np.full((2 * HALF, 2 * HALF), -2 * REACH, np.int16)
    table[HALF - REACH : HALF + REACH, HALF - REACH : HALF + REACH] = depth
    return table.ravel()


@cache
def tone_table(texture: str) -> Int[np.ndarray, " cell"]:
    """For each cell, how much of the second tone it shows, 0..256; flat."""
    tones: Int[np.ndarray, " cell"] = np.clip(TONES[texture](*_cells(HALF)), 0, 256).ravel()
    return tones.astype(np.int16)
