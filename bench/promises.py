"""What the protocols of `bench.types` promise beyond their signatures, so that it can be checked.

A promise knows how to ask a model about images, what an answer must look like, and what it is to
be asked nothing (no classes, no phrases). `PROMISES` has one for each protocol; `bench.selftest`
puts them to a model.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import numpy as np

from bench import types
from bench.protocol import Protocol
from bench.types import VOID, Image, Instances, Panoptic, Proposals, ReferredMask, Vocabulary

ASKED = Vocabulary(("cat", "traffic light", "grass"), things=frozenset({0, 1}))
PHRASES = ("the cat on the left", "grass")
QUESTIONS = ("what is it?", "how many cats are there?")

CARD = Protocol(name="self-test")
"""For post-processing: every rule at its default."""


class Broken(Exception):
    """An answer is not what its protocol promises; the message says what was found."""


@dataclass(frozen=True)
class Promise:
    """One protocol, as something to be asked and checked."""

    protocol: type
    ask: Callable[[Any, Sequence[Image]], Sequence[Any]]
    """The answers to an ordinary question, one an image."""
    examine: Callable[[Any, Image], None]
    """Raises `Broken` where an answer about an image is not what is promised."""
    ask_nothing: Mapping[str, tuple[Callable[[Any, Sequence[Image]], Sequence[Any]], Any]]
    """By what is left out: how it is asked then, and what examines the answer."""


def require(holds: bool, message: str) -> None:
    """Raise `Broken` with the message unless it holds."""
    if not holds:
        raise Broken(message)


# --- segmentation --------------------------------------------------------------------------------


def _by_vocabulary(
    method: str, vocabulary: Vocabulary
) -> Callable[[Any, Sequence[Image]], Sequence[Any]]:
    def ask(model: Any, images: Sequence[Image]) -> Sequence[Any]:
        answers: Sequence[Any] = getattr(model, method)(images, vocabulary)
        return answers

    return ask


def _proposals(vocabulary: Vocabulary) -> Callable[[Any, Image], None]:
    def examine(answer: Any, image: Image) -> None:
        from bench.postprocess import segment  # imports torch: only where a model has

        require(isinstance(answer, Proposals), f"a {type(answer).__name__}, not Proposals")
        classes, masks = answer.class_logits, answer.mask_logits
        require(
            tuple(classes.shape) == (len(masks), vocabulary.columns),
            f"class logits {tuple(classes.shape)} for {len(masks)} masks and "
            f"{vocabulary.columns} columns",
        )
        require(masks.ndim == 3, f"mask logits of {masks.ndim} dimensions, not 3")
        _fits(answer)
        if vocabulary.background is not None:
            found = segment(answer, vocabulary, CARD, image.shape[:2])
            _labels(vocabulary)(found["semantic"], image)

    return examine


def _fits(answer: Proposals | ReferredMask) -> None:
    """The grid covers the padded input with square cells, and the image lies inside it."""
    grid, padded = tuple(answer.mask_logits.shape[-2:]), tuple(answer.padded_size)
    shown = tuple(answer.input_size)
    require(
        all(0 < s <= p for s, p in zip(shown, padded, strict=True)),
        f"an image of {shown} in an input of {padded}",
    )
    require(
        padded[0] * grid[1] == padded[1] * grid[0],
        f"a grid of {grid} over an input of {padded}: its cells are no squares",
    )


def _labels(vocabulary: Vocabulary) -> Callable[[Any, Image], None]:
    def examine(answer: Any, image: Image) -> None:
        found = np.asarray(answer)
        require(np.issubdtype(found.dtype, np.integer), f"labels of type {found.dtype}")
        require(
            found.shape == image.shape[:2],
            f"labels of {found.shape} for an image of {image.shape[:2]}",
        )
        require(
            VOID <= found.min() <= found.max() < len(vocabulary),
            f"labels from {found.min()} to {found.max()} for {len(vocabulary)} classes",
        )

    return examine


def _instances(vocabulary: Vocabulary) -> Callable[[Any, Image], None]:
    def examine(answer: Any, image: Image) -> None:
        require(isinstance(answer, Instances), f"a {type(answer).__name__}, not Instances")
        n, labels, scores = len(answer.masks), answer.labels, answer.scores
        require(
            len(labels) == len(scores) == n,
            f"{n} masks, {len(labels)} labels and {len(scores)} scores",
        )
        require(
            set(labels.tolist()) <= vocabulary.things,
            f"labels {sorted(set(labels.tolist()))}, of which only "
            f"{sorted(vocabulary.things)} are countable",
        )
        require(bool(np.isfinite(scores).all()), "scores that are no numbers")
        sizes = {(mask.height, mask.width) for mask in answer.masks}
        require(sizes <= {image.shape[:2]}, f"masks of {sizes} for an image of {image.shape[:2]}")
        boxes = answer.boxes
        require(
            boxes is None or boxes.shape == (n, 4),
            f"boxes {None if boxes is None else boxes.shape} for {n} masks",
        )

    return examine


def _panoptic(vocabulary: Vocabulary) -> Callable[[Any, Image], None]:
    def examine(answer: Any, image: Image) -> None:
        require(isinstance(answer, Panoptic), f"a {type(answer).__name__}, not Panoptic")
        require(
            answer.ids.shape == image.shape[:2],
            f"ids of {answer.ids.shape} for an image of {image.shape[:2]}",
        )
        listed = [segment.id for segment in answer.segments]
        require(len(set(listed)) == len(listed), "two segments with one id")
        stray = set(np.unique(answer.ids).tolist()) - {0, *listed}
        require(not stray, f"ids {sorted(stray)} in the map that no segment has")
        labels = {segment.label for segment in answer.segments}
        require(
            labels <= set(range(len(vocabulary))), f"labels {labels} for {len(vocabulary)} classes"
        )

    return examine


def _vocabulary_promise(
    protocol: type, method: str, examine: Callable[[Vocabulary], Callable[[Any, Image], None]]
) -> Promise:
    empty, bare = Vocabulary(()), Vocabulary((), background=None)
    return Promise(
        protocol,
        _by_vocabulary(method, ASKED),
        examine(ASKED),
        {
            "empty vocabulary": (_by_vocabulary(method, empty), examine(empty)),
            "empty vocabulary without background": (_by_vocabulary(method, bare), examine(bare)),
        },
    )


# --- texts ---------------------------------------------------------------------------------------


def _each(method: str, asked: Sequence[str]) -> Callable[[Any, Sequence[Image]], Sequence[Any]]:
    def ask(model: Any, images: Sequence[Image]) -> Sequence[Any]:
        answers: Sequence[Any] = getattr(model, method)(images, [list(asked) for _ in images])
        return answers

    return ask


def _one_each(n: int, examine: Callable[[Any, Image], None]) -> Callable[[Any, Image], None]:
    def of_all(answer: Any, image: Image) -> None:
        require(len(answer) == n, f"{len(answer)} answers to {n} questions")
        for one in answer:
            examine(one, image)

    return of_all


def _referred(answer: Any, image: Image) -> None:
    from bench.postprocess import refer  # as above

    require(isinstance(answer, ReferredMask), f"a {type(answer).__name__}, not a ReferredMask")
    require(answer.mask_logits.ndim == 2, f"mask logits of {answer.mask_logits.ndim} dimensions")
    require(bool(np.isfinite(answer.score)), f"a score of {answer.score}")
    refer(answer, CARD, image.shape[:2])


def _text(answer: Any, image: Image) -> None:
    require(isinstance(answer, str), f"a {type(answer).__name__}, not text")


def _captions(model: Any, images: Sequence[Image]) -> Sequence[Any]:
    answers: Sequence[Any] = model.caption(images)
    return answers


def _region_captions(model: Any, images: Sequence[Image]) -> Sequence[Any]:
    answers: Sequence[Any] = model.caption_regions(images, [_corner(image) for image in images])
    return answers


def _corner(image: Image) -> np.ndarray:
    """The top left quarter as a mask, at least a pixel of it."""
    height, width = image.shape[:2]
    rows, columns = np.mgrid[:height, :width]
    corner: np.ndarray = (2 * rows <= height - 1) & (2 * columns <= width - 1)
    return corner


def _embedded(model: Any, images: Sequence[Image]) -> Sequence[Any]:
    """Each image's vector with those of some texts."""
    vectors, texts = model.embed_images(images), model.embed_texts(list(PHRASES))
    return [(vector, texts) for vector in vectors]


def _vectors(answer: Any, image: Image) -> None:
    vector, texts = np.asarray(answer[0]), np.asarray(answer[1])
    require(
        vector.ndim == 1 and texts.shape == (len(PHRASES), len(vector)),
        f"an image as {vector.shape} and {len(PHRASES)} texts as {texts.shape}",
    )
    for part in (vector, texts):
        require(bool(np.isfinite(part).all()), "vectors that are no numbers")
        require(bool(np.abs(part).sum()), "vectors of zeros")


PROMISES = (
    _vocabulary_promise(types.Proposer, "propose", _proposals),
    _vocabulary_promise(types.SemanticSegmenter, "segment_semantic", _labels),
    _vocabulary_promise(types.InstanceSegmenter, "segment_instances", _instances),
    _vocabulary_promise(types.PanopticSegmenter, "segment_panoptic", _panoptic),
    Promise(
        types.ReferringSegmenter,
        _each("refer", PHRASES),
        _one_each(len(PHRASES), _referred),
        {"no phrases": (_each("refer", ()), _one_each(0, _referred))},
    ),
    Promise(types.ImageTextEncoder, _embedded, _vectors, {}),
    Promise(types.Captioner, _captions, _text, {}),
    Promise(types.RegionCaptioner, _region_captions, _text, {}),
    Promise(
        types.QuestionAnswerer,
        _each("answer", QUESTIONS),
        _one_each(len(QUESTIONS), _text),
        {"no questions": (_each("answer", ()), _one_each(0, _text))},
    ),
)


# --- comparing answers ---------------------------------------------------------------------------


def difference(one: Any, other: Any) -> float:
    """How far two answers are apart: 0 the same, infinity different in kind, else in numbers.

    For numbers the largest difference, in units of the largest number there is in either.
    """
    if hasattr(one, "detach"):
        one, other = one.detach().float().cpu().numpy(), other.detach().float().cpu().numpy()
    if isinstance(one, np.ndarray | np.generic | float):
        return _apart(np.asarray(one), np.asarray(other))
    if is_dataclass(one) and type(one) is type(other):
        return max(
            (difference(getattr(one, f.name), getattr(other, f.name)) for f in fields(one)),
            default=0.0,
        )
    if isinstance(one, list | tuple):
        if len(one) != len(other):
            return float("inf")
        return max(map(difference, one, other), default=0.0)
    return 0.0 if one == other else float("inf")


def _apart(one: np.ndarray, other: np.ndarray) -> float:
    if one.shape != other.shape:
        return float("inf")
    if not one.size:
        return 0.0
    if not np.issubdtype(one.dtype, np.floating):
        return float(np.mean(one != other))
    scale = max(float(np.abs(one).max()), float(np.abs(other).max()), 1e-12)
    return float(np.abs(one - other).max()) / scale
