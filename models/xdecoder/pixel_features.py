"""What a pixel decoder, plain or deformable, is made of and what it hands on."""

from typing import NamedTuple

from jaxtyping import Float
from torch import Tensor, nn

GROUPS = 32
"""Of channels, in every group norm."""


class PixelFeatures(NamedTuple):
    """What a pixel decoder makes of an image, each (batch, channel, height, width).

    Mask features are the decoder's `mask_conv` of `stride4`. That convolution is left to the
    reader because it is linear, and so are the product of mask features with mask embeddings and
    their resizing: in which order the three are cheapest depends on what is asked.
    """

    stride32: Float[Tensor, "batch channel height32 width32"]
    stride16: Float[Tensor, "batch channel height16 width16"]
    stride8: Float[Tensor, "batch channel height8 width8"]
    stride4: Float[Tensor, "batch channel height4 width4"]


class NormedConv(nn.Module):
    """A convolution without bias and a group norm, keeping the grid."""

    def __init__(self, channels: int, out_channels: int, kernel: int) -> None:
        super().__init__()
        self.conv = nn.Conv2d(channels, out_channels, kernel, padding=kernel // 2, bias=False)
        self.norm = nn.GroupNorm(GROUPS, out_channels)

    def forward(
        self, x: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel_out height width"]:
        """The normed map."""
        y: Tensor = self.norm(self.conv(x))
        return y


def initialise(pixel_decoder: nn.Module) -> None:
    """Set fresh weights, from torch's global generator.

    | parameters | value |
    |---|---|
    | convolutions | uniform of Kaiming with slope 1, bias 0 |
    | linear layers | uniform of Xavier, bias 0 |
    | norms | as their constructors leave them |
    """
    for module in pixel_decoder.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_uniform_(module.weight, a=1)
        elif isinstance(module, nn.Linear):
            nn.init.xavier_uniform_(module.weight)
        else:
            continue
        if module.bias is not None:
            nn.init.zeros_(module.bias)
