"""How training images are shown: flipped, scaled and cropped, or resized to a square.

Image, segments and masks move together. Geometry as in Detectron2, which X-Decoder was trained
with: bilinear on 8-bit pixels (Pillow's, which averages when it makes smaller), nearest for ids,
and grey where a crop reaches beyond the image.
"""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import PIL.Image
from jaxtyping import Shaped

from bench.recipe import Exact, Example, Jitter, Pointed, View

GREY = 128
"""What lies beyond an image's right and lower edge."""

Move = Callable[[np.ndarray, int], np.ndarray]
"""Shows an array: of pixels where it has colours, else by the nearest place; what is beyond the
image gets the number."""


def shown(example: Example, view: View, chance: np.random.Generator) -> Example:
    """An example as one step of training sees it."""
    height, width = example.image.shape[:2]
    match view:
        case Jitter():
            move = _jittered(view, height, width, chance)
        case Exact():
            move = _resized(view)
    return replace(
        example,
        image=move(example.image, GREY),
        ids=None if example.ids is None else move(example.ids, 0),
        phrases=tuple(Pointed(of.texts, move(of.mask, 0)) for of in example.phrases),
    )


def _resized(view: Exact) -> Move:
    def move(array: np.ndarray, beyond: int) -> np.ndarray:
        height, width = array.shape[:2]
        return _resampled(array, (view.size, view.size), (0, 0, width, height))

    return move


def _jittered(view: Jitter, height: int, width: int, chance: np.random.Generator) -> Move:
    """One draw of flip, scale and crop, for arrays of that height and width."""
    size = view.size
    flip = chance.random() < view.flip
    scale = chance.uniform(*view.scales) * min(size / height, size / width)
    # What the image would be resized to; of that the crop shows a part, or all of it.
    full = [max(1, round(side * scale)) for side in (height, width)]
    kept = [min(side, size) for side in full]
    room = [whole - part for whole, part in zip(full, kept, strict=True)]
    corner = [int(chance.integers(places + 1)) for places in room]
    down, across = height / full[0], width / full[1]
    box = (
        corner[1] * across,
        corner[0] * down,
        (corner[1] + kept[1]) * across,
        (corner[0] + kept[0]) * down,
    )

    def move(array: np.ndarray, beyond: int) -> np.ndarray:
        array = array[:, ::-1] if flip else array
        part = _resampled(array, (kept[0], kept[1]), box)
        canvas = np.full((size, size, *array.shape[2:]), beyond, array.dtype)
        canvas[: kept[0], : kept[1]] = part
        return canvas

    return move


def _resampled(
    array: Shaped[np.ndarray, "height width *colour"],
    size: tuple[int, int],
    box: tuple[float, float, float, float],
) -> np.ndarray:
    """The part of an array inside a box (left, upper, right, lower), at a height and width."""
    colours = array.ndim == 3
    pixels = array if colours else array.astype(np.int32)
    picture = PIL.Image.fromarray(np.ascontiguousarray(pixels))
    filter_ = PIL.Image.Resampling.BILINEAR if colours else PIL.Image.Resampling.NEAREST
    resampled = picture.resize((size[1], size[0]), filter_, box=box)
    return np.asarray(resampled).astype(array.dtype)
