"""What all backbones share: four stages on a grid that halves, and the levels they leave behind.

Inside a backbone a map is (batch, height, width, channel), so that linear layers and layer norms
need no transposition; its view as (batch, channel, height, width) is what PyTorch calls
channels-last, the layout in which convolutions are fastest on most devices.
"""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from models.xdecoder.linear import Linear


class Levels(NamedTuple):
    """Features of an image at strides 4, 8, 16 and 32, each (batch, channel, height, width).

    A side that its stride does not divide is rounded up.
    """

    res2: Float[Tensor, "batch channel2 height2 width2"]
    res3: Float[Tensor, "batch channel3 height3 width3"]
    res4: Float[Tensor, "batch channel4 height4 width4"]
    res5: Float[Tensor, "batch channel5 height5 width5"]


class Backbone(nn.Module):
    """Turns images into `Levels`: four times an embedding, blocks, and a norm on what is read out.

    Args:
        embeddings: four modules that shrink the grid (by 4, 2, 2, 2) and widen the channels.
        stages: four runs of blocks that keep grid and channels.
        norms: four modules applied to what is read out, not to what the next stage sees.
        channels: of the four levels.
    """

    def __init__(
        self,
        embeddings: Iterable[nn.Module],
        stages: Iterable["Stage"],
        norms: Iterable[nn.Module],
        channels: tuple[int, int, int, int],
    ) -> None:
        super().__init__()
        self.embeddings = nn.ModuleList(embeddings)
        self.stages = nn.ModuleList(stages)
        self.norms = nn.ModuleList(norms)
        self.channels = channels

    def forward(self, images: Float[Tensor, "batch 3 height width"]) -> Levels:
        """The levels of normalised images."""
        x = images.permute(0, 2, 3, 1)
        levels = []
        for embedding, stage, norm in zip(self.embeddings, self.stages, self.norms, strict=True):
            x = stage(embedding(x))
            levels.append(norm(x).permute(0, 3, 1, 2))
        return Levels(*levels)


class Stage(nn.Sequential):
    """Blocks in a row on one grid.

    With `recompute` the activations inside a block are not kept for the backward pass but computed
    again there: less memory for about a third more time in training.
    """

    def __init__(self, blocks: Iterable[nn.Module], *, recompute: bool) -> None:
        super().__init__(*blocks)
        self.recompute = recompute

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The map after the last block."""
        again = self.recompute and torch.is_grad_enabled()
        for block in self:
            x = checkpoint(block, x, use_reentrant=False) if again else block(x)
        return x


class DropPath(nn.Module):
    """In training, leaves a residual branch out of a sample with probability `rate`.

    Branches that stay are scaled up, so that their mean does not change (stochastic depth,
    Huang et al., ECCV 2016).
    """

    def __init__(self, rate: float) -> None:
        super().__init__()
        self.rate = rate

    def forward(self, branch: Float[Tensor, "batch *rest"]) -> Float[Tensor, "batch *rest"]:
        """The branch, with some samples set to zero."""
        if not self.training or self.rate == 0:
            return branch
        shape = (len(branch),) + (1,) * (branch.ndim - 1)
        kept = torch.rand(shape, device=branch.device) >= self.rate
        return branch * (kept.to(branch.dtype) / (1 - self.rate))

    def extra_repr(self) -> str:
        """The rate, for printing."""
        return f"rate={self.rate:.3f}"


def drop_path_rates(highest: float, depths: Sequence[int]) -> list[list[float]]:
    """A rate for each block of each stage, growing evenly from 0 at the first to `highest`.

    >>> drop_path_rates(0.3, (1, 2, 1))
    [[0.0], [0.1, 0.2], [0.3]]
    """
    last = max(sum(depths) - 1, 1)
    rates = [round(highest * block / last, 12) for block in range(sum(depths))]
    starts = [sum(depths[:stage]) for stage in range(len(depths))]
    return [rates[start : start + depth] for start, depth in zip(starts, depths, strict=True)]


class DepthwiseConv(nn.Conv2d):
    """A convolution of each channel by itself that keeps the grid."""

    def __init__(self, channels: int, kernel: int, *, bias: bool = True) -> None:
        super().__init__(
            channels, channels, kernel, padding=kernel // 2, groups=channels, bias=bias
        )

    def forward(
        self, input: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The convolved map, channels last."""
        return super().forward(input.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)


class FeedForward(nn.Module):
    """Two linear layers with an exact GELU between them."""

    def __init__(self, channels: int, hidden: int) -> None:
        super().__init__()
        self.widen = Linear(channels, hidden)
        self.narrow = Linear(hidden, channels)

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """The transformed features of each place.

        The hidden features of a large map would not stay in a processor's cache, and asking the
        system for their memory takes longer than computing them: there the map goes through in
        bands of rows.
        """
        rows = HIDDEN_AT_ONCE // (x.shape[0] * x.shape[2] * self.widen.out_features)
        if torch.is_grad_enabled() or x.device.type != "cpu" or rows >= x.shape[1]:
            return self.transform(x)
        return torch.cat(
            [self.transform(band) for band in torch.split(x, max(rows, 1), dim=1)], dim=1
        )

    def transform(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height width channel"]:
        """Both layers on all places of `x` at once."""
        y: Tensor = self.narrow(F.gelu(self.widen(x)))
        return y


HIDDEN_AT_ONCE = 2**21
"""Hidden numbers of a feed-forward layer that are computed together on a processor."""


class PatchEmbedding(nn.Module):
    """A strided convolution with a layer norm: the stem, and the step between stages.

    Args:
        channels: of the map that enters.
        out_channels: of the map that leaves.
        kernel: side of the window, in places of the map that enters.
        stride: how many times smaller the grid becomes; a side that it does not divide is first
            filled up with zeros on the right or bottom.
        padding: zeros around the map.
        norm_first: norm what enters the convolution, and not what leaves it.
    """

    def __init__(
        self,
        channels: int,
        out_channels: int,
        *,
        kernel: int,
        stride: int,
        padding: int,
        norm_first: bool = False,
    ) -> None:
        super().__init__()
        self.proj = nn.Conv2d(channels, out_channels, kernel, stride, padding)
        self.norm = nn.LayerNorm(channels if norm_first else out_channels)
        self.stride = stride
        self.norm_first = norm_first

    def forward(
        self, x: Float[Tensor, "batch height width channel"]
    ) -> Float[Tensor, "batch height_out width_out channel_out"]:
        """The smaller, wider map."""
        if self.norm_first:
            x = self.norm(x)
        x = pad_to_multiple(x, self.stride)
        x = self.proj(x.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
        return x if self.norm_first else self.norm(x)


def pad_to_multiple(
    x: Float[Tensor, "batch height width channel"], multiple: int
) -> Float[Tensor, "batch padded_height padded_width channel"]:
    """`x` with zeros on the right and bottom until `multiple` divides both sides."""
    right, bottom = -x.shape[2] % multiple, -x.shape[1] % multiple
    return F.pad(x, (0, 0, 0, right, 0, bottom)) if right or bottom else x


def initialise(backbone: Backbone) -> None:
    """Set fresh weights, from torch's global generator.

    | parameters | value |
    |---|---|
    | weights of linear layers | normal of deviation 0.02, cut at two units |
    | biases of linear layers | 0 |
    | convolutions, norms, layer scales | as their constructors leave them |
    """
    for module in backbone.modules():
        if isinstance(module, nn.Linear):
            nn.init.trunc_normal_(module.weight, std=0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
