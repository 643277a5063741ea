"""`colour`: a baseline without weights, which knows what colour words mean and nothing else.

It reads colour words in the names it is asked about (and knows the colour of a few everyday things:
grass is green), gives each pixel to the nearest of these colours, and calls every connected patch
one object. What a name says besides its colour it cannot see: between «red circle» and «red star»
it guesses. So its scores say how much of a benchmark is settled by colour alone.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from scipy import ndimage

from bench.errors import UsageError
from bench.types import Image, Proposals, ReferredMask, Vocabulary
from models.baselines.colour_words import BASIC, colours_in, place_of, to_hue_space
from models.card import Card

if TYPE_CHECKING:
    from torch import Tensor

CARDS = {
    "colour": Card(
        "colour",
        "Colour words",
        "colour",
        ("Proposer", "ReferringSegmenter"),
        licence="Apache-2.0",
        about="No weights: reads the colour words in names and segments by colour.",
    )
}


def build(card: Card, *, weights: Path | None = None, device: str = "cpu") -> Colour:
    """The baseline; there are no weights to load, and it works on the processor.

    Raises:
        UsageError: weights are given.
    """
    if weights is not None:
        raise UsageError("'colour' has no weights to load: leave out --weights.")
    return Colour()


FAMILIAR = 60.0
"""Distance in this space at which a patch may as well be something else."""
SAME = 15.0
"""Distance below which a basic colour is not told from one that is asked about (white, snow)."""
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
        found: list[tuple[np.ndarray, np.ndarray]] = []
        for colour in grid.colours:
            for cells, candidates in self._patches(grid, colour, colours, vocabulary):
                sure = grid.confidence(cells, colour)
                # Counting on deals the guesses out evenly among the candidates.
                logits = _logits(candidates, len(found), sure, vocabulary.columns)
                found.append((cells, logits))
        found.sort(key=lambda patch: -np.count_nonzero(patch[0]))
        found = found[: self.most]
        logits = np.array([row for _, row in found]).reshape(len(found), vocabulary.columns)
        masks = grid.mask_logits([cells for cells, _ in found])
        return Proposals(_tensor(logits), masks, grid.input_size, grid.padded_size)

    def _patches(
        self,
        grid: _Grid,
        colour: str,
        colours: Sequence[tuple[str, ...]],
        vocabulary: Vocabulary,
    ) -> Iterator[tuple[np.ndarray, list[int]]]:
        """The patches of a colour, each with the labels it may have: things apart, stuff as one.

        A patch of a colour that no name mentions may be any thing whose name mentions none.
        """
        labels = [label for label, named in enumerate(colours) if colour in named]
        if not labels:
            labels = [label for label in vocabulary.things if not colours[label]]
        things = [label for label in labels if label in vocabulary.things]
        stuff = [label for label in labels if label not in vocabulary.things]
        if things:
            yield from ((cells, things) for cells in grid.patches(colour, self.smallest))
        if stuff and (cells := grid.cells(colour)).any():
            yield cells, stuff

    def _refer(self, image: Image, phrase: str) -> ReferredMask:
        asked = colours_in(phrase)
        grid = _Grid.over(image, asked, self.side, self.reach)
        patches = grid.patches(asked[0], self.smallest) if asked else []
        standing_out = grid.nearest != np.bincount(grid.nearest.ravel()).argmax()
        cells = max(patches, key=np.count_nonzero, default=standing_out)
        score = grid.confidence(cells, asked[0]) if patches else 0.0
        return ReferredMask(grid.mask_logits([cells])[0], score, grid.input_size, grid.padded_size)


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
        colours = _competing(asked)
        height, width = image.shape[:2]
        stride = -(-max(height, width) // side)
        padding = [(0, -height % stride), (0, -width % stride), (0, 0)]
        cells = np.pad(image, padding, mode="edge")[stride // 2 :: stride, stride // 2 :: stride]
        places = to_hue_space(cells)
        distances = np.stack([np.linalg.norm(places - place_of(c), axis=-1) for c in colours])
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


def _competing(asked: Sequence[str]) -> tuple[str, ...]:
    """The colours asked about, and the basic ones that are not just other words for them."""
    others = (
        basic
        for basic in BASIC
        if all(np.linalg.norm(place_of(basic) - place_of(colour)) > SAME for colour in asked)
    )
    return tuple(dict.fromkeys([*asked, *others]))


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


def _tensor(array: np.ndarray) -> Tensor:
    import torch  # here, so that to list this model imports no torch

    return torch.from_numpy(np.ascontiguousarray(array, np.float32))
