"""Swin (Liu et al., «Swin Transformer», ICCV 2021), for the backbone ablation of X-Decoder.

Places attend to the places of their window; every other block shifts the windows by half a side,
around the border of the map, and keeps apart what the shift only brought together.
"""

from itertools import pairwise

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.xdecoder.backbones.pyramid import (
    Backbone,
    DropPath,
    FeedForward,
    PatchEmbedding,
    Stage,
    drop_path_rates,
    initialise,
    pad_to_multiple,
)
from models.xdecoder.backbones.window import WindowAttention, split_windows
from models.xdecoder.config import SwinConfig
from models.xdecoder.linear import Linear


def build_swin(config: SwinConfig, *, recompute: bool = False) -> Backbone:
    """A Swin transformer with fresh weights; `recompute` saves memory in training (see `Stage`)."""
    embeddings = [
        PatchEmbedding(3, config.dims[0], kernel=4, stride=4, padding=0),
        *(PatchMerging(a, b) for a, b in pairwise(config.dims)),
    ]
    rates = drop_path_rates(config.drop_path, config.depths)
    stages = [
        Stage(
            (
                SwinBlock(
                    dim,
                    heads,
                    config.window,
                    shift=config.window // 2 if position % 2 else 0,
                    hidden=int(config.mlp_ratio * dim),
                    drop_path=rate,
                )
                for position, rate in enumerate(rates[stage])
            ),
            recompute=recompute,
        )
        for stage, (dim, heads) in enumerate(zip(config.dims, config.heads, strict=True))
    ]
    backbone = Backbone(embeddings, stages, map(nn.LayerNorm, config.dims), config.dims)
    initialise(backbone)
    for module in backbone.modules():
        if isinstance(module, RelativePositionBias):
            nn.init.trunc_normal_(module.table, std=0.02)
    return backbone


class SwinBlock(nn.Module):
    """Window attention, then a feed-forward layer: two residual branches, normed on entry."""

    def __init__(
        self, channels: int, heads: int, window: int, *, shift: int, hidden: int, drop_path: float
    ) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(channels)
        self.attention = WindowAttention(channels, heads, window)
        self.position = RelativePositionBias(heads, window)
        self.norm2 = nn.LayerNorm(channels)
        self.feedforward = FeedForward(channels, hidden)
        self.drop_path = DropPath(drop_path)
        self.shift = shift

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The map after both branches."""
        x = x + self.drop_path(self.attend(self.norm1(x)))
        y: Tensor = x + self.drop_path(self.feedforward(self.norm2(x)))
        return y

    def attend(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """Attention in windows that begin `shift` places down and to the right."""
        bias = self.position()
        if not self.shift:
            attended: Tensor = self.attention(x, bias)
            return attended
        batch, height, width, _ = x.shape
        x = pad_to_multiple(x, self.attention.side)
        apart = torn_apart(x.shape[1], x.shape[2], self.attention.side, self.shift).to(x.device)
        bias = bias.masked_fill(apart[:, None], -torch.inf).repeat(batch, 1, 1, 1)
        shifted = x.roll((-self.shift, -self.shift), (1, 2))
        back: Tensor = self.attention(shifted, bias).roll((self.shift, self.shift), (1, 2))
        return back[:, :height, :width]


class RelativePositionBias(nn.Module):
    """A learned number for each head and each offset between two places of a window."""

    def __init__(self, heads: int, window: int) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros((2 * window - 1) ** 2, heads))
        self.window = window

    def forward(self) -> Float[Tensor, "1 heads places places"]:
        """What is added to the attention logits of each pair of places."""
        offsets = window_offsets(self.window).to(self.table.device)
        return self.table[offsets].permute(2, 0, 1)[None]


def window_offsets(window: int) -> Int[Tensor, "places places"]:
    """For each pair of places (query, key) of a window, the row of its offset in the table."""
    place = torch.arange(window)
    places = torch.cartesian_prod(place, place)
    offset = places[:, None] - places[None] + window - 1
    return offset[..., 0] * (2 * window - 1) + offset[..., 1]


def torn_apart(
    height: int, width: int, window: int, shift: int
) -> Bool[Tensor, "windows places places"]:
    """Pairs of places that share a window of the shifted map but are no neighbours in the map.

    Shifting around the border brings the first rows (and columns) behind the last ones; a window
    there holds up to four pieces of the map, which must not see each other.
    """
    piece_y = (torch.arange(height) >= height - shift).float()
    piece_x = (torch.arange(width) >= width - shift).float()
    piece = piece_y[:, None] * 2 + piece_x
    pieces = split_windows(piece[None, ..., None], window).squeeze(-1)
    return pieces[:, :, None] != pieces[:, None, :]


class PatchMerging(nn.Module):
    """Halves the grid: the four places of a 2×2 patch, side by side, normed and projected."""

    def __init__(self, channels: int, out_channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(4 * channels)
        self.proj = Linear(4 * channels, out_channels, bias=False)

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height_out width_out channel_out"]:
        """The smaller, wider map."""
        x = pad_to_multiple(x, 2)
        batch, height, width, channels = x.shape
        # The order of the paper's code: down the first column of the patch, then the second.
        patches = x.view(batch, height // 2, 2, width // 2, 2, channels).permute(0, 1, 3, 4, 2, 5)
        merged: Tensor = self.proj(self.norm(patches.flatten(3)))
        return merged
