"""One training step as the released code took it, and a network for small ones."""

import functools
from importlib.resources import files

import numpy as np
import torch
import yaml
from torch import Tensor
from xdecoder_reference import fill, golden

from models.xdecoder.batch import (
    Concept,
    Objects,
    PairBatch,
    Phrases,
    PhraseSource,
    SegmentationBatch,
)
from models.xdecoder.config import (
    DecoderConfig,
    FocalConfig,
    PixelDecoderConfig,
    TextConfig,
    XDecoderConfig,
)
from models.xdecoder.model import Network

WORDS = ("a", "red", "blue", "star", "ring", "sand", "the", "on", "background")
TINY = XDecoderConfig(
    "tiny",
    FocalConfig((8, 16, 16, 32), (1, 1, 1, 1), focal_levels=1, drop_path=0.0),
    PixelDecoderConfig(width=32, mask_width=16, layers=1, heads=2, feedforward=32),
    TextConfig(words=WORDS, context=12, width=16, layers=1, heads=2, feedforward=32),
    DecoderConfig(width=32, layers=2, heads=2, feedforward=32, queries=7),
)
TEMPLATE = "a photo of a {}."
SOURCES = {"text": PhraseSource.WRITTEN, "class": PhraseSource.CLASS_NAMES}


@functools.cache
def tiny() -> Network:
    """A network that takes a step in a tenth of a second."""
    torch.manual_seed(0)
    return Network(TINY)


def draw(shape: tuple[int, ...]) -> Tensor:
    """The golden's stand-in for random numbers."""
    return torch.from_numpy(fill.det_rand(*shape))


def released_step() -> tuple[SegmentationBatch, PairBatch]:
    """The batches of the golden losses."""
    arrays = golden("focalt_losses")
    segmentation = SegmentationBatch(
        images=_images("coco"),
        classes=_classes(),
        objects=tuple(
            Objects(_masks(arrays[f"coco_boxes_{i}"]), torch.from_numpy(arrays[f"coco_labels_{i}"]))
            for i in range(2)
        ),
        phrases=tuple(
            Phrases(
                tuple(Concept(str(text), str(text)) for text in arrays[f"grounding_texts_{i}"]),
                _masks(arrays[f"coco_boxes_{i}"][arrays[f"grounding_boxes_{i}"]]),
                SOURCES[str(arrays[f"grounding_mode_{i}"])],
            )
            for i in range(2)
        ),
        nouns=tuple(
            (
                *(Concept(TEMPLATE.format(noun), str(noun)) for noun in arrays[f"coco_nouns_{i}"]),
                Concept(str(arrays["coco_captions"][i]), str(arrays["coco_captions"][i])),
            )
            for i in range(2)
        ),
    )
    return segmentation, PairBatch(_images("vlp"), tuple(map(str, arrays["vlp_captions"])))


def _images(kind: str) -> Tensor:
    arrays = golden("focalt_losses")
    return torch.from_numpy(np.stack([arrays[f"{kind}_image_{i}"] for i in range(2)]))


def _masks(boxes: np.ndarray) -> Tensor:
    return torch.from_numpy(np.stack([fill.box_mask(256, 320, box) for box in boxes]))


def _classes() -> tuple[Concept, ...]:
    """COCO's names as the released code reads them, and background."""
    path = files("dataset_specs").joinpath("vocabularies", "coco-133.yaml")
    entries = yaml.safe_load(path.read_text("utf-8"))["classes"]
    names = [entry if isinstance(entry, str) else entry["name"] for entry in entries]
    for suffix in ("-other", "-merged", "-stuff"):
        names = [name.replace(suffix, "") for name in names]
    names = [name.replace(",", "").replace("+", " ") for name in (*names, "background")]
    return tuple(Concept(TEMPLATE.format(name), name) for name in names)
