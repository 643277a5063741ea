"""What is known about each X-Decoder before it is built: its card.

The released files and the numbers printed beside them are those of the official repository's README
(branches `main` and `seginw`). They differ from the paper's tables, whose checkpoints with DaViT
backbones were never released: those numbers are in `results/`, not here.
"""

from models.card import Card, HubFile, Reported, ShippedFile

_REPOSITORY = "xdecoder/X-Decoder"
_README = "microsoft/X-Decoder:README.md"
_ANSWERS = (
    "Proposer",
    "ReferringSegmenter",
    "ImageTextEncoder",
    "Captioner",
    "RegionCaptioner",
)
_PAPER_DATA = (
    "COCO 2017 panoptic (without RefCOCOg-UMD val and Karpathy test)",
    "RefCOCO family",
    "Conceptual Captions 3M",
    "SBU Captions",
    "Visual Genome captions",
    "COCO Captions",
)
_WITHOUT_VG = tuple(name for name in _PAPER_DATA if not name.startswith("Visual Genome"))


def _reported(*numbers: tuple[str, str, float]) -> tuple[Reported, ...]:
    """Numbers of the README, which prints percent; CIDEr is printed times 100 too."""
    return tuple(
        Reported(dataset, score, round(percent / 100, 6), _README)
        for dataset, score, percent in numbers
    )


def _released(
    name: str,
    title: str,
    file: str,
    reported: tuple[Reported, ...] = (),
    trained_on: tuple[str, ...] = _PAPER_DATA,
    about: str = "",
) -> Card:
    return Card(
        name,
        title,
        "xdecoder",
        _ANSWERS,
        weights=HubFile(_REPOSITORY, file),
        licence="as the hub page of the weights states",
        trained_on=trained_on,
        reported=reported,
        about=about,
    )


def _unreleased(name: str, title: str, about: str) -> Card:
    return Card(name, title, "xdecoder", _ANSWERS, trained_on=_PAPER_DATA, about=about)


_ALL = (
    _released(
        "xdecoder-T",
        "X-Decoder, Focal-T, best open-vocabulary checkpoint",
        "xdecoder_focalt_best_openseg.pt",
        _reported(
            ("coco", "PQ", 48.8),
            ("coco", "AP", 37.0),
            ("coco", "mIoU", 60.2),
            ("ade20k-150", "PQ", 19.1),
            ("ade20k-150", "AP", 10.1),
            ("ade20k-150", "mIoU", 25.1),
            ("ade20k-847", "mIoU", 6.2),
            ("sunrgbd-37", "mIoU", 35.7),
            ("scannet-20", "PQ", 30.3),
            ("scannet-20", "mIoU", 38.4),
            ("scannet-41", "mIoU", 22.4),
            ("cityscapes", "PQ", 37.7),
            ("cityscapes", "AP", 18.5),
            ("cityscapes", "mIoU", 50.2),
            ("bdd-pano", "PQ", 16.9),
            ("bdd-sem", "mIoU", 47.6),
            ("refcocog", "mIoU", 61.6),
            ("coco-retrieval", "IR@1", 30.2),
            ("coco-retrieval", "TR@1", 48.36),
        ),
        about=(
            "Another table of the README gives 29.1 for ADE20K's mIoU; a user measured 25.14 "
            "(issue 54), where PQ stayed below the printed one."
        ),
    ),
    _released(
        "xdecoder-T-last",
        "X-Decoder, Focal-T, last checkpoint",
        "xdecoder_focalt_last.pt",
        _reported(
            ("coco", "PQ", 50.8),
            ("coco", "AP", 39.5),
            ("coco", "mIoU", 62.4),
            ("ade20k-150", "AP", 9.6),
            ("ade20k-150", "mIoU", 23.9),
            ("refcocog", "mIoU", 63.2),
            ("coco-retrieval", "IR@1", 30.0),
            ("coco-retrieval", "TR@1", 48.3),
            ("coco-caption", "CIDEr", 83.3),
        ),
    ),
    _released(
        "xdecoder-T-novg",
        "X-Decoder, Focal-T, trained without Visual Genome",
        "xdecoder_focalt_last_novg.pt",
        trained_on=_WITHOUT_VG,
        about="The one that the official demos caption with.",
    ),
    _released(
        "xdecoder-L-IN21K",
        "X-Decoder, Focal-L, best open-vocabulary checkpoint",
        "xdecoder_focall_bestseg.pt",
        _reported(
            ("coco", "PQ", 51.5),
            ("coco", "AP", 41.3),
            ("coco", "mIoU", 64.1),
            ("ade20k-150", "AP", 11.7),
            ("ade20k-150", "mIoU", 29.4),
            ("refcocog", "mIoU", 61.5),
            ("coco-retrieval", "IR@1", 30.7),
            ("coco-retrieval", "TR@1", 50.1),
        ),
    ),
    _released(
        "xdecoder-L-IN21K-last",
        "X-Decoder, Focal-L, last checkpoint",
        "xdecoder_focall_last.pt",
        _reported(
            ("coco", "PQ", 56.2),
            ("coco", "AP", 46.4),
            ("coco", "mIoU", 65.5),
            ("ade20k-150", "AP", 11.5),
            ("ade20k-150", "mIoU", 23.6),
            ("refcocog", "mIoU", 67.7),
            ("coco-retrieval", "IR@1", 34.9),
            ("coco-retrieval", "TR@1", 54.4),
        ),
    ),
    _unreleased("xdecoder-B", "X-Decoder, DaViT-d3", "The paper's B; never released."),
    _unreleased("xdecoder-L", "X-Decoder, DaViT-d5", "The paper's L; never released."),
    _unreleased("xdecoder-T-davit", "X-Decoder, DaViT-T", "A row of Table 10; never released."),
    _unreleased("xdecoder-T-swin", "X-Decoder, Swin-T", "A row of Table 10; never released."),
    _unreleased(
        "xdecoder-T-swin-deformable",
        "X-Decoder, Swin-T, deformable pixel decoder",
        "A row of Table 10; never released.",
    ),
    Card(
        "xdecoder-nano",
        "X-Decoder, 4 million parameters, for drawn scenes",
        "xdecoder",
        _ANSWERS,
        weights=ShippedFile("models.xdecoder", "nano.safetensors"),
        licence="Apache-2.0",
        trained_on=("shapes",),
        like="shapes",
        about=(
            "Trained on the embedded world `shapes` by `bench train nano --processes 2`, seed 0, "
            "in an hour and a half on two cores: crops, then 3,000 scenes with segments and, "
            "beside them, scenes without end with phrases and captions. Knows that world's words "
            "only. On held-out scenes: PQ 78.6, mIoU 76.3, AP 46.4 (of another seed 77.3, 75.1 and "
            "42.5: docs/training.md); `bench table shapes-all shapes-open` has the rest, with "
            "intervals. Weak where a phrase says where a thing is (`shapes-relations`)."
        ),
    ),
)

CARDS = {card.name: card for card in _ALL}
"""By name."""


def variant_of(card: Card) -> str:
    """The configuration of a card: that of the longest variant its name begins with.

    >>> variant_of(CARDS["xdecoder-L-IN21K-last"])
    'xdecoder-L-IN21K'
    """
    from models.xdecoder.config import VARIANTS

    fitting = [name for name in VARIANTS if f"{card.name}-".startswith(f"{name}-")]
    return max(fitting, key=len)
