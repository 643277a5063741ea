"""What colour words mean, as places in a space where hue counts most."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache

import numpy as np
from PIL.ImageColor import colormap, getrgb

BASIC: Mapping[str, str] = {
    "red": "#e50000", "orange": "#f97306", "yellow": "#ffff14", "green": "#15b01a",
    "blue": "#0343df", "purple": "#7e1e9c", "pink": "#ff81c0", "brown": "#653700",
    "white": "#ffffff", "gray": "#929591", "black": "#000000",
}  # fmt: skip
"""The basic colour terms of English (Berlin and Kay, 1969) as people mean them: the medians of the
xkcd colour survey (2010, CC0). Those nobody asked about compete too, so that a pixel of another
colour need not become one of the colours asked about. For all other names: X11."""

EVERYDAY: Mapping[str, str] = {
    "apple": "crimson", "asphalt": "dimgray", "banana": "gold", "beach": "burlywood",
    "brick": "sienna", "carrot": "darkorange", "cloud": "whitesmoke", "concrete": "darkgray",
    "dirt": "#8b6347", "fire": "orangered", "floor": "tan", "forest": "#3c6432",
    "grass": "#649640", "hedge": "#508246", "leaf": "forestgreen", "lemon": "yellow",
    "mountain": "slategray", "plant": "forestgreen", "road": "gray", "sand": "#d2b98c",
    "sea": "#5a96c8", "sky": "skyblue", "snow": "snow", "soil": "#8b6347", "tiles": "lightgray",
    "tree": "darkgreen", "wall": "#c8beaa", "water": "steelblue", "wood": "burlywood",
}  # fmt: skip
"""Colours that go without saying."""

LIGHTNESS = 0.7
"""Weight of lightness against hue and chroma: a red thing in shadow is still red."""


def colours_in(text: str) -> tuple[str, ...]:
    """The colours a text names, in its order; where it names none, those of everyday things.

    >>> colours_in("the blue square left of the Dark Green circle"), colours_in("grass")
    (('blue', 'darkgreen'), ('#649640',))
    """
    words = re.findall(r"[a-z]+", text.lower().replace("grey", "gray"))
    found: list[str] = []
    for i, word in enumerate(words):
        if i and words[i - 1] + word in colormap:  # «dark green» is a colour of its own
            found = [c for c in found if c != words[i - 1]] + [words[i - 1] + word]
        elif word in colormap:
            found.append(word)
    return tuple(dict.fromkeys(found or [EVERYDAY[word] for word in words if word in EVERYDAY]))


def to_hue_space(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of sRGB in 0..255 with lightness and chroma compressed: hue counts most.

    A shaded red thing is dark red in places, which must stay nearer to red than to brown.
    """
    part = np.asarray(rgb, np.float32) / 255
    linear = np.where(part <= 0.04045, part / 12.92, ((part + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    x, y, z = np.moveaxis(root, -1, 0)
    a, b = 500 * (x - y), 200 * (y - z)
    chroma = np.sqrt(np.hypot(a, b) + 1e-6) / 10
    place: np.ndarray = np.stack([LIGHTNESS * (116 * y - 16), a / chroma, b / chroma], axis=-1)
    return place


_TO_XYZ = np.array(
    [[0.4339, 0.3762, 0.1899], [0.2126, 0.7152, 0.0722], [0.0178, 0.1095, 0.8730]], np.float32
)
"""sRGB (IEC 61966-2-1) to XYZ, each row divided by its sum: the white point."""


@cache
def place_of(colour: str) -> np.ndarray:
    """Where a colour lies, by a basic term, its X11 name or `#rrggbb`."""
    return to_hue_space(np.array(getrgb(BASIC.get(colour, colour))[:3]))
