"""`groupvit-…`: GroupViT (Xu et al., CVPR 2022), which groups pixels and learned only from texts.

Every pixel belongs to each of eight groups in part, and every group fits each class's text in
part; a pixel gets the class that fits it best over its groups (the paper's section 3.4 without the
threshold for background, which it sets for each dataset by hand).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.types import Image, LabelMap, Vocabulary
from models.baselines import hub
from models.baselines.pixel_text import class_embeddings, label_map
from models.card import Card, HubRepository

if TYPE_CHECKING:
    from torch import Tensor


def _card(name: str, repository: str, trained_on: tuple[str, ...]) -> Card:
    return Card(
        name,
        f"GroupViT, {' and '.join(trained_on)}",
        "groupvit",
        ("SemanticSegmenter",),
        HubRepository(f"nvidia/{repository}"),
        licence="see the model's page (NVIDIA's licence of the code: non-commercial)",
        trained_on=trained_on,
        protocol="native",
        about="Supervised with image-text pairs only.",
    )


CARDS = {
    card.name: card
    for card in (
        _card("groupvit-yfcc", "groupvit-gcc-yfcc", ("CC3M", "CC12M", "YFCC14M")),
        _card("groupvit-redcaps", "groupvit-gcc-redcaps", ("CC3M", "CC12M", "RedCaps12M")),
    )
}
TOGETHER = 64
"""Classes that are resized to the image at a time."""


def card_of(path: Path) -> Card | None:
    """The card of a folder with such a network."""
    return hub.card_of(path, {"groupvit": CARDS["groupvit-yfcc"]})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> GroupViT:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return GroupViT(
        hub.network("GroupViTModel", source, device, precision),
        hub.processor("CLIPProcessor", source),
    )


@dataclass(frozen=True, eq=False)
class GroupViT(hub.Pretrained):
    """A `SemanticSegmenter`."""

    def segment_semantic(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[LabelMap]:
        """The class that fits each pixel's groups best.

        The whole image is shown as one square: the processor's own crop would leave its ends
        without a label. (The paper slides windows over it.)
        """
        import torch
        from torch.nn.functional import normalize

        texts = class_embeddings(self.network, self.processor.tokenizer, vocabulary)
        found = []
        for image in images:
            groups, shares = self._groups(image)
            fits = normalize(groups, dim=-1) @ texts.T if len(texts) else groups[:, :0]
            maps = (some @ shares.flatten(1) for some in torch.split(fits.T, TOGETHER) if len(some))
            grids = (some.view(-1, *shares.shape[1:]) for some in maps)
            found.append(label_map(grids, image.shape[:2]))
        return found

    def _groups(self, image: Image) -> tuple[Tensor, Tensor]:
        """A vector for each group, and its share in each pixel of the input."""
        import torch
        from transformers.models.groupvit import modeling_groupvit

        grouping: Any = modeling_groupvit.get_grouping_from_attentions
        side = self.network.config.vision_config.image_size
        square = {"height": side, "width": side}
        shown = self.processor.image_processor(
            **hub.pictures([image]), size=square, do_center_crop=False
        )
        pixels = hub.on(self.network, shown)["pixel_values"]
        with torch.inference_mode():
            seen = self.network.vision_model(pixel_values=pixels, output_attentions=True)
            groups = self.network.visual_projection(seen.last_hidden_state[0])
            shares = grouping(seen.attentions, (side, side))[0]
        return groups, shares
