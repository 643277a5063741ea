"""The size an image is shown to a network at: the card's resize rule, on uint8 pixels.

Released systems resize stored pictures with Pillow and keep them uint8, so rounding to whole grey
levels is part of the protocol. Normalising and padding belong to the model.
"""

import numpy as np
from PIL import Image as Pillow

from bench.protocol import Interpolation, Resize, Rounding
from bench.types import Image

_FILTERS = {
    Interpolation.BILINEAR: Pillow.Resampling.BILINEAR,
    Interpolation.BICUBIC: Pillow.Resampling.BICUBIC,
}


def resized_size(size: tuple[int, int], rule: Resize) -> tuple[int, int]:
    """Height and width that `rule` gives an image of `size` (height, width).

    >>> resized_size((427, 640), Resize(short=800, long=1333))
    (800, 1199)
    >>> resized_size((427, 640), Resize(short=512, rounding=Rounding.DOWN))
    (512, 767)
    """
    if min(size) < 1:
        raise ValueError(f"an image has at least one pixel, not {size}")
    if rule.exact is not None:
        return rule.exact
    if rule.short is None:
        return size
    short, long = _SIDES[rule.rounding](min(size), max(size), rule.short, rule.long)
    short, long = max(short, 1), max(long, 1)
    return (short, long) if size[0] <= size[1] else (long, short)


def resize(image: Image, rule: Resize) -> Image:
    """`image` at the size that `rule` gives it; the same array where that is its own size."""
    height, width = resized_size(image.shape[:2], rule)
    if (height, width) == image.shape[:2]:
        return image
    picture = Pillow.fromarray(image).resize((width, height), _FILTERS[rule.interpolation])
    return np.asarray(picture)


# The order of the operations below is that of the two tools: it decides which way halves fall.


def _nearest(short: int, long: int, wanted: int, bound: int | None) -> tuple[int, int]:
    """Shorter and longer side as detectron2's `ResizeShortestEdge` computes them."""
    scale = wanted / short
    new_short, new_long = float(wanted), scale * long
    if bound is not None and new_long > bound:
        shrink = bound / new_long
        new_short, new_long = new_short * shrink, new_long * shrink
    return int(new_short + 0.5), int(new_long + 0.5)


def _down(short: int, long: int, wanted: int, bound: int | None) -> tuple[int, int]:
    """Shorter and longer side as torchvision's `Resize` computes them."""
    new_short, new_long = wanted, int(wanted * long / short)
    if bound is not None and new_long > bound:
        new_short, new_long = int(bound * new_short / new_long), bound
    return new_short, new_long


_SIDES = {Rounding.NEAREST: _nearest, Rounding.DOWN: _down}
