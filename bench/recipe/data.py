"""Which data a recipe draws from: names of datasets and files, and how their images are shown.

These are values; `bench.data.training` opens what they name.
"""

from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from bench.recipe.examples import Batching

# --- how images are shown ------------------------------------------------------------------------


@dataclass(frozen=True)
class Jitter:
    """Large-scale jitter: a flip, a scale, then a crop of fixed size, filled up where too small."""

    size: int = 1024
    """Height and width of the crop."""
    scales: tuple[float, float] = (0.1, 2.0)
    """The image is fitted into a square of `size` times a number from here."""
    flip: float = 0.5
    """How often left and right are exchanged. As released, phrases that say left or right are too
    little minded to be changed."""

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"a crop is 1 pixel or more, not {self.size}")
        least, most = self.scales
        if not (0 < least <= most and isfinite(most)):
            raise ValueError(f"scales are above 0, the smaller one first, not {self.scales}")
        if not 0 <= self.flip <= 1:
            raise ValueError(f"flip is from 0 to 1, not {self.flip}")


@dataclass(frozen=True)
class Exact:
    """Resized to a square, whatever the image's own shape."""

    size: int = 224

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"an image is 1 pixel or more, not {self.size}")


View = Jitter | Exact


# --- what is read --------------------------------------------------------------------------------


@dataclass(frozen=True)
class Split:
    """One split of a dataset that has a spec."""

    dataset: str
    split: str = "train"

    def __str__(self) -> str:
        return f"{self.dataset} {self.split}"


@dataclass(frozen=True)
class Annotated:
    """The segments of a dataset, and what other files say about the same images.

    Images of COCO are the same where the numbers at the ends of their names are.
    """

    of: Split
    """Panoptic truth, or else label maps, of which each class is a segment."""
    view: View
    phrases: tuple[Split, ...] = ()
    """Datasets of expressions (RefCOCO) about some of the images."""
    grounding: str = ""
    """Or a COCO file below the data folder with `sentences` of each annotation, as X-Decoder's
    `grounding_train2017.json`."""
    captions: str = ""
    """A COCO file of captions below the data folder."""
    nouns: bool = False
    """Whether the nouns of captions are found too; needs the package `nltk` and its tagger."""
    without: tuple[Split, ...] = ()
    """Images of these are left out: they are evaluated on."""
    only_with_phrases: bool = False
    """Images without phrases are left out too."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        said = [str(of) for of in self.phrases]
        said += [file for file in (self.grounding, self.captions) if file]
        return f"{self.of}{' with ' if said else ''}{', '.join(said)}"


@dataclass(frozen=True)
class Captioned:
    """The images and captions of a dataset."""

    of: Split
    view: View

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return str(self.of)


@dataclass(frozen=True)
class Pairs:
    """Image-text pairs in files: Arrow or Parquet as Hugging Face `datasets` has them, or tars."""

    files: tuple[str, ...]
    """Patterns below the data folder, as `vlp/code224_sbu_*.arrow` or `cc3m/{00000..00331}.tar`."""
    view: View
    without: tuple[Split, ...] = ()
    """Images of these are left out, where the files number their images as COCO does."""

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return ", ".join(self.files)


@dataclass(frozen=True)
class HubPairs:
    """Image-text pairs of a dataset on the Hugging Face hub, or of a folder that `datasets` reads.

    Nothing is kept on disk: every epoch is streamed.
    """

    name: str
    pairs: int
    """How many there are, which a stream does not say; an image with five captions is five."""
    view: View
    split: str = "train"
    shuffled: int = 10_000
    """Pairs that are held to be mixed with one another."""

    def __post_init__(self) -> None:
        if self.pairs < 1 or self.shuffled < 1:
            raise ValueError("a stream has a pair and holds one, at least")

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return f"{self.name} {self.split}, streamed"


@dataclass(frozen=True)
class Questions:
    """The questions of a dataset, with people's answers."""

    of: Split
    view: View
    answers: int = 3129
    """So many of the most frequent answers are the candidates."""

    def __post_init__(self) -> None:
        if self.answers < 1:
            raise ValueError("questions have an answer, at least")

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        return f"{self.of}, {self.answers} answers"


@dataclass(frozen=True)
class ShapesScenes:
    """Scenes of the embedded world, which come with everything."""

    distractors: int = 3
    """Names of nothing that each step's vocabulary has besides."""
    stuff_phrases: bool = True
    """Whether phrases are said of stuff too, not of things alone."""

    title: ClassVar = "scenes of shapes"


@dataclass(frozen=True)
class ShapesPool(ShapesScenes):
    """The first so many of those scenes, gone through again and again."""

    scenes: int = 2000

    title: ClassVar = "some scenes of shapes"

    def __post_init__(self) -> None:
        if self.scenes < 1:
            raise ValueError("a pool has a scene, at least")


@dataclass(frozen=True)
class ShapesCrops:
    """Pictures of single things of the embedded world, with their names."""

    title: ClassVar = "single things of shapes"


@dataclass(frozen=True)
class ShapesQuestions:
    """Scenes of the embedded world, with a question each."""

    title: ClassVar = "questions about shapes"


Data = (
    Annotated
    | Captioned
    | Pairs
    | HubPairs
    | Questions
    | ShapesScenes
    | ShapesPool
    | ShapesCrops
    | ShapesQuestions
)


@dataclass(frozen=True)
class Part:
    """One stream of training data, and how much of it enters a step."""

    data: Data
    batch: int
    """Images a step, over all processes and accumulated passes together."""
    batched: Batching
    """The family's way of making a batch of it."""

    def __post_init__(self) -> None:
        if self.batch < 1:
            raise ValueError("a part has an image a step, at least")
