"""The text encoder: one causal transformer for class names, phrases, captions and questions.

Section 3.3, «One Encoder for All Texts»: CLIP's text transformer, whose states of all tokens are
projected into the space shared with images. A text is represented by the state at its first end
token; being causal, nothing behind that token can matter, so texts are encoded in batches of equal
length and never padded. For the same reason the prompts of a template (`a photo of a …`) have the
same states up to the name, which are worked out once for all names.
"""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from typing import cast

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from models.xdecoder.attention import Attention, KeysValues
from models.xdecoder.config import TextConfig
from models.xdecoder.linear import Linear

NORM_EPSILON = 1e-12
"""Of the layer norms: far below torch's own default, as the weights were trained with."""
_TOKENS_AT_ONCE = 8192
"""Tokens encoded in one batch: enough to keep a device busy, small enough for any memory."""
_SHARING = 64
"""So many texts must begin alike for their beginning to be encoded apart."""


class TextEncoder(nn.Module):
    """Token ids to states in the space shared with images.

    Args:
        config: widths and depths.
        vocabulary: how many token ids there are.
        width_out: channels of the shared space.
    """

    def __init__(self, config: TextConfig, vocabulary: int, width_out: int) -> None:
        super().__init__()
        self.tokens = nn.Embedding(vocabulary, config.width)
        self.positions = nn.Parameter(torch.empty(config.context, config.width))
        self.blocks = nn.ModuleList(TextBlock(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.projection = nn.Parameter(torch.empty(config.width, width_out))
        nn.init.normal_(self.tokens.weight, std=0.02)
        nn.init.normal_(self.positions, std=0.01)
        nn.init.normal_(self.projection, std=config.width**-0.5)

    @property
    def context(self) -> int:
        """The longest text, in tokens."""
        return len(self.positions)

    def forward(self, ids: Int[Tensor, "text token"]) -> Float[Tensor, "text token channel"]:
        """The projected state of every token, each knowing the tokens before it."""
        count = ids.shape[1]
        x = self.tokens(ids) + self.positions[:count]
        before = torch.ones(count, count, dtype=torch.bool, device=ids.device).tril()
        for block in self.blocks:
            x = block(x, before)
        projected: Tensor = self.norm(x) @ self.projection
        return projected

    def sentences(self, texts: Sequence[Sequence[int]]) -> Float[Tensor, "text channel"]:
        """The projected state at the end of each text, not normalised.

        Args:
            texts: ids from the start token to the first end token.
        """
        if not texts:
            return self.projection.new_zeros(0, self.projection.shape[1])
        ends, order = [], []
        for prefix, indices in _alike([tuple(text) for text in texts]):
            memory = self._remembered(prefix)
            rest = [list(texts[index][len(prefix) :]) for index in indices]
            step = max(1, _TOKENS_AT_ONCE // len(rest[0]))
            for start in range(0, len(rest), step):
                rows = torch.tensor(rest[start : start + step], device=self.positions.device)
                ends.append(self._ends(rows, memory, first=len(prefix)))
            order += indices
        back = torch.tensor(order, device=self.positions.device).argsort()
        return torch.cat(ends)[back]

    def _remembered(self, prefix: Sequence[int]) -> list[KeysValues | None]:
        """What each block remembers of what texts have in common."""
        if not prefix:
            return [None] * len(self.blocks)
        ids = torch.tensor([list(prefix)], device=self.positions.device)
        x = self.tokens(ids) + self.positions[: len(prefix)]
        before = torch.ones(len(prefix), len(prefix), dtype=torch.bool, device=ids.device).tril()
        memory: list[KeysValues | None] = []
        for block in cast("list[TextBlock]", self.blocks):
            x, remembered = block.follow(x, None, before)
            memory.append(remembered)
        return memory

    def _ends(
        self, ids: Int[Tensor, "text token"], memory: Sequence[KeysValues | None], *, first: int
    ) -> Float[Tensor, "text channel"]:
        """The projected state of the last token of texts that begin with what is remembered."""
        count = ids.shape[1]
        x = self.tokens(ids) + self.positions[first : first + count]
        before = torch.ones(count, first + count, dtype=torch.bool, device=ids.device).tril(first)
        *blocks, last = cast("list[TextBlock]", self.blocks)
        for block, remembered in zip(blocks, memory, strict=False):
            x, _ = block.follow(x, remembered, before)
        x, _ = last.follow(x, memory[-1], before[-1:])
        projected: Tensor = self.norm(x[:, -1]) @ self.projection
        return projected

    def step(
        self, ids: Int[Tensor, " text"], position: int, memory: list[KeysValues]
    ) -> tuple[Float[Tensor, "text channel"], list[KeysValues]]:
        """The projected state of one more token of each text, given what was remembered so far.

        Args:
            ids: the token at `position` in each text.
            position: how many tokens came before.
            memory: keys and values of those tokens in each block; empty at position 0.

        Returns:
            the states, and the memory with this token in it.
        """
        x = (self.tokens(ids) + self.positions[position])[:, None]
        grown = []
        for index, block in enumerate(cast("list[TextBlock]", self.blocks)):
            x, remembered = block.step(x, memory[index] if memory else None)
            grown.append(remembered)
        return (self.norm(x) @ self.projection)[:, 0], grown


class TextBlock(nn.Module):
    """Self-attention and a feed-forward layer, each normed before and added to its input."""

    def __init__(self, config: TextConfig) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.attention = Attention(config.width, config.heads)
        self.norm2 = nn.LayerNorm(config.width, eps=NORM_EPSILON)
        self.widen = Linear(config.width, config.feedforward)
        self.narrow = Linear(config.feedforward, config.width)

    def forward(
        self, x: Float[Tensor, "text token width"], before: Bool[Tensor, "token token"]
    ) -> Float[Tensor, "text token width"]:
        """The states after both branches; `before` says which token may attend which."""
        normed = self.norm1(x)
        x = x + self.attention(normed, normed, normed, before)
        return x + self._think(x)

    def follow(
        self,
        x: Float[Tensor, "text token width"],
        memory: KeysValues | None,
        before: Bool[Tensor, "asking other"],
    ) -> tuple[Float[Tensor, "text asking width"], KeysValues]:
        """The states of tokens behind remembered ones, and what is remembered of them.

        Args:
            x: the tokens of each text.
            memory: of what all texts begin with.
            before: which of the last tokens may attend which, what is remembered being first. As
                many come out as it has rows.
        """
        normed = self.norm1(x)
        own = self.attention.remember(normed, normed)
        asking = len(before)
        x = x[:, -asking:]
        others = own if memory is None else memory.for_all(len(x)).followed_by(own)
        x = x + self.attention.ask(normed[:, -asking:], others, before)
        return x + self._think(x), own

    def step(
        self, x: Float[Tensor, "text 1 width"], memory: KeysValues | None
    ) -> tuple[Float[Tensor, "text 1 width"], KeysValues]:
        """The state of one more token, and the memory with it."""
        normed = self.norm1(x)
        own = self.attention.remember(normed, normed)
        memory = memory.followed_by(own) if memory is not None else own
        x = x + self.attention.ask(normed, memory)
        return x + self._think(x), memory

    def _think(self, x: Float[Tensor, "text token width"]) -> Float[Tensor, "text token width"]:
        hidden = self.widen(self.norm2(x))
        # CLIP's quick approximation of GELU, which its weights were trained with.
        thought: Tensor = self.narrow(hidden * torch.sigmoid(1.702 * hidden))
        return thought


def _alike(texts: Sequence[tuple[int, ...]]) -> Iterator[tuple[tuple[int, ...], list[int]]]:
    """Texts of equal length that begin alike: what they begin with, and which they are.

    The beginning is the longest that enough of all texts share; it may be empty. With gradient it
    is, so that training has the same graph for every batch.
    """
    sharing = Counter(text[:n] for text in texts for n in range(1, len(text)))
    groups: dict[tuple[tuple[int, ...], int], list[int]] = defaultdict(list)
    for index, text in enumerate(texts):
        shared = 0
        if not torch.is_grad_enabled():
            while shared + 1 < len(text) and sharing[text[: shared + 1]] >= _SHARING:
                shared += 1
        groups[text[:shared], len(text)].append(index)
    for (prefix, _), indices in sorted(groups.items()):
        yield prefix, indices


def unit(x: Float[Tensor, "*batch channel"], eps: float = 0.0) -> Float[Tensor, "*batch channel"]:
    """Vectors scaled to length 1; `eps` is added to the length, as some released paths do."""
    length: Tensor = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
    return x / (length + eps)


def class_embedding(
    sentences: Float[Tensor, "sentence channel"],
) -> Float[Tensor, " channel"]:
    """One class from its sentences: each to length 1 (with 1e-7), their mean to length 1."""
    return unit(unit(sentences, 1e-7).mean(0))
