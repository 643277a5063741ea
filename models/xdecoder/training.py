"""An X-Decoder that learns: the network and what it is trained for, as one module.

One call is one pass of a step, so that several processes can exchange gradients around it.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn

from bench.recipe import Recipe
from models.xdecoder.answers import XDecoder
from models.xdecoder.batch import Batch
from models.xdecoder.checkpoint import load
from models.xdecoder.crops import CropLearner, CropSupervision
from models.xdecoder.gather import Alone, Gathered
from models.xdecoder.objectives import Objectives
from models.xdecoder.points import drawn_from
from models.xdecoder.weights import Supervision


class ObjectivesLearner(nn.Module):
    """Learns the objectives of X-Decoder; a `bench.recipe.Learner`."""

    def __init__(self, model: XDecoder, supervision: Supervision) -> None:
        super().__init__()
        self.model = model
        self.objectives = Objectives(supervision)

    def forward(
        self, batches: Sequence[Batch], draw: Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The weighted sum of all losses, and each of them, of each layer, unweighted."""
        gather = Gathered() if dist.is_initialized() else Alone()
        losses = self.objectives(self.model, batches, drawn_from(draw), gather)
        return losses.total, losses.parts


_LEARNERS: dict[type, Callable[..., nn.Module]] = {
    Supervision: ObjectivesLearner,
    CropSupervision: CropLearner,
}
"""By what a recipe's `supervision` is."""


def learner(recipe: Recipe, device: str, start: Path | None = None) -> nn.Module:
    """A learner with fresh weights (from the recipe's seed), or with those of a checkpoint."""
    torch.manual_seed(recipe.seed)
    model = XDecoder(recipe.model, recompute=recipe.recompute)
    if start is not None:
        model.load_state_dict(load(start, model.config).state_dict())
    model.to(torch.device(device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch lists no overload for it alone
    return _LEARNERS[type(recipe.supervision)](model, recipe.supervision)
