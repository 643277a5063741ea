"""The pixel decoder: from backbone levels to what queries attend to and are multiplied with.

A transformer looks over the coarsest level; its output flows down a feature pyramid to stride 4
(section 3.1 of the paper, as in Mask2Former with the transformer of MaskFormer).
"""

import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.xdecoder.attention import Attention
from models.xdecoder.backbones import Levels
from models.xdecoder.config import PixelDecoderConfig
from models.xdecoder.deformable import DeformablePixelDecoder
from models.xdecoder.linear import Linear
from models.xdecoder.pixel_features import NormedConv, PixelFeatures, initialise
from models.xdecoder.position import sine_position


def build_pixel_decoder(
    config: PixelDecoderConfig, level_channels: tuple[int, int, int, int]
) -> "PixelDecoder | DeformablePixelDecoder":
    """The pixel decoder that `config` describes, with fresh weights, for a backbone's levels."""
    if config.deformable:
        return DeformablePixelDecoder(config, level_channels)
    return PixelDecoder(config, level_channels)


class PixelDecoder(nn.Module):
    """A transformer on stride 32, and a pyramid from there to stride 4.

    Args:
        config: its size; the width must be a multiple of 32.
        level_channels: of the four levels that enter.
    """

    def __init__(
        self, config: PixelDecoderConfig, level_channels: tuple[int, int, int, int]
    ) -> None:
        super().__init__()
        channels = config.width
        res2, res3, res4, res5 = level_channels
        self.project = nn.Conv2d(res5, channels, 1)
        self.encoder = nn.ModuleList(
            EncoderLayer(channels, config.heads, config.feedforward) for _ in range(config.layers)
        )
        self.smooth = NormedConv(channels, channels, 3)
        self.merges = nn.ModuleList(Merge(level, channels) for level in (res4, res3, res2))
        self.mask_conv = nn.Conv2d(channels, config.mask_width, 3, padding=1)
        initialise(self)

    def forward(self, levels: Levels) -> PixelFeatures:
        """The features of an image at four strides."""
        stride32 = F.relu(self.smooth(self.encode(levels.res5)), inplace=True)
        to16, to8, to4 = self.merges
        stride16 = to16(levels.res4, stride32)
        stride8 = to8(levels.res3, stride16)
        stride4 = to4(levels.res2, stride8)
        return PixelFeatures(stride32, stride16, stride8, stride4)

    def encode(
        self, res5: Float[Tensor, "batch level_channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """The coarsest level after every place has looked at every other."""
        x = self.project(res5)
        channels, height, width = x.shape[1:]
        tokens: Tensor = x.flatten(2).mT
        position = sine_position(height, width, channels, device=x.device).to(x.dtype)
        for layer in self.encoder:
            tokens = layer(tokens, position.flatten(0, 1))
        return tokens.view(-1, height, width, channels).permute(0, 3, 1, 2)


class EncoderLayer(nn.Module):
    """Self-attention of tokens that know their place, and a feed-forward layer; norms come last."""

    def __init__(self, channels: int, heads: int, hidden: int) -> None:
        super().__init__()
        self.attention = Attention(channels, heads)
        self.norm1 = nn.LayerNorm(channels)
        self.widen = Linear(channels, hidden)
        self.narrow = Linear(hidden, channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(
        self,
        tokens: Float[Tensor, "batch token channel"],
        position: Float[Tensor, "token channel"],
    ) -> Float[Tensor, "batch token channel"]:
        """The tokens after both branches; the position is part of queries and keys only."""
        placed = tokens + position
        x = self.norm1(tokens + self.attention(placed, placed, tokens))
        y: Tensor = self.norm2(x + self.narrow(F.relu(self.widen(x), inplace=True)))
        return y


class Merge(nn.Module):
    """One step down the pyramid: a level joins what comes from above, enlarged to its grid."""

    def __init__(self, level_channels: int, channels: int) -> None:
        super().__init__()
        self.lateral = NormedConv(level_channels, channels, 1)
        self.smooth = NormedConv(channels, channels, 3)

    def forward(
        self,
        level: Float[Tensor, "batch level_channel height width"],
        above: Float[Tensor, "batch channel coarse_height coarse_width"],
    ) -> Float[Tensor, "batch channel height width"]:
        """The merged map on the grid of `level`."""
        merged = add_enlarged(self.lateral(level), above)
        return F.relu(self.smooth(merged), inplace=True)


def add_enlarged(
    fine: Float[Tensor, "batch channel height width"],
    coarse: Float[Tensor, "batch channel coarse_height coarse_width"],
) -> Float[Tensor, "batch channel height width"]:
    """`fine`, changed in place, plus `coarse` at its size, each place as the nearest.

    Where the grid doubles the enlarged map is never made: on a processor, asking the system for
    its memory would take longer than all the rest.
    """
    height, width = coarse.shape[2:]
    if fine.shape[2:] != (2 * height, 2 * width):
        return fine.add_(F.interpolate(coarse, fine.shape[2:], mode="nearest"))
    patches = fine.view(*fine.shape[:2], height, 2, width, 2)
    patches.add_(coarse[:, :, :, None, :, None])
    return fine
