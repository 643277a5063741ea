"""An X-Decoder that learns: the network and what it is trained for, as one module.

One call is one pass of a step, so that several processes can exchange gradients around it.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch import Generator, Tensor, nn

from bench.recipe import Recipe
from models.xdecoder.answers import XDecoder
from models.xdecoder.batch import Batch
from models.xdecoder.checkpoint import load
from models.xdecoder.convert import check_fit
from models.xdecoder.crops import CropLearner, CropSupervision
from models.xdecoder.gather import Alone, Gathered
from models.xdecoder.objectives import Objectives
from models.xdecoder.points import drawn_from
from models.xdecoder.questions import QuestionLearner, QuestionSupervision
from models.xdecoder.weights import Supervision


class ObjectivesLearner(nn.Module):
    """Learns the objectives of X-Decoder; a `bench.recipe.Learner`."""

    def __init__(self, model: XDecoder, supervision: Supervision) -> None:
        super().__init__()
        self.model = model
        self.objectives = Objectives(supervision)
        self.own_gradient_only = supervision.own_gradient_only

    def forward(
        self, batches: Sequence[Batch], draw: Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The weighted sum of all losses, and each of them, of each layer, unweighted."""
        gather = Gathered(self.own_gradient_only) if dist.is_initialized() else Alone()
        losses = self.objectives(self.model, batches, drawn_from(draw), gather)
        return losses.total, losses.parts


_LEARNERS: dict[type, Callable[..., nn.Module]] = {
    Supervision: ObjectivesLearner,
    CropSupervision: CropLearner,
    QuestionSupervision: QuestionLearner,
}
"""By what a recipe's `supervision` is."""


def learner(
    recipe: Recipe, device: str, start: Path | None = None, answers: tuple[str, ...] = ()
) -> nn.Module:
    """A learner with fresh weights (from the recipe's seed), or with those of a checkpoint.

    With `answers` the model has a head for them, fresh unless the checkpoint has the same ones.

    Raises:
        DataError: the checkpoint is of another model than the recipe's.
    """
    torch.manual_seed(recipe.seed)
    model = XDecoder(replace(recipe.model, answers=answers), recompute=recipe.recompute)
    if start is not None:
        begun = load(start, recipe.model)
        kept = model if begun.config.answers != answers else begun
        head = {name: w for name, w in kept.state_dict().items() if name.startswith(HEAD)}
        body = {name: w for name, w in begun.state_dict().items() if not name.startswith(HEAD)}
        weights = {**body, **head}
        check_fit(model.state_dict(), weights, str(start), recipe.model.name)
        model.load_state_dict(weights)
    model.to(torch.device(device)).to(memory_format=torch.channels_last)  # type: ignore[call-overload] # torch lists no overload for it alone
    return _LEARNERS[type(recipe.supervision)](model, recipe.supervision)


HEAD = "answering."
"""What names in the head of answers begin with."""
