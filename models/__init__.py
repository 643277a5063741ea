"""Models that bench can evaluate, one family a module. Importing this imports no torch.

`FAMILIES` says which modules there are; each has the `CARDS` and the `build` that `models.card`
describes.
"""

FAMILIES = {
    "colour": "models.baselines.colour",
    "xdecoder": "models.xdecoder.family",
    "mask2former": "models.baselines.mask2former",
    "oneformer": "models.baselines.oneformer",
    "eomt": "models.baselines.eomt",
    "groupvit": "models.baselines.groupvit",
    "clipseg": "models.baselines.clipseg",
    "grounding-dino": "models.baselines.grounding_dino",
    "owlv2": "models.baselines.owlv2",
    "sam3": "models.baselines.sam3",
    "florence2": "models.baselines.florence2",
    "blip": "models.baselines.blip",
    "blip2": "models.baselines.blip2",
    "vilt": "models.baselines.vilt",
    "dual-encoders": "models.baselines.dual_encoders",
}
"""Name of a family to its module."""

RECIPES = {
    "xdecoder": "models.xdecoder.recipes",
}
"""Name of a family that can be trained to the module with its recipes (`bench.recipe.Family`)."""
