"""What a run will be, before it is: its data, steps, parameters and memory."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from bench.data.questioned import answers_of
from bench.data.training import open_source
from bench.recipe import Family, Recipe
from bench.train.loop import ParameterGroup, parameter_groups, trained_model
from bench.train.mixture import Mixture
from bench.train.processes import Share


@dataclass(frozen=True)
class Stream:
    """What is drawn from one part of a recipe."""

    data: str
    images: int
    """In an epoch."""
    batch: int
    epochs: float
    """How often the run goes through it."""
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Memory:
    """Bytes of one process."""

    weights: int
    gradients: int
    optimiser: int
    """Two moments, and the running mean of the weights."""
    activations: int
    """What a pass keeps for the way back, measured on one image of each part and scaled up."""

    @property
    def total(self) -> int:
        """All of it; a device needs some more for what operations use meanwhile."""
        return self.weights + self.gradients + self.optimiser + self.activations


@dataclass(frozen=True)
class Outlook:
    """A run of one recipe."""

    recipe: Recipe
    """With its number of steps."""
    streams: tuple[Stream, ...]
    groups: tuple[ParameterGroup, ...]
    frozen: int
    """Parameters that are not trained."""
    memory: Memory


def outlook(recipe: Recipe, family: Family, data: Path, share: Share) -> Outlook:
    """Open a recipe's data and build its model, and say what a run would be.

    Raises:
        DataMissing: data are not there.
    """
    sources = tuple(open_source(part.data, data) for part in recipe.parts)
    recipe = recipe.settled(len(sources[0]))
    streams = tuple(
        Stream(
            part.data.title,
            len(source),
            part.batch,
            recipe.steps * part.batch / len(source),
            tuple(source.notes),
        )
        for part, source in zip(recipe.parts, sources, strict=True)
    )
    slices = share.world * recipe.accumulate
    Mixture(recipe.parts, sources, recipe.accumulate, recipe.seed, share)  # checks the split
    learner: Any = family.learner(recipe, "cpu", None, answers_of(sources))
    groups = parameter_groups(learner, recipe.optimiser)
    kept = 0
    for part, source in zip(recipe.parts, sources, strict=True):
        single = Mixture((replace(part, batch=1),), (source,), 1, recipe.seed)
        kept += part.batch // slices * _kept(learner, single[0])
    weights = sum(p.numel() * p.element_size() for p in learner.parameters())
    trained = 4 * sum(group.count for group in groups)
    mean = 4 * sum(p.numel() for p in trained_model(learner).parameters()) if recipe.average else 0
    return Outlook(
        recipe,
        streams,
        groups,
        sum(p.numel() for p in learner.parameters() if not p.requires_grad),
        Memory(weights, trained, 2 * trained + mean, kept),
    )


def _kept(learner: nn.Module, batches: tuple[Any, ...]) -> int:
    """Bytes that a pass in float32 keeps for the way back, weights left out."""
    weights = {p.untyped_storage().data_ptr() for p in learner.parameters()}
    kept: dict[int, int] = {}

    def keep(tensor: Tensor) -> Tensor:
        storage = tensor.untyped_storage()
        if storage.data_ptr() not in weights:
            kept[storage.data_ptr()] = storage.nbytes()
        return tensor

    draw = torch.Generator().manual_seed(0)
    with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor):
        total, _ = learner(batches, draw)
    del total
    return sum(kept.values())


def lines(of: Outlook) -> Iterator[str]:
    """The outlook in words, line by line."""
    recipe = of.recipe
    yield f"{recipe.name}: {recipe.about}"
    for stream in of.streams:
        images = f"{stream.images:,} images" if stream.images < 2**32 else "images without end"
        epochs = f", {stream.epochs:.1f} epochs" if stream.images < 2**32 else ""
        yield f"  {stream.data}: {images}, {stream.batch} a step{epochs}"
        yield from (f"    {note}" for note in stream.notes)
    passes = f", each of {recipe.accumulate} passes" if recipe.accumulate > 1 else ""
    yield f"  {recipe.steps:,} steps{passes}, in {recipe.precision}"
    for group in of.groups:
        rate = recipe.optimiser.rate * group.share
        yield f"  {group.count:,} parameters at rate {rate:g}, weight decay {group.decay:g}"
    if of.frozen:
        yield f"  {of.frozen:,} parameters are not trained"
    parts = {name: getattr(of.memory, name) for name in of.memory.__dataclass_fields__}
    said = ", ".join(f"{name} {size / 2**30:.2f}" for name, size in parts.items())
    yield f"  memory of a process about {of.memory.total / 2**30:.2f} GiB: {said}"
