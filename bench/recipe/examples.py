"""What data say of training images, before a family makes batches of it."""

from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

from bench.types import Image, Segment, Vocabulary


@dataclass(frozen=True, eq=False)
class Pointed:
    """What points at something in an image: of several phrases that mean the same, any."""

    texts: tuple[str, ...]
    mask: Bool[np.ndarray, "height width"]


@dataclass(frozen=True, eq=False)
class Example:
    """One training image and what is known of it; what is unknown is empty."""

    image: Image
    ids: Int[np.ndarray, "height width"] | None = None
    """Which segment each pixel belongs to; 0 is void."""
    segments: tuple[Segment, ...] = ()
    """Labels of the segments; an id without an entry is void, as are crowds."""
    phrases: tuple[Pointed, ...] = ()
    captions: tuple[str, ...] = ()
    nouns: tuple[tuple[str, ...], ...] = ()
    """Of each caption; or empty, where nobody looked for them."""


@dataclass(frozen=True, eq=False)
class Examples:
    """Images asked about under one vocabulary: the share of one process in one step of one part."""

    examples: tuple[Example, ...]
    vocabulary: Vocabulary | None = None
    """What labels mean; `None` where there are none."""


@dataclass(frozen=True, eq=False)
class Named:
    """Pictures of one thing each, and what it is called under several vocabularies."""

    images: tuple[Image, ...]
    vocabularies: tuple[tuple[str, ...], ...]
    labels: Int[np.ndarray, "vocabulary image"]


@dataclass(frozen=True, eq=False)
class Questioned:
    """Images with a question each."""

    images: tuple[Image, ...]
    questions: tuple[str, ...]
    scores: Float[np.ndarray, "image answer"]
    """How right each candidate answer is, from 0 to 1."""


class Batching(Protocol):
    """A frozen value of a family that makes what its learner is given."""

    def __call__(self, data: Any, chance: np.random.Generator) -> Any:
        """A batch of what a source gave; it has a method `to(device)`."""
        ...
