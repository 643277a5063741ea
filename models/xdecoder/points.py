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
    which: Int[Tensor, "layer match"],
    points: Float[Tensor, "layer match point 2"],
) -> Float[Tensor, "layer match point"]:
    """Masks at points, bilinear, where each layer has its own points and its own order of masks.

    Args:
        masks: what is looked up.
        which: the mask each row of points looks at; in one layer no mask is looked at twice.
        points: where.
    """
    layers, count = len(which), points.shape[2]
    each = torch.arange(layers, device=which.device)[:, None]
    # Every mask is read once, at the points of all layers.
    of_mask = points.new_zeros(len(masks), layers, count, 2)
    of_mask[which, each] = points
    found = sampled(masks[:, None].to(points.dtype), of_mask.flatten(1, 2))
    return found.view(len(masks), layers, count)[which, each]


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
