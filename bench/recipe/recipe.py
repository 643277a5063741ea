"""One training run as data: what is trained, on what, for how long and how."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from math import isfinite
from typing import Any

import numpy as np

from bench.recipe.data import Part


class Precision(StrEnum):
    """The number format of the network's arithmetic; weights are always kept in float32."""

    FLOAT32 = "float32"
    BFLOAT16 = "bfloat16"
    FLOAT16 = "float16"
    """With loss scaling, as the paper's «mixed precision»."""


@dataclass(frozen=True)
class Drops:
    """A constant rate that is multiplied by `factor` at fractions of the steps."""

    at: tuple[float, ...] = (0.88889, 0.96296)
    factor: float = 0.1

    def __post_init__(self) -> None:
        if not all(0 <= fraction <= 1 for fraction in self.at):
            raise ValueError(f"drops are at fractions of the steps, from 0 to 1, not {self.at}")
        if not (isfinite(self.factor) and self.factor >= 0):
            raise ValueError(f"a factor of the rate is 0 or more, not {self.factor}")

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

    def __post_init__(self) -> None:
        if self.warm_up < 0:
            raise ValueError(f"warm_up is 0 steps or more, not {self.warm_up}")
        if not (isfinite(self.last) and self.last >= 0):
            raise ValueError(f"a share of the rate is 0 or more, not {self.last}")

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
    trained: tuple[str, ...] = ()
    """Beginnings of the names of the only parameters that are trained; none: all are."""
    betas: tuple[float, float] = (0.9, 0.999)
    clip: float = 5.0
    """The largest norm of the whole gradient; inf: any."""

    def __post_init__(self) -> None:
        if not (isfinite(self.rate) and self.rate > 0):
            raise ValueError(f"a learning rate is above 0 and finite, not {self.rate}")
        for beginning, share in self.shares:
            if not (isfinite(share) and share >= 0):
                raise ValueError(f"the share of '{beginning}' is 0 or more, not {share}")
        if not (isfinite(self.decay) and self.decay >= 0):
            raise ValueError(f"weight decay is 0 or more, not {self.decay}")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas are from 0 to below 1, not {self.betas}")
        if not self.clip > 0:
            raise ValueError(f"the gradient's largest norm is above 0, not {self.clip}")


@dataclass(frozen=True)
class Recipe:
    """One training run, as data: variants are `replace(PRETRAIN, …)`."""

    name: str
    about: str
    """What it gives, what it costs, and where its values come from."""
    model: Any
    """The family's configuration of what is trained; it has a `name`."""
    parts: tuple[Part, ...]
    supervision: Any
    """The family's losses and how much each counts."""
    steps: int = 0
    """Optimiser steps; 0: as many as `epochs` take."""
    epochs: float = 0.0
    """Or how often the first part's data are gone through. Other parts go on at their own pace."""
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
        length = self.steps or self.epochs
        if (self.steps and self.epochs) or not (isfinite(length) and length > 0):
            raise ValueError("a recipe has a number of steps or of epochs, above 0")
        if self.accumulate < 1 or not self.parts:
            raise ValueError("a recipe has a part of data and a pass, at least")
        if not 0 <= self.average < 1:
            raise ValueError(f"average is from 0 to below 1, not {self.average}")
        if not 0 <= self.seed < 2**64:
            raise ValueError(f"a seed is 0 or more, and below 2 to the 64, not {self.seed}")

    def settled(self, images: int) -> "Recipe":
        """The recipe with its number of steps, given how many images its first part has."""
        if self.steps:
            return self
        steps = max(1, round(self.epochs * images / self.parts[0].batch))
        return replace(self, steps=steps, epochs=0.0)
