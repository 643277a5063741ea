"""`colour`: a baseline without weights, which knows what colour words mean and nothing else.

It reads colour words in the names it is asked about (and knows the colour of a few everyday things:
grass is green), gives each pixel to the nearest of these colours, and calls every connected patch
one object. What a name says besides its colour it cannot see: between «red circle» and «red star»
it guesses. So its scores say how much of a benchmark is settled by colour alone.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
from PIL.ImageColor import colormap, getrgb
from scipy import ndimage

from bench.types import Image, Proposals, ReferredMask, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor

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
FAMILIAR = 60.0
"""Distance in this space at which a patch may as well be something else."""
SURE = 12.0
"""Mask logit inside a patch; its negative outside."""


@dataclass(frozen=True)
class Colour:
    """Segments by colour words: a `Proposer` and a `ReferringSegmenter`."""

    side: int = 256
    """Cells along the longer side of the grid it works on, at most."""
    reach: int = 3
    """A cell takes the colour that most cells up to so far away are nearest to."""
    smallest: float = 0.001
    """Share of the grid that a patch covers at least."""
    most: int = 100
    """Patches it answers with at most; the largest."""

    def propose(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Proposals]:
        """A query for each patch, and for all of a colour together where it is one of stuff."""
        return [self._propose(image, vocabulary) for image in images]

    def refer(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[ReferredMask]]:
        """The largest patch of a phrase's first colour; without one, all that stands out."""
        return [
            [self._refer(image, phrase) for phrase in asked]
            for image, asked in zip(images, phrases, strict=True)
        ]

    def _propose(self, image: Image, vocabulary: Vocabulary) -> Proposals:
        colours = [colours_in(" ".join(words)) for words in vocabulary.prompts]
        grid = _Grid.over(image, [c for found in colours for c in found], self.side, self.reach)
        named: dict[str, list[int]] = {}
        for label, found in enumerate(colours):
            for colour in found:
                named.setdefault(colour, []).append(label)
        patches: list[tuple[np.ndarray, np.ndarray]] = []
        for colour, labels in named.items():
            things = [label for label in labels if label in vocabulary.things]
            stuff = [label for label in labels if label not in vocabulary.things]
            objects = grid.patches(colour, self.smallest) if things else []
            whole = [grid.cells(colour)] if stuff else []
            for candidates, cells in [(things, c) for c in objects] + [(stuff, c) for c in whole]:
                guess = len(patches)  # deals the guesses out evenly among the candidates
                sure = grid.confidence(cells, colour)
                patches.append((cells, _logits(candidates, guess, sure, vocabulary.columns)))
        patches.sort(key=lambda patch: -int(patch[0].sum()))
        patches = [patch for patch in patches if patch[0].any()][: self.most]
        logits = np.array([row for _, row in patches]).reshape(len(patches), vocabulary.columns)
        masks = grid.mask_logits([cells for cells, _ in patches])
        return Proposals(_tensor(logits), masks, grid.input_size, grid.padded_size)

    def _refer(self, image: Image, phrase: str) -> ReferredMask:
        asked = colours_in(phrase)
        grid = _Grid.over(image, asked, self.side, self.reach)
        patches = grid.patches(asked[0], self.smallest) if asked else []
        standing_out = grid.nearest != np.bincount(grid.nearest.ravel()).argmax()
        cells = max(patches, key=np.count_nonzero, default=standing_out)
        score = grid.confidence(cells, asked[0]) if patches else 0.0
        return ReferredMask(grid.mask_logits([cells])[0], score, grid.input_size, grid.padded_size)


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


@dataclass(frozen=True)
class _Grid:
    """An image on a coarse grid, each cell given to the nearest of some colours."""

    colours: tuple[str, ...]
    nearest: np.ndarray  # int: index of a colour, for each cell
    distances: np.ndarray  # float: (colour, row, column)
    stride: int
    input_size: tuple[int, int]

    @classmethod
    def over(cls, image: Image, asked: Sequence[str], side: int, reach: int) -> _Grid:
        """The grid of an image, with the colours asked about and the basic ones competing."""
        colours = tuple(dict.fromkeys([*asked, *BASIC]))
        height, width = image.shape[:2]
        stride = -(-max(height, width) // side)
        padding = [(0, -height % stride), (0, -width % stride), (0, 0)]
        cells = np.pad(image, padding, mode="edge")[stride // 2 :: stride, stride // 2 :: stride]
        places = to_hue_space(cells)
        distances = np.stack([np.linalg.norm(places - _place_of(c), axis=-1) for c in colours])
        first = distances.argmin(0)
        votes = [
            ndimage.uniform_filter((first == i).astype(np.float32), 2 * reach + 1)
            for i in range(len(colours))
        ]
        nearest = np.stack(votes).argmax(0)
        return cls(colours, nearest, distances, stride, (height, width))

    @property
    def padded_size(self) -> tuple[int, int]:
        """Height and width of what the grid covers."""
        rows, columns = self.nearest.shape
        return rows * self.stride, columns * self.stride

    def cells(self, colour: str) -> np.ndarray:
        """All cells of a colour."""
        cells: np.ndarray = self.nearest == self.colours.index(colour)
        return cells

    def patches(self, colour: str, smallest: float) -> list[np.ndarray]:
        """The connected patches of a colour that are large enough."""
        numbers, n = ndimage.label(self.cells(colour))
        sizes = np.bincount(numbers.ravel(), minlength=n + 1)
        large = [i for i in range(1, n + 1) if sizes[i] >= smallest * numbers.size]
        return [numbers == i for i in large]

    def confidence(self, cells: np.ndarray, colour: str) -> float:
        """How well the cells have the colour: 1 exactly, 0.5 at `FAMILIAR`."""
        if not cells.any():
            return 0.0
        distance = float(np.median(self.distances[self.colours.index(colour)][cells]))
        return 1 / (1 + (distance / FAMILIAR) ** 4)

    def mask_logits(self, patches: Sequence[np.ndarray]) -> Tensor:
        """The patches as mask logits, on this grid."""
        stack = np.array(patches, np.float32).reshape(len(patches), *self.nearest.shape)
        return _tensor((2 * stack - 1) * SURE)


def _logits(candidates: Sequence[int], guess: int, sure: float, columns: int) -> np.ndarray:
    """Class logits of a patch: one of the candidates nearly all of `sure`, the rest to the others.

    What is left of 1 goes to the last column, which is background where the vocabulary has one.
    """
    chances = np.full(columns, 1e-6)
    chances[-1] += 1 - sure
    share = 0.1 / len(candidates)
    for candidate in candidates:
        chances[candidate] += sure * share
    chances[candidates[guess % len(candidates)]] += sure * 0.9
    logits: np.ndarray = np.log(chances / chances.sum())
    return logits


def to_hue_space(rgb: np.ndarray) -> np.ndarray:
    """CIE Lab (D65) of sRGB in 0..255 with lightness and chroma compressed: hue counts most.

    A striped or shaded red thing is dark red in places, which must stay nearer to red than to brown.
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
def _place_of(colour: str) -> np.ndarray:
    return to_hue_space(np.array(getrgb(BASIC.get(colour, colour))[:3]))


def _tensor(array: np.ndarray) -> Tensor:
    import torch  # here, so that to list this model imports no torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32))


def build() -> Colour:
    """The baseline: there is nothing to load."""
    return Colour()
