"""`florence2-…`: Florence-2 (Xiao et al., CVPR 2024), which writes all its answers as text.

A mask is a polygon in words: tokens for the thousandths of the image's width and height. It comes
without a score, so every phrase's mask has the score 1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image as Pillow
from PIL import ImageDraw

from bench.types import Image, ReferredMask
from models.baselines import hub
from models.card import Card, HubRepository

CAPTION = "<CAPTION>"
REFER = "<REFERRING_EXPRESSION_SEGMENTATION>"
SURE = 12.0
"""Mask logit inside a polygon; its negative outside."""


def _card(name: str, title: str, repository: str) -> Card:
    return Card(
        name,
        title,
        "florence2",
        ("ReferringSegmenter", "Captioner"),
        HubRepository(f"florence-community/{repository}"),
        licence="MIT",
        trained_on=("FLD-5B",),
        protocol="native",
        about="Supervised with texts, boxes, phrases and polygons, most of them made by models.",
    )


CARDS = {
    card.name: card
    for card in (
        _card("florence2-b", "Florence-2 base", "Florence-2-base"),
        _card("florence2-l", "Florence-2 large", "Florence-2-large"),
    )
}


def card_of(path: Path) -> Card | None:
    """The card of a folder with such a network."""
    return hub.card_of(path, {"florence2": CARDS["florence2-b"]})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> Florence2:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return Florence2(
        hub.network("Florence2ForConditionalGeneration", source, device, precision),
        hub.processor("Florence2Processor", source),
    )


@dataclass(frozen=True, eq=False)
class Florence2(hub.Pretrained):
    """A `ReferringSegmenter` and a `Captioner`."""

    longest: int = 1024
    """Tokens of an answer at most."""

    def refer(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[ReferredMask]]:
        """The polygons it writes for each phrase, drawn at the image's size."""
        return [
            [self.mask(self._written(image, f"{REFER} {phrase}"), image) for phrase in asked]
            for image, asked in zip(images, phrases, strict=True)
        ]

    def caption(self, images: Sequence[Image]) -> list[str]:
        """A sentence about each image."""
        texts = (self._written(image, CAPTION) for image in images)
        return [
            self.processor.post_process_generation(text, task=CAPTION)[CAPTION] for text in texts
        ]

    def mask(self, answer: str, image: Image) -> ReferredMask:
        """The polygons of a written answer, on a grid of the image's own size."""
        import torch

        height, width = image.shape[:2]
        read = self.processor.post_process_generation(
            answer, task=REFER, image_size=(width, height)
        )[REFER]
        canvas = Pillow.new("1", (width, height))
        for polygon in (p for of_one in read["polygons"] for p in of_one if len(p) >= 6):
            ImageDraw.Draw(canvas).polygon(polygon, fill=1)
        inside = torch.from_numpy(np.array(canvas, np.float32))
        size = (height, width)
        return ReferredMask((2 * inside - 1) * SURE, 1.0, size, size)

    def _written(self, image: Image, prompt: str) -> str:
        """What it writes about an image, with all tokens that mean places."""
        inputs = self.processor(text=[prompt], **hub.pictures([image]))
        tokens = self.ask(
            inputs, "generate", num_beams=3, do_sample=False, max_new_tokens=self.longest
        )
        text: str = self.processor.tokenizer.decode(tokens[0], skip_special_tokens=False)
        return text
