"""Mask features, and their products with mask embeddings at whatever size is asked for.

A mask's logits are an inner product of its embedding with the mask features, a 3x3 convolution of
the finest map. Convolution, product and bicubic resizing are linear, so their order is free up to
rounding. The attention maps between layers need masks at the sizes of the coarser levels only:
there the features are resized once per level, and the products are taken on the small grid.
"""

from collections.abc import Sequence
from functools import lru_cache

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def resize(
    maps: Float[Tensor, "batch channel height width"], size: tuple[int, int]
) -> Float[Tensor, "batch channel new_height new_width"]:
    """Bicubic with antialiasing: what X-Decoder resizes every mask with.

    The same linear map as `torch.nn.functional.interpolate`, as one matrix per axis: many times
    faster for the hundreds of channels of a channels-last map.
    """
    height, width = (
        resizing(old, new, maps.device, maps.dtype)
        for old, new in zip(maps.shape[2:], size, strict=True)
    )
    places = maps.permute(0, 2, 3, 1)
    rows = height @ places.flatten(2)
    resized = width @ rows.reshape(len(maps), size[0], *places.shape[2:])
    return resized.permute(0, 3, 1, 2)


@lru_cache(maxsize=64)
def resizing(
    old: int, new: int, device: torch.device, dtype: torch.dtype
) -> Float[Tensor, "new old"]:
    """The matrix that resizes an axis of `old` places to `new`, as torch itself weighs them."""
    with torch.inference_mode(False), torch.no_grad():
        units = torch.eye(old, device=device, dtype=torch.float64)[None, None]
        weights = F.interpolate(
            units, size=(new, old), mode="bicubic", align_corners=False, antialias=True
        )
        return weights[0, 0].to(dtype)


class MaskFeatures:
    """The mask features of a batch of images, made when they are first asked for.

    Args:
        finest: the pixel decoder's map at stride 4.
        conv: the convolution that makes mask features of it.
    """

    def __init__(
        self, finest: Float[Tensor, "batch channel height width"], conv: nn.Module
    ) -> None:
        self.finest = finest
        self.conv = conv
        # Layers ask for attention maps without gradient first; the loss asks with it later.
        self._with_gradient = torch.is_grad_enabled()
        self._full: Tensor | None = None
        self._at: dict[tuple[int, int], Tensor] = {}

    @classmethod
    def finished(
        cls,
        full: Float[Tensor, "batch mask_channel height width"],
        resized: Sequence[Float[Tensor, "batch mask_channel _ _"]],
    ) -> "MaskFeatures":
        """Features that were made before: at stride 4, and at the sizes of attention maps."""
        features = cls(full, nn.Identity())
        features._full = full
        features._at = {(maps.shape[2], maps.shape[3]): maps for maps in resized}
        return features

    def one(self, index: int) -> "MaskFeatures":
        """The mask features of one image of the batch, still as a batch."""
        return MaskFeatures(self.finest[index : index + 1], self.conv)

    def full(self) -> Float[Tensor, "batch mask_channel height width"]:
        """The features at stride 4."""
        if self._full is None:
            with torch.set_grad_enabled(self._with_gradient):
                made: Tensor = self.conv(self.finest)
            self._full = made
        return self._full

    def at(self, size: tuple[int, int]) -> Float[Tensor, "batch mask_channel height width"]:
        """The features resized, without gradient: they only decide where queries look."""
        if size not in self._at:
            self._at[size] = resize(self.full().detach(), size)
        return self._at[size]

    def logits(
        self, embeddings: Float[Tensor, "batch query mask_channel"]
    ) -> Float[Tensor, "batch query height width"]:
        """Mask logits at stride 4."""
        return product(embeddings, self.full())

    @torch.no_grad()
    def logits_at(
        self, embeddings: Float[Tensor, "batch query mask_channel"], size: tuple[int, int]
    ) -> Float[Tensor, "batch query height width"]:
        """Mask logits resized to `size`, without gradient."""
        return product(embeddings, self.at(size))


def product(
    embeddings: Float[Tensor, "batch query channel"],
    features: Float[Tensor, "batch channel height width"],
) -> Float[Tensor, "batch query height width"]:
    """The inner product of every embedding with every place."""
    logits = embeddings @ features.flatten(2)
    return logits.reshape(*logits.shape[:2], *features.shape[2:])
