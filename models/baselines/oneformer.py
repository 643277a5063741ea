"""`oneformer-…`: OneFormer (Jain et al., CVPR 2023), one network told which task is asked.

It is told «panoptic», the one task from whose answer the other two follow.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.types import Image, Proposals, Vocabulary
from models.baselines import hub
from models.baselines.closed import ClosedClassifier, shown_sizes
from models.card import Card, HubRepository

TASK = "panoptic"


def _card(name: str, title: str, repository: str, trained_on: str) -> Card:
    return Card(
        name,
        title,
        "oneformer",
        ("Proposer",),
        HubRepository(f"shi-labs/{repository}"),
        licence="MIT",
        trained_on=("ImageNet-21k", trained_on),
        protocol="native",
        about=f"Closed vocabulary; supervised with masks and classes; told the task «{TASK}».",
    )


CARDS = {
    card.name: card
    for card in (
        _card(
            "oneformer-swin-l-coco",
            "OneFormer Swin-L, COCO",
            "oneformer_coco_swin_large",
            "COCO panoptic",
        ),
        _card(
            "oneformer-swin-l-ade",
            "OneFormer Swin-L, ADE20K",
            "oneformer_ade20k_swin_large",
            "ADE20K-150 panoptic",
        ),
    )
}


def card_of(path: Path) -> Card | None:
    """The card of a folder with such a network."""
    return hub.card_of(path, {"oneformer": CARDS["oneformer-swin-l-coco"]})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> OneFormer:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return OneFormer(
        hub.network("OneFormerForUniversalSegmentation", source, device, precision),
        hub.processor("OneFormerProcessor", source),
    )


@dataclass(frozen=True, eq=False)
class OneFormer(ClosedClassifier):
    """A `Proposer` with classes of its own."""

    def propose(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Proposals]:
        """Every query proposes.

        The processor does not pad to whole cells of the mask grid, the backbone does: the grid
        covers up to three pixels more than it is given.
        """
        inputs: Any = self.processor(task_inputs=[TASK] * len(images), **hub.pictures(images))
        outputs = self.ask(inputs)
        masks, stride = outputs.masks_queries_logits, self.network.config.common_stride
        return self.proposals(
            outputs.class_queries_logits,
            masks,
            vocabulary,
            shown=shown_sizes(inputs["pixel_mask"]),
            padded=(masks.shape[2] * stride, masks.shape[3] * stride),
        )
