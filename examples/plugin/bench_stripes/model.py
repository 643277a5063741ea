"""A model: `stripes` takes pixels darker than the image's middle for one class, others for another.

It knows two words. A class whose prompt holds neither is never found.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from bench.types import VOID, Image, LabelMap, Vocabulary
from models.card import Card

CARDS = {
    "stripes": Card(
        "stripes",
        "Light and dark",
        "stripes",
        ("SemanticSegmenter",),
        licence="Apache-2.0",
        about="No weights: knows the words «dark» and «light».",
    )
}


def build(card: Card, *, weights: Path | None = None, device: str = "cpu") -> "Stripes":
    """The model of a card; this one has no weights and needs no accelerator."""
    if weights is not None:
        raise ValueError("'stripes' has no weights to load")
    return Stripes()


class Stripes:
    """Gives every pixel a class: all that a `SemanticSegmenter` must do."""

    def segment_semantic(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[LabelMap]:
        """One label map an image, at the image's size."""
        dark, light = _labelled("dark", vocabulary), _labelled("light", vocabulary)
        return [np.where(_is_dark(image), dark, light) for image in images]


def _labelled(word: str, vocabulary: Vocabulary) -> int:
    """The first class with the word among its prompts."""
    for label, prompts in enumerate(vocabulary.prompts):
        if any(word in prompt.lower().split() for prompt in prompts):
            return label
    return VOID


def _is_dark(image: Image) -> np.ndarray:
    grey = image.mean(axis=2)
    dark: np.ndarray = grey <= (grey.min() + grey.max()) / 2
    return dark
