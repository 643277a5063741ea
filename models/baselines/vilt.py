"""`vilt-vqa`: ViLT (Kim et al., ICML 2021), which picks one of the 3129 commonest VQAv2 answers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.types import Image
from models.baselines import hub
from models.card import Card, HubRepository

CARDS = {
    "vilt-vqa": Card(
        "vilt-vqa",
        "ViLT-B/32, VQAv2",
        "vilt",
        ("QuestionAnswerer",),
        HubRepository("dandelin/vilt-b32-finetuned-vqa"),
        licence="Apache-2.0",
        trained_on=("COCO captions", "Visual Genome", "CC3M", "SBU", "VQAv2"),
        protocol="native",
        about="Closed list of answers; supervised with image-text pairs and answers.",
    )
}


def card_of(path: Path) -> Card | None:
    """The card of a folder with such a network."""
    return hub.card_of(path, {"vilt": CARDS["vilt-vqa"]})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> Vilt:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return Vilt(
        hub.network("ViltForQuestionAnswering", source, device, precision),
        hub.processor("ViltProcessor", source),
    )


@dataclass(frozen=True, eq=False)
class Vilt(hub.Pretrained):
    """A `QuestionAnswerer`."""

    def answer(
        self, images: Sequence[Image], questions: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """The best of its answers to each question."""
        return [
            self._answers(image, asked) if asked else []
            for image, asked in zip(images, questions, strict=True)
        ]

    def _answers(self, image: Image, questions: Sequence[str]) -> list[str]:
        inputs = self.processor(
            text=list(questions),
            padding=True,
            truncation=True,
            max_length=self.network.config.max_position_embeddings,
            **hub.pictures([image] * len(questions)),
        )
        best = self.ask(inputs).logits.argmax(dim=-1)
        return [self.network.config.id2label[index] for index in best.tolist()]
