"""Linear layers that are as fast as the processor allows."""

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn


def linear(
    x: Float[Tensor, "*place channel"],
    weight: Float[Tensor, "channel_out channel"],
    bias: Float[Tensor, " channel_out"] | None = None,
) -> Float[Tensor, "*place channel_out"]:
    """`x` times the transposed weight, plus the bias: `torch.nn.functional.linear`.

    On a processor it is asked of PyTorch as a 1×1 convolution of a channels-last map. That goes
    to oneDNN and not to the matrix product of the BLAS library, and takes half the time where
    that library is MKL and the processor is not Intel's; the sums are the same but for their order.
    """
    if x.device.type != "cpu" or x.dtype != torch.float32 or x.numel() < SMALL:
        return F.linear(x, weight, bias)
    places = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    y = F.conv2d(places, weight[:, :, None, None], bias)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


SMALL = 2**14
"""With fewer numbers than this, calling a convolution costs more than it saves."""


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`."""

    def forward(
        self, input: Float[Tensor, "*place channel"]
    ) -> Float[Tensor, "*place channel_out"]:
        """The transformed channels of each place."""
        return linear(input, self.weight, self.bias)
