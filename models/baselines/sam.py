"""Masks of boxes by SAM (Kirillov et al., ICCV 2023) and SAM 2 (Ravi et al., ICLR 2025).

Neither knows words: they turn the boxes of an open-vocabulary detector into masks
(`models.baselines.grounded`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image as Pillow

from bench.types import Image, Mask
from models.baselines import hub

if TYPE_CHECKING:
    from torch import Tensor

TOGETHER = 16
"""Boxes that are turned into masks at a time: each is a float mask of the whole image."""


@dataclass(frozen=True)
class Prepared:
    """An image as the network saw it."""

    embeddings: Any
    size: tuple[int, int]
    """Height and width of the image itself."""
    input_size: tuple[int, int]
    """Of what shows the image in the padded input."""
    padded_size: tuple[int, int]


def segmenter(source: hub.Source, device: str, precision: str) -> Sam:
    """SAM or SAM 2, whichever lies at `source`."""
    kind = source.read(hub.transformers().AutoConfig.from_pretrained).model_type
    if kind.startswith("sam2"):
        return Sam2(hub.network("Sam2Model", source, device, precision), None)
    return Sam(hub.network("SamModel", source, device, precision), hub.image_processor(source))


@dataclass(frozen=True, eq=False)
class Sam(hub.Pretrained):
    """SAM: the longer side becomes 1024 pixels, the rest of the square stays empty."""

    def masks(self, image: Image, boxes: Tensor) -> list[Mask]:
        """The mask of each box (x1, y1, x2, y2 in pixels), at the image's size."""
        from torch.nn.functional import interpolate

        found: list[Mask] = []
        prepared = self.prepare(image)
        height, width = prepared.input_size
        for some in self.mask_logits(prepared, boxes):
            padded = interpolate(some[None], prepared.padded_size, mode="bilinear")
            shown = padded[..., :height, :width]
            whole = interpolate(shown, prepared.size, mode="bilinear")[0] > 0
            found += [Mask.encode(mask) for mask in whole.cpu().numpy()]
        return found

    def prepare(self, image: Image) -> Prepared:
        """What is computed once for an image, whatever its boxes."""
        inputs = self.processor(**hub.pictures([image]))
        pixels = inputs["pixel_values"]
        height, width = (int(side) for side in inputs["reshaped_input_sizes"][0])
        return Prepared(
            self.ask({"pixel_values": pixels}, "get_image_embeddings"),
            image.shape[:2],
            (height, width),
            tuple(pixels.shape[2:]),
        )

    def mask_logits(self, image: Prepared, boxes: Tensor) -> Iterator[Tensor]:
        """Mask logits (box, grid height, grid width) of some boxes at a time."""
        import torch

        scale = [shown / own for shown, own in zip(image.input_size, image.size, strict=True)]
        scaled = boxes.float() * boxes.new_tensor(scale[::-1] * 2, dtype=boxes.float().dtype)
        for some in torch.split(scaled, TOGETHER) if len(boxes) else ():
            asked = {"input_boxes": some[None], "image_embeddings": image.embeddings}
            yield self.ask(asked, multimask_output=False).pred_masks[0, :, 0].float()


@dataclass(frozen=True, eq=False)
class Sam2(Sam):
    """SAM 2: the image becomes a square of 1024 pixels, whatever its aspect.

    Its processor needs torchvision, so the image is resized and normalised here.
    """

    def prepare(self, image: Image) -> Prepared:
        """What is computed once for an image, whatever its boxes."""
        side = self.network.config.prompt_encoder_config.image_size
        pixels = normalised(image, side, MEAN, DEVIATION)
        embeddings = self.ask({"pixel_values": pixels}, "get_image_embeddings")
        return Prepared(embeddings, image.shape[:2], (side, side), (side, side))


MEAN, DEVIATION = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
"""Of ImageNet, on red, green and blue from 0 to 1."""


def normalised(
    image: Image, side: int, mean: Sequence[float], deviation: Sequence[float]
) -> Tensor:
    """An image as a square batch of one, (1, 3, side, side), in units of a deviation.

    Mean and deviation are of red, green and blue from 0 to 1.
    """
    import torch

    picture = Pillow.fromarray(image).resize((side, side), Pillow.Resampling.BILINEAR)
    pixels = (np.asarray(picture, np.float32) / 255 - np.array(mean)) / np.array(deviation)
    return torch.from_numpy(pixels.astype(np.float32)).permute(2, 0, 1)[None]
