"""The views of an image that few-shot tuning sees: a stated number, so that each is computed once.

Random augmentation would show the frozen parts of the network a new image in every step. A few
fixed changes of each image do nearly as well for few images, and what is made of them can be kept.
"""

import hashlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Bool, UInt8
from PIL import Image as Pillow
from torch import Generator, Tensor

from bench.types import Lesson, Mask
from models.xdecoder.batch import Objects
from models.xdecoder.points import Draw, drawn_from


@dataclass(frozen=True)
class View:
    """One way to show an image: turned left to right or not, larger or smaller or not."""

    flip: bool = False
    scale: float = 1.0

    def size(self, lesson: Lesson) -> tuple[int, int]:
        """Height and width of the image in this view."""
        height, width = (max(1, round(side * self.scale)) for side in lesson.image.shape[:2])
        return height, width

    def image(self, lesson: Lesson) -> UInt8[Tensor, "height width 3"]:
        """The image in this view."""
        height, width = self.size(lesson)
        pixels = lesson.image
        if pixels.shape[:2] != (height, width):
            picture = Pillow.fromarray(pixels).resize((width, height), Pillow.Resampling.BICUBIC)
            pixels = np.asarray(picture)
        if self.flip:
            pixels = pixels[:, ::-1]
        return torch.from_numpy(np.array(pixels))

    def objects(self, lesson: Lesson) -> Objects:
        """What is annotated and still has a pixel in this view."""
        size = self.size(lesson)
        masks = [self._mask(mask, size) for mask in lesson.masks]
        kept = [index for index, mask in enumerate(masks) if mask.any()]
        stack = np.stack([masks[i] for i in kept]) if kept else np.zeros((0, *size), bool)
        labels = torch.tensor([lesson.labels[i] for i in kept], dtype=torch.long)
        return Objects(torch.from_numpy(stack), labels)

    def _mask(self, mask: Mask, size: tuple[int, int]) -> Bool[np.ndarray, "height width"]:
        """The mask at the places of the view's pixels: that of the nearest original pixel."""
        rows, columns = (
            ((np.arange(new) + 0.5) * old / new).astype(int)
            for new, old in zip(size, (mask.height, mask.width), strict=True)
        )
        shown: np.ndarray = mask.decode()[rows][:, columns[::-1] if self.flip else columns]
        return shown


@dataclass(frozen=True, eq=False)
class Shown:
    """An image in one of its views."""

    lesson: Lesson
    view: View

    @property
    def size(self) -> tuple[int, int]:
        """Height and width of the view."""
        return self.view.size(self.lesson)

    @property
    def image(self) -> UInt8[Tensor, "height width 3"]:
        """What the network is given."""
        return self.view.image(self.lesson)

    @property
    def objects(self) -> Objects:
        """What is annotated and visible in the view."""
        return self.view.objects(self.lesson)

    @cached_property
    def digest(self) -> str:
        """A hash of the pixels, before they are changed, and of the change."""
        pixels = self.lesson.image
        return digest(pixels.shape, pixels.tobytes(), self.view)

    @property
    def draw(self) -> Draw:
        """Random numbers of the view's own, from the same beginning every time."""
        return drawn_from(Generator().manual_seed(int(self.digest[:15], 16)))


def digest(*parts: object) -> str:
    """A hash of values whose `repr` tells all of them, and of bytes."""
    sha = hashlib.sha256()
    for part in parts:
        sha.update(part if isinstance(part, bytes) else repr(part).encode())
        sha.update(b";")
    return sha.hexdigest()[:32]
