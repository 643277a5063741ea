"""`sam3`: SAM 3 (Carion et al., 2025), which finds every instance of a noun phrase.

It is asked about one class at a time; what it computes of the image alone is computed once. A
score is that of the query times that of the phrase being in the image at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.errors import ExtraMissing
from bench.types import Image, Instances, Mask, ReferredMask, Vocabulary
from models.baselines import hub
from models.baselines.sam import TOGETHER, normalised
from models.card import Card, HubRepository

if TYPE_CHECKING:
    from torch import Tensor

CARDS = {
    "sam3": Card(
        "sam3",
        "SAM 3",
        "sam3",
        ("InstanceSegmenter", "ReferringSegmenter"),
        HubRepository("facebook/sam3"),
        licence="SAM License (terms to accept on the model's page)",
        trained_on=("SA-Co",),
        protocol="native",
        about="Supervised with noun phrases, boxes and masks.",
    )
}
MOST = 100
"""Instances of an image, as COCO's average precision counts."""
WORDS = 32
"""Tokens that its texts are filled up to, as in training."""
HALF = (0.5, 0.5, 0.5)
"""Mean and deviation of its pixels from 0 to 1."""


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> Sam3:
    """The published network, or the one in the folder `weights`.

    Raises:
        ExtraMissing: torchvision, without which transformers does not make this network.
    """
    hub.transformers()
    if find_spec("torchvision") is None:
        raise ExtraMissing(
            "SAM 3 of transformers needs torchvision, which is not installed: "
            "get the build that fits your torch."
        )
    source = hub.Source.of(card, weights)
    return Sam3(hub.network("Sam3Model", source, device, precision), hub.tokenizer(source))


@dataclass(frozen=True)
class Found:
    """What it finds of one phrase in one image."""

    masks: Tensor  # float logits (query, grid height, grid width)
    scores: Tensor  # float (query), 0 to 1


@dataclass(frozen=True, eq=False)
class Sam3(hub.Pretrained):
    """An `InstanceSegmenter` and a `ReferringSegmenter`; its processor is a tokenizer."""

    def segment_instances(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Instances]:
        """The best instances of the countable classes."""
        return [self._segment(image, vocabulary) for image in images]

    def refer(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[ReferredMask]]:
        """For each phrase its best instance."""
        return [
            self._refer(image, asked) if asked else []
            for image, asked in zip(images, phrases, strict=True)
        ]

    def _segment(self, image: Image, vocabulary: Vocabulary) -> Instances:
        import torch

        things = sorted(vocabulary.things)
        if not things:
            return Instances((), np.zeros(0, np.int64), np.zeros(0))
        seen = self._see(image)
        found = [self._find(seen, vocabulary.prompts[label][0]) for label in things]
        scores = torch.cat([of_class.scores for of_class in found])
        masks = torch.cat([of_class.masks for of_class in found])
        labels = np.repeat(things, [len(of_class.scores) for of_class in found])
        best, places = scores.topk(min(MOST, len(scores)))
        return Instances(
            tuple(_whole(masks[places], image.shape[:2])),
            labels[places.cpu().numpy()],
            best.cpu().numpy(),
        )

    def _refer(self, image: Image, phrases: Sequence[str]) -> list[ReferredMask]:
        seen, side = self._see(image), self._side
        answers = []
        for phrase in phrases:
            found = self._find(seen, phrase)
            best = int(found.scores.argmax())
            score = float(found.scores[best])
            answers.append(ReferredMask(found.masks[best], score, (side, side), (side, side)))
        return answers

    @property
    def _side(self) -> int:
        side: int = self.network.config.vision_config.backbone_config.image_size
        return side

    def _see(self, image: Image) -> Any:
        """What it computes of the image, whatever is asked; the image becomes a square."""
        pixels = normalised(image, self._side, HALF, HALF)
        return self.ask({"pixel_values": pixels}, "get_vision_features")

    def _find(self, seen: Any, phrase: str) -> Found:
        text = self.processor(
            [phrase], padding="max_length", max_length=WORDS, truncation=True, return_tensors="pt"
        )
        answer = self.ask(text, vision_embeds=seen)
        present = answer.presence_logits[0].float().sigmoid()
        scores = answer.pred_logits[0].float().sigmoid() * present
        return Found(answer.pred_masks[0].float(), scores)


def _whole(logits: Tensor, size: tuple[int, int]) -> list[Mask]:
    """Masks at the image's size: where the resized probability is above one half."""
    import torch
    from torch.nn.functional import interpolate

    found: list[Mask] = []
    for some in torch.split(logits, TOGETHER) if len(logits) else ():
        inside = interpolate(some.sigmoid()[None], size, mode="bilinear")[0] > 0.5
        found += [Mask.encode(mask) for mask in inside.cpu().numpy()]
    return found
