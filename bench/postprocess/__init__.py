"""From a network's raw answer to predictions at the image's own size, as a protocol card says.

`segment` derives the semantic, instance and panoptic predictions from one `Proposals`; `refer`
makes the mask of a phrase. Both are pure functions of the answer, the card and the size.

    classes   what the class logits alone decide: columns, top-k, thresholds
    plain     the definition, pixel by pixel
    axis      a resize along one axis as a matrix, in blocks
    tiles     bounds of every mask over every tile; values where they are asked for
    outputs   the same predictions from as few values as they can depend on
    threads   tiles side by side on all cores
"""

from collections.abc import Mapping
from typing import Any

import torch

from bench.postprocess import outputs, plain
from bench.postprocess.classes import class_scores
from bench.protocol import Protocol
from bench.types import Mask, Proposals, ReferredMask, Vocabulary

OUTPUTS = frozenset({"semantic", "instance", "panoptic"})


def segment(
    proposals: Proposals,
    vocabulary: Vocabulary,
    protocol: Protocol,
    size: tuple[int, int],
    wanted: frozenset[str] = OUTPUTS,
) -> Mapping[str, Any]:
    """The wanted predictions at `size` (height, width): a `LabelMap`, `Instances`, `Panoptic`.

    On a CPU only what the predictions can depend on is computed; on an accelerator, everything.
    """
    if wanted - OUTPUTS:
        raise ValueError(f"proposals give {sorted(OUTPUTS)}, not {sorted(wanted - OUTPUTS)}")
    _check(proposals)
    scores = class_scores(proposals.class_logits, vocabulary, protocol.background)
    on_cpu = proposals.mask_logits.device.type == "cpu"
    way = outputs.segment if on_cpu else plain.segment
    return way(proposals, scores, vocabulary.things, protocol, size, wanted)


def refer(referred: ReferredMask, protocol: Protocol, size: tuple[int, int]) -> Mask:
    """The mask a phrase points at, at `size` (height, width): where the logit is above 0."""
    masks = plain.resize_masks(
        referred.mask_logits[None],
        referred.padded_size,
        referred.input_size,
        size,
        protocol.mask_resize,
    )
    return Mask.encode((masks[0] > 0).cpu().numpy())


def _check(proposals: Proposals) -> None:
    """Refuse proposals that contradict themselves, or that a failed network made."""
    masks, classes = proposals.mask_logits, proposals.class_logits
    if len(masks) != len(classes):
        raise ValueError(f"{len(masks)} masks but class logits for {len(classes)} queries")
    if any(
        not 0 < shown <= padded
        for shown, padded in zip(proposals.input_size, proposals.padded_size, strict=True)
    ):
        raise ValueError(
            f"an image of {proposals.input_size} is not in an input of {proposals.padded_size}"
        )
    if masks.numel() and not all(torch.isfinite(end) for end in masks.aminmax()):
        raise ValueError("the mask logits hold NaN or infinity: the network has failed")


__all__ = ["OUTPUTS", "refer", "segment"]
