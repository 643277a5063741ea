"""`blip2-…`: BLIP-2 (Li et al., ICML 2023), a frozen image encoder before a language model.

Prompts and search are those of the released evaluation: «a photo of» and «Question: … Short
answer:», beams of width 5. Its retrieval score is a maximum over query tokens, which no inner
product of two vectors is, so it answers no retrieval here.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.types import Image
from models.baselines import hub
from models.card import Card, HubRepository

CAPTION = "a photo of"
QUESTION = "Question: {} Short answer:"
_PAIRS = ("COCO captions", "Visual Genome", "CC3M", "CC12M", "SBU", "LAION-115M")


def _card(name: str, title: str, repository: str, trained_on: tuple[str, ...]) -> Card:
    return Card(
        name,
        title,
        "blip2",
        ("Captioner", "QuestionAnswerer"),
        HubRepository(f"Salesforce/{repository}"),
        licence="MIT",
        trained_on=(*_PAIRS, *trained_on),
        protocol="native",
        about="Supervised with image-text pairs and captions; a frozen language model writes.",
    )


CARDS = {
    card.name: card
    for card in (
        _card("blip2-opt-2.7b", "BLIP-2 ViT-g OPT 2.7B", "blip2-opt-2.7b", ()),
        _card(
            "blip2-opt-2.7b-coco",
            "BLIP-2 ViT-g OPT 2.7B, tuned on COCO captions",
            "blip2-opt-2.7b-coco",
            (),
        ),
        _card("blip2-flan-t5-xl", "BLIP-2 ViT-g FlanT5-XL", "blip2-flan-t5-xl", ("FLAN",)),
    )
}


def card_of(path: Path) -> Card | None:
    """The card of a folder with such a network."""
    return hub.card_of(path, {"blip-2": CARDS["blip2-opt-2.7b"]})


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> Blip2:
    """The published network, or the one in the folder `weights`."""
    source = hub.Source.of(card, weights)
    return Blip2(
        hub.network("Blip2ForConditionalGeneration", source, device, precision),
        hub.processor("Blip2Processor", source),
    )


@dataclass(frozen=True, eq=False)
class Blip2(hub.Pretrained):
    """A `Captioner` and a `QuestionAnswerer`."""

    def caption(self, images: Sequence[Image]) -> list[str]:
        """What follows the prompt, in 8 to 30 tokens."""
        return self._written(images, [CAPTION] * len(images), min_new_tokens=8, max_new_tokens=30)

    def answer(
        self, images: Sequence[Image], questions: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """A short answer to each question, each asked alone."""
        return [
            [
                self._written(
                    [image], [QUESTION.format(question)], max_new_tokens=10, length_penalty=-1.0
                )[0]
                for question in asked
            ]
            for image, asked in zip(images, questions, strict=True)
        ]

    def _written(
        self, images: Sequence[Image], prompts: Sequence[str], **settings: float
    ) -> list[str]:
        """What the language model writes after prompts of one length."""
        inputs = self.processor(text=list(prompts), **hub.pictures(images))
        tokens = self.ask(inputs, "generate", num_beams=5, do_sample=False, **settings)
        if not self.network.language_model.config.is_encoder_decoder:
            tokens = tokens[:, inputs["input_ids"].shape[1] :]  # it repeats the prompt
        texts = self.processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.strip() for text in texts]
