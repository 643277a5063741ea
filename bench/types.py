"""What travels between a dataset, a model and a metric.

These are the only types that `models` needs of `bench`. One convention each, the same everywhere;
readers convert at the edge:

    image        uint8 RGB, (height, width, 3), as stored (EXIF orientation applied)
    mask         `Mask`: run lengths at the size of the original image
    label        int from 0 in the vocabulary's order; void is -1
    panoptic map int32 ids at the original size; 0 is void; ids are local to one image
    box          float xyxy in pixels, right and bottom exclusive
    score        a fraction
    text         as written: templates belong to the evaluation, tokens to the model

Importing this module imports numpy and no torch.
"""

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float, Int, UInt8

if TYPE_CHECKING:
    from torch import Tensor

Image = UInt8[np.ndarray, "height width 3"]
LabelMap = Int[np.ndarray, "height width"]
VOID = -1
"""The label of a pixel that no class claims."""


# --- what is asked -------------------------------------------------------------------------------


@dataclass(frozen=True)
class Vocabulary:
    """The classes a model is asked about, and the words it is asked with.

    Label `i` is `names[i]` as the dataset gives it; `prompts[i]` are the words a model reads for
    it (often the same name, spelled out). With several words for a class its text embedding is the
    mean over words and templates.
    """

    names: tuple[str, ...]
    prompts: tuple[tuple[str, ...], ...] = ()
    """The words for each class; the names themselves where empty."""
    things: frozenset[int] = frozenset()
    """Labels of countable classes; the others are stuff."""
    templates: tuple[str, ...] = ("{}",)
    """Sentences the words are put into, one `{}` each."""
    background: str | None = "background"
    """The word prompted for «none of these», in one more column after the names; `None`: no
    such column is asked for."""

    def __post_init__(self) -> None:
        if not self.prompts:
            object.__setattr__(self, "prompts", tuple((name,) for name in self.names))
        if len(self.prompts) != len(self.names):
            raise ValueError(f"{len(self.names)} names but {len(self.prompts)} entries of prompts")
        if any(not words for words in self.prompts):
            raise ValueError("every class needs at least one prompt")
        if not all(0 <= label < len(self.names) for label in self.things):
            raise ValueError(f"things must be labels in 0..{len(self.names) - 1}")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def columns(self) -> int:
        """How many columns of class logits answer this vocabulary: the names and background."""
        return len(self.names) + (self.background is not None)

    def sentences(self) -> tuple[tuple[str, ...], ...]:
        """The sentences of every column, background last: each word in each template.

        >>> Vocabulary(("cat",), templates=("{}", "a {}."), background=None).sentences()
        (('cat', 'a cat.'),)
        """
        words = self.prompts + (((self.background,),) if self.background is not None else ())
        return tuple(tuple(t.format(w) for w in column for t in self.templates) for column in words)


# --- masks ---------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Mask:
    """A binary mask as run lengths, in the order and sense of COCO's uncompressed RLE.

    `counts` alternates runs of zeros and ones down the columns, beginning with zeros (which may be
    a run of length 0); it sums to height × width.
    """

    height: int
    width: int
    counts: np.ndarray  # uint32, one dimension

    @classmethod
    def encode(cls, mask: Bool[np.ndarray, "height width"]) -> "Mask":
        """Run lengths of a boolean array.

        >>> Mask.encode(np.array([[0, 1], [1, 1]], bool)).counts.tolist()
        [1, 3]
        """
        height, width = mask.shape
        if not mask.size:
            return cls(height, width, np.zeros(1, np.uint32))
        if mask.flags.f_contiguous:
            flat = mask.ravel(order="K")
            edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
        else:
            edges = _edges_down_columns(mask)
        lead = [0, 0] if mask[0, 0] else [0]
        bounds = np.concatenate((lead, edges, [mask.size]))
        return cls(height, width, np.diff(bounds).astype(np.uint32))

    def decode(self) -> Bool[np.ndarray, "height width"]:
        """The mask as a boolean array."""
        ones = np.arange(len(self.counts)) % 2 == 1
        flat = np.repeat(ones, self.counts)
        return flat.reshape(self.width, self.height).T

    @cached_property
    def area(self) -> int:
        """Pixels inside."""
        return int(self.counts[1::2].sum(dtype=np.int64))

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mask):
            return NotImplemented
        return (self.height, self.width) == (other.height, other.width) and np.array_equal(
            self.counts, other.counts
        )

    __hash__ = None  # type: ignore[assignment]


def _edges_down_columns(mask: Bool[np.ndarray, "height width"]) -> Int[np.ndarray, " edge"]:
    """Where the value changes, counting down the columns, of a mask that lies row after row.

    Rows are compared eight pixels at a time, and only what differs is looked at closely.
    """
    height, width = mask.shape
    words_a_row = -(-width // 8)
    if width % 8 or not mask.flags.c_contiguous:
        padded = np.zeros((height, 8 * words_a_row), bool)
        padded[:, :width] = mask
    else:
        padded = mask
    words = padded.view(np.uint64).ravel()
    above, below = words[:-words_a_row], words[words_a_row:]
    word = np.flatnonzero(above != below)
    pixel = np.flatnonzero((above[word] ^ below[word]).view(np.uint8))
    word = word[pixel >> 3]
    row = word // words_a_row
    column = (word - row * words_a_row) * 8 + (pixel & 7)
    tops = np.flatnonzero(mask[0, 1:] != mask[-1, :-1]) + 1
    edges = np.concatenate((column * height + row + 1, tops * height))
    edges.sort()
    return edges


# --- what a model answers ------------------------------------------------------------------------


@dataclass(frozen=True)
class Proposals:
    """A mask classifier's own output for one image: masks and, for each, a score per class.

    The masks lie on a grid over the padded network input: `grid * stride = padded_size`, of which
    the top left `input_size` shows the image. Nothing is thresholded or resized yet: that is the
    protocol's part (`bench.postprocess`).
    """

    class_logits: "Tensor"  # float (query, column); columns as in `Vocabulary.columns`
    mask_logits: "Tensor"  # float (query, grid height, grid width)
    input_size: tuple[int, int]
    """Height and width of the image as the network saw it, before padding."""
    padded_size: tuple[int, int]
    """Height and width of the padded network input."""


@dataclass(frozen=True)
class Segment:
    """One segment of a panoptic map."""

    id: int
    label: int
    score: float = 1.0
    crowd: bool = False
    """A group that is not told apart; only in truth."""
    area: int | None = None
    """The pixels that the truth's file states, which panopticapi uses; counted where absent."""


@dataclass(frozen=True)
class Panoptic:
    """Every pixel's segment: a map of ids and what each id is. Prediction and truth alike."""

    ids: Int[np.ndarray, "height width"]  # 0 is void
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Instances:
    """Scored masks of countable things, in any order."""

    masks: tuple[Mask, ...]
    labels: Int[np.ndarray, " instance"]
    scores: Float[np.ndarray, " instance"]
    boxes: Float[np.ndarray, "instance 4"] | None = None
    """xyxy; where absent, boxes are taken from the masks."""


@dataclass(frozen=True)
class ReferredMask:
    """What a phrase points at: mask logits on the network's grid, and how sure the model is."""

    mask_logits: "Tensor"  # float (grid height, grid width); positive inside
    score: float
    input_size: tuple[int, int]
    padded_size: tuple[int, int]


# --- what is true --------------------------------------------------------------------------------


@dataclass(frozen=True)
class TrueInstance:
    """One annotated object."""

    id: int
    """The annotation's id in its file."""
    label: int
    mask: Mask
    crowd: bool = False
    area: float | None = None
    """The area the file states, which COCO's size ranges use; the mask's own where absent."""
    box: tuple[float, float, float, float] | None = None


@dataclass(frozen=True)
class TrueInstances:
    """Every annotated object of one image.

    `exhaustive` labels are fully annotated in this image; `None` means all are (COCO). Federated
    datasets (LVIS) check only some.
    """

    instances: tuple[TrueInstance, ...]
    exhaustive: frozenset[int] | None = None


@dataclass(frozen=True)
class Sample:
    """One question to a model: an image, what is asked about it, and what is true.

    `id` is the dataset's own name for it and is unique in its split. `prompt` is what the task
    hands to the model besides the image (a `Vocabulary` for generic segmentation, phrases for
    referring segmentation). `truths` holds one truth per task the dataset is scored on.
    """

    id: str
    image: Image
    prompt: Any
    truths: Mapping[str, Any] = field(default_factory=dict)

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the original image."""
        height, width = self.image.shape[:2]
        return height, width


# --- what a model may be able to do: one method each ---------------------------------------------


@runtime_checkable
class Proposer(Protocol):
    """Answers a vocabulary with masks and class scores, from which every segmentation follows."""

    def propose(self, images: Sequence[Image], vocabulary: Vocabulary) -> Sequence[Proposals]:
        """One `Proposals` an image. Images in one call have one size."""
        ...


@runtime_checkable
class SemanticSegmenter(Protocol):
    """Gives every pixel a class."""

    def segment_semantic(
        self, images: Sequence[Image], vocabulary: Vocabulary
    ) -> Sequence[LabelMap]:
        """One label map an image, at the image's size; void is -1."""
        ...


@runtime_checkable
class InstanceSegmenter(Protocol):
    """Finds every object of the countable classes."""

    def segment_instances(
        self, images: Sequence[Image], vocabulary: Vocabulary
    ) -> Sequence[Instances]:
        """Scored masks of each image, at the image's size."""
        ...


@runtime_checkable
class PanopticSegmenter(Protocol):
    """Gives every pixel a class and tells countable objects apart."""

    def segment_panoptic(
        self, images: Sequence[Image], vocabulary: Vocabulary
    ) -> Sequence[Panoptic]:
        """One panoptic map an image, at the image's size."""
        ...


@runtime_checkable
class ReferringSegmenter(Protocol):
    """Finds what phrases point at."""

    def refer(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> Sequence[Sequence[ReferredMask]]:
        """For each image, one mask a phrase."""
        ...


@runtime_checkable
class ImageTextEncoder(Protocol):
    """Puts images and texts into one space, where the inner product says how well they fit."""

    def embed_images(self, images: Sequence[Image]) -> Float[np.ndarray, "image channel"]:
        """One vector an image, scaled so that inner products with texts are comparable scores."""
        ...

    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text channel"]:
        """One vector a text."""
        ...


@runtime_checkable
class Captioner(Protocol):
    """Says, in words, what an image shows."""

    def caption(self, images: Sequence[Image]) -> Sequence[str]:
        """One caption an image."""
        ...


@runtime_checkable
class RegionCaptioner(Protocol):
    """Says, in words, what a region of an image shows."""

    def caption_regions(
        self, images: Sequence[Image], regions: Sequence[Bool[np.ndarray, "height width"]]
    ) -> Sequence[str]:
        """One caption a region, which is a mask at the size of its image."""
        ...


@runtime_checkable
class QuestionAnswerer(Protocol):
    """Answers questions about images."""

    def answer(
        self, images: Sequence[Image], questions: Sequence[Sequence[str]]
    ) -> Sequence[Sequence[str]]:
        """For each image, one answer a question."""
        ...


# --- what a model may learn ----------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Lesson:
    """One image to tune on, and everything in it that is annotated."""

    image: Image
    """At the size the network is shown it."""
    masks: tuple[Mask, ...]
    """At the size of the original image."""
    labels: tuple[int, ...]
    """Of each mask, in the order of the vocabulary."""


class Tuner(Protocol):
    """One way of tuning a model on few images: which of its parameters, and how."""

    @property
    def parameters(self) -> int:
        """How many parameters are tuned, counted."""
        ...

    @property
    def settings(self) -> Mapping[str, Any]:
        """Everything besides images, words and seed that can change what comes out, as JSON."""
        ...

    def tune(self, lessons: Sequence[Lesson], vocabulary: Vocabulary, *, seed: int) -> object:
        """A model that answers what the original answers; the original stays as it is."""
        ...


@runtime_checkable
class Tunable(Protocol):
    """Can be tuned on few images."""

    def tuner(self, strategy: str) -> Tuner:
        """The way of that name; `UnknownName` where there is none."""
        ...


# --- what a model may follow ---------------------------------------------------------------------


@runtime_checkable
class FollowsProtocol(Protocol):
    """Has choices inside the network that a protocol card makes, such as its `freed_row`."""

    def under(self, protocol: Any) -> object:
        """The same model, weights shared, as the card (a `bench.protocol.Protocol`) wants it.

        The model itself stays as it is, so what one card asked for never reaches another's run.
        """
        ...


# --- what a model may show -----------------------------------------------------------------------


@runtime_checkable
class ShowsStages(Protocol):
    """Shows what it computes between an image and its answer, so that a change can be located."""

    def showing_stages(self) -> AbstractContextManager[Mapping[str, Mapping[str, Any]]]:
        """While open, what an answer about one image leaves behind: arrays or tensors by name.

        They are grouped by stage, of which there are `preprocessing` (the pixels as the network
        takes them), `text`, `backbone`, `pixel decoder` and `decoder`; a model shows those it has.
        """
        ...
