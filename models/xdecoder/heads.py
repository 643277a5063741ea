"""The heads: what is made of the decoder's queries (sections 3.2 and 3.4).

Each is a linear map from the decoder's states into a space where texts (class names, phrases,
captions) or places of the image wait to be matched.
"""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn

from models.xdecoder.linear import Derived, Linear, linear
from models.xdecoder.shortlist import Shortlist
from models.xdecoder.text import unit

LENGTH_EPSILON = 1e-7
"""Added to a vector's length before dividing by it, wherever the released model does."""
HIGHEST_SCALE = 100.0
"""Contrastive scores clamp the learned temperature here; class logits do not."""


class MaskHead(nn.Module):
    """Query states to mask embeddings, matched with mask features."""

    def __init__(self, width: int, mask_width: int) -> None:
        super().__init__()
        self.layers = nn.ModuleList(Linear(width, out) for out in (width, width, mask_width))

    def forward(
        self, states: Float[Tensor, "batch query width"]
    ) -> Float[Tensor, "batch query mask_channel"]:
        """The mask embedding of each state."""
        x = states
        for layer in self.layers[:-1]:
            x = F.relu(layer(x))
        embeddings: Tensor = self.layers[-1](x)
        return embeddings


class ClassHead(nn.Module):
    """Query states to the space shared with texts, and the temperature of matching there."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.projection = nn.Parameter(torch.empty(width, width))
        self.log_scale = nn.Parameter(torch.ones(()))
        nn.init.trunc_normal_(self.projection, std=0.02)

    def forward(
        self, states: Float[Tensor, "batch query width"]
    ) -> Float[Tensor, "batch query width"]:
        """The class embedding of each state, not normalised."""
        return states @ self.projection

    def logits(
        self,
        embeddings: Float[Tensor, "*batch query width"],
        texts: Float[Tensor, "text width"],
    ) -> Float[Tensor, "*batch query text"]:
        """Class logits against unit text embeddings; the temperature is not clamped here."""
        return self.log_scale.exp() * unit(embeddings, LENGTH_EPSILON) @ texts.T

    def scores(
        self,
        embeddings: Float[Tensor, "*batch query width"],
        texts: Float[Tensor, "*batch text width"],
    ) -> Float[Tensor, "*batch query text"]:
        """How well rows fit phrases: cosines at the clamped temperature."""
        return self.scale * unit(embeddings, LENGTH_EPSILON) @ unit(texts, LENGTH_EPSILON).mT

    @property
    def scale(self) -> Float[Tensor, ""]:
        """The temperature of contrastive scores, at most 100."""
        return self.log_scale.exp().clamp(max=HIGHEST_SCALE)


class WordHead(nn.Module):
    """Caption states to logits over the vocabulary, by the text encoder's token embeddings."""

    def __init__(self, width: int, text_width: int) -> None:
        super().__init__()
        self.projection = nn.Parameter(torch.empty(width, text_width))
        nn.init.trunc_normal_(self.projection, std=0.02)
        self._shortlist = Derived(Shortlist)

    def forward(
        self, states: Float[Tensor, "batch token width"]
    ) -> Float[Tensor, "batch token text_width"]:
        """The word embedding of each state."""
        return states @ self.projection

    def logits(
        self,
        states: Float[Tensor, "*batch width"],
        tokens: Float[Tensor, "vocabulary text_width"],
    ) -> Float[Tensor, "*batch vocabulary"]:
        """Logits of the next token, neither scaled nor normalised."""
        return linear(states @ self.projection, tokens)

    @torch.no_grad()
    def likeliest(
        self,
        states: Float[Tensor, "caption width"],
        tokens: Float[Tensor, "vocabulary text_width"],
    ) -> Int[Tensor, " caption"]:
        """The next tokens with the greatest logits."""
        queries = states @ self.projection
        if Shortlist.suits(queries, tokens):
            return self._shortlist.of(tokens).likeliest(queries[0])[None]
        return linear(queries, tokens).argmax(dim=1)

    def _apply(self, fn: Any, recurse: bool = True) -> "WordHead":
        """Moved or converted weights are other weights."""
        self._shortlist = Derived(Shortlist)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call] # as torch leaves it
        return self


class PooledHead(nn.Module):
    """The mean of the backbone's coarsest level, in the space shared with texts."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.projection = nn.Parameter(torch.empty(channels, width))
        nn.init.trunc_normal_(self.projection, std=0.02)

    def forward(self, pooled: Float[Tensor, "batch channel"]) -> Float[Tensor, "batch width"]:
        """The second image embedding of retrieval, not normalised."""
        return pooled @ self.projection


def summary(
    image: Float[Tensor, "batch 1 width"], objects: Float[Tensor, "batch object width"]
) -> Float[Tensor, "batch 1 width"]:
    """What is read of the image query: a mean of the objects, weighted by likeness to it.

    The paper reads the query's own state; the released model reads this mean, and its weights were
    trained with it.
    """
    likeness = unit(image, LENGTH_EPSILON) @ unit(objects, LENGTH_EPSILON).mT
    return likeness.softmax(dim=-1) @ objects
