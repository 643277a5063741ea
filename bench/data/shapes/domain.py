"""How a scene looks as a picture: by day, at night, as a sketch, to a thermal camera.

A domain changes pixels and never the truth. Each is a function from a painted canvas and its map
of segments to another canvas, in whole numbers.
"""

from collections.abc import Callable
from enum import Enum

import numpy as np
from jaxtyping import Int

Canvas = Int[np.ndarray, "height width 3"]
Ids = Int[np.ndarray, "height width"]


class Domain(Enum):
    """A way pictures look."""

    DAYLIGHT = "daylight"
    NIGHT = "night"
    SEPIA = "sepia"
    THERMAL = "thermal"
    SKETCH = "sketch"
    BLUR = "blur"
    FOG = "fog"
    NEGATIVE = "negative"


def look(domain: Domain, canvas: Canvas, ids: Ids) -> Canvas:
    """The canvas as `domain` shows it."""
    return _LOOKS[domain](canvas, ids)


def _night(canvas: Canvas, ids: Ids) -> Canvas:
    """A quarter of the light, most of it blue."""
    return canvas * np.array([60, 66, 92], np.int32) // 256 + np.array([4, 6, 14], np.int32)


def _brightness(canvas: Canvas) -> Ids:
    weighted: Ids = 77 * canvas[..., 0] + 150 * canvas[..., 1] + 29 * canvas[..., 2]
    return weighted >> 8


def _sepia(canvas: Canvas, ids: Ids) -> Canvas:
    return _brightness(canvas)[..., None] * np.array([250, 212, 162], np.int32) // 256 + 6


def _thermal(canvas: Canvas, ids: Ids) -> Canvas:
    """Brightness as heat: black, violet, red, yellow, white."""
    heat = np.clip(_brightness(canvas), 0, 255)
    stops = np.array([[4, 2, 20], [90, 10, 130], [220, 50, 60], [250, 190, 40], [255, 255, 230]])
    low, part = heat >> 6, (heat & 63)[..., None]
    blend: Canvas = (stops[low] * (64 - part) + stops[low + 1] * part) >> 6
    return blend


def _sketch(canvas: Canvas, ids: Ids) -> Canvas:
    """Ink on paper: outlines of all segments and a trace of their texture."""
    edge = np.zeros(ids.shape, bool)
    edge[:, 1:] |= ids[:, 1:] != ids[:, :-1]
    edge[1:] |= ids[1:] != ids[:-1]
    trace = 208 + _brightness(canvas) // 7
    ink = np.where(edge, 40, trace)[..., None]
    return ink - np.array([0, 4, 14], np.int32)


def _blur(canvas: Canvas, ids: Ids) -> Canvas:
    """Out of focus: two passes of a box of 1/25 of the picture's width."""
    half = max(canvas.shape[1] // 50, 1)
    for axis in (0, 1, 0, 1):
        canvas = _box_mean(canvas, half, axis)
    return canvas


def _box_mean(canvas: Canvas, half: int, axis: int) -> Canvas:
    """The mean over `2 * half + 1` pixels along an axis; the border is repeated."""
    pad = [(half + 1, half) if a == axis else (0, 0) for a in range(3)]
    total = np.cumsum(np.pad(canvas, pad, mode="edge"), axis=axis, dtype=np.int32)
    n, window = canvas.shape[axis], 2 * half + 1
    last = np.take(total, range(window, window + n), axis=axis)
    first = np.take(total, range(n), axis=axis)
    mean: Canvas = (last - first) // window
    return mean


def _fog(canvas: Canvas, ids: Ids) -> Canvas:
    """Three quarters of the contrast lost to a grey that thickens upwards."""
    height = canvas.shape[0]
    clear = (48 + 56 * np.arange(height, dtype=np.int32) // height)[:, None, None]
    mixed: Canvas = canvas * clear + 206 * (256 - clear)
    return mixed >> 8


_LOOKS: dict[Domain, Callable[[Canvas, Ids], Canvas]] = {
    Domain.DAYLIGHT: lambda canvas, ids: canvas,
    Domain.NIGHT: _night,
    Domain.SEPIA: _sepia,
    Domain.THERMAL: _thermal,
    Domain.SKETCH: _sketch,
    Domain.BLUR: _blur,
    Domain.FOG: _fog,
    Domain.NEGATIVE: lambda canvas, ids: 255 - canvas,
}
