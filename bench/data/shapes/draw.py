"""A scene as a picture with its truth: which segment every pixel belongs to.

Painter's algorithm: stuff first, then things from back to front, each with light from the upper
left, a dark rim and soft edges; then the look of the scene's domain, then noise.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from jaxtyping import Int, UInt8

from bench.data.shapes.domain import look
from bench.data.shapes.figure import RADIUS, tone_table
from bench.data.shapes.ground import KINDS, ROOM, tile
from bench.data.shapes.scene import SPAN, UNIT, Horizon, Scene, Thing, cells, footprint
from bench.data.shapes.stream import scatter


@dataclass(frozen=True)
class Drawing:
    """A picture and, per pixel, the segment it belongs to.

    Thing `i` of the scene is segment `i + 1`; ground `j` is segment `len(things) + j + 1`.
    """

    image: UInt8[np.ndarray, "height width 3"]
    ids: Int[np.ndarray, "height width"]  # int32


def draw(scene: Scene) -> Drawing:
    """The picture of a scene at the size its world says."""
    size = scene.world.size
    canvas, ids = _paint_grounds(scene)
    for number, thing in enumerate(scene.things, start=1):
        _paint_thing(canvas, ids, thing, number, size)
    canvas = look(scene.domain, canvas, ids)
    canvas = canvas + _noise_window(scene)
    return Drawing(np.clip(canvas, 0, 255).astype(np.uint8), ids)


def occupancy(scene: Scene, size: int) -> Int[np.ndarray, "{size} {size}"]:
    """Which thing, from 1, is seen at each pixel; 0 is ground."""
    ids = np.zeros((size, size), np.int32)
    for number, thing in enumerate(scene.things, start=1):
        box, depth = footprint(thing, size)
        ids[box][depth > 0] = number
    return ids


def _paint_grounds(
    scene: Scene,
) -> tuple[Int[np.ndarray, "height width 3"], Int[np.ndarray, "height width"]]:
    size, first = scene.world.size, len(scene.things) + 1
    colours = np.array(
        [
            [c + s for c, s in zip(KINDS[ground.kind].rgb, ground.shade, strict=True)]
            for ground in scene.grounds
        ],
        np.int32,
    )
    patterns = []
    for ground in scene.grounds:
        y, x = (size * ROOM * o // 10_000 for o in ground.offset)
        patterns.append(tile(ground.kind, size)[y : y + size, x : x + size])
    if scene.horizon is None:
        ids = np.full((size, size), first, np.int32)
        return colours[0] + patterns[0][..., None].astype(np.int32), ids
    below = np.arange(size, dtype=np.int32)[:, None] >= horizon_rows(scene.horizon, size)
    pattern = np.where(below, patterns[1], patterns[0])
    return colours[below.view(np.uint8)] + pattern[..., None], below + np.int32(first)


def horizon_rows(horizon: Horizon, size: int) -> Int[np.ndarray, " column"]:
    """For each column, the first row below the horizon."""
    x = (2 * np.arange(size, dtype=np.int64) + 1) * (SPAN // 2) // size
    y = horizon.height + horizon.slope * (x - SPAN // 2) // SPAN
    for amplitude, length, phase in horizon.waves:
        # Two parabolas make one period of nearly a sine, exactly.
        half = length // 2
        t = (x + phase) % (2 * half)
        bow = 4 * (t % half) * (half - t % half)
        y = y + np.where(t < half, 1, -1) * amplitude * bow // (half * half)
    return (y * size // SPAN).astype(np.int32)


def _paint_thing(
    canvas: Int[np.ndarray, "height width 3"],
    ids: Int[np.ndarray, "height width"],
    thing: Thing,
    number: int,
    size: int,
) -> None:
    box, index = cells(thing, size)
    _, depth = footprint(thing, size)
    ids[box][depth > 0] = number
    # From half cells, of which 2 * RADIUS make the radius, to 256ths of a pixel.
    scale = (thing.radius * size << 16) // (SPAN * 2 * RADIUS)
    depth = depth.astype(np.int32) * scale >> 8
    cover = np.clip(depth + 128, 0, 256)[..., None]
    first = np.array(thing.rgb, np.int32)
    second = first // 2 if max(thing.rgb) > 90 else first + 110
    tone = tone_table(thing.texture).take(index)[..., None]
    colour = first + ((second - first) * tone >> 8) if thing.texture != "plain" else first
    canvas[box] += ((colour * _light(depth, thing, size, box) >> 8) - canvas[box]) * cover >> 8


def _light(
    depth: Int[np.ndarray, "rows columns"], thing: Thing, size: int, box: tuple[slice, slice]
) -> Int[np.ndarray, "rows columns 1"]:
    """How bright each pixel of a thing is, 256 being its own colour: upper left lit, rim dark."""
    rows, columns = box
    radius = max(thing.radius * size // SPAN, 1)
    x = (np.arange(columns.start, columns.stop, dtype=np.int32) - thing.x * size // SPAN) * 22
    y = (np.arange(rows.start, rows.stop, dtype=np.int32) - thing.y * size // SPAN) * 22
    slope = 256 - (x // radius)[None, :] - (y // radius)[:, None]
    rim = np.minimum(depth * 128 // size, 256)  # a rim as wide as one pixel on a canvas of 128
    light: Int[np.ndarray, "rows columns"] = slope * (rim * 7 + 256 * 9) >> 12
    return light[..., None]


def _noise_window(scene: Scene) -> Int[np.ndarray, "height width 3"]:
    size = scene.world.size
    stream = scene.stream("noise")
    y, x = stream.below(_NOISE_ROOM), stream.below(_NOISE_ROOM)
    return _noise(size, scene.world.noise)[y : y + size, x : x + size]


_NOISE_ROOM = 8 * UNIT


@lru_cache(maxsize=8)
def _noise(size: int, amplitude: int) -> Int[np.ndarray, "height width 3"]:
    """Noise of pixels, larger than the canvas: pictures show windows of it."""
    side = size + _NOISE_ROOM
    grains = [
        scatter(channel, side, side) + scatter(channel + 3, side, side) for channel in (2, 5, 8)
    ]
    noise: Int[np.ndarray, "height width 3"] = (np.stack(grains, axis=-1) - 255) * amplitude // 255
    return noise
