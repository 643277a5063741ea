"""What a training step is given: images of one size, and what is known of them.

Two types of batch, by what is known. A step is a tuple of batches, each with a pass of its own
through the network. Which classes are asked about, which phrases and nouns, and in which
templates, is drawn where batches are made; here all texts are as the text encoder reads them.
"""

from dataclasses import dataclass, replace
from enum import Enum, auto

import torch
from jaxtyping import Bool, Int, UInt8
from torch import Tensor


@dataclass(frozen=True)
class Concept:
    """A text, and what it stands for.

    >>> Concept("a photo of a dog.", "dog") == Concept("a photo of a dog.", "dog")
    True
    """

    text: str
    """As the text encoder reads it, in its template: `a photo of a dog.`"""
    key: str
    """Texts with equal keys mean the same and are no negatives of each other: the name itself, as
    batches are made here; its stem in the released code."""


@dataclass(frozen=True)
class Objects:
    """The annotated segments of one image, things and stuff alike."""

    masks: Bool[Tensor, "object height width"]
    labels: Int[Tensor, " object"]
    """Positions in the batch's `classes`."""

    def to(self, device: torch.device) -> "Objects":
        """The same segments on a device."""
        return Objects(
            self.masks.to(device, non_blocking=True), self.labels.to(device, non_blocking=True)
        )


class PhraseSource(Enum):
    """Where phrases come from, which decides how much they weigh."""

    WRITTEN = auto()
    """People wrote them about one object."""
    CLASS_NAMES = auto()
    """Class names standing in for phrases, in an image that has none."""


@dataclass(frozen=True)
class Phrases:
    """The phrases about one image, and what each points at."""

    concepts: tuple[Concept, ...]
    masks: Bool[Tensor, "phrase height width"]
    source: PhraseSource = PhraseSource.WRITTEN

    def __post_init__(self) -> None:
        if len(self.concepts) != len(self.masks):
            raise ValueError(f"{len(self.concepts)} phrases but {len(self.masks)} masks of them")

    def to(self, device: torch.device) -> "Phrases":
        """The same phrases with their masks on a device."""
        return replace(self, masks=self.masks.to(device, non_blocking=True))


@dataclass(frozen=True)
class SegmentationBatch:
    """Images with their segments, and phrases about them: panoptic and referring data."""

    images: UInt8[Tensor, "batch height width 3"]
    classes: tuple[Concept, ...]
    """The classes to tell apart, background last."""
    objects: tuple[Objects, ...]
    """One an image."""
    phrases: tuple[Phrases, ...] = ()
    """One an image; or none at all, and referring is not trained."""
    nouns: tuple[tuple[Concept, ...], ...] = ()
    """For each image the nouns of its caption and the caption itself, to enrich the vocabulary
    (appendix C.3); or none at all."""

    def __post_init__(self) -> None:
        _check_count("objects", self.objects, self.images)
        for name in ("phrases", "nouns"):
            if getattr(self, name):
                _check_count(name, getattr(self, name), self.images)
        known = len(self.classes) - 1
        if any(of.labels.numel() and int(of.labels.max()) >= known for of in self.objects):
            raise ValueError(f"labels must be below {known}, the position of background")

    def to(self, device: torch.device) -> "SegmentationBatch":
        """The same batch with its tensors on a device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            objects=tuple(of.to(device) for of in self.objects),
            phrases=tuple(of.to(device) for of in self.phrases),
        )


@dataclass(frozen=True)
class PairBatch:
    """Images with a caption each: image-text pairs; some say what their phrases point at."""

    images: UInt8[Tensor, "batch height width 3"]
    captions: tuple[str, ...]
    phrases: tuple[Phrases, ...] = ()
    """One an image; or none at all."""

    def __post_init__(self) -> None:
        _check_count("captions", self.captions, self.images)
        if self.phrases:
            _check_count("phrases", self.phrases, self.images)

    def to(self, device: torch.device) -> "PairBatch":
        """The same batch with its tensors on a device."""
        return replace(
            self,
            images=self.images.to(device, non_blocking=True),
            phrases=tuple(of.to(device) for of in self.phrases),
        )


Batch = SegmentationBatch | PairBatch


def _check_count(what: str, found: tuple[object, ...], images: Tensor) -> None:
    if len(found) != len(images):
        raise ValueError(f"{len(images)} images but {what} of {len(found)}")
