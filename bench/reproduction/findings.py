"""What the paper concludes from its ablations, each with the numbers it rests on."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Finding:
    """A sentence of the paper about two rows of a table; the printed numbers say which is better.

    Rows are named by how their recipe differs from the full one's: `no-retrieval`; empty: not.
    """

    says: str
    where: str
    """The section that says it."""
    row: str
    columns: tuple[tuple[str, str], ...]
    """(dataset, score) of the columns it is about."""
    against: str = ""


_ADE = (("ade20k-150", "PQ"), ("ade20k-150", "mIoU"))
_CIDER = (("coco-caption", "CIDEr"),)
_RETRIEVAL = (("coco-retrieval", "IR@1"), ("coco-retrieval", "TR@1"))
_REFERRING = (("refcocog", "cIoU"),)

FINDINGS: Mapping[str, tuple[Finding, ...]] = {
    "table4": (
        Finding("captions need the image query", "4.4", "text-not-image", _CIDER),
        Finding("captions need the object queries", "4.4", "text-not-objects", _CIDER),
        Finding("referring needs the phrase", "4.4", "latent-not-text", _REFERRING),
    ),
    "table6": (
        Finding("retrieval helps open-vocabulary segmentation", "4.4", "no-retrieval", _ADE),
        Finding("captioning helps referring", "4.4", "no-captioning", _REFERRING),
        Finding("referring helps captioning", "4.4", "no-referring", _CIDER),
        Finding("captioning helps retrieval", "4.4", "no-captioning", _RETRIEVAL[:1]),
        Finding("retrieval helps captioning", "4.4", "no-retrieval", _CIDER),
    ),
    "table9": (
        Finding("segmentation helps retrieval", "C.1", "vl", _RETRIEVAL),
        Finding("segmentation helps captioning", "C.1", "vl", _CIDER),
    ),
    "table11": (
        Finding("all objectives together beat segmentation alone", "4.3", "seg", _ADE),
        Finding("nouns of captions help", "4.3", "seg-plus", _ADE, against="seg"),
        Finding("all objectives together beat nouns of captions", "4.3", "seg-plus", _ADE),
    ),
}
"""By table."""
