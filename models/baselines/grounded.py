"""Open-vocabulary detection, then a mask for each box: «Grounded SAM» and its kind.

A detector (`models.baselines.grounding_dino`, `models.baselines.owlv2`) finds boxes for words,
SAM or SAM 2 (`models.baselines.sam`) draws what is in them.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from bench.types import Image, Instances, ReferredMask, Vocabulary
from models.baselines.sam import Sam

if TYPE_CHECKING:
    from torch import Tensor

MOST = 100
"""Detections of an image, as COCO's average precision counts."""


@dataclass(frozen=True)
class Detections:
    """What a detector sees in an image: boxes, and how well each fits each class."""

    boxes: Tensor  # float (box, 4): x1, y1, x2, y2 in pixels of the image
    scores: Tensor  # float (box, class), 0 to 1


def corners(boxes: Tensor, height: float, width: float) -> Tensor:
    """Corners in pixels of boxes that are given as centre and size in shares of an area."""
    import torch

    centre, half = boxes[:, :2].float(), boxes[:, 2:].float() / 2
    sides = centre.new_tensor([width, height, width, height])
    return torch.cat([centre - half, centre + half], dim=1) * sides


class Detector(Protocol):
    """Finds boxes for words."""

    def detect(self, image: Image, vocabulary: Vocabulary) -> Detections:
        """Boxes in one image, scored against every name of the vocabulary."""
        ...

    def parameters(self) -> Iterator[Any]:
        """Its network's parameters."""
        ...

    def state_dict(self) -> Mapping[str, Any]:
        """Its network's weights."""
        ...


@dataclass(frozen=True, eq=False)
class Grounded:
    """An `InstanceSegmenter` and a `ReferringSegmenter` of two networks."""

    detector: Detector
    segmenter: Sam

    def segment_instances(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Instances]:
        """The best pairs of box and countable class, each with the mask of its box."""
        return [self._segment(image, vocabulary) for image in images]

    def refer(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[ReferredMask]]:
        """For each phrase the mask of its best box, scored as the box is."""
        return [
            [self._refer(image, phrase) for phrase in asked]
            for image, asked in zip(images, phrases, strict=True)
        ]

    def parameters(self) -> Iterator[Any]:
        """The parameters of both networks, for the record."""
        yield from self.detector.parameters()
        yield from self.segmenter.parameters()

    def state_dict(self) -> dict[str, Any]:
        """The weights of both networks, for the record."""
        weights: dict[str, Any] = {}
        weights |= {f"detector.{name}": w for name, w in self.detector.state_dict().items()}
        weights |= {f"segmenter.{name}": w for name, w in self.segmenter.state_dict().items()}
        return weights

    def _segment(self, image: Image, vocabulary: Vocabulary) -> Instances:
        import torch

        things = sorted(vocabulary.things)
        if not things:
            return Instances((), np.zeros(0, np.int64), np.zeros(0), np.zeros((0, 4)))
        found = self.detector.detect(image, _countable(vocabulary, things))
        flat = found.scores.flatten()
        scores, places = flat.topk(min(MOST, len(flat)))
        which, columns = places // len(things), places % len(things)
        used, mask_of = torch.unique(which, return_inverse=True)
        boxes = _inside(found.boxes, image)
        masks = self.segmenter.masks(image, boxes[used])
        return Instances(
            tuple(masks[index] for index in mask_of.tolist()),
            np.array(things)[columns.cpu().numpy()],
            scores.float().cpu().numpy(),
            boxes[which].cpu().numpy(),
        )

    def _refer(self, image: Image, phrase: str) -> ReferredMask:
        found = self.detector.detect(image, Vocabulary((phrase,), background=None))
        best = int(found.scores[:, 0].argmax())
        shown = self.segmenter.prepare(image)
        box = _inside(found.boxes[best : best + 1], image)
        (masks,) = self.segmenter.mask_logits(shown, box)
        score = float(found.scores[best, 0])
        return ReferredMask(masks[0], score, shown.input_size, shown.padded_size)


def _countable(vocabulary: Vocabulary, things: Sequence[int]) -> Vocabulary:
    """The countable classes alone, in their order."""
    return Vocabulary(
        tuple(vocabulary.names[label] for label in things),
        tuple(vocabulary.prompts[label] for label in things),
        templates=vocabulary.templates,
        background=None,
    )


def _inside(boxes: Tensor, image: Image) -> Tensor:
    """Boxes cut off at the image's border."""
    import torch

    height, width = image.shape[:2]
    limit = torch.tensor([width, height, width, height], device=boxes.device)
    return torch.minimum(boxes.float().clamp(min=0), limit.float())
