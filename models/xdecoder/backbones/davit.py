"""DaViT (Ding et al., «Dual Attention Vision Transformers», ECCV 2022), as X-Decoder uses it.

Blocks alternate between two views of the same map: places attend to the places of their window,
then channels attend to the channels of their group over the whole map.
"""

from dataclasses import dataclass
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
    doubled,
    drop_path_rates,
    initialise,
)
from models.xdecoder.backbones.window import WindowAttention


@dataclass(frozen=True)
class DaViTSettings:
    """The size of a DaViT."""

    depths: tuple[int, int, int, int]
    """Pairs of a spatial and a channel block in the four stages."""
    channels: int
    """Of the first stage; each later stage doubles them."""
    heads: int
    """Attention heads, and channel groups, of the first stage; each later stage doubles them."""
    step_kernel: int
    """Side of the window that halves the grid between stages: 2 sees a place once, 3 overlaps."""
    window: int = 7
    """Side of an attention window, in places."""
    feedforward_ratio: int = 4
    drop_path: float = 0.3
    """Rate of the last block in training; earlier blocks have less."""

    @property
    def dims(self) -> tuple[int, int, int, int]:
        """Channels of the four stages."""
        return doubled(self.channels)


DAVIT_D3 = DaViTSettings(depths=(1, 1, 9, 1), channels=128, heads=4, step_kernel=2)
DAVIT_D5 = DaViTSettings(depths=(1, 1, 9, 1), channels=256, heads=8, step_kernel=3)


def build_davit(settings: DaViTSettings, *, recompute: bool = False) -> Backbone:
    """A DaViT with fresh weights; `recompute` saves memory in training (see `Stage`)."""
    kernel = settings.step_kernel
    step = partial(PatchEmbedding, kernel=kernel, stride=2, padding=(kernel - 1) // 2)
    embeddings = [
        PatchEmbedding(3, settings.dims[0], kernel=7, stride=4, padding=3),
        *(step(a, b, norm_first=True) for a, b in pairwise(settings.dims)),
    ]
    rates = drop_path_rates(settings.drop_path, [2 * depth for depth in settings.depths])
    all_heads = doubled(settings.heads)
    stages = [
        Stage(
            (
                DaViTBlock(
                    ChannelAttention(dim, heads)
                    if position % 2
                    else WindowAttention(dim, heads, settings.window),
                    dim,
                    settings.feedforward_ratio * dim,
                    rate,
                )
                for position, rate in enumerate(rates[stage])
            ),
            recompute=recompute,
        )
        for stage, (dim, heads) in enumerate(
            zip(settings.dims, doubled(settings.heads), strict=True)
        )
    ]
    backbone = Backbone(embeddings, stages, [nn.Identity() for _ in stages], settings.dims)
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
        self.qkv = nn.Linear(channels, 3 * channels)
        self.proj = nn.Linear(channels, channels)
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


OFFICIAL_NAMES: tuple[tuple[str, str], ...] = (
    (r"^backbone\.convs\.", "backbone.embeddings."),
    *(
        (
            rf"^backbone\.blocks\.(\d)\.{pair}\.spatial_block\.",
            rf"backbone.stages.\1.{2 * pair}.",
        )
        for pair in range(9)
    ),
    *(
        (
            rf"^backbone\.blocks\.(\d)\.{pair}\.channel_block\.",
            rf"backbone.stages.\1.{2 * pair + 1}.",
        )
        for pair in range(9)
    ),
    (r"(^backbone\..*)\.conv(\d)\.fn\.dw\.", r"\1.local\2."),
    (r"(^backbone\..*)\.(?:window|channel)_attn\.norm\.", r"\1.norm1."),
    (r"(^backbone\..*)\.(?:window|channel)_attn\.fn\.", r"\1.attention."),
    (r"(^backbone\..*)\.ffn\.norm\.", r"\1.norm2."),
    (r"(^backbone\..*)\.ffn\.fn\.net\.fc1\.", r"\1.feedforward.widen."),
    (r"(^backbone\..*)\.ffn\.fn\.net\.fc2\.", r"\1.feedforward.narrow."),
)
"""Names in released checkpoints, as regular expressions, and ours: every rule applies, in order."""
