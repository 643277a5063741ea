"""Learning words from pictures of single things, before anything else (UniCL, Yang et al. 2022).

X-Decoder begins with a backbone and a text encoder that were trained together on images and words
(section 4.1). A small model has no such start to load, so it makes one: pictures of one thing each
are compared with the texts of all names there are. On `shapes` ten minutes of this save an hour:
masks and colours are learned in no time; what is slow are the words for shapes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from math import log

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Float, Int, UInt8
from torch import Generator, Tensor, nn

from models.xdecoder.answers import XDecoder
from models.xdecoder.heads import LENGTH_EPSILON
from models.xdecoder.model import normalised
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
    """The temperature of cosines, and what the model's own is set to for all that follows. CLIP's
    first one: the e that a fresh model begins with leaves cosines too little to say."""


class CropLearner(nn.Module):
    """Learns words from pictures of single things; a `bench.recipe.Learner`.

    Read is the greatest value of each channel on the backbone's three coarser levels: a mean over
    places learns shapes several times more slowly. The maps from there to the space of texts are
    not part of the model.
    """

    def __init__(self, model: XDecoder, supervision: CropSupervision) -> None:
        super().__init__()
        self.model = model
        self.scale = supervision.scale
        with torch.no_grad():
            model.decoder.classes.log_scale.fill_(log(self.scale))
        width = model.config.decoder.width
        self.heads = nn.ModuleList(
            nn.Linear(channels, width, bias=False) for channels in model.backbone.channels[1:]
        )

    def forward(
        self, batches: Sequence[CropBatch], draw: Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """Cross-entropy against the names of each vocabulary: the sum, and each of them.

        Logged besides: how often the likeliest name of the first vocabulary is right.
        """
        (batch,) = batches
        scores = self._scores(batch)
        ends = np.cumsum([len(vocabulary) for vocabulary in batch.vocabularies])[:-1].tolist()
        parts = scores.tensor_split(ends, dim=1)
        pairs = zip(parts, batch.labels, strict=True)
        losses = torch.stack([F.cross_entropy(part, labels) for part, labels in pairs])
        logged = {f"names_{i}": loss for i, loss in enumerate(losses.detach())}
        right = (parts[0].argmax(1) == batch.labels[0]).float().mean()
        return losses.sum(), {**logged, "right": right}

    def _scores(self, batch: CropBatch) -> Float[Tensor, "batch name"]:
        """How well each picture fits each name of all vocabularies."""
        levels = self.model.backbone(normalised(batch.images))
        maps = (levels.res3, levels.res4, levels.res5)
        seen = [head(of.amax((2, 3))) for head, of in zip(self.heads, maps, strict=True)]
        images = unit(torch.stack(seen).sum(0).float(), LENGTH_EPSILON)
        names = [name for vocabulary in batch.vocabularies for name in vocabulary]
        states = self.model.text.sentences(self.model.tokenizer.encode(names))
        return self.scale * images @ unit(states.float(), LENGTH_EPSILON).T
