"""`blip-…` and `fusecap`: BLIP (Li et al., ICML 2022), a network for each thing it was tuned for.

Captions and answers are written as in the released code: beam search of width 3, the prompt «a
picture of» for captions. FuseCap (Rotstein et al., WACV 2024) is BLIP's captioner with weights
trained on captions enriched by other experts, which are longer.

Retrieval is its contrastive score, image against text; the released evaluation re-ranks the best
256 with the matching head, which sees an image and a text together and is no embedding.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.types import Image
from models.baselines import hub
from models.card import Card, HubRepository

PROMPT = "a picture of "
LONGEST = {"fusecap": 60}
"""Tokens of a caption at most, with the prompt, where that is not BLIP's own 20."""


def _card(
    name: str, title: str, answers: str, repository: str, trained_on: tuple[str, ...]
) -> Card:
    return Card(
        name,
        title,
        "blip",
        (answers,),
        HubRepository(repository),
        licence="BSD-3-Clause" if repository.startswith("Salesforce") else "MIT",
        trained_on=trained_on,
        protocol="native",
        about="Supervised with image-text pairs and captions.",
    )


_PAIRS = ("COCO captions", "Visual Genome", "CC3M", "CC12M", "SBU", "LAION-115M")

CARDS = {
    card.name: card
    for card in (
        _card(
            "blip-l-caption",
            "BLIP ViT-L, COCO captions",
            "Captioner",
            "Salesforce/blip-image-captioning-large",
            _PAIRS,
        ),
        _card(
            "fusecap",
            "FuseCap (BLIP ViT-B)",
            "Captioner",
            "noamrot/FuseCap_Image_Captioning",
            (*_PAIRS, "FuseCap"),
        ),
        _card(
            "blip-l-retrieval",
            "BLIP ViT-L, COCO retrieval",
            "ImageTextEncoder",
            "Salesforce/blip-itm-large-coco",
            _PAIRS,
        ),
        _card(
            "blip-b-vqa",
            "BLIP ViT-B, VQAv2",
            "QuestionAnswerer",
            "Salesforce/blip-vqa-base",
            (*_PAIRS, "VQAv2"),
        ),
    )
}


def build(
    card: Card, *, weights: Path | None = None, device: str = "cpu", precision: str = "float32"
) -> BlipCaptioner | BlipEncoder | BlipAnswerer:
    """The published network, or the one in the folder `weights`, for what its card answers."""
    kind, made = _KINDS[card.answers[0]]
    source = hub.Source.of(card, weights)
    network = hub.network(kind, source, device, precision)
    processor = hub.processor("BlipProcessor", source)
    if made is BlipCaptioner:
        return BlipCaptioner(network, processor, LONGEST.get(card.name, 20))
    return made(network, processor)


@dataclass(frozen=True, eq=False)
class BlipCaptioner(hub.Pretrained):
    """A `Captioner`."""

    longest: int = 20
    """Tokens at most, with the prompt."""

    def caption(self, images: Sequence[Image]) -> list[str]:
        """What follows the prompt; five tokens with it at least."""
        inputs = self.processor(
            text=[PROMPT] * len(images), return_token_type_ids=False, **hub.pictures(images)
        )
        tokens = self.ask(inputs, "generate", num_beams=3, max_length=self.longest, min_length=5)
        texts = self.processor.tokenizer.batch_decode(tokens, skip_special_tokens=True)
        return [text.removeprefix(PROMPT.strip()).strip() for text in texts]


@dataclass(frozen=True, eq=False)
class BlipAnswerer(hub.Pretrained):
    """A `QuestionAnswerer`."""

    def answer(
        self, images: Sequence[Image], questions: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """An answer of at most 10 tokens to each question.

        Each is asked alone: the decoder looks at the filling of shorter questions too.
        """
        return [
            [self._answer(image, question) for question in asked]
            for image, asked in zip(images, questions, strict=True)
        ]

    def _answer(self, image: Image, question: str) -> str:
        inputs = self.processor(
            text=[question], return_token_type_ids=False, **hub.pictures([image])
        )
        tokens = self.ask(inputs, "generate", num_beams=3, max_length=10, min_length=1)
        answer: str = self.processor.tokenizer.decode(tokens[0], skip_special_tokens=True)
        return answer.strip()


@dataclass(frozen=True, eq=False)
class BlipEncoder(hub.Pretrained):
    """An `ImageTextEncoder`: the inner product of its vectors is their cosine."""

    def embed_images(self, images: Sequence[Image]) -> np.ndarray:
        """One unit vector an image, from its class token."""
        inputs = self.processor.image_processor(**hub.pictures(images))
        return self._unit(inputs, self.network.vision_model, self.network.vision_proj)

    def embed_texts(self, texts: Sequence[str]) -> np.ndarray:
        """One unit vector a text, from its class token; cut off at 35 tokens as in training."""
        inputs = self.processor.tokenizer(
            list(texts),
            padding=True,
            truncation=True,
            max_length=35,
            return_tensors="pt",
            return_token_type_ids=False,
        )
        return self._unit(inputs, self.network.text_encoder, self.network.text_proj)

    def _unit(self, inputs: Any, encoder: Any, projection: Any) -> np.ndarray:
        import torch

        with torch.inference_mode():
            states = encoder(**hub.on(self.network, inputs)).last_hidden_state[:, 0]
            vectors = torch.nn.functional.normalize(projection(states).float(), dim=-1)
        unit: np.ndarray = vectors.cpu().numpy()
        return unit


_KINDS: dict[str, tuple[str, type[BlipCaptioner] | type[BlipEncoder] | type[BlipAnswerer]]] = {
    "Captioner": ("BlipForConditionalGeneration", BlipCaptioner),
    "ImageTextEncoder": ("BlipForImageTextRetrieval", BlipEncoder),
    "QuestionAnswerer": ("BlipForQuestionAnswering", BlipAnswerer),
}
