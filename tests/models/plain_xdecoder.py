"""X-Decoder's arithmetic the plain way, as the released code does it: slow, and easy to check.

Every shortcut of `models.xdecoder` is tested, and timed, against these.
"""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from models.xdecoder.masks import MaskFeatures
from models.xdecoder.model import Network
from models.xdecoder.prediction import ImageFeatures, Text


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
    states: Tensor = network.text(filled)[torch.arange(len(filled)), ends]
    return states


def caption_logits(network: Network, image: ImageFeatures, ids: Tensor) -> Tensor:
    """Logits after every token of captions `ids` (batch, context): the whole decoder at once."""
    text = {"caption": Text(network.text(ids))}
    last = network.decode(image, network.layouts.captioning, text).last
    return network.words.logits(last.states_of("caption"), network.text.tokens.weight)


def greedy(network: Network, image: ImageFeatures, steps: int) -> Tensor:
    """Captions of `steps` tokens: everything again for every token."""
    start, context = network.tokenizer.start, network.text.context
    ids = torch.full((len(image.pooled), context), start)
    for step in range(steps):
        following = caption_logits(network, image, ids)[:, step].argmax(dim=1)
        if step + 1 < context:
            ids[:, step + 1] = following
    return ids[:, 1 : steps + 1]
