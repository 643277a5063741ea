"""The definition of post-processing: every mask at the original size, then every pixel.

This is MaskFormer's inference (section 3.3) with X-Decoder's resizing, written to be read. On an
accelerator it is also the fast way. On a CPU it is what `bench.postprocess.outputs` must equal, and
what that is timed against.
"""

from functools import partial
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn.functional import interpolate

from bench.postprocess.classes import ClassScores, Picks, pick_instances, pick_segments
from bench.protocol import MaskResize, PanopticRule, Protocol
from bench.types import VOID, Instances, LabelMap, Mask, Panoptic, Proposals, Segment


def segment(
    proposals: Proposals,
    scores: ClassScores,
    things: frozenset[int],
    protocol: Protocol,
    size: tuple[int, int],
    wanted: frozenset[str],
) -> dict[str, Any]:
    """The wanted predictions at `size` (height, width)."""
    masks = resize_masks(
        proposals.mask_logits,
        proposals.padded_size,
        proposals.input_size,
        size,
        protocol.mask_resize,
    )
    found: dict[str, Any] = {}
    if "semantic" in wanted:
        found["semantic"] = label_map(scores, masks)
    if "instance" in wanted:
        found["instance"] = instances(pick_instances(scores, things, protocol.instance), masks)
    if "panoptic" in wanted:
        picks = pick_segments(scores, protocol.panoptic)
        found["panoptic"] = panoptic(picks, masks, things, protocol.panoptic)
    return found


def resize_masks(
    logits: Float[Tensor, "query grid_height grid_width"],
    padded_size: tuple[int, int],
    input_size: tuple[int, int],
    size: tuple[int, int],
    rule: MaskResize,
) -> Float[Tensor, "query height width"]:
    """Mask logits at the original image's `size`: to the padded input, cropped, to `size`."""
    if not len(logits):
        return logits.new_zeros((0, *size))
    padded = _resized(logits.detach().float()[None], padded_size, rule)
    cropped = padded[..., : input_size[0], : input_size[1]]
    return _resized(cropped, size, rule)[0]


def _resized(
    maps: Float[Tensor, "1 query old_height old_width"], size: tuple[int, int], rule: MaskResize
) -> Float[Tensor, "1 query height width"]:
    bicubic = rule is MaskResize.BICUBIC_ANTIALIAS
    resize = partial(
        interpolate,
        mode="bicubic" if bicubic else "bilinear",
        align_corners=False,
        antialias=bicubic,
    )
    # Torch gives a single column the same value in every row when it resizes its height with
    # antialiasing (seen in 2.13), so heights are resized while there are two columns.
    if maps.shape[-1] == 1:
        maps = maps.repeat(1, 1, 1, 2)
    if size[1] == 1:
        maps = resize(maps, (size[0], maps.shape[-1]))
    return resize(maps, size)


def label_map(scores: ClassScores, masks: Float[Tensor, "query height width"]) -> LabelMap:
    """Each pixel's class: the largest sum over queries of class × mask probability.

    Void where no class competes, where background wins (rule `kept`), and without any query.
    """
    if not scores.competing or not len(masks):
        return np.full(masks.shape[1:], VOID, np.int32)
    probabilities = scores.probabilities[:, : scores.competing]
    sums = torch.einsum("qc,qhw->chw", probabilities, masks.sigmoid())
    labels = sums.argmax(0).to(torch.int32)
    labels[labels >= scores.classes] = VOID
    return labels.cpu().numpy()


def instances(picks: Picks, masks: Float[Tensor, "query height width"]) -> Instances:
    """A binary mask (logit above 0) for each pick, scored by class × mean probability inside."""
    found = masks[picks.queries]
    inside = found > 0
    down_the_columns = inside.transpose(1, 2).contiguous().cpu().numpy()
    area = inside.flatten(1).sum(1)
    mean = (found.sigmoid() * inside).flatten(1).sum(1) / (area + 1e-6)
    return Instances(
        tuple(Mask.encode(mask.T) for mask in down_the_columns),
        picks.labels.cpu().numpy(),
        (picks.scores * mean).cpu().numpy(),
    )


def panoptic(
    picks: Picks,
    masks: Float[Tensor, "query height width"],
    things: frozenset[int],
    rule: PanopticRule,
) -> Panoptic:
    """Each pixel goes to the pick with the largest class score × mask probability there.

    A pick keeps the pixels it wins and has inside its own mask; it is dropped if these are none,
    or if it wins too small a share of its mask's area. Stuff of one class is one segment.
    """
    ids = np.zeros(masks.shape[1:], np.int32)
    if not len(picks.queries):
        return Panoptic(ids, ())
    probabilities = masks[picks.queries].sigmoid()
    winner = (picks.scores[:, None, None] * probabilities).argmax(0)
    segments: list[Segment] = []
    stuff: dict[int, int] = {}
    for pick, (label, score) in enumerate(
        zip(picks.labels.tolist(), picks.scores.tolist(), strict=True)
    ):
        won, inside = winner == pick, probabilities[pick] >= 0.5
        own = won & inside
        if not bool(own.any()):
            continue
        if won.sum().item() / inside.sum().item() < rule.overlap_threshold:
            continue
        if label not in stuff:
            segments.append(Segment(len(segments) + 1, label, score))
            if label not in things:
                stuff[label] = len(segments)
        ids[own.cpu().numpy()] = stuff.get(label, len(segments))
    return Panoptic(ids, tuple(segments))
