"""The texts of a training batch, encoded: concepts, phrases and captions (section 3.3).

Gradients flow: training reads its texts anew in every step, where evaluation keeps them.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.xdecoder.batch import Concept, Phrases
from models.xdecoder.heads import LENGTH_EPSILON
from models.xdecoder.matcher import by_image
from models.xdecoder.model import Network
from models.xdecoder.prediction import Text
from models.xdecoder.text import unit


@dataclass(frozen=True)
class ConceptTexts:
    """Concepts, one after the other."""

    keys: tuple[str, ...]
    embeddings: Float[Tensor, "concept channel"]
    """Unit vectors."""

    @classmethod
    def read(cls, model: Network, concepts: Sequence[Concept]) -> "ConceptTexts":
        """Encode concepts."""
        states = model.text.sentences(model.tokenizer.encode([c.text for c in concepts]))
        return cls(tuple(c.key for c in concepts), unit(states.float(), LENGTH_EPSILON))

    def split(self, first: int) -> tuple["ConceptTexts", "ConceptTexts"]:
        """The first so many, and the others."""
        return (
            ConceptTexts(self.keys[:first], self.embeddings[:first]),
            ConceptTexts(self.keys[first:], self.embeddings[first:]),
        )


@dataclass(frozen=True)
class CaptionTexts:
    """A caption for each image of a batch."""

    ids: Int[Tensor, "batch token"]
    """Shorter captions are filled up with end tokens."""
    valid: Bool[Tensor, "batch token"]
    """True from the start token to the first end token."""
    states: Float[Tensor, "batch token channel"]

    @classmethod
    def read(cls, model: Network, captions: Sequence[str]) -> "CaptionTexts":
        """Encode captions."""
        encoded = [torch.tensor(ids) for ids in model.tokenizer.encode(captions)]
        lengths = torch.tensor([len(ids) for ids in encoded])
        ids = pad_sequence(encoded, batch_first=True, padding_value=model.tokenizer.end)
        valid = torch.arange(ids.shape[1]) < lengths[:, None]
        ids = ids.to(model.device, non_blocking=True)
        return cls(ids, valid.to(model.device, non_blocking=True), model.text(ids))

    @property
    def ends(self) -> Float[Tensor, "batch channel"]:
        """The state at each caption's end token, not normalised."""
        last = self.valid.sum(1) - 1
        return self.states[torch.arange(len(last), device=last.device), last]

    @property
    def queries(self) -> Text:
        """What the caption's queries start from."""
        return Text(self.states, self.valid)

    @property
    def next_ids(self) -> Int[Tensor, " token"]:
        """The ids that follow, of the tokens that `before_next` selects."""
        return self.ids[:, 1:][self.valid[:, 1:]]

    def before_next(
        self, states: Float[Tensor, "layer batch token channel"]
    ) -> Float[Tensor, "layer next channel"]:
        """The states of all tokens that have a next one."""
        return states[:, :, :-1][:, self.valid[:, 1:]]


@dataclass(frozen=True)
class PhraseTexts:
    """The phrases about each image of a batch; images of fewer are filled up."""

    queries: Text
    """The tokens of an image's phrases, one after the other; of equal phrases only the first's."""
    ends: Float[Tensor, "batch phrase channel"]
    """What phrases are matched by: the state at their end token, not normalised."""
    equal: Bool[Tensor, "batch phrase phrase"]
    """Whether two phrases of an image are the same; false for what is filled up."""

    @classmethod
    def read(
        cls, model: Network, phrases: Sequence[Phrases], *, filling_seen: bool
    ) -> "PhraseTexts":
        """Encode phrases, of which there must be one at least; see `Supervision.filling_seen`."""
        texts = CaptionTexts.read(model, [c.text for of in phrases for c in of.concepts])
        keys = [[concept.key for concept in of.concepts] for of in phrases]
        counts = list(map(len, keys))
        new = torch.tensor([key not in of[:i] for of in keys for i, key in enumerate(of)])
        kept = texts.valid & new.to(model.device)[:, None]
        tokens = [
            states[of]
            for states, of in zip(
                torch.split(texts.states, counts), torch.split(kept, counts), strict=True
            )
        ]
        lengths = torch.tensor([len(of) for of in tokens], device=model.device)
        states = pad_sequence(tokens, batch_first=True)
        valid = torch.arange(states.shape[1], device=model.device) < lengths[:, None]
        names = {key: number for number, key in enumerate(sorted({k for of in keys for k in of}))}
        numbers = torch.tensor([names[key] for of in keys for key in of])
        table = by_image(numbers + 1, counts)  # 0 where there is no phrase
        equal = (table[:, :, None] == table[:, None]) & (table > 0)[:, None]
        return cls(
            Text(states, None if filling_seen else valid),
            by_image(texts.ends.float(), counts),
            equal.to(model.device),
        )
