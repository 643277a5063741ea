"""Attention among the places of a window, for DaViT and Swin."""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.xdecoder.backbones.pyramid import pad_to_multiple
from models.xdecoder.linear import Linear


def split_windows(
    x: Float[Tensor, "batch height width channel"], side: int
) -> Float[Tensor, "windows places channel"]:
    """The map cut into windows of `side` × `side` places, image by image, row by row.

    `side` must divide height and width.
    """
    batch, height, width, channels = x.shape
    x = x.view(batch, height // side, side, width // side, side, channels)
    return x.transpose(2, 3).reshape(-1, side * side, channels)


def join_windows(
    windows: Float[Tensor, "windows places channel"], side: int, height: int, width: int
) -> Float[Tensor, "batch height width channel"]:
    """The inverse of `split_windows` for maps of `height` × `width` places."""
    channels = windows.shape[-1]
    x = windows.view(-1, height // side, width // side, side, side, channels)
    return x.transpose(2, 3).reshape(-1, height, width, channels)


class WindowAttention(nn.Module):
    """Multi-head self-attention within each window of `side` × `side` places."""

    def __init__(self, channels: int, heads: int, side: int) -> None:
        super().__init__()
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)
        self.heads = heads
        self.side = side

    def forward(
        self,
        x: Float[Tensor, "batch height width channel"],
        bias: Float[Tensor, "#windows #heads places places"] | None = None,
    ) -> Float[Tensor, "batch height width channel"]:
        """The attended map; `bias` is added to the attention logits.

        A side that is no multiple of the window is filled up with zeros, and these places are
        attended to like any other (their keys and values are the biases): so were the released
        weights trained.
        """
        height, width = x.shape[1:3]
        padded = pad_to_multiple(x, self.side)
        windows = self.attend(split_windows(padded, self.side), bias)
        joined = join_windows(windows, self.side, *padded.shape[1:3])
        return joined[:, :height, :width]

    def attend(
        self,
        windows: Float[Tensor, "windows places channel"],
        bias: Float[Tensor, "#windows #heads places places"] | None,
    ) -> Float[Tensor, "windows places channel"]:
        """The attended places of each window."""
        count, places, channels = windows.shape
        query, key, value = (
            self.qkv(windows)
            .view(count, places, 3, self.heads, channels // self.heads)
            .permute(2, 0, 3, 1, 4)
        )
        attended = F.scaled_dot_product_attention(query, key, value, attn_mask=bias)
        out: Tensor = self.proj(attended.transpose(1, 2).reshape(count, places, channels))
        return out
