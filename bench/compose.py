"""What follows from two answers together (X-Decoder, section 4.5): no training, no new model.

    region retrieval      a text finds its image among many, then its region in it
    referring captioning  a phrase finds a region, which is then described
    referring editing     a phrase finds a region, which someone else's program paints over

They need of a model only what it answers anyway: any that refers can edit, any that refers and
embeds can retrieve regions.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image as Pillow

from bench.preprocess import resize
from bench.protocol import Protocol as Card
from bench.types import Image, ImageTextEncoder, Mask, ReferringSegmenter, RegionCaptioner


@runtime_checkable
class Inpainter(Protocol):
    """Paints over part of an image; a user's own, named as `module:attribute`."""

    def __call__(
        self, image: Image, mask: Bool[np.ndarray, "height width"], instruction: str
    ) -> Image:
        """The image, of the same size, with what the instruction says inside the mask."""
        ...


@runtime_checkable
class RegionRetriever(ImageTextEncoder, ReferringSegmenter, Protocol):
    """What region retrieval needs of a model."""


@runtime_checkable
class ReferringCaptioner(ReferringSegmenter, RegionCaptioner, Protocol):
    """What referring captioning needs of a model."""


@dataclass(frozen=True)
class FoundRegion:
    """Where a text is at home: which image, which part of it."""

    index: int
    """Of the image, among those given."""
    scores: Float[np.ndarray, " image"]
    """How well each image fits the text."""
    mask: Mask


def find_region(
    model: ReferringSegmenter, image: Image, phrase: str, card: Card
) -> tuple[Mask, float]:
    """The mask of what a phrase points at, at the image's size, and how sure the model is."""
    from bench.postprocess import refer  # imports torch: only where a model ran already

    asked = phrase.lower() if card.referring.lower_case else phrase
    ((answer,),) = model.refer([resize(image, card.resize)], [[asked]])
    return refer(answer, card, _size(image)), answer.score


def describe_region(
    model: ReferringCaptioner, image: Image, phrase: str, *, finding: Card, captioning: Card
) -> tuple[Mask, str]:
    """The region that a phrase points at, and what the model says it shows.

    Args:
        model: refers, and captions regions.
        image: at its own size.
        phrase: what to look for.
        finding: how the image is shown when the phrase is looked for.
        captioning: how it is shown when the region is described.
    """
    mask, _ = find_region(model, image, phrase, finding)
    shown = resize(image, captioning.resize)
    (caption,) = model.caption_regions([shown], [_shrunk(mask, _size(shown))])
    return mask, caption


def retrieve_region(
    model: RegionRetriever, images: Sequence[Image], text: str, *, ranking: Card, finding: Card
) -> FoundRegion:
    """The image that fits a text best, and the region in it that the text points at."""
    if not len(images):
        raise ValueError("there must be an image to choose")
    written = np.asarray(model.embed_texts([text]))
    scores = np.concatenate([similarity(model, image, written, ranking) for image in images])
    best = int(scores.argmax())
    mask, _ = find_region(model, images[best], text, finding)
    return FoundRegion(best, scores, mask)


def similarity(
    model: ImageTextEncoder,
    image: Image,
    written: Float[np.ndarray, "text channel"],
    card: Card,
) -> Float[np.ndarray, " text"]:
    """How well each text, embedded before, fits an image; comparable between images."""
    (pictured,) = np.asarray(model.embed_images([resize(image, card.resize)]))
    fits: np.ndarray = written @ pictured
    return fits


def edit_region(
    model: ReferringSegmenter,
    image: Image,
    phrase: str,
    inpaint: Inpainter,
    instruction: str,
    card: Card,
) -> tuple[Mask, Image]:
    """The region that a phrase points at, and the image as `inpaint` leaves it.

    Raises:
        ValueError: what `inpaint` gives back is no 8-bit RGB image of the same size.
    """
    mask, _ = find_region(model, image, phrase, card)
    edited = np.asarray(inpaint(image.copy(), mask.decode(), instruction))
    if edited.shape != image.shape or edited.dtype != np.uint8:
        raise ValueError(
            f"an inpainter gives back uint8 RGB of {image.shape}, not {edited.dtype} of "
            f"{edited.shape}"
        )
    return mask, edited


def _shrunk(mask: Mask, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
    """A mask at another size, the nearest pixel each; one that vanished is its nearest pixel."""
    height, width = size
    picture = Pillow.fromarray(mask.decode()).resize((width, height), Pillow.Resampling.NEAREST)
    result = np.array(picture)
    if mask.area and not result.any():
        y, x = (places[0] for places in np.nonzero(mask.decode()))
        result[y * height // mask.height, x * width // mask.width] = True
    return result


def _size(image: Image) -> tuple[int, int]:
    return image.shape[0], image.shape[1]
