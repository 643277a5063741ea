"""Training data of every kind, opened."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from bench.data.joined import AnnotatedImages, CaptionedImages
from bench.data.order import Source
from bench.data.pairs import PairFiles, PairStream
from bench.data.questioned import AskedImages, AskedScenes
from bench.data.shapes import Kind
from bench.data.shapes.training import SCENES, TrainingCrops, TrainingScenes
from bench.data.shapes.world import DISTRACTORS
from bench.errors import UsageError
from bench.recipe import (
    Annotated,
    Captioned,
    Data,
    HubPairs,
    Pairs,
    Questions,
    ShapesCrops,
    ShapesPool,
    ShapesQuestions,
    ShapesScenes,
)


def open_source(data: Data, root: Path) -> Source:
    """What a recipe's part draws from; `root` is the data folder.

    Raises:
        DataMissing: files are not there; the message says which and where to get them.
        DataError: a file is not what it should be.
        UsageError: the recipe asks for what there is not.
    """
    return _OPENERS[type(data)](data, root)


def _scenes(data: ShapesScenes, root: Path) -> Source:
    if not 0 <= data.distractors <= len(DISTRACTORS):
        raise UsageError(
            f"distractors={data.distractors} was asked for, and there are {len(DISTRACTORS)} names "
            f"of nothing: give a number from 0 to {len(DISTRACTORS)}."
        )
    spoken_of = tuple(kind for kind in Kind if data.stuff_phrases or kind is not Kind.STUFF)
    scenes = data.scenes if isinstance(data, ShapesPool) else SCENES
    return TrainingScenes(scenes=scenes, distractors=data.distractors, spoken_of=spoken_of)


def _crops(data: ShapesCrops, root: Path) -> Source:
    return TrainingCrops()


def _questions(data: ShapesQuestions, root: Path) -> Source:
    return AskedScenes()


def _stream(data: HubPairs, root: Path) -> Source:
    return PairStream(data)


_OPENERS: Mapping[type, Callable[[Any, Path], Source]] = {
    Annotated: AnnotatedImages.open,
    Captioned: CaptionedImages.open,
    Pairs: PairFiles.open,
    HubPairs: _stream,
    Questions: AskedImages.open,
    ShapesScenes: _scenes,
    ShapesPool: _scenes,
    ShapesQuestions: _questions,
    ShapesCrops: _crops,
}
