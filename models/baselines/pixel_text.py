"""Label maps from how well every pixel fits every class's text: CLIPSeg's and GroupViT's way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from bench.types import VOID, LabelMap, Vocabulary

if TYPE_CHECKING:
    from torch import Tensor


def class_embeddings(network: Any, tokenizer: Any, vocabulary: Vocabulary) -> Tensor:
    """A vector for each name of a vocabulary: the mean of its sentences' unit vectors.

    Args:
        network: has `get_text_features`, as CLIP has.
        tokenizer: its tokenizer.
        vocabulary: asked without its background, which never competes for a pixel.
    """
    import torch

    sentences = vocabulary.sentences()[: len(vocabulary)]
    if not sentences:
        return torch.zeros(0, 0)
    return torch.stack([text_vectors(network, tokenizer, of_name).mean(0) for of_name in sentences])


def text_vectors(network: Any, tokenizer: Any, texts: Sequence[str]) -> Tensor:
    """A unit vector for each text."""
    import torch

    inputs = tokenizer(list(texts), padding=True, truncation=True, return_tensors="pt")
    with torch.inference_mode():
        vectors: Tensor = network.get_text_features(**inputs.to(network.device)).pooler_output
        return torch.nn.functional.normalize(vectors, dim=-1)


def label_map(logits: Iterable[Tensor], size: tuple[int, int]) -> LabelMap:
    """The best class of every pixel, void where there are no classes.

    Args:
        logits: on a grid over the whole image, (class, grid height, grid width), some classes at a
            time, so that hundreds of them fit the memory at `size`.
        size: height and width of the image.
    """
    import torch
    from torch.nn.functional import interpolate

    best = torch.full(size, -torch.inf)
    labels = torch.full(size, VOID, dtype=torch.int32)
    first = 0
    for some in logits:
        resized = interpolate(some[None].float(), size, mode="bilinear", align_corners=False)[0]
        value, label = resized.max(dim=0)
        best, labels = best.to(value.device), labels.to(value.device)
        labels = torch.where(value > best, (label + first).int(), labels)
        best = torch.maximum(value, best)
        first += len(some)
    found: np.ndarray = labels.cpu().numpy()
    return found
