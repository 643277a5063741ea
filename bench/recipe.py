"""The training contracts: what a recipe says, what data say of an image, what a family offers.

A family of models that can be trained has, in its module,

    RECIPES: Mapping[str, Recipe]
    learner(recipe, device, start) -> Learner     a model of that recipe with its losses

Everything here is a value or a protocol; importing this module imports no torch, and so should a
module of recipes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass, replace
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar, get_type_hints

import numpy as np
from jaxtyping import Bool, Int
from pydantic import TypeAdapter, ValidationError

from bench.errors import UnknownName, UsageError
from bench.types import Image, Segment, Vocabulary

if TYPE_CHECKING:
    from _typeshed import DataclassInstance
    from torch import Generator, Tensor, nn

D = TypeVar("D", bound="DataclassInstance")

# --- what data say -------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Pointed:
    """A phrase and what it points at."""

    text: str
    mask: Bool[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False)
class Example:
    """One training image and what is known of it; what is unknown is empty."""

    image: Image
    ids: Int[np.ndarray, "height width"] | None = None
    """Which segment each pixel belongs to; 0 is void."""
    segments: tuple[Segment, ...] = ()
    """Labels of the segments; an id without an entry is void, as are crowds."""
    phrases: tuple[Pointed, ...] = ()
    captions: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Examples:
    """Images asked about under one vocabulary: the share of one process in one step of one part."""

    examples: tuple[Example, ...]
    vocabulary: Vocabulary | None = None
    """What labels mean; `None` where there are none."""


@dataclass(frozen=True, eq=False)
class Named:
    """Pictures of one thing each, and what it is called under several vocabularies."""

    images: tuple[Image, ...]
    vocabularies: tuple[tuple[str, ...], ...]
    labels: Int[np.ndarray, "vocabulary image"]


# --- what a recipe says --------------------------------------------------------------------------


class Batching(Protocol):
    """A frozen value of a family that makes what its learner is given."""

    def __call__(self, data: Any, chance: np.random.Generator) -> Any:
        """A batch of what a source gave; it has a method `to(device)`."""
        ...


class Precision(StrEnum):
    """The number format of the network's arithmetic; weights are always kept in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    """With loss scaling, as the paper's «mixed precision»."""


@dataclass(frozen=True)
class Part:
    """One stream of training data, and how much of it enters a step."""

    data: str
    """The name of a source: `shapes`, `coco`, or pairs in files, as `bench.data.training` reads."""
    batch: int
    """Images a step, over all processes and accumulated passes together."""
    batched: "Batching"
    """The family's way of making a batch of it."""


@dataclass(frozen=True)
class Drops:
    """A constant rate that is multiplied by `factor` at fractions of the steps."""

    at: tuple[float, ...] = (0.88889, 0.96296)
    factor: float = 0.1

    def share(self, step: int, steps: int) -> float:
        """What the base rate is multiplied with in step `step` of `steps`, counted from 0.

        >>> [round(Drops().share(step, 1000), 4) for step in (0, 888, 889, 963)]
        [1.0, 1.0, 0.1, 0.01]
        """
        return float(self.factor ** sum(step >= fraction * steps for fraction in self.at))


@dataclass(frozen=True)
class Cosine:
    """A linear rise over the first steps, then half a cosine down to a last share."""

    warm_up: int = 200
    """Steps; at most a tenth of all."""
    last: float = 0.01

    def share(self, step: int, steps: int) -> float:
        """What the base rate is multiplied with in step `step` of `steps`, counted from 0.

        >>> [round(Cosine(warm_up=2).share(step, 22), 2) for step in (0, 1, 2, 12, 21)]
        [0.5, 1.0, 1.0, 0.51, 0.02]
        """
        rise = min(self.warm_up, steps // 10)
        if step < rise:
            return (step + 1) / rise
        done = (step - rise) / (steps - rise)
        return self.last + (1 - self.last) * 0.5 * (1 + float(np.cos(np.pi * done)))


@dataclass(frozen=True)
class Optimiser:
    """AdamW, with rates and decay by groups of parameters."""

    rate: float = 1e-4
    """The base learning rate."""
    shares: tuple[tuple[str, float], ...] = ()
    """(beginning of a parameter's name, what its rate is multiplied with); all that fit count. A
    share of 0 freezes."""
    decay: float = 0.05
    """Weight decay."""
    decayed_norms: tuple[str, ...] = ()
    """Beginnings of names of norms that are decayed all the same; other norms and the tables of
    embeddings never are."""
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 5.0
    """The largest norm of the whole gradient."""


@dataclass(frozen=True)
class Recipe:
    """One training run, as data: variants are `replace(PRETRAIN, …)`."""

    name: str
    about: str
    """What it gives, what it costs, and where its values come from."""
    model: str
    """The family's variant to train."""
    parts: tuple[Part, ...]
    supervision: object
    """The family's losses and how much each counts."""
    steps: int
    """Optimiser steps."""
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Drops | Cosine = field(default_factory=Drops)
    accumulate: int = 1
    """Passes whose gradients are added up before the optimiser steps once."""
    precision: Precision = Precision.BFLOAT16
    average: float = 0.0
    """Decay of the running mean of weights that is saved as the model; 0: the weights themselves
    are."""
    recompute: bool = False
    """Spare memory: compute activations again on the way back."""
    seed: int = 0
    before: "Recipe | None" = None
    """A recipe that is trained first, on whose weights this one begins."""

    def __post_init__(self) -> None:
        if self.steps < 1 or self.accumulate < 1 or not self.parts:
            raise ValueError("a recipe needs a part, a step and a pass")


def changed(recipe: D, settings: Mapping[str, str]) -> D:
    """A recipe with some of its fields changed, as `--set` names them.

    A dot reaches into what is nested: `optimiser.rate=3e-4`, `before.steps=100`. With `steps`
    alone, a recipe that is trained before keeps its share of the length.

    Raises:
        UnknownName: there is no such field.
        UsageError: the value is not of the field's type.

    >>> changed(Optimiser(), {"rate": "3e-4"}).rate
    0.0003
    """
    for key, value in settings.items():
        recipe = _changed(recipe, key.split("."), value, key)
    return recipe


def _changed(of: D, path: list[str], value: str, key: str) -> D:
    name, rest = path[0], path[1:]
    known = {f.name for f in fields(of)}
    if name not in known:
        raise UnknownName(f"setting of {type(of).__name__}", name, known)
    now = getattr(of, name)
    if rest:
        if not is_dataclass(now) or isinstance(now, type):
            raise UsageError(f"--set {key}: '{name}' has no settings of its own.")
        return replace(of, **{name: _changed(now, rest, value, key)})
    hint = get_type_hints(type(of), localns={"Recipe": Recipe})[name]
    try:
        new = TypeAdapter(hint).validate_strings(value)
    except ValidationError as error:
        raise UsageError(f"--set {key}={value}: {error.errors()[0]['msg']}.") from None
    changes = {name: new}
    if isinstance(of, Recipe) and name == "steps" and of.before is not None:
        share = of.before.steps / of.steps
        changes["before"] = replace(of.before, steps=max(1, round(share * new)))
    return replace(of, **changes)


# --- what a family offers ------------------------------------------------------------------------


class Learner(Protocol):
    """A model with its losses; also a `torch.nn.Module` whose parameters are the model's."""

    @property
    def model(self) -> "nn.Module":
        """What is trained, and saved by its `save_pretrained(folder)`."""
        ...

    def __call__(
        self, batches: Sequence[Any], draw: "Generator"
    ) -> "tuple[Tensor, Mapping[str, Tensor]]":
        """What is minimised for a step's batches, and by name the parts that are worth logging."""
        ...


class Family(Protocol):
    """The module of a family's recipes."""

    RECIPES: Mapping[str, Recipe]

    def learner(self, recipe: Recipe, device: str, start: Path | None) -> Learner:
        """A learner with fresh weights, or with those of a checkpoint."""
        ...
