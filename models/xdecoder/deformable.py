"""The pixel decoder of Mask2Former, for an ablation (Table 10 of the paper).

A place attends to a few points around itself on each of the three coarser levels; where they are
and how much each counts are linear functions of what is at the place (Zhu et al., «Deformable
DETR», ICLR 2021). Points are read with PyTorch's `grid_sample`: there is no operator to compile.
"""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.xdecoder.backbones import Levels
from models.xdecoder.config import PixelDecoderConfig
from models.xdecoder.pixel_features import GROUPS, NormedConv, PixelFeatures, initialise
from models.xdecoder.position import sine_position

POINTS = 4
"""Points that a head reads on a level for each place."""


class DeformablePixelDecoder(nn.Module):
    """A deformable transformer over strides 32, 16 and 8, and one step from there to stride 4.

    Args:
        config: its size; the width must be a multiple of 32.
        level_channels: of the four levels that enter.
    """

    def __init__(
        self, config: PixelDecoderConfig, level_channels: tuple[int, int, int, int]
    ) -> None:
        super().__init__()
        channels = config.width
        res2, *coarser = level_channels
        self.projects = nn.ModuleList(
            nn.Sequential(nn.Conv2d(level, channels, 1), nn.GroupNorm(GROUPS, channels))
            for level in reversed(coarser)
        )
        self.level_embedding = nn.Parameter(torch.empty(len(coarser), channels))
        self.encoder = nn.ModuleList(
            DeformableLayer(channels, config.heads, len(coarser), config.feedforward)
            for _ in range(config.layers)
        )
        self.lateral = NormedConv(res2, channels, 1)
        self.smooth = NormedConv(channels, channels, 3)
        self.mask_conv = nn.Conv2d(channels, config.mask_width, 1)
        initialise(self)
        nn.init.normal_(self.level_embedding)
        for module in self.modules():
            if isinstance(module, DeformableAttention):
                module.look_around()

    def forward(self, levels: Levels) -> PixelFeatures:
        """The features of an image at four strides."""
        stride32, stride16, stride8 = self.encode((levels.res5, levels.res4, levels.res3))
        lateral: Tensor = self.lateral(levels.res2)
        merged = lateral + F.interpolate(stride8, lateral.shape[2:], mode="bilinear")
        return PixelFeatures(stride32, stride16, stride8, F.relu(self.smooth(merged)))

    def encode(self, levels: Sequence[Tensor]) -> list[Tensor]:
        """The three coarser levels, coarsest first, after places have looked at each other."""
        maps = [project(level) for project, level in zip(self.projects, levels, strict=True)]
        sizes = [(x.shape[2], x.shape[3]) for x in maps]
        channels = self.level_embedding.shape[1]
        position = torch.cat(
            [
                sine_position(*size, channels, device=x.device).flatten(0, 1).to(x.dtype)
                + embedding
                for size, x, embedding in zip(sizes, maps, self.level_embedding, strict=True)
            ]
        )
        centres = torch.cat([place_centres(*size) for size in sizes]).to(position.device)
        tokens = torch.cat([x.flatten(2).mT for x in maps], dim=1)
        for layer in self.encoder:
            tokens = layer(tokens, position, centres, sizes)
        parts = torch.split(tokens, [height * width for height, width in sizes], dim=1)
        return [
            part.mT.reshape(-1, channels, *size) for part, size in zip(parts, sizes, strict=True)
        ]


class DeformableLayer(nn.Module):
    """Deformable attention and a feed-forward layer; norms come last."""

    def __init__(self, channels: int, heads: int, levels: int, hidden: int) -> None:
        super().__init__()
        self.attention = DeformableAttention(channels, heads, levels)
        self.norm1 = nn.LayerNorm(channels)
        self.widen = nn.Linear(channels, hidden)
        self.narrow = nn.Linear(hidden, channels)
        self.norm2 = nn.LayerNorm(channels)

    def forward(
        self,
        tokens: Float[Tensor, "batch token channel"],
        position: Float[Tensor, "token channel"],
        centres: Float[Tensor, "token 2"],
        sizes: Sequence[tuple[int, int]],
    ) -> Float[Tensor, "batch token channel"]:
        """The tokens after both branches."""
        attended = self.attention(tokens + position, tokens, centres, sizes)
        x = self.norm1(tokens + attended)
        y: Tensor = self.norm2(x + self.narrow(F.relu(self.widen(x))))
        return y


class DeformableAttention(nn.Module):
    """Each head of each token reads a few points of every level and weighs them."""

    def __init__(self, channels: int, heads: int, levels: int) -> None:
        super().__init__()
        self.heads = heads
        self.levels = levels
        self.offsets = nn.Linear(channels, heads * levels * POINTS * 2)
        self.weights = nn.Linear(channels, heads * levels * POINTS)
        self.value = nn.Linear(channels, channels)
        self.proj = nn.Linear(channels, channels)

    def look_around(self) -> None:
        """Set fresh weights: a head looks in a direction of its own, 1 to `POINTS` places far."""
        angle = torch.arange(self.heads) * (2 * math.pi / self.heads)
        direction = torch.stack((angle.cos(), angle.sin()), dim=-1)
        direction = direction / direction.abs().amax(dim=-1, keepdim=True)
        steps = torch.arange(1, POINTS + 1)[:, None] * direction[:, None, None]
        with torch.no_grad():
            self.offsets.bias.copy_(steps.expand(-1, self.levels, -1, -1).flatten())
        nn.init.zeros_(self.offsets.weight)
        nn.init.zeros_(self.weights.weight)

    def forward(
        self,
        queries: Float[Tensor, "batch query channel"],
        tokens: Float[Tensor, "batch token channel"],
        centres: Float[Tensor, "query 2"],
        sizes: Sequence[tuple[int, int]],
    ) -> Float[Tensor, "batch query channel"]:
        """What each query reads.

        Args:
            queries: decide where to look and what counts.
            tokens: what is read: the levels of the map, one behind the other.
            centres: where each query is, (x, y) as fractions of the map.
            sizes: (height, width) of the levels.
        """
        batch, count, channels = queries.shape
        shape = (batch, count, self.heads, self.levels, POINTS)
        # From here on a batch entry and a head are one axis, which `grid_sample` calls its batch.
        offsets = self.offsets(queries).view(*shape, 2).transpose(1, 2).flatten(0, 1)
        weights = self.weights(queries).view(*shape[:3], -1).softmax(dim=-1)
        weights = weights.view(shape).transpose(1, 2).flatten(0, 1)
        values = self.value(tokens).view(batch, -1, self.heads, channels // self.heads)
        values = values.permute(0, 2, 3, 1).flatten(0, 1)
        parts = torch.split(values, [height * width for height, width in sizes], dim=2)
        read = torch.zeros_like(values[:, :, :1])
        for level, ((height, width), part) in enumerate(zip(sizes, parts, strict=True)):
            points = centres[:, None] + offsets[:, :, level] / centres.new_tensor((width, height))
            seen = sample(part.reshape(*part.shape[:2], height, width), points)
            read = read + (seen * weights[:, None, :, level]).sum(dim=-1)
        out: Tensor = self.proj(read.view(batch, channels, count).mT)
        return out


def sample(
    values: Float[Tensor, "map channel height width"], points: Float[Tensor, "map query point 2"]
) -> Float[Tensor, "map channel query point"]:
    """Values at points (x, y), fractions of the map, between the four nearest places.

    Around the map, all is zero. Half precision would place points on a coarse raster, so this is
    computed in single precision at least.
    """
    grid = 2 * points - 1
    read = F.grid_sample(values.to(grid.dtype), grid, mode="bilinear", align_corners=False)
    return read.to(values.dtype)


def place_centres(height: int, width: int) -> Float[Tensor, "places 2"]:
    """The centre (x, y) of each place of a grid, row by row, as fractions of the map."""
    y = (torch.arange(height) + 0.5) / height
    x = (torch.arange(width) + 0.5) / width
    return torch.stack((x.expand(height, width), y[:, None].expand(height, width)), -1).flatten(
        0, 1
    )
