"""Training data by name: what a recipe's parts draw from."""

from collections.abc import Callable, Mapping
from pathlib import Path

from bench.data.shapes.training import TrainingCrops, TrainingScenes
from bench.errors import UnknownName
from bench.train.mixture import Source


def _shapes(root: Path) -> Source:
    return TrainingScenes()


def _shapes_crops(root: Path) -> Source:
    return TrainingCrops()


SOURCES: Mapping[str, Callable[[Path], Source]] = {
    "shapes": _shapes,
    "shapes-crops": _shapes_crops,
}
"""By name: made from the folder that holds the datasets."""


def open_source(name: str, root: Path) -> Source:
    """The training data of that name."""
    if name not in SOURCES:
        raise UnknownName("training data", name, SOURCES)
    return SOURCES[name](root)
