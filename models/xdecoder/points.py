"""Comparing masks at points instead of everywhere (PointRend; Mask2Former, section 3.3).

A point is a pair (x, y) of fractions of the width and height, and lies between four pixels whose
centres are at half numbers; what is outside counts as 0. Every random number comes from a `Draw`
that is passed in.
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

Draw = Callable[[tuple[int, ...]], Tensor]
"""Uniform numbers in [0, 1) in the shape that is asked for."""


def drawn_from(generator: torch.Generator) -> Draw:
    """Numbers of a generator, on its device."""

    def draw(shape: tuple[int, ...]) -> Tensor:
        return torch.rand(shape, generator=generator, device=generator.device)

    return draw


def sampled(
    maps: Float[Tensor, "item channel height width"], points: Float[Tensor, "item point 2"]
) -> Float[Tensor, "item channel point"]:
    """The maps at points, bilinear."""
    grid = (2 * points - 1)[:, :, None].to(maps.dtype)
    return F.grid_sample(maps, grid, mode="bilinear", align_corners=False)[..., 0]


def sampled_masks(
    masks: Bool[Tensor, "mask height width"],
    which: Int[Tensor, "*shape"],
    points: Float[Tensor, "*shape point 2"],
) -> Float[Tensor, "*shape point"]:
    """Some of the masks at points, bilinear: the same as `sampled`, with no copy of the masks.

    Args:
        masks: what is looked up.
        which: the mask each row of points looks at; a mask may be looked at by many.
        points: where.
    """
    height, width = masks.shape[1:]
    flat, first = masks.flatten(), which[..., None] * (height * width)
    x, y = points[..., 0] * width - 0.5, points[..., 1] * height - 0.5
    left, top = x.floor(), y.floor()
    result = torch.zeros_like(x)
    for column, across in ((left, 1 - (x - left)), (left + 1, x - left)):
        for row, down in ((top, 1 - (y - top)), (top + 1, y - top)):
            inside = (column >= 0) & (column < width) & (row >= 0) & (row < height)
            place = row.clamp(0, height - 1) * width + column.clamp(0, width - 1)
            result += across * down * (inside & flat[first + place.long()])
    return result


@torch.no_grad()
def uncertain_points(
    logits: Float[Tensor, "layer mask height width"],
    draw: Draw,
    *,
    count: int,
    oversampling: float,
    importance: float,
) -> Float[Tensor, "layer mask count 2"]:
    """Points for each mask, most of them where its logit is closest to zero.

    Args:
        logits: the predicted masks, one row of them for each layer.
        draw: asked twice a layer, for candidates and for points that stay random.
        count: how many points.
        oversampling: how many times `count` candidates there are.
        importance: the share of `count` taken from the most uncertain candidates.
    """
    layers, masks = logits.shape[:2]
    candidates = _drawn(draw, layers, masks, int(count * oversampling))
    flat = candidates.flatten(0, 1).to(logits.device)
    certainty = sampled(logits.flatten(0, 1)[:, None], flat)[:, 0].abs()
    important = int(importance * count)
    chosen = certainty.topk(important, dim=1, largest=False, sorted=False).indices
    uncertain = flat.gather(1, chosen[..., None].expand(-1, -1, 2)).view(
        layers, masks, important, 2
    )
    return torch.cat((uncertain, _drawn(draw, layers, masks, count - important).to(flat)), dim=2)


def _drawn(draw: Draw, layers: int, masks: int, count: int) -> Tensor:
    return torch.stack([draw((masks, count, 2)) for _ in range(layers)])
