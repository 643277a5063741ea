"""Writing captions: one token at a time, each for the price of one row.

Object and image queries never see the caption, so they and everything attended of the image are
computed once; the text encoder and the decoder remember the tokens before. The released code runs
the whole decoder over all 77 positions for each token; what comes out is the same.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.xdecoder.attention import KeysValues
from models.xdecoder.decoder_layer import LayerMemory
from models.xdecoder.groups import CAPTION
from models.xdecoder.model import Network
from models.xdecoder.prediction import ImageFeatures, Text

STEPS = 50
"""The longest caption, in tokens, of the released evaluation."""


@runtime_checkable
class Writing(Protocol):
    """A way to choose the tokens of captions."""

    def write(self, page: "Page") -> list[list[int]]:
        """The token ids of one caption per image, without the start token."""
        ...


@dataclass(frozen=True)
class Page:
    """Captions begun: what the next token of each depends on."""

    network: Network
    memory: tuple[LayerMemory, ...]
    text_memory: tuple[KeysValues, ...]
    written: int
    """Tokens so far."""
    region: Bool[Tensor, "caption height width"] | None

    def step(
        self, ids: Int[Tensor, " caption"]
    ) -> tuple[Float[Tensor, "caption vocabulary"], "Page"]:
        """Write one token on each caption; returns logits of the token after it, and the page."""
        states, page = self._write(ids)
        return self.network.words.logits(states, self.network.text.tokens.weight), page

    def likeliest(self, ids: Int[Tensor, " caption"]) -> tuple[Int[Tensor, " caption"], "Page"]:
        """Write one token on each caption; returns the likeliest tokens after it, and the page."""
        states, page = self._write(ids)
        return self.network.words.likeliest(states, self.network.text.tokens.weight), page

    def _write(self, ids: Int[Tensor, " caption"]) -> tuple[Float[Tensor, "caption width"], "Page"]:
        """The states of one more token on each caption, and the page with it."""
        network = self.network
        state, text_memory = network.text.step(ids, self.written, list(self.text_memory))
        text = Text(state[:, None], region=self.region)
        states, memory = network.decoder.follow(self.memory, text, first=self.written)
        return states[:, 0], replace(
            self, memory=memory, text_memory=tuple(text_memory), written=self.written + 1
        )

    def of(self, captions: Tensor) -> "Page":
        """The page of captions by index: repeated, or reordered."""
        return replace(
            self,
            memory=tuple(layer.of(captions) for layer in self.memory),
            text_memory=tuple(block.of(captions) for block in self.text_memory),
            region=None if self.region is None else self.region[captions],
        )

    def __len__(self) -> int:
        return len(self.memory[0].seen.keys)

    @property
    def start(self) -> Int[Tensor, " caption"]:
        """The token every caption starts with."""
        first = self.network.tokenizer.start
        return torch.full((len(self),), first, device=self.network.device)


def begin(
    network: Network,
    image: ImageFeatures,
    region: Bool[Tensor, "image height width"] | None = None,
) -> Page:
    """An empty page for each image.

    Args:
        network: what reads and writes.
        image: the images.
        region: where the caption may look, at the size of the padded input; absent: everywhere.
    """
    decoding = network.decode(image, network.layouts.segmenting, remember=True)
    memory = tuple(layer.packed() for layer in seen_by(network, CAPTION.name, decoding.memory))
    return Page(network, memory, (), 0, region)


def seen_by(network: Network, name: str, memory: Sequence[LayerMemory]) -> tuple[LayerMemory, ...]:
    """The remembered objects and image query that a group of text queries sees (Table 4)."""
    queries = network.config.decoder.queries
    rows = network.layouts.segmenting.rows({"objects": queries - 1, "image": 1})
    sees = network.layouts.group(name).sees
    if {"objects", "image"} <= sees:
        return tuple(memory)
    kept = [
        torch.arange(queries, device=network.device)[rows.of(group)]
        for group in ("objects", "image")
        if group in sees
    ]
    index = torch.cat(kept) if kept else torch.arange(0, device=network.device)
    return tuple(replace(layer, heard=layer.heard.among(index)) for layer in memory)


@dataclass(frozen=True)
class Greedy:
    """Always the likeliest token, until every caption has ended or `steps` are written."""

    steps: int = STEPS

    def write(self, page: Page) -> list[list[int]]:
        """See `Writing.write`."""
        ids, captions = page.start, []
        ended = torch.zeros(len(page), dtype=torch.bool, device=ids.device)
        for _ in range(min(self.steps, page.network.text.context)):
            ids, page = page.likeliest(ids)
            captions.append(ids)
            ended |= ids == page.network.tokenizer.end
            if ended.all():
                break
        written: list[list[int]] = torch.stack(captions, dim=1).tolist()
        return written


@dataclass(frozen=True)
class Beam:
    """The likeliest of several captions that are written side by side (appendix A.2: 5).

    A finished caption of n tokens, its end included, scores its log probability divided by
    `n ** length_exponent`: 0 prefers short ones, 1 (the rule) compares the mean per token.
    """

    beams: int = 5
    steps: int = STEPS
    length_exponent: float = 1.0

    def write(self, page: Page) -> list[list[int]]:
        """See `Writing.write`."""
        alone = [page.of(torch.tensor([i], device=page.network.device)) for i in range(len(page))]
        return [self._write_one(one) for one in alone]

    def _write_one(self, page: Page) -> list[int]:
        """The best caption of one image."""
        end = page.network.tokenizer.end
        logits, page = page.step(page.start)
        beams: list[tuple[list[int], float]] = [([], 0.0)]
        finished: list[tuple[list[int], float]] = []
        for written in range(1, min(self.steps, page.network.text.context) + 1):
            candidates = self._grow(beams, logits)
            finished += [(ids, total) for _, ids, total in candidates if ids[-1] == end]
            going = [c for c in candidates if c[1][-1] != end][: self.beams]
            beams = [(ids, total) for _, ids, total in going]
            if not going or self._settled(finished, beams, written):
                break
            page = page.of(torch.tensor([parent for parent, _, _ in going], device=logits.device))
            if written < min(self.steps, page.network.text.context):
                logits, page = page.step(
                    torch.tensor([ids[-1] for ids, _ in beams], device=logits.device)
                )
        return max(finished or beams, key=self._score)[0]

    def _grow(
        self, beams: list[tuple[list[int], float]], logits: Float[Tensor, "beam vocabulary"]
    ) -> list[tuple[int, list[int], float]]:
        """The best continuations, best first: which beam, its tokens, its log probability.

        Twice as many as beams, so that enough go on even where some end here.
        """
        totals = torch.tensor([total for _, total in beams], device=logits.device)
        log_probabilities = totals[:, None] + logits.float().log_softmax(dim=1)
        count = min(2 * self.beams, log_probabilities.numel())
        best = log_probabilities.flatten().topk(count)
        vocabulary = logits.shape[1]
        return [
            (index // vocabulary, [*beams[index // vocabulary][0], index % vocabulary], total)
            for index, total in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]

    def _settled(
        self,
        finished: list[tuple[list[int], float]],
        beams: list[tuple[list[int], float]],
        written: int,
    ) -> bool:
        """Whether no caption still being written can overtake the best finished one.

        A log probability only falls, and dividing by the longest possible length raises it most.
        """
        if not finished:
            return False
        longest = float(max(self.steps, written) ** max(self.length_exponent, 0.0))
        best_going = max(total for _, total in beams) / longest
        return max(map(self._score, finished)) >= best_going

    def _score(self, hypothesis: tuple[list[int], float]) -> float:
        ids, total = hypothesis
        return total / float(max(len(ids), 1) ** self.length_exponent)
