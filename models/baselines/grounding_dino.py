"""`grounding-dino-…-sam…`: Grounding DINO (Liu et al., ECCV 2024) finds boxes, SAM draws them.

The detector reads one text with all names in it, «cat. dog. grass.», and scores every box against
every token; a name's score is the mean over its tokens. What does not fit its 256 tokens is asked
in further passes. It has no use for sentences around names: templates are left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.types import Image, Vocabulary
from models.baselines import hub
from models.baselines.grounded import Detections, Grounded, corners
from models.baselines.sam import segmenter
from models.card import Card, HubRepository, Reported

if TYPE_CHECKING:
    from torch import Tensor

_GROUNDED_SAM = "Grounded SAM (arXiv 2401.14159), Table 1"
_SAM_HQ = "SysCV/sam-hq: sam-hq2/README.md"


def _card(
    name: str,
    title: str,
    detector: str,
    sam: str,
    trained_on: tuple[str, ...],
    reported: tuple[Reported, ...] = (),
) -> Card:
    return Card(
        name,
        title,
        "grounding-dino",
        ("InstanceSegmenter", "ReferringSegmenter"),
        HubRepository(f"IDEA-Research/{detector}"),
        licence="Apache-2.0",
        trained_on=trained_on,
        protocol="native",
        reported=reported,
        about="Supervised with boxes and phrases; the masks with SA-1B's.",
        parts={"segmenter": HubRepository(f"facebook/{sam}")},
    )


_TINY = ("Objects365", "GoldG", "Cap4M")
_BASE = ("COCO", "Objects365", "GoldG", "Cap4M", "OpenImages", "ODinW-35", "RefCOCO")

CARDS = {
    card.name: card
    for card in (
        _card(
            "grounding-dino-t-sam-h",
            "Grounding DINO-T + SAM ViT-H",
            "grounding-dino-tiny",
            "sam-vit-huge",
            (*_TINY, "SA-1B"),
        ),
        _card(
            "grounding-dino-b-sam-h",
            "Grounding DINO-B + SAM ViT-H",
            "grounding-dino-base",
            "sam-vit-huge",
            (*_BASE, "SA-1B"),
            (Reported("seginw", "AP", 0.487, _GROUNDED_SAM),),
        ),
        _card(
            "grounding-dino-b-sam2-l",
            "Grounding DINO-B + SAM 2 Hiera-L",
            "grounding-dino-base",
            "sam2-hiera-large",
            (*_BASE, "SA-1B", "SA-V"),
            (Reported("seginw", "AP", 0.495, _SAM_HQ),),
        ),
    )
}


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> Grounded:
    """The published networks, or the detector in `weights` and SAM in its folder `segmenter`."""
    source = hub.Source.of(card, weights)
    detector = GroundingDino(
        hub.network("GroundingDinoForObjectDetection", source, device, precision),
        hub.processor("GroundingDinoProcessor", source),
    )
    sam = segmenter(hub.Source.of(card, weights, "segmenter"), device, precision)
    return Grounded(detector, sam)


@dataclass(frozen=True, eq=False)
class GroundingDino(hub.Pretrained):
    """A detector that reads names as one text."""

    def detect(self, image: Image, vocabulary: Vocabulary) -> Detections:
        """Its queries' boxes; of several passes over many names, all of them."""
        import torch

        inputs = self.processor.image_processor(**hub.pictures([image]))
        names = [words[0] for words in vocabulary.prompts]
        boxes, scores = [], []
        for part in self._parts(names):
            text, belongs = self._text(names[part])
            answer = self.ask({**inputs, **text})
            tokens = answer.logits[0].float().sigmoid()[:, : belongs.shape[1]]
            of_names = tokens.new_zeros(len(tokens), len(names))
            of_names[:, part] = tokens @ belongs.T.to(tokens)
            boxes.append(corners(answer.pred_boxes[0], *image.shape[:2]))
            scores.append(of_names)
        return Detections(torch.cat(boxes), torch.cat(scores))

    def _parts(self, names: Sequence[str]) -> Iterator[slice]:
        """Runs of names that fit one text."""
        room = self.network.config.max_text_len - 2  # beside what begins and ends a text
        first, used = 0, 0
        for index, name in enumerate(names):
            needed = len(self.processor.tokenizer.tokenize(_phrase(name)))
            if used + needed > room and index > first:
                yield slice(first, index)
                first, used = index, 0
            used += needed
        yield slice(first, len(names))

    def _text(self, names: Sequence[str]) -> tuple[dict[str, Any], Tensor]:
        """The text of some names as tokens, and each name's mean over tokens (name, token)."""
        import torch

        text, ends = "", []
        for name in names:
            text += (" " if text else "") + _phrase(name)
            ends.append(len(text))
        tokens = self.processor.tokenizer(
            [text],
            return_tensors="pt",
            return_offsets_mapping=True,
            truncation=True,
            max_length=self.network.config.max_text_len,
        )
        spans = tokens.pop("offset_mapping")[0]
        belongs = torch.zeros(len(names), len(spans))
        for token, (start, stop) in enumerate(spans.tolist()):
            if stop > start and text[start:stop] != ".":
                belongs[next(i for i, end in enumerate(ends) if stop <= end), token] = 1
        return dict(tokens), belongs / belongs.sum(dim=1, keepdim=True).clamp(min=1)


def _phrase(name: str) -> str:
    """A name as it stands in the text: in small letters, a full stop after it and none in it."""
    return name.lower().replace(".", " ").strip() + "."
