"""`eomt-…`: Encoder-only Mask Transformer (Kerssies et al., CVPR 2025), a plain DINOv2 ViT.

Images are shown whole in a square, padded at the right or below, as its panoptic and instance
checkpoints were trained; the sliding crops of its semantic checkpoints are not used.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.types import Image, Proposals, Vocabulary
from models.baselines import hub
from models.baselines.closed import ClosedClassifier
from models.card import Card, HubRepository, Reported

_ZOO = "tue-mps/eomt: model zoo, DINOv2"


def _card(
    name: str,
    title: str,
    repository: str,
    trained_on: tuple[str, ...],
    reported: tuple[Reported, ...] = (),
) -> Card:
    return Card(
        name,
        title,
        "eomt",
        ("Proposer",),
        HubRepository(f"tue-mps/{repository}"),
        licence="MIT",
        trained_on=("LVD-142M (DINOv2)", *trained_on),
        protocol="native",
        reported=reported,
        about="Closed vocabulary; supervised with masks and classes.",
    )


CARDS = {
    card.name: card
    for card in (
        _card(
            "eomt-l-coco",
            "EoMT ViT-L 640, COCO panoptic",
            "coco_panoptic_eomt_large_640",
            ("COCO panoptic",),
            (Reported("coco", "PQ", 0.56, _ZOO),),
        ),
        _card(
            "eomt-l-ade",
            "EoMT ViT-L 640, ADE20K panoptic",
            "ade20k_panoptic_eomt_large_640",
            ("COCO panoptic", "ADE20K-150 panoptic"),
            (Reported("ade20k-150", "PQ", 0.506, _ZOO),),
        ),
    )
}


def card_of(path: Path) -> Card | None:
    """The card of a folder with such a network."""
    return hub.card_of(path, {"eomt": CARDS["eomt-l-coco"]})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> EoMT:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return EoMT(
        hub.network("EomtForUniversalSegmentation", source, device, precision),
        hub.image_processor(source),
    )


@dataclass(frozen=True, eq=False)
class EoMT(ClosedClassifier):
    """A `Proposer` with classes of its own."""

    def propose(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Proposals]:
        """Every query proposes."""
        from transformers.image_transforms import get_size_with_aspect_ratio

        inputs = self.processor(**hub.pictures(images), do_split_image=False, do_pad=True)
        pixels = inputs["pixel_values"]
        outputs = self.ask({"pixel_values": pixels})
        edges = self.processor.size
        return self.proposals(
            outputs.class_queries_logits,
            outputs.masks_queries_logits,
            vocabulary,
            shown=[
                get_size_with_aspect_ratio(
                    image.shape[:2], edges["shortest_edge"], edges["longest_edge"]
                )
                for image in images
            ],
            padded=tuple(pixels.shape[2:]),
        )
