"""Mask logits tile by tile: bounds that cost little, values only where they are asked for.

What a pixel of the output can be is bounded by the grid cells it is made of: with cells between
`a` and `b` and weights that sum to 1, it lies within `gain * (b - a) / 2` of their middle. So over
a tile of pixels most masks are known to be empty, and most decisions are known, from a look at a
few cells; only what is left is interpolated.

Canvases and tiles have their axes as (width, height): COCO's run lengths go down the columns.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.postprocess.axis import Block, blocks
from bench.protocol import MaskResize

LENGTH = 64
"""Pixels of a tile's side: a hundred masks of a tile fit a core's cache."""
ROUNDING = 1e-5
"""What float32 can add to an interpolated value, as a share of the largest cell: over ten times
the rounding of the few dozen operations that make it."""


@dataclass(frozen=True)
class Tile:
    """The values of some queries' masks over one tile."""

    column: int
    row: int
    area: tuple[slice, slice]
    """Its pixels: columns, rows."""
    logits: Float[Tensor, "query width height"]
    probabilities: Float[Tensor, "query width height"]
    place: Int[Tensor, " all_queries"]
    """Where each query of the image is on the axis of queries; meaningless for one not there."""


@dataclass(frozen=True)
class Grid:
    """Mask logits of one image on the network's grid, and the tiles of its original size."""

    logits: Float[Tensor, "query grid_height grid_width"]
    columns: tuple[Block, ...]
    rows: tuple[Block, ...]

    @classmethod
    def over(
        cls,
        logits: Float[Tensor, "query grid_height grid_width"],
        padded_size: tuple[int, int],
        input_size: tuple[int, int],
        size: tuple[int, int],
        rule: MaskResize,
    ) -> "Grid":
        """The grid whose tiles cover `size`, resized as `rule` says."""
        rows, columns = (
            blocks(
                logits.shape[1 + axis],
                padded_size[axis],
                input_size[axis],
                size[axis],
                rule,
                length=LENGTH,
            )
            for axis in (0, 1)
        )
        return cls(logits, columns, rows)

    @property
    def shape(self) -> tuple[int, int]:
        """Width and height of the output in pixels."""
        return self.columns[-1].pixels.stop, self.rows[-1].pixels.stop

    @cached_property
    def bounds(
        self,
    ) -> tuple[Float[Tensor, "column row query"], Float[Tensor, "column row query"]]:
        """The least and largest logit that each mask can have in each tile."""
        gains = (
            torch.tensor([b.gain for b in self.columns])[:, None, None]
            * torch.tensor([b.gain for b in self.rows])[:, None]
        )
        least, most = self._ranges()
        middle, reach = (most + least) / 2, gains * (most - least) / 2
        reach += ROUNDING * torch.maximum(most.abs(), least.abs())
        return middle - reach, middle + reach

    def _ranges(
        self,
    ) -> tuple[Float[Tensor, "column row query"], Float[Tensor, "column row query"]]:
        """The least and largest cell that each tile reads of each mask."""
        extremes = []
        for pool in (torch.amin, torch.amax):
            bands = torch.stack([pool(self.logits[:, block.cells], 1) for block in self.rows])
            parts = [pool(bands[:, :, block.cells], 2) for block in self.columns]
            extremes.append(torch.stack(parts))
        return extremes[0], extremes[1]

    def tile(self, column: int, row: int, queries: Int[Tensor, " query"]) -> Tile:
        """The values of these queries' masks over one tile."""
        place = torch.zeros(len(self.logits), dtype=torch.long)
        place[queries] = torch.arange(len(queries))
        across, down = self.columns[column], self.rows[row]
        cells = self.logits[:, down.cells, across.cells]
        if len(queries) < len(cells):
            cells = cells.index_select(0, queries)
        bands = (cells @ across.weights.T).transpose(1, 2)
        logits = bands @ down.weights.T.expand(len(queries), -1, -1)
        area = (across.pixels, down.pixels)
        return Tile(column, row, area, logits, logits.sigmoid(), place)
