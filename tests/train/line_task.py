"""A family so small that a whole run takes a second: it learns a line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from bench.data.order import Order
from bench.recipe import Optimiser, Part, Precision, Recipe, ShapesCrops


@dataclass(frozen=True)
class Numbers:
    """The numbers below `n`, as training data."""

    n: int = 64
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return self.n

    def order(self, seed: int) -> Order:
        return Order(self.n, seed)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> list[int]:
        return list(places)


@dataclass(frozen=True)
class NumberBatch:
    x: Tensor

    def to(self, device: torch.device) -> "NumberBatch":
        return replace(self, x=self.x.to(device))


@dataclass(frozen=True)
class AsTensor:
    def __call__(self, data: list[int], chance: np.random.Generator) -> NumberBatch:
        return NumberBatch(torch.tensor(data, dtype=torch.float32)[:, None] / 64)


class Line(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.slope = nn.Linear(1, 4)
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.norm(self.slope(x)))

    def save_pretrained(self, folder: str) -> None:
        with (Path(folder) / "line.pt").open("wb") as file:
            torch.save(self.state_dict(), file)


class LineLearner(nn.Module):
    """Learns 3 x - 1."""

    def __init__(self, noise: float = 0.0, poison: int | None = None) -> None:
        super().__init__()
        self.model = Line()
        self.noise = noise
        self.poison = poison
        self.calls = 0

    def forward(
        self, batches: Sequence[NumberBatch], draw: Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        (batch,) = batches
        self.calls += 1
        wanted = 3 * batch.x - 1 + self.noise * torch.randn(batch.x.shape, generator=draw)
        dropped = torch.rand(()) * self.noise  # as drop path: the global generator
        loss = ((self.model(batch.x) - wanted) ** 2).mean() * (1 - dropped)
        if self.calls == self.poison:
            loss = loss * float("nan")
        return loss, {"square": loss.detach()}


LINE = Recipe(
    name="line",
    about="A line.",
    model=None,
    parts=(Part(ShapesCrops(), 8, AsTensor()),),
    supervision=None,
    steps=12,
    optimiser=Optimiser(rate=1e-2),
    precision=Precision.FLOAT32,
    average=0.9,
)


class LineFamily:
    """A `bench.recipe.Family`; as a module would be."""

    RECIPES: Mapping[str, Recipe] = {"line": LINE}

    def __init__(self, **settings: Any) -> None:
        self.settings = settings

    def learner(
        self, recipe: Recipe, device: str, start: Path | None, answers: tuple[str, ...]
    ) -> LineLearner:
        torch.manual_seed(recipe.seed)
        learner = LineLearner(**self.settings)
        if start is not None:
            learner.model.load_state_dict(torch.load(start / "line.pt"))
        return learner
