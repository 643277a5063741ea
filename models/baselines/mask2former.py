"""`mask2former-…` and `maskformer-…`: mask classification with a closed list of classes.

MaskFormer (Cheng et al., NeurIPS 2021) and Mask2Former (Cheng et al., CVPR 2022) answer alike: a
class and a mask for each query. `models.baselines.closed` reads their classes as the vocabulary's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.types import Image, Proposals, Vocabulary
from models.baselines import hub
from models.baselines.closed import ClosedClassifier, shown_sizes
from models.card import Card, HubRepository

_NETWORKS = {
    "mask2former": "Mask2FormerForUniversalSegmentation",
    "maskformer": "MaskFormerForInstanceSegmentation",
}


def _card(name: str, title: str, repository: str, trained_on: str) -> Card:
    return Card(
        name,
        title,
        "mask2former",
        ("Proposer",),
        HubRepository(f"facebook/{repository}"),
        licence="other (see the model's page)",
        trained_on=("ImageNet-21k", trained_on),
        protocol="native",
        about="Closed vocabulary; supervised with masks and classes.",
    )


CARDS = {
    card.name: card
    for card in (
        _card(
            "mask2former-swin-l-coco",
            "Mask2Former Swin-L, COCO panoptic",
            "mask2former-swin-large-coco-panoptic",
            "COCO panoptic",
        ),
        _card(
            "mask2former-swin-l-ade",
            "Mask2Former Swin-L, ADE20K panoptic",
            "mask2former-swin-large-ade-panoptic",
            "ADE20K-150 panoptic",
        ),
        _card(
            "mask2former-swin-l-cityscapes",
            "Mask2Former Swin-L, Cityscapes panoptic",
            "mask2former-swin-large-cityscapes-panoptic",
            "Cityscapes panoptic",
        ),
        _card(
            "maskformer-swin-l-coco",
            "MaskFormer Swin-L, COCO panoptic",
            "maskformer-swin-large-coco",
            "COCO panoptic",
        ),
        _card(
            "maskformer-swin-l-ade",
            "MaskFormer Swin-L, ADE20K",
            "maskformer-swin-large-ade",
            "ADE20K-150",
        ),
    )
}


def card_of(path: Path) -> Card | None:
    """The card of a folder with a network of either type."""
    like = {"mask2former": "mask2former-swin-l-coco", "maskformer": "maskformer-swin-l-coco"}
    return hub.card_of(path, {kind: CARDS[name] for kind, name in like.items()})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> MaskFormer:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return MaskFormer(
        hub.network(_NETWORKS[card.name.partition("-")[0]], source, device, precision),
        hub.image_processor(source),
    )


@dataclass(frozen=True, eq=False)
class MaskFormer(ClosedClassifier):
    """A `Proposer` with classes of its own."""

    def propose(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Proposals]:
        """Every query proposes."""
        inputs = self.processor(**hub.pictures(images))
        outputs = self.ask(inputs)
        return self.proposals(
            outputs.class_queries_logits,
            outputs.masks_queries_logits,
            vocabulary,
            shown=shown_sizes(inputs["pixel_mask"]),
            padded=tuple(inputs["pixel_values"].shape[2:]),
        )
