"""From a network's raw answer to predictions at the image's own size, as a protocol card says.

`segment` derives the semantic, instance and panoptic predictions from one `Proposals`; `refer`
makes the mask of a phrase. Both are pure functions of the answer, the card and the size.
"""

from collections.abc import Mapping
from typing import Any

from bench.postprocess import plain
from bench.postprocess.classes import class_scores, pick_instances, pick_segments
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
    """The wanted predictions at `size` (height, width): a `LabelMap`, `Instances`, `Panoptic`."""
    scores = class_scores(proposals.class_logits, vocabulary, protocol.background)
    masks = plain.resize_masks(
        proposals.mask_logits.float(),
        proposals.padded_size,
        proposals.input_size,
        size,
        protocol.mask_resize,
    )
    found: dict[str, Any] = {}
    if "semantic" in wanted:
        found["semantic"] = plain.label_map(scores, masks)
    if "instance" in wanted:
        picks = pick_instances(scores, vocabulary.things, protocol.instance)
        found["instance"] = plain.instances(picks, masks)
    if "panoptic" in wanted:
        segments = pick_segments(scores, protocol.panoptic)
        found["panoptic"] = plain.panoptic(segments, masks, vocabulary.things, protocol.panoptic)
    return found


def refer(referred: ReferredMask, protocol: Protocol, size: tuple[int, int]) -> Mask:
    """The mask a phrase points at, at `size` (height, width): where the logit is above 0."""
    masks = plain.resize_masks(
        referred.mask_logits[None].float(),
        referred.padded_size,
        referred.input_size,
        size,
        protocol.mask_resize,
    )
    return Mask.encode((masks[0] > 0).cpu().numpy())


__all__ = ["OUTPUTS", "refer", "segment"]
