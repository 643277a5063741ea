"""The training contracts: what a recipe says, what data say of an image, what a family offers.

A family of models that can be trained has a module with

    RECIPES: Mapping[str, Recipe]
    learner(recipe, device, start, answers) -> Learner    a model of that recipe with its losses

Everything here is a value or a protocol; importing it imports no torch.
"""

from bench.recipe.data import (
    Annotated,
    Captioned,
    Data,
    Exact,
    HubPairs,
    Jitter,
    Pairs,
    Part,
    Questions,
    ShapesCrops,
    ShapesPool,
    ShapesQuestions,
    ShapesScenes,
    Split,
    View,
)
from bench.recipe.examples import Batching, Example, Examples, Named, Pointed, Questioned
from bench.recipe.family import Family, Learner
from bench.recipe.recipe import Cosine, Drops, Optimiser, Precision, Recipe
from bench.recipe.settings import changed

__all__ = [
    "Recipe",
    "Part",
    "Optimiser",
    "Drops",
    "Cosine",
    "Precision",
    "changed",
    "Data",
    "Annotated",
    "Captioned",
    "Pairs",
    "HubPairs",
    "ShapesPool",
    "ShapesScenes",
    "Questions",
    "ShapesCrops",
    "ShapesQuestions",
    "Split",
    "View",
    "Jitter",
    "Exact",
    "Example",
    "Examples",
    "Named",
    "Pointed",
    "Questioned",
    "Batching",
    "Family",
    "Learner",
]
