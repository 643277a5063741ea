"""How X-Decoders are trained: recipes as values, each field with where it comes from.

bench train nano --out runs/nano
bench train pretrain --set optimiser.rate=2e-4 --out runs/pretrain
"""

from pathlib import Path
from typing import TYPE_CHECKING

from bench.recipe import Cosine, Optimiser, Part, Precision, Recipe, ShapesCrops, ShapesScenes
from models.xdecoder.batching import Crops, Everything
from models.xdecoder.crops import CropSupervision
from models.xdecoder.weights import LossWeights, Supervision, TopLayers

if TYPE_CHECKING:
    from torch import nn

NANO_CROPS = Recipe(
    name="nano-crops",
    about="Backbone and text encoder of xdecoder-nano, on pictures of single things of `shapes`.",
    model="xdecoder-nano",
    parts=(Part(ShapesCrops(), 96, Crops()),),
    supervision=CropSupervision(),
    steps=4000,
    optimiser=Optimiser(
        rate=1e-3,
        shares=(("pixel_decoder.", 0), ("decoder.", 0), ("words.", 0), ("pooled.", 0)),
    ),
    schedule=Cosine(),
    precision=Precision.BFLOAT16,
)

NANO = Recipe(
    name="nano",
    about="xdecoder-nano on `shapes`, all four objectives in one pass.",
    model="xdecoder-nano",
    parts=(Part(ShapesScenes(), 32, Everything()),),
    supervision=Supervision(
        weights=LossWeights(noun=0.0, retrieval_tokens=0.0, retrieval_pooled=1.0),
        top=TopLayers(masks=5, referred=3, captioning=2, retrieval=2),
        points=512,
    ),
    steps=15000,
    optimiser=Optimiser(rate=1e-3),
    schedule=Cosine(),
    precision=Precision.BFLOAT16,
    average=0.995,
    before=NANO_CROPS,
)

RECIPES = {recipe.name: recipe for recipe in (NANO, NANO_CROPS)}


def learner(recipe: Recipe, device: str, start: Path | None = None) -> "nn.Module":
    """See `bench.recipe.Family`."""
    from models.xdecoder.training import learner as made

    return made(recipe, device, start)
