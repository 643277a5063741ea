"""DaViT (Ding et al., «Dual Attention Vision Transformers», ECCV 2022), as X-Decoder uses it.

Blocks alternate between two views of the same map: places attend to the places of their window,
then channels attend to the channels of their group over the whole map.
"""

from functools import partial
from itertools import pairwise

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
from models.xdecoder.backbones.window import WindowAttention
from models.xdecoder.config import DaViTConfig
from models.xdecoder.linear import Linear


def build_davit(config: DaViTConfig, *, recompute: bool = False) -> Backbone:
    """A DaViT with fresh weights; `recompute` saves memory in training (see `Stage`)."""
    kernel = config.downsampling_kernel
    step = partial(PatchEmbedding, kernel=kernel, stride=2, padding=(kernel - 1) // 2)
    embeddings = [
        PatchEmbedding(3, config.dims[0], kernel=7, stride=4, padding=3),
        *(step(a, b, norm_first=True) for a, b in pairwise(config.dims)),
    ]
    rates = drop_path_rates(config.drop_path, [2 * depth for depth in config.depths])
    stages = [
        Stage(
            (
                DaViTBlock(
                    ChannelAttention(dim, heads)
                    if position % 2
                    else WindowAttention(dim, heads, config.window),
                    dim,
                    int(config.mlp_ratio * dim),
                    rate,
                )
                for position, rate in enumerate(rates[stage])
            ),
            recompute=recompute,
        )
        for stage, (dim, heads) in enumerate(zip(config.dims, config.heads, strict=True))
    ]
    backbone = Backbone(embeddings, stages, [nn.Identity() for _ in stages], config.dims)
    initialise(backbone)
    return backbone


class DaViTBlock(nn.Module):
    """Attention of either kind, then a feed-forward layer, each after a local convolution."""

    def __init__(self, attention: nn.Module, channels: int, hidden: int, drop_path: float) -> None:
        super().__init__()
        self.local1 = DepthwiseConv(channels, 3)
        self.norm1 = nn.LayerNorm(channels)
        self.attention = attention
        self.local2 = DepthwiseConv(channels, 3)
        self.norm2 = nn.LayerNorm(channels)
        self.feedforward = FeedForward(channels, hidden)
        self.drop_path = DropPath(drop_path)

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The map after both branches."""
        x = x + self.local1(x)
        x = x + self.drop_path(self.attention(self.norm1(x)))
        x = x + self.local2(x)
        y: Tensor = x + self.drop_path(self.feedforward(self.norm2(x)))
        return y


class ChannelAttention(nn.Module):
    """Self-attention in which channels are the tokens and places are their features (section 3.3).

    The logits shrink with the root of the number of places, so they depend on the resolution.
    """

    def __init__(self, channels: int, groups: int) -> None:
        super().__init__()
        self.qkv = Linear(channels, 3 * channels)
        self.proj = Linear(channels, channels)
        self.groups = groups

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The attended map."""
        batch, height, width, channels = x.shape
        places = height * width
        query, key, value = (
            self.qkv(x)
            .view(batch, places, 3, self.groups, channels // self.groups)
            .permute(2, 0, 3, 4, 1)  # (3, batch, group, channel of the group, place)
        )
        attention = ((query * places**-0.5) @ key.mT).softmax(dim=-1)
        attended = (attention @ value).permute(0, 3, 1, 2).reshape(x.shape)
        out: Tensor = self.proj(attended)
        return out
