"""The training loop: read a batch, compare, step, say how it went.

`train` is a generator of what happened in each step; whoever iterates logs, saves, evaluates or
stops. It changes the learner and the `State` it is given, and nothing else.
"""

import time
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from math import isfinite
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn
from torch.nn.parallel import DistributedDataParallel

from bench.errors import BenchError, UsageError
from bench.recipe import Optimiser, Precision, Recipe
from bench.train.mixture import Mixture


class Diverged(BenchError):
    """A loss or a gradient is no longer a number."""

    exit_code = 4

    def __init__(self, step: int, parts: Mapping[str, float], batches: Sequence[Any]) -> None:
        self.step, self.parts, self.batches = step, parts, batches
        bad = ", ".join(name for name, loss in parts.items() if not isfinite(loss))
        super().__init__(f"Step {step} is not finite, in {bad or 'its gradient'}.")


@dataclass(frozen=True)
class Step:
    """What happened in one step of the optimiser."""

    number: int
    """Of the step, from 1."""
    loss: float
    """What was minimised: of this process, the mean over the passes of the step."""
    parts: Mapping[str, float]
    """What the learner says it is made of, likewise."""
    gradient_norm: float
    """Of the whole model, before clipping."""
    rate: float
    """The base learning rate of this step."""
    seconds: float


@dataclass
class State:
    """What changes during training, besides the model: all that a checkpoint holds."""

    optimiser: torch.optim.AdamW
    scaler: torch.amp.GradScaler
    average: dict[str, Tensor] = field(default_factory=dict)
    """The running mean of the model's weights by name; empty where the recipe keeps none."""
    step: int = 0
    """Steps that are done."""


def begin(learner: nn.Module, recipe: Recipe) -> State:
    """The state before the first step of a `bench.recipe.Learner`.

    Raises:
        UsageError: the recipe trains no parameter.
    """
    device = next(learner.parameters()).device
    groups = parameter_groups(learner, recipe.optimiser)
    if not groups:
        raise UsageError(
            f"'{recipe.name}' would train nothing: by 'optimiser.trained' "
            f"({', '.join(recipe.optimiser.trained) or 'everything'}) and the shares of 0 in "
            "'optimiser.shares' no parameter is left."
        )
    optimiser = torch.optim.AdamW(
        [
            {"params": list(group.parameters.values()), "weight_decay": group.decay}
            for group in groups
        ],
        lr=recipe.optimiser.rate,
        betas=recipe.optimiser.betas,
        fused=True,
    )
    for settings, group in zip(optimiser.param_groups, groups, strict=True):
        settings["share"] = group.share
    average = {name: p.detach().clone() for name, p in trained_model(learner).named_parameters()}
    return State(
        optimiser,
        torch.amp.GradScaler(device.type, enabled=recipe.precision is Precision.FLOAT16),
        average if recipe.average else {},
    )


def trained_model(learner: nn.Module) -> nn.Module:
    """The model inside a `bench.recipe.Learner`, also behind what `distributed` puts around it."""
    inner = learner.module if isinstance(learner, DistributedDataParallel) else learner
    assert isinstance(inner.model, nn.Module)
    return inner.model


@dataclass(frozen=True)
class ParameterGroup:
    """Parameters with one learning rate and one decay."""

    share: float
    """Of the base rate."""
    decay: float
    parameters: Mapping[str, nn.Parameter]

    @property
    def count(self) -> int:
        """How many numbers there are."""
        return sum(p.numel() for p in self.parameters.values())


NORMS = (nn.LayerNorm, nn.GroupNorm, nn.modules.batchnorm._BatchNorm)


def parameter_groups(learner: nn.Module, settings: Optimiser) -> tuple[ParameterGroup, ...]:
    """A learner's parameters by learning rate and decay; those with a share of 0 are frozen.

    Names are those of the model's parameters; what a learner has beside its model is trained too.
    """
    undecayed = {
        parameter
        for name, module in learner.named_modules()
        if isinstance(module, nn.Embedding)
        or (isinstance(module, NORMS) and not _own(name).startswith(settings.decayed_norms))
        for parameter in module.parameters(recurse=False)
    }
    groups: dict[tuple[float, float], dict[str, nn.Parameter]] = {}
    for name, parameter in ((_own(name), p) for name, p in learner.named_parameters()):
        share = 1.0 if name.startswith(settings.trained or "") else 0.0
        for beginning, factor in settings.shares:
            share *= factor if name.startswith(beginning) else 1.0
        parameter.requires_grad_(share > 0)
        if share > 0:
            decay = 0.0 if parameter in undecayed else settings.decay
            groups.setdefault((share, decay), {})[name] = parameter
    return tuple(ParameterGroup(*key, group) for key, group in sorted(groups.items()))


def _own(name: str) -> str:
    return name.removeprefix("model.")


def train(
    learner: nn.Module, mixture: Mixture, recipe: Recipe, state: State, *, workers: int = 0
) -> Iterator[Step]:
    """Train until the recipe's last step, from wherever `state` is.

    Args:
        learner: a `bench.recipe.Learner`; with several processes, `distributed(learner)`.
        mixture: the batches of this process.
        recipe: how.
        state: from `begin`, or from a checkpoint.
        workers: processes that prepare batches ahead.

    Raises:
        Diverged: a loss or gradient is not finite. The state is as before the step.
    """
    model = trained_model(learner)
    device = next(model.parameters()).device
    learner.train()
    first, last = (n * recipe.accumulate for n in (state.step, recipe.steps))
    batches = mixture.load(first, last, workers)
    for number in range(state.step, recipe.steps):
        start = time.perf_counter()
        rate = recipe.optimiser.rate * recipe.schedule.share(number, recipe.steps)
        parts: dict[str, float] = {}
        loss, seen = 0.0, []
        for item in range(number * recipe.accumulate, (number + 1) * recipe.accumulate):
            seen.append(batch := next(batches))
            # Seeded anew for each pass: a step is the same whenever it is done. What drops paths
            # inside the network knows the global generator only.
            torch.manual_seed(seed := mixture.torch_seed(item))
            draw = torch.Generator(device).manual_seed(seed)
            more = item + 1 < (number + 1) * recipe.accumulate
            with _unsynchronised(learner, more):
                with _autocast(device, recipe.precision):
                    total, of_pass = learner([part.to(device) for part in batch], draw)
                state.scaler.scale(total / recipe.accumulate).backward()
            loss += total.item() / recipe.accumulate
            for name, value in of_pass.items():
                parts[name] = parts.get(name, 0.0) + value.item() / recipe.accumulate
        if not isfinite(loss):
            raise Diverged(number + 1, {"loss": loss, **parts}, seen)
        norm = _stepped(model, state, recipe, rate)
        if not isfinite(norm) and not _scaled_too_much(state):
            raise Diverged(number + 1, {"loss": loss, **parts}, seen)
        state.step = number + 1
        yield Step(state.step, loss, parts, norm, rate, time.perf_counter() - start)


def _stepped(model: nn.Module, state: State, recipe: Recipe, rate: float) -> float:
    """Step the optimiser by the gradients there are, if they are finite; their norm."""
    state.scaler.unscale_(state.optimiser)
    trained = [p for group in state.optimiser.param_groups for p in group["params"]]
    norm = nn.utils.clip_grad_norm_(trained, recipe.optimiser.clip).item()
    for group in state.optimiser.param_groups:
        group["lr"] = rate * group["share"]
    if isfinite(norm):
        state.scaler.step(state.optimiser)
    state.scaler.update()
    state.optimiser.zero_grad()
    if state.average and isfinite(norm):
        with torch.no_grad():
            means, weights = zip(
                *((state.average[name], p) for name, p in model.named_parameters()), strict=True
            )
            # Early on the mean follows the weights, or it would remember where they began.
            decay = min(recipe.average, (1 + state.step) / (10 + state.step))
            torch._foreach_lerp_(means, weights, 1 - decay)
    return norm


LEAST_SCALE = 1e-4
"""Of losses in float16: what overflows below it is no matter of scale."""


def _scaled_too_much(state: State) -> bool:
    """Whether loss scaling may have made a gradient overflow: no fault, the step was left out."""
    return state.scaler.is_enabled() and state.scaler.get_scale() > LEAST_SCALE


def _unsynchronised(learner: nn.Module, more: bool) -> AbstractContextManager[Any]:
    """Gradients are exchanged after the last pass of a step only."""
    if more and isinstance(learner, DistributedDataParallel):
        return learner.no_sync()
    return nullcontext()


def _autocast(device: torch.device, precision: Precision) -> AbstractContextManager[Any]:
    if precision is Precision.FLOAT32:
        return nullcontext()
    return torch.autocast(device.type, getattr(torch, precision.value))


def distributed(learner: nn.Module) -> nn.Module:
    """The learner of a process among several, whose gradients become the mean of all."""
    if not dist.is_initialized() or dist.get_world_size() == 1:
        return learner
    # It warns of convolutions of 1 x 1, whose strides have two names and mean the same memory.
    warnings.filterwarnings("ignore", message="Grad strides do not match bucket view strides")
    return DistributedDataParallel(
        learner, find_unused_parameters=True, gradient_as_bucket_view=True
    )
