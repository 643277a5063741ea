"""The embedded world `shapes` as datasets: its readers, and what writes its suite to disk.

`shapes` draws its samples when they are asked for and reads no file. `shapes-in-the-wild` is read
like any other export, and drawn into the data folder the first time it is needed.
"""

from enum import StrEnum
from pathlib import Path

from pydantic import Field

from bench.data.shapes.dataset import InstanceTruth, PanopticTruth, Scenes, SemanticTruth
from bench.data.shapes.export import export
from bench.data.shapes.language import (
    SceneAnswers,
    SceneCaptions,
    ScenePhrases,
    ScenePointers,
    SceneQuestions,
)
from bench.data.shapes.naming import Naming, by_colour, by_pair, by_shape
from bench.data.shapes.phrase import Kind
from bench.data.shapes.world import (
    DISTRACTORS,
    EASY,
    HARD,
    HELD_OUT_DISTRACTORS,
    STANDARD,
    Split,
    World,
)
from bench.data.source import Home, Opening, Reader
from bench.protocol import Strict
from bench.types import Vocabulary


class Difficulty(StrEnum):
    """Which world scenes are of."""

    EASY = "easy"
    STANDARD = "standard"
    HARD = "hard"

    @property
    def world(self) -> World:
        """Its parameters."""
        return {"easy": EASY, "standard": STANDARD, "hard": HARD}[self.value]


class Classes(StrEnum):
    """What things are called."""

    SHAPES = "shapes"
    """By their shape."""
    PAIRS = "pairs"
    """By their colour and shape."""
    COLOURS = "colours"
    """By their colour, whatever their shape."""

    def naming(self, world: World) -> Naming:
        """The naming of a world's things and stuff."""
        naming = {"shapes": by_shape, "pairs": by_pair, "colours": by_colour}[self.value]
        return naming(world)


class Absent(StrEnum):
    """Which names of nothing in this world are asked about beside what is there."""

    NONE = "none"
    """None."""
    DISTRACTORS = "distractors"
    """Twelve that training asked about too, so that a model can know that they are not there."""
    STRANGERS = "strangers"
    """Twelve that training never used."""

    @property
    def names(self) -> tuple[str, ...]:
        """The names themselves."""
        strangers = HELD_OUT_DISTRACTORS
        known = DISTRACTORS[: len(strangers)]
        return {"none": (), "distractors": known, "strangers": strangers}[self.value]


class ScenesOptions(Strict):
    """Options of the readers of what is said about scenes."""

    part: Split
    """Which scenes: `train`, `val` or `unseen`."""
    n: int = Field(gt=0)
    """How many: the first so many."""
    world: Difficulty = Difficulty.STANDARD

    @property
    def scenes(self) -> Scenes:
        """The scenes themselves."""
        return Scenes(self.world.world, self.part, self.n)


class ShapesOptions(ScenesOptions):
    """Options of the reader `shapes`."""

    classes: Classes = Classes.SHAPES
    absent: Absent = Absent.NONE

    @property
    def naming(self) -> Naming:
        """What is in them called."""
        return self.classes.naming(self.world.world).with_absent(self.absent.names)


def _vocabulary(options: ShapesOptions, home: Home) -> Vocabulary:
    return options.naming.vocabulary


def _images(options: ScenesOptions, home: Home) -> Scenes:
    return options.scenes


def _panoptic(options: ShapesOptions, opening: Opening) -> PanopticTruth:
    return PanopticTruth(options.scenes, options.naming)


def _instance(options: ShapesOptions, opening: Opening) -> InstanceTruth:
    return InstanceTruth(options.scenes, options.naming)


def _semantic(options: ShapesOptions, opening: Opening) -> SemanticTruth:
    return SemanticTruth(options.scenes, options.naming)


SHAPES = Reader(
    "scenes of the embedded world, drawn when they are asked for",
    ShapesOptions,
    images=_images,
    truths={"panoptic": _panoptic, "instance": _instance, "semantic": _semantic},
    vocabulary=_vocabulary,
)


class PhrasesOptions(ScenesOptions):
    """Options of the reader `shapes-phrases`."""

    kinds: tuple[Kind, ...] = tuple(Kind)
    """Only phrases of these kinds: by what a thing is, by where it is among others, for stuff."""


def _phrases(options: PhrasesOptions, opening: Opening) -> ScenePhrases:
    return ScenePhrases(options.scenes, opening.protocol.referring, options.kinds)


def _pointers(options: PhrasesOptions, opening: Opening) -> ScenePointers:
    return ScenePointers(options.scenes, opening.protocol.referring, options.kinds)


SHAPES_PHRASES = Reader(
    "phrases for single segments of scenes",
    PhrasesOptions,
    images=_images,
    truths={"referring": _pointers},
    prompts=_phrases,
)


def _captions(options: ScenesOptions, opening: Opening) -> SceneCaptions:
    return SceneCaptions(options.scenes)


SHAPES_CAPTIONS = Reader(
    "captions of scenes",
    ScenesOptions,
    images=_images,
    truths={"retrieval": _captions, "caption": _captions},
    prompts=_captions,
)


def _questions(options: ScenesOptions, opening: Opening) -> SceneQuestions:
    return SceneQuestions(options.scenes)


def _answers(options: ScenesOptions, opening: Opening) -> SceneAnswers:
    return SceneAnswers(options.scenes)


SHAPES_QUESTIONS = Reader(
    "questions about scenes",
    ScenesOptions,
    images=_images,
    truths={"vqa": _answers},
    prompts=_questions,
)


def write_wild(home: Path) -> None:
    """Write the suite `shapes-in-the-wild` where the dataset at `home` is not there yet."""
    export(home.parent)
