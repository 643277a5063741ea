"""`clipseg`: CLIPSeg (Lüddecke and Ecker, CVPR 2022), a binary mask for a text.

As a segmenter of a vocabulary it gives each pixel to the class whose mask is surest there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from bench.types import Image, LabelMap, ReferredMask, Vocabulary
from models.baselines import hub
from models.baselines.pixel_text import class_embeddings, label_map
from models.card import Card, HubRepository

if TYPE_CHECKING:
    from torch import Tensor

CARDS = {
    "clipseg": Card(
        "clipseg",
        "CLIPSeg ViT-B/16, rd64 refined",
        "clipseg",
        ("SemanticSegmenter", "ReferringSegmenter"),
        HubRepository("CIDAS/clipseg-rd64-refined"),
        licence="Apache-2.0",
        trained_on=("WIT-400M (CLIP)", "PhraseCut+"),
        protocol="native",
        about="Supervised with image-text pairs, and with masks of phrases.",
    )
}
TOGETHER = 16
"""Texts that are decoded at a time."""


def card_of(path: Path) -> Card | None:
    """The card of a folder with such a network."""
    return hub.card_of(path, {"clipseg": CARDS["clipseg"]})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> ClipSeg:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return ClipSeg(
        hub.network("CLIPSegForImageSegmentation", source, device, precision),
        hub.processor("CLIPSegProcessor", source),
    )


@dataclass(frozen=True, eq=False)
class ClipSeg(hub.Pretrained):
    """A `SemanticSegmenter` and a `ReferringSegmenter`."""

    def segment_semantic(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[LabelMap]:
        """The class of the surest mask, pixel by pixel."""
        texts = class_embeddings(self.network.clip, self.processor.tokenizer, vocabulary)
        return [label_map(self._masks(image, texts), image.shape[:2]) for image in images]

    def refer(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[ReferredMask]]:
        """The mask of each phrase, scored by its surest pixel."""
        return [self._refer(image, asked) for image, asked in zip(images, phrases, strict=True)]

    def _refer(self, image: Image, phrases: Sequence[str]) -> list[ReferredMask]:
        asked = Vocabulary(tuple(phrases), background=None)
        texts = class_embeddings(self.network.clip, self.processor.tokenizer, asked)
        masks = [mask for some in self._masks(image, texts) for mask in some]
        return [
            ReferredMask(mask.float(), float(mask.max().sigmoid()), mask.shape, mask.shape)
            for mask in masks
        ]

    def _masks(self, image: Image, texts: Tensor) -> Iterator[Tensor]:
        """Mask logits (text, grid height, grid width) on a grid over the whole image."""
        import torch

        pixels = hub.on(self.network, self.processor.image_processor(**hub.pictures([image])))
        with torch.inference_mode():
            seen = self.network.clip.get_image_features(**pixels, output_hidden_states=True)
            layers = [seen.hidden_states[layer + 1] for layer in self.network.extract_layers]
            for some in torch.split(texts, TOGETHER) if len(texts) else ():
                shown = [layer.expand(len(some), -1, -1) for layer in layers]
                masks = self.network.decoder(shown, some).logits
                yield masks.reshape(len(some), *masks.shape[-2:])
