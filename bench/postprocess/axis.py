"""Resizing along one axis as a matrix, cut into blocks that each read few grid cells.

Both resizes of a mask (to the padded input, then to the original size) are linear and treat height
and width apart, so together they are one matrix per axis: what they do to the identity. A pixel
reads four to six cells, so a block of neighbouring pixels reads a short stretch of the axis.
"""

from dataclasses import dataclass
from functools import lru_cache

import torch
from jaxtyping import Float
from torch import Tensor

from bench.postprocess.plain import resize_masks
from bench.protocol import MaskResize


@dataclass(frozen=True)
class Block:
    """Neighbouring output pixels along one axis, and the grid cells they are made of."""

    pixels: slice
    cells: slice
    weights: Float[Tensor, "pixel cell"]
    """Pixel values are `weights @ cell values`; rows sum to 1."""
    gain: float
    """The largest sum of absolute weights of a pixel: 1 where none is negative. A pixel strays
    from the middle of its cells' range by at most `gain` times half that range."""

    @property
    def length(self) -> int:
        """How many pixels there are."""
        return int(self.pixels.stop - self.pixels.start)


@lru_cache(maxsize=32)
def blocks(
    cells: int, padded: int, shown: int, pixels: int, rule: MaskResize, *, length: int
) -> tuple[Block, ...]:
    """The axis of `pixels` output pixels in blocks of `length`.

    `cells` grid cells cover `padded` pixels of the network's input, whose first `shown` show the
    image; those become `pixels` pixels of the original.
    """
    identity = torch.eye(cells)[None]
    matrix = resize_masks(identity, (padded, cells), (shown, cells), (pixels, cells), rule)[0]
    return tuple(
        _block(matrix, slice(start, min(start + length, pixels)))
        for start in range(0, pixels, length)
    )


def _block(matrix: Float[Tensor, "pixel cell"], pixels: slice) -> Block:
    used = (matrix[pixels] != 0).any(0).nonzero()
    cells = slice(int(used[0]), int(used[-1]) + 1)
    weights = matrix[pixels, cells].contiguous()
    return Block(pixels, cells, weights, float(weights.abs().sum(1).max()))
