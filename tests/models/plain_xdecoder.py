"""X-Decoder's arithmetic the plain way, as the released code does it: slow, and easy to check.

Every shortcut of `models.xdecoder` is tested, and timed, against these.
"""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from unittest.mock import patch

import torch
from torch import Tensor
from torch.nn import functional

from models.xdecoder import attention, linear
from models.xdecoder.attention import KeysValues
from models.xdecoder.masks import MaskFeatures
from models.xdecoder.model import Network
from models.xdecoder.prediction import ImageFeatures, Text


@contextmanager
def plain_products() -> Iterator[None]:
    """Every linear layer by `torch.nn.functional.linear`."""
    with patch.object(linear, "SMALL_PRODUCT", sys.maxsize):
        yield


def told_attention(queries: Tensor, memory: KeysValues, allowed: Tensor | None = None) -> Tensor:
    """Attention that also makes the mean of its heads' weights.

    The released decoder uses `torch.nn.MultiheadAttention` with its default, `need_weights=True`,
    and leaves the weights unread.
    """
    scores = queries * queries.shape[-1] ** -0.5 @ memory.keys.mT
    if allowed is not None:
        blocked = torch.zeros(allowed.shape).masked_fill_(~allowed, -torch.inf)
        scores = scores + blocked.expand_as(scores).contiguous()
    weights = scores.softmax(dim=-1)
    weights.mean(dim=1)
    answers: Tensor = weights @ memory.values
    return answers


class PlainMaskFeatures(MaskFeatures):
    """All masks at stride 4, then every mask resized."""

    def logits_at(self, embeddings: Tensor, size: tuple[int, int]) -> Tensor:
        """Mask logits resized to `size`."""
        full = torch.einsum("bqc,bchw->bqhw", embeddings, self.full())
        maps: Tensor = functional.interpolate(full, size, mode="bicubic", antialias=True)
        return maps


def with_plain_masks(image: ImageFeatures) -> ImageFeatures:
    """The same features, with masks resized one by one."""
    return replace(image, masks=PlainMaskFeatures(image.masks.finest, image.masks.conv))


def sentence_states(network: Network, texts: Sequence[Sequence[int]]) -> Tensor:
    """Every text filled up to the context, in one batch."""
    end, context = network.tokenizer.end, network.text.context
    filled = torch.tensor([list(ids) + [end] * (context - len(ids)) for ids in texts])
    ends = (filled == end).int().argmax(dim=1)
    with plain_products():
        states: Tensor = network.text(filled)[torch.arange(len(filled)), ends]
    return states


def caption_logits(network: Network, image: ImageFeatures, ids: Tensor) -> Tensor:
    """Logits after every token of captions `ids` (batch, context): the whole decoder at once.

    Of an image of `with_plain_masks` the released code does all this for every token it writes:
    it encodes all 77 positions, projects the three levels to keys and values in every layer, makes
    every mask at stride 4 between the layers, and multiplies all positions with the vocabulary.
    """
    text = {"caption": Text(network.text(ids))}
    with patch.object(attention, "attended", told_attention):
        last = network.decode(image, network.layouts.captioning, text).last
    return network.words.logits(last.states_of("caption"), network.text.tokens.weight)


def greedy(network: Network, image: ImageFeatures, steps: int) -> Tensor:
    """Captions of `steps` tokens: everything again for every token, as the released loop does."""
    image = with_plain_masks(image)
    start, context = network.tokenizer.start, network.text.context
    ids = torch.full((len(image.pooled), context), start)
    with plain_products():
        for step in range(steps):
            following = caption_logits(network, image, ids)[:, step].argmax(dim=1)
            if step + 1 < context:
                ids[:, step + 1] = following
    return ids[:, 1 : steps + 1]
