"""Where a place of a map is, as sines and cosines of its row and column."""

import math

import torch
from jaxtyping import Float
from torch import Tensor


def sine_position(
    height: int, width: int, channels: int, *, device: torch.device | None = None
) -> Float[Tensor, "height width channels"]:
    """The position code of a grid: half of the channels for the row, half for the column.

    A coordinate runs from 1/n to 1 over the n places of its axis, times 2π; slots 2i and 2i+1 are
    its sine and cosine at frequency 10000^(-2i / (channels/2)) (Carion et al., DETR, 2020).
    Places that only pad an image count like any others.
    """
    half = channels // 2
    slot = torch.arange(half // 2, device=device, dtype=torch.float32)
    frequency = 10000 ** (-2 * slot / half)

    def code(places: int) -> Float[Tensor, "places half"]:
        step = torch.arange(1, places + 1, device=device, dtype=torch.float32)
        angle = (step * (2 * math.pi / (places + 1e-6)))[:, None] * frequency
        return torch.stack((angle.sin(), angle.cos()), dim=-1).flatten(1)

    rows = code(height)[:, None].expand(height, width, half)
    columns = code(width)[None].expand(height, width, half)
    return torch.cat((rows, columns), dim=-1)
