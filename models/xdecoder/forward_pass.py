"""One pass of a training batch through the network, as the losses read it."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.xdecoder.gather import Gather
from models.xdecoder.model import Network
from models.xdecoder.points import Draw
from models.xdecoder.prediction import Decoding, ImageFeatures, Prediction
from models.xdecoder.weights import Supervision

LayerLosses = dict[str, Float[Tensor, " layer"]]
"""Values by names of `LossWeights`, one for each layer from the last one backwards."""


@dataclass(frozen=True)
class ForwardPass:
    """What a pass left behind, and what losses need beside it."""

    model: Network
    image: ImageFeatures
    decoding: Decoding
    supervision: Supervision
    draw: Draw
    gather: Gather

    def top(
        self, layers: int, read: Callable[[Prediction], Tensor]
    ) -> Float[Tensor, "layer batch query channel"]:
        """What is read of the last predictions, the last one first, in float32."""
        return torch.stack([read(p) for p in self.decoding.predictions[: -layers - 1 : -1]]).float()

    def gathered(
        self, rows: Float[Tensor, "layer own channel"]
    ) -> Float[Tensor, "layer all channel"]:
        """The rows of all processes; the layers of a row travel together."""
        together = rows.transpose(0, 1)
        found = self.gather.rows(together.flatten(1))
        return found.view(-1, *together.shape[1:]).transpose(0, 1)

    @property
    def scale(self) -> Float[Tensor, ""]:
        """The temperature of contrastive scores."""
        return self.model.decoder.classes.scale
