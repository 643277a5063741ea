"""What is asked of an X-Decoder, and what it answers: the protocols of `bench.types`.

One method per question (section 3.2). Images arrive as uint8 RGB at the size the protocol card
resized them to; images of one call have one size.
"""

import json
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from huggingface_hub import ModelHubMixin, hf_hub_download
from jaxtyping import Bool, Float
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import CannotDo
from bench.types import Image, Proposals, ReferredMask, Vocabulary
from models.xdecoder.caption import Beam, Greedy, Writing, begin, seen_by
from models.xdecoder.config import FreedRow, XDecoderConfig
from models.xdecoder.embeddings import ClassEmbeddings
from models.xdecoder.groups import QUESTION
from models.xdecoder.model import Network
from models.xdecoder.prediction import ImageFeatures, Text
from models.xdecoder.stages import showing
from models.xdecoder.tensor_cache import TensorCache
from models.xdecoder.text import unit
from models.xdecoder.tuning import StrategyTuner

WEIGHTS_FILE = "model.safetensors"
CONFIG_FILE = "config.json"


@dataclass(frozen=True)
class Habits:
    """How questions are put to the network, where there is a choice."""

    phrases_together: bool = True
    """All phrases about an image enter one pass, as released, and influence one another; else
    each has a pass of its own."""
    pooled_share: float = 0.5
    """The weight of the backbone's pooled features in retrieval scores. The rest is the image
    query's, which alone is the paper's score."""
    writing: Writing = field(default_factory=Greedy)
    """How captions are written."""
    sentence_end: str = "."
    """A caption stops before the first of these, as in the released evaluation; empty: never."""
    text_folder: Path | None = None
    """Where class embeddings are kept between runs."""


@runtime_checkable
class WritingRules(Protocol):
    """What a protocol card says of captions."""

    @property
    def search(self) -> str:
        """`of-model`, `greedy` or `beam`."""
        ...

    @property
    def beams(self) -> int:
        """See `Beam`."""
        ...

    @property
    def length_exponent(self) -> float:
        """See `Beam`."""
        ...

    @property
    def steps(self) -> int:
        """Tokens of the longest caption."""
        ...


@runtime_checkable
class NetworkRules(Protocol):
    """What a protocol card decides inside the network."""

    @property
    def freed_row(self) -> str:
        """One of `FreedRow`."""
        ...

    @property
    def captions(self) -> WritingRules:
        """How captions are written."""
        ...


class XDecoder(
    Network, ModelHubMixin, library_name="bench", tags=["image-segmentation", "x-decoder"]
):
    """An X-Decoder that can be asked.

    Args:
        settings: its sizes.
        recompute: spare memory in training; see `Network`.
    """

    def __init__(self, settings: XDecoderConfig, *, recompute: bool = False) -> None:
        super().__init__(settings, recompute=recompute)
        self.habits = Habits()
        self.notes: tuple[str, ...] = ()
        """What a reader of its answers must know, such as that it was never trained."""
        self._class_embeddings: ClassEmbeddings | None = None
        self._frozen = TensorCache()

    def tuner(self, strategy: str) -> StrategyTuner:
        """One of the ways of tuning with few shots: see `models.xdecoder.strategies`."""
        return StrategyTuner(self, self.class_embeddings, strategy, self._frozen)

    def showing_stages(self) -> AbstractContextManager[Mapping[str, Mapping[str, Tensor]]]:
        """What it computes on the way to its answers: see `models.xdecoder.stages`."""
        return showing(self)

    @property
    def cannot(self) -> dict[str, str]:
        """The protocols that it has the method of and cannot follow, and why."""
        if self.config.answers:
            return {}
        return {
            "QuestionAnswerer": f"{self.config.name} has no answer head: released checkpoints have "
            "none. Finetune one on questions and answers first."
        }

    def under(self, protocol: NetworkRules) -> "XDecoder":
        """The same model, its parts shared, as a protocol card wants it.

        Itself where that is how it works already; it is never changed.
        """
        row, writing = FreedRow(protocol.freed_row), self._writing(protocol.captions)
        if row is self.config.decoder.freed_row and writing == self.habits.writing:
            return self
        other, decoder = copy(self), copy(self.decoder)
        decoder.config = replace(decoder.config, freed_row=row)
        other.config = replace(self.config, decoder=decoder.config)
        other._modules = {**self._modules, "decoder": decoder}
        other.habits = replace(self.habits, writing=writing)
        return other

    def _writing(self, rules: WritingRules) -> Writing:
        """The way of writing that a card asks for."""
        match rules.search:
            case "of-model":
                return self.habits.writing
            case "greedy":
                return Greedy(rules.steps)
            case "beam":
                return Beam(rules.beams, rules.steps, rules.length_exponent)
            case other:
                raise ValueError(f"captions are written greedy or with beams, not '{other}'")

    # --- generic segmentation ---

    @torch.inference_mode()
    def propose(self, images: Sequence[Image], vocabulary: Vocabulary) -> list[Proposals]:
        """Masks and class scores, from which semantic, instance and panoptic answers follow.

        Every latent query proposes, the image query as the last one.
        """
        image = self.see(stacked(images))
        last = self.decode(image, self.layouts.segmenting).last
        class_logits = self.decoder.classes.logits(
            last.class_embeddings, self.class_embeddings(vocabulary)
        )
        return [
            Proposals(classes.float(), masks.float(), image.input_size, image.padded_size)
            for classes, masks in zip(class_logits, last.mask_logits, strict=True)
        ]

    def class_embeddings(self, vocabulary: Vocabulary) -> Float[Tensor, "column channel"]:
        """The vocabulary in the space shared with images; computed once for these weights."""
        cache = self._class_embeddings
        if cache is None or cache.folder != self.habits.text_folder:
            cache = ClassEmbeddings(self.text, self.tokenizer, self.habits.text_folder)
            self._class_embeddings = cache
        return cache(vocabulary)

    # --- referring segmentation ---

    @torch.inference_mode()
    def refer(
        self, images: Sequence[Image], phrases: Sequence[Sequence[str]]
    ) -> list[list[ReferredMask]]:
        """The mask of the referred query that fits each phrase best.

        Its score is its share among all referred queries (softmax over them at the clamped
        temperature).
        """
        image = self.see(stacked(images))
        answers: list[list[ReferredMask]] = []
        for index, asked in enumerate(phrases):
            alone = image.one(index)
            passes = [asked] if self.habits.phrases_together else [[phrase] for phrase in asked]
            answers.append([mask for few in passes if few for mask in self._refer(alone, few)])
        return answers

    def _refer(self, image: ImageFeatures, phrases: Sequence[str]) -> list[ReferredMask]:
        """The masks of phrases that enter one pass over one image."""
        ids = self.tokenizer.encode(phrases)
        tokens = [self.text(torch.tensor([text], device=self.device))[0] for text in ids]
        text = Text(torch.cat(tokens)[None])
        referred = self.decode(image, self.layouts.referring, {"phrase": text}).last.of("referred")
        ends = torch.stack([states[-1] for states in tokens])
        scores = self.decoder.classes.scores(referred.class_embeddings[0], ends).softmax(dim=0)
        best = scores.max(dim=0)
        masks = image.masks.logits(referred.mask_embeddings[:, best.indices])[0]
        return [
            ReferredMask(mask.float(), float(score), image.input_size, image.padded_size)
            for mask, score in zip(masks, best.values, strict=True)
        ]

    # --- image-text retrieval ---

    @torch.inference_mode()
    def embed_images(self, images: Sequence[Image]) -> Float[np.ndarray, "image channel"]:
        """The image query's class embedding and the backbone's pooled features, side by side.

        Scaled so that the inner product with a text is the weighted mean of the two cosines.
        """
        image = self.see(stacked(images))
        query = self.decode(image, self.layouts.segmenting).last.of("image").class_embeddings[:, 0]
        return self._side_by_side(query, self.pooled(image.pooled))

    @torch.inference_mode()
    def embed_texts(self, texts: Sequence[str]) -> Float[np.ndarray, "text channel"]:
        """The texts' embeddings, laid out to be multiplied with those of images."""
        states = self.text.sentences(self.tokenizer.encode(texts))
        return self._side_by_side(states, states)

    def _side_by_side(
        self, query: Float[Tensor, "item width"], pooled: Float[Tensor, "item width"]
    ) -> Float[np.ndarray, "item channel"]:
        share = self.habits.pooled_share
        parts = ((query, 1 - share), (pooled, share))
        scaled = [unit(vectors.float()) * weight**0.5 for vectors, weight in parts if weight]
        return torch.cat(scaled, dim=1).cpu().numpy()

    # --- captioning ---

    @torch.inference_mode()
    def caption(self, images: Sequence[Image]) -> list[str]:
        """One caption an image."""
        return self._caption(self.see(stacked(images)), region=None)

    @torch.inference_mode()
    def caption_regions(
        self, images: Sequence[Image], regions: Sequence[Bool[np.ndarray, "height width"]]
    ) -> list[str]:
        """One caption of a region of each image (section 4.5, referring captioning).

        The caption's queries look at the image only inside the region, a mask of its size.
        """
        image = self.see(stacked(images))
        return self._caption(image, region=padded(regions, image.padded_size).to(self.device))

    def _caption(
        self, image: ImageFeatures, region: Bool[Tensor, "image height width"] | None
    ) -> list[str]:
        written = self.habits.writing.write(begin(self, image, region))
        texts = [self.tokenizer.decode(ids).strip() for ids in written]
        end = self.habits.sentence_end
        return [text.split(end)[0].strip() if end else text for text in texts]

    # --- question answering ---

    @torch.inference_mode()
    def answer(
        self, images: Sequence[Image], questions: Sequence[Sequence[str]]
    ) -> list[list[str]]:
        """The likeliest candidate answer to each question (section 4.2, VQA).

        Raises:
            CannotDo: this model was not trained to answer questions and has no candidates.
        """
        if reason := self.cannot.get("QuestionAnswerer"):
            raise CannotDo(reason)
        decoding = self.decode(self.see(stacked(images)), self.layouts.segmenting, remember=True)
        memory = seen_by(self, QUESTION.name, decoding.memory)
        counts = [len(asked) for asked in questions]
        asked = [question for few in questions for question in few]
        if not asked:
            return [[] for _ in questions]
        owners = torch.tensor(
            [index for index, count in enumerate(counts) for _ in range(count)], device=self.device
        )
        logits = self.answer_logits(tuple(layer.of(owners) for layer in memory), self.read(asked))
        answers = iter([self.config.answers[index] for index in logits.argmax(dim=1).tolist()])
        return [[next(answers) for _ in range(count)] for count in counts]

    # --- files ---

    def _save_pretrained(self, save_directory: Path) -> None:
        """Part of `save_pretrained`: settings as JSON, weights as safetensors."""
        content = json.dumps(self.config.to_dict(), indent=2, ensure_ascii=False)
        (save_directory / CONFIG_FILE).write_text(content + "\n", encoding="utf-8")
        weights = {name: tensor.contiguous() for name, tensor in self.state_dict().items()}
        save_file(weights, save_directory / WEIGHTS_FILE)

    @classmethod
    def _from_pretrained(  # type: ignore[override] # the mixin looks for `config` among ours
        cls, *, model_id: str, config: dict[str, Any], **where: Any
    ) -> "XDecoder":
        """Part of `from_pretrained`: a folder, or a repository on the hub."""
        path = Path(model_id) / WEIGHTS_FILE
        if not Path(model_id).is_dir():
            path = Path(hf_hub_download(model_id, WEIGHTS_FILE, **where))
        model = cls(XDecoderConfig.from_dict(config))
        model.load_state_dict(load_file(path))
        return model.eval()


def stacked(images: Sequence[Image]) -> Tensor:
    """Images of one size as one tensor (batch, height, width, 3)."""
    sizes = {image.shape for image in images}
    if len(sizes) != 1:
        raise ValueError(f"images of one call must have one size, found {sorted(sizes)}")
    return torch.from_numpy(np.stack(images))


def padded(
    regions: Sequence[Bool[np.ndarray, "height width"]], size: tuple[int, int]
) -> Bool[Tensor, "image padded_height padded_width"]:
    """Masks at the size of the padded input; the padding is outside of them."""
    result = torch.zeros(len(regions), *size, dtype=torch.bool)
    for mask, region in zip(result, regions, strict=True):
        mask[: region.shape[0], : region.shape[1]] = torch.from_numpy(region)
    return result
