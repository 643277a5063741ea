"""Training data by name: what a recipe's parts draw from."""

from pathlib import Path

from bench.data.shapes.training import TrainingCrops, TrainingScenes
from bench.errors import UnknownName
from bench.train.mixture import Source

SOURCES = {
    "shapes": lambda root: TrainingScenes(),
    "shapes-crops": lambda root: TrainingCrops(),
}
"""By name: made from the folder that holds the datasets."""


def open_source(name: str, root: Path) -> Source:
    """The training data of that name."""
    if name not in SOURCES:
        raise UnknownName("training data", name, SOURCES)
    return SOURCES[name](root)
