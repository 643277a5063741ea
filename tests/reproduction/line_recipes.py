"""A family of recipes to train in a second: a line, and a change of it that weighs nothing less."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn

from bench.data.order import Order
from bench.recipe import Optimiser, Part, Precision, Recipe, ShapesCrops

DRAWN = SimpleNamespace(name="line-model")


class Numbers:
    """The numbers below 64."""

    notes = ()

    def __len__(self):
        return 64

    def order(self, seed):
        return Order(64, seed)

    def examples(self, places, chance):
        return list(places)


class Batch:
    def __init__(self, x):
        self.x = x

    def to(self, device):
        return self


class AsTensor:
    def __call__(self, data, chance):
        return Batch(torch.tensor(data, dtype=torch.float32)[:, None] / 64)

    def __repr__(self):
        return "AsTensor()"


class Line(nn.Linear):
    def save_pretrained(self, folder):
        torch.save(self.state_dict(), Path(folder) / "line.pt")


class LineLearner(nn.Module):
    def __init__(self, slope):
        super().__init__()
        self.model = Line(1, 1)
        self.slope = slope

    def forward(self, batches, draw):
        (batch,) = batches
        loss = ((self.model(batch.x) - self.slope * batch.x) ** 2).mean()
        return loss, {"square": loss.detach()}


FLAT = Recipe(
    name="line-flat",
    about="What lines begin on.",
    model=DRAWN,
    parts=(Part(ShapesCrops(), 8, AsTensor()),),
    supervision=0.0,
    steps=20,
    optimiser=Optimiser(rate=1e-2),
    precision=Precision.FLOAT32,
)
LINE = replace(
    FLAT, name="line", about="A line.", supervision=3.0, steps=100, average=0.98, before=FLAT
)
STEEP = replace(LINE, name="line-steep", supervision=9.0)
RECIPES = {recipe.name: recipe for recipe in (FLAT, LINE, STEEP)}


def learner(recipe, device, start, answers):
    torch.manual_seed(recipe.seed)
    found = LineLearner(recipe.supervision)
    if start is not None:
        found.model.load_state_dict(torch.load(start / "line.pt"))
    return found
