"""`clip-…`, `siglip2-…` and `align`: images and texts put into one space by two encoders.

CLIP (Radford et al., ICML 2021), SigLIP 2 (Tschannen et al., 2025) and ALIGN (Jia et al., ICML
2021; the open weights are Kakao Brain's) differ in training and in how their texts are filled up.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.types import Image
from models.baselines import hub
from models.card import Card, HubRepository

if TYPE_CHECKING:
    from torch import Tensor


SIXTY_FOUR: Mapping[str, Any] = {"padding": "max_length", "max_length": 64}
"""Texts are filled up to 64 tokens, as in training: attention sees the filling."""

KINDS: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "clip": ("CLIPModel", "CLIPProcessor", {"padding": True, "max_length": 77}),
    "siglip": ("SiglipModel", "SiglipProcessor", SIXTY_FOUR),
    "siglip2": ("Siglip2Model", "Siglip2Processor", SIXTY_FOUR),
    "align": ("AlignModel", "AlignProcessor", SIXTY_FOUR),
}
"""Type of network to its class, its processor's class and how its texts are filled up."""


def _card(
    name: str, title: str, repository: str, licence: str, trained_on: str, about: str = ""
) -> Card:
    return Card(
        name,
        title,
        "dual-encoders",
        ("ImageTextEncoder",),
        HubRepository(repository),
        licence=licence,
        trained_on=(trained_on,),
        protocol="native",
        about=f"Supervised with image-text pairs. {about}".strip(),
    )


CARDS = {
    card.name: card
    for card in (
        _card(
            "clip-b16",
            "CLIP ViT-B/16",
            "openai/clip-vit-base-patch16",
            "MIT (code; the weights state none)",
            "WIT-400M",
        ),
        _card(
            "clip-l14",
            "CLIP ViT-L/14",
            "openai/clip-vit-large-patch14",
            "MIT (code; the weights state none)",
            "WIT-400M",
        ),
        _card(
            "siglip2-b16",
            "SigLIP 2 ViT-B/16 NaFlex",
            "google/siglip2-base-patch16-naflex",
            "Apache-2.0",
            "WebLI",
            "Shows images at their own aspect.",
        ),
        _card(
            "align",
            "ALIGN (EfficientNet-B7, BERT)",
            "kakaobrain/align-base",
            "none stated",
            "COYO-700M",
        ),
    )
}


def card_of(path: Path) -> Card | None:
    """The card of a folder with a network of one of `KINDS`."""
    like = {"clip": "clip-b16", "siglip": "siglip2-b16", "siglip2": "siglip2-b16", "align": "align"}
    return hub.card_of(path, {kind: CARDS[name] for kind, name in like.items()})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> DualEncoder:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    network, processor, filling = KINDS[card.name.partition("-")[0]]
    return DualEncoder(
        hub.network(network, source, device, precision),
        hub.processor(processor, source),
        filling,
    )


@dataclass(frozen=True, eq=False)
class DualEncoder(hub.Pretrained):
    """An `ImageTextEncoder`: the inner product of its vectors is their cosine."""

    filling: Mapping[str, Any]
    """How texts of one batch get one length."""

    def embed_images(self, images: Sequence[Image]) -> np.ndarray:
        """One unit vector an image."""
        inputs = self.processor.image_processor(**hub.pictures(images))
        return _unit(self.ask(inputs, "get_image_features").pooler_output)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """One unit vector a text; what is too long is cut off."""
        inputs = self.processor.tokenizer(
            list(texts), return_tensors="pt", truncation=True, **self.filling
        )
        return _unit(self.ask(inputs, "get_text_features").pooler_output)


def _unit(vectors: Tensor) -> np.ndarray:
    from torch.nn.functional import normalize

    unit: np.ndarray = normalize(vectors.float(), dim=-1).cpu().numpy()
    return unit
