"""FocalNet (Yang et al., «Focal Modulation Networks», NeurIPS 2022), as X-Decoder uses it.

Instead of attending to other places, a place is multiplied by a summary of its surroundings:
contexts gathered by ever larger depth-wise convolutions and the mean of the whole map, each with a
gate that the place itself sets.

X-Decoder's tiny and large backbones differ in more than size. The tiny one adds two depth-wise
convolutions to each block and norms sums where the large one norms branches; it pads its stem by 3
and the large one by 2. Released weights need these differences.
"""

from itertools import pairwise

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

from models.xdecoder.backbones.pyramid import (
    Backbone,
    DepthwiseConv,
    DropPath,
    FeedForward,
    PatchEmbedding,
    Stage,
    drop_path_rates,
    initialise,
)
from models.xdecoder.config import FocalConfig
from models.xdecoder.linear import Linear, linear

LAYER_SCALE = 1e-4
"""What the learned scales of the residual branches start from."""


def build_focal(config: FocalConfig, *, recompute: bool = False) -> Backbone:
    """A FocalNet with fresh weights; `recompute` saves memory in training (see `Stage`)."""
    embeddings = [
        PatchEmbedding(3, config.dims[0], kernel=7, stride=4, padding=config.stem_padding),
        *(PatchEmbedding(a, b, kernel=3, stride=2, padding=1) for a, b in pairwise(config.dims)),
    ]
    block = LocalFocalBlock if config.depthwise_residuals else FocalBlock
    stages = [
        Stage((block(config, dim, rate) for rate in rates), recompute=recompute)
        for dim, rates in zip(
            config.dims, drop_path_rates(config.drop_path, config.depths), strict=True
        )
    ]
    backbone = Backbone(embeddings, stages, map(nn.LayerNorm, config.dims), config.dims)
    initialise(backbone)
    return backbone


class FocalBlock(nn.Module):
    """Modulation, then a feed-forward layer: two residual branches, each normed and scaled."""

    def __init__(self, config: FocalConfig, channels: int, drop_path: float) -> None:
        super().__init__()
        self.modulation = FocalModulation(channels, config.focal_levels, config.focal_window)
        self.norm1 = nn.LayerNorm(channels)
        self.scale1 = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        self.feedforward = FeedForward(channels, int(config.mlp_ratio * channels))
        self.norm2 = nn.LayerNorm(channels)
        self.scale2 = nn.Parameter(torch.full((channels,), LAYER_SCALE))
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The map after both branches."""
        x = torch.addcmul(x, self.drop_path(self.norm1(self.modulation(x))), self.scale1)
        return torch.addcmul(x, self.drop_path(self.norm2(self.feedforward(x))), self.scale2)


class LocalFocalBlock(FocalBlock):
    """The tiny flavour: a local convolution before each branch, and norms on the sums."""

    def __init__(self, config: FocalConfig, channels: int, drop_path: float) -> None:
        super().__init__(config, channels, drop_path)
        self.local1 = DepthwiseConv(channels, 3)
        self.local2 = DepthwiseConv(channels, 3)

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The map after both branches."""
        x = x + self.local1(x)
        x = self.norm1(torch.addcmul(x, self.drop_path(self.modulation(x)), self.scale1))
        x = x + self.local2(x)
        y: Tensor = self.norm2(torch.addcmul(x, self.drop_path(self.feedforward(x)), self.scale2))
        return y


class FocalModulation(nn.Module):
    """Multiplies each place by a gated sum of its surroundings (section 3 of the paper)."""

    def __init__(self, channels: int, levels: int, first_kernel: int) -> None:
        super().__init__()
        self.channels = channels
        self.project_in = nn.Linear(channels, 2 * channels + levels + 1)
        self.contexts = nn.ModuleList(
            DepthwiseConv(channels, first_kernel + 2 * level, bias=False) for level in range(levels)
        )
        self.mix = nn.Conv2d(channels, channels, 1)
        self.project_out = Linear(channels, channels)

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The modulated map."""
        levels = len(self.contexts)
        query, context, gates = self.project(x)
        summary = context.new_zeros(())
        for gate, gather in zip(gates[:-1], self.contexts, strict=True):
            context = F.gelu(gather(context))
            summary = torch.addcmul(summary, context, gate)
        whole = F.gelu(context.mean((1, 2), keepdim=True))
        summary = torch.addcmul(summary, whole, gates[-1]) / (levels + 1)
        mixed = linear(summary, self.mix.weight[:, :, 0, 0], self.mix.bias)
        modulated: Tensor = self.project_out(query * mixed)
        return modulated

    def project(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> tuple[
        Float[Tensor, "batch height width channel"],
        Float[Tensor, "batch height width channel"],
        tuple[Float[Tensor, "batch height width 1"], ...],
    ]:
        """The query, the first context, and a gate for each level and for the whole map.

        Three products with parts of one matrix: parts of one product would have to be copied
        before they could be convolved.
        """
        sizes = [self.channels, self.channels, len(self.contexts) + 1]
        weights = torch.split(self.project_in.weight, sizes)
        biases = torch.split(self.project_in.bias, sizes)
        query, context, gates = (linear(x, *part) for part in zip(weights, biases, strict=True))
        return query, context, torch.split(gates, 1, dim=-1)
