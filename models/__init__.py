"""Models that bench can evaluate, one family a module. Importing this imports no torch.

`FAMILIES` says which modules there are; each has the `CARDS` and the `build` that `models.card`
describes.
"""

FAMILIES = {
    "colour": "models.baselines.colour",
    "xdecoder": "models.xdecoder.family",
}
"""Name of a family to its module."""

RECIPES = {
    "xdecoder": "models.xdecoder.recipes",
}
"""Name of a family that can be trained to the module with its recipes (`bench.recipe.Family`)."""
