"""Learning words from pictures of single things, before anything else (UniCL, Yang et al. 2022).

X-Decoder begins with a backbone and a text encoder that were trained together on images and words
(section 4.1). A small model has no such start to load, so it makes one: pictures of one thing each,
whose pooled features are compared with the texts of all names there are. On `shapes` ten minutes of
this save an hour: masks and colours are learned in no time, what is slow are the words for shapes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import log

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Tensor

from models.xdecoder.heads import LENGTH_EPSILON
from models.xdecoder.model import Network, normalised
from models.xdecoder.text import unit


@dataclass(frozen=True)
class CropBatch:
    """Pictures of one thing each, and what it is called under several vocabularies."""

    images: UInt8[Tensor, "batch height width 3"]
    vocabularies: tuple[tuple[str, ...], ...]
    labels: Int[Tensor, "vocabulary batch"]

    def to(self, device: torch.device) -> "CropBatch":
        """The same batch with its tensors on a device."""
        return replace(self, images=self.images.to(device), labels=self.labels.to(device))


@dataclass(frozen=True)
class CropSupervision:
    """What there is to choose about this objective."""

    scale: float = 14.3
    """The temperature to begin with, CLIP's: the released initial value of e is for a model that
    has learned to match already."""


def begin(model: Network, supervision: CropSupervision) -> None:
    """Set the temperature of fresh weights."""
    with torch.no_grad():
        model.decoder.classes.log_scale.fill_(log(supervision.scale))


def crop_losses(model: Network, batch: CropBatch) -> tuple[Tensor, Mapping[str, Tensor]]:
    """Cross-entropy of each picture against the names of each vocabulary: the sum, and each."""
    pooled = model.backbone(normalised(batch.images)).res5.mean((2, 3))
    images = unit(model.pooled(pooled).float(), LENGTH_EPSILON)
    names = [name for vocabulary in batch.vocabularies for name in vocabulary]
    states = model.text.sentences(model.tokenizer.encode(names)).float()
    scores: Float[Tensor, "batch name"] = (
        model.decoder.classes.scale * images @ unit(states, LENGTH_EPSILON).T
    )
    parts = scores.split([len(vocabulary) for vocabulary in batch.vocabularies], dim=1)
    losses = [
        F.cross_entropy(part, labels) for part, labels in zip(parts, batch.labels, strict=True)
    ]
    right = (parts[0].argmax(1) == batch.labels[0]).float().mean()
    logged = {f"names_{i}": loss.detach() for i, loss in enumerate(losses)}
    return torch.stack(losses).sum(), {**logged, "right": right}
