"""`owlv2-…-sam…`: OWLv2 (Minderer et al., NeurIPS 2023) finds boxes, SAM draws them.

Every patch of the image proposes one box, scored against the text of each class on its own, so any
number of classes costs one pass. With several sentences a class is asked by their mean.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from bench.types import Image, Vocabulary
from models.baselines import hub
from models.baselines.grounded import Detections, Grounded, corners
from models.baselines.pixel_text import class_embeddings
from models.baselines.sam import segmenter
from models.card import Card, HubRepository

_BOXES = ("WIT-400M (CLIP)", "WebLI pseudo-boxes", "Objects365", "Visual Genome")


def _card(name: str, title: str, detector: str, sam: str, masks_from: tuple[str, ...]) -> Card:
    return Card(
        name,
        title,
        "owlv2",
        ("InstanceSegmenter", "ReferringSegmenter"),
        HubRepository(f"google/{detector}"),
        licence="Apache-2.0",
        trained_on=(*_BOXES, *masks_from),
        protocol="native",
        about="Supervised with image-text pairs and boxes; the masks with SA-1B's.",
        parts={"segmenter": HubRepository(f"facebook/{sam}")},
    )


CARDS = {
    card.name: card
    for card in (
        _card(
            "owlv2-b-sam-h",
            "OWLv2 ViT-B/16 + SAM ViT-H",
            "owlv2-base-patch16-ensemble",
            "sam-vit-huge",
            ("SA-1B",),
        ),
        _card(
            "owlv2-l-sam2-l",
            "OWLv2 ViT-L/14 + SAM 2 Hiera-L",
            "owlv2-large-patch14-ensemble",
            "sam2-hiera-large",
            ("SA-1B", "SA-V"),
        ),
    )
}


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> Grounded:
    """The published networks, or the detector in `weights` and SAM in its folder `segmenter`."""
    source = hub.Source.of(card, weights)
    detector = Owlv2(
        hub.network("Owlv2ForObjectDetection", source, device, precision),
        hub.processor("Owlv2Processor", source),
    )
    sam = segmenter(hub.Source.of(card, weights, "segmenter"), device, precision)
    return Grounded(detector, sam)


@dataclass(frozen=True, eq=False)
class Owlv2(hub.Pretrained):
    """A detector that compares patches with texts."""

    def detect(self, image: Image, vocabulary: Vocabulary) -> Detections:
        """A box for every patch; the image lies in the top left of a square."""
        import torch

        texts = class_embeddings(self.network.owlv2, self.processor.tokenizer, vocabulary)
        shown = hub.on(self.network, self.processor.image_processor(**hub.pictures([image])))
        with torch.inference_mode():
            grid, _ = self.network.image_embedder(shown["pixel_values"])
            patches = grid.flatten(1, 2)
            logits, _ = self.network.class_predictor(patches, texts[None].to(patches))
            boxes = self.network.box_predictor(patches, grid)
        side = max(image.shape[:2])
        return Detections(corners(boxes[0], side, side), logits[0].float().sigmoid())
