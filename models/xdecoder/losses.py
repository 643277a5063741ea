"""The losses of X-Decoder as functions of embeddings, logits and what is true (section 3.4).

Each is worked out for several layers at once (deep supervision) and gives one value a layer,
unweighted. Axes: `layer` counts from the last one backwards; `image` and `text` of contrastive
losses run over the global batch. Which parts the paper describes and which only the released code
has is said at each.
"""

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int
from torch import Tensor

from models.xdecoder.heads import LENGTH_EPSILON
from models.xdecoder.text import unit

# --- classes and masks of objects ----------------------------------------------------------------


def mask_class(
    logits: Float[Tensor, "layer batch query column"],
    labels: Int[Tensor, "layer batch query"],
    *,
    background: float,
) -> Float[Tensor, " layer"]:
    """L_cls: cross-entropy over class names and background, the last column.

    A mean over all queries, those of background counting `background` times.
    """
    weights = torch.where(labels == logits.shape[-1] - 1, background, 1.0)
    entropy = F.cross_entropy(logits.flatten(0, 2), labels.flatten(), reduction="none")
    weighted = entropy.view_as(weights) * weights
    return weighted.sum((1, 2)) / weights.sum((1, 2))


def mask_bce(
    logits: Float[Tensor, "layer mask point"],
    truth: Float[Tensor, "layer mask point"],
    *,
    masks: Float[Tensor, ""],
) -> Float[Tensor, " layer"]:
    """L_bce: binary cross-entropy at points, a mean over points and a sum over masks / `masks`."""
    entropy = F.binary_cross_entropy_with_logits(logits, truth, reduction="none")
    return entropy.mean(2).sum(1) / masks


def mask_dice(
    logits: Float[Tensor, "layer mask point"],
    truth: Float[Tensor, "layer mask point"],
    *,
    masks: Float[Tensor, ""],
) -> Float[Tensor, " layer"]:
    """L_dice: one minus the dice overlap at points (plus one above and below), summed / `masks`."""
    inside = logits.sigmoid()
    overlap = (2 * (inside * truth).sum(2) + 1) / (inside.sum(2) + truth.sum(2) + 1)
    return (1 - overlap).sum(1) / masks


# --- phrases -------------------------------------------------------------------------------------


def referred_class(
    scores: Float[Tensor, "layer batch query phrase"],
    shares: Float[Tensor, "layer batch query phrase"],
    weights: Float[Tensor, "batch phrase"],
) -> Float[Tensor, " layer"]:
    """Cross-entropy over the referred queries for each phrase. Released code only.

    Args:
        scores: how well queries fit phrases.
        shares: of each phrase, how much of it each query should have.
        weights: what each phrase counts; 0 where an image has no such phrase.
    """
    entropy = -(shares * scores.log_softmax(dim=2)).sum(2)
    return (entropy * weights).sum((1, 2))


# --- images and texts ----------------------------------------------------------------------------


def retrieval(
    images: Float[Tensor, "layer image channel"],
    texts: Float[Tensor, "text channel"],
    scale: Float[Tensor, ""],
) -> Float[Tensor, " layer"]:
    """L_it, equation 8: each image against all captions and each caption against all images.

    Args:
        images: unit vectors; the i-th image belongs to the i-th text.
        texts: unit vectors.
        scale: the temperature.
    """
    scores = scale * images @ texts.T
    pairs = torch.arange(len(texts), device=texts.device).expand(len(images), -1)
    to_text = F.cross_entropy(scores.mT, pairs, reduction="none")
    to_image = F.cross_entropy(scores, pairs, reduction="none")
    return (to_text + to_image).mean(1) / 2


def retrieval_tokens(
    objects: Float[Tensor, "layer batch query channel"],
    tokens: Float[Tensor, "batch token channel"],
    valid: Bool[Tensor, "batch token"],
    scale: Float[Tensor, ""],
    *,
    image_to_text: float,
) -> Float[Tensor, " layer"]:
    """The objects of each image against the single tokens of all captions. Released code only.

    An image's score with a token is the mean over its objects; the later a token stands in its
    caption, the more it counts (1, 2, 3, …), for having read more.

    Args:
        objects: class embeddings, not normalised.
        tokens: the text encoder's states, not normalised.
        valid: the tokens from start to end.
        scale: the temperature.
        image_to_text: the share of this direction; the rest is the other one's.
    """
    mean = unit(objects, LENGTH_EPSILON).mean(2)
    scores = scale * mean @ unit(tokens[valid], LENGTH_EPSILON).T
    rank = (valid.cumsum(1) * valid).to(scores.dtype)
    shares = rank / rank.sum(1, keepdim=True)
    truth = torch.zeros(valid.shape[0], *valid.shape, dtype=scores.dtype, device=scores.device)
    each = torch.arange(len(valid), device=valid.device)
    truth[each, each] = shares
    truth = truth[:, valid]
    to_text = -(truth * scores.log_softmax(2)).sum(2).mean(1)
    to_image = -(truth * scores.log_softmax(1)).sum(1).mean(1)
    return image_to_text * to_text + (1 - image_to_text) * to_image


def noun(
    images: Float[Tensor, "pair channel"],
    texts: Float[Tensor, "pair channel"],
    keys: Sequence[str],
    scale: Float[Tensor, ""],
    *,
    image_to_text: float,
) -> Float[Tensor, ""]:
    """Objects against the nouns they are matched with (section 4.3, «Seg+»), for one layer.

    Args:
        images: unit class embeddings of objects.
        texts: unit embeddings of the texts they belong to.
        keys: what each text stands for; of texts with equal keys only the first is used.
        scale: the temperature.
        image_to_text: the share of this direction; the rest is the other one's.
    """
    if not keys:
        return images.sum() + texts.sum()  # nothing to learn from, and still part of the graph
    firsts = {key: keys.index(key) for key in keys}
    columns = {key: column for column, key in enumerate(firsts)}
    which = torch.tensor([columns[key] for key in keys], device=images.device)
    scores = scale * images @ texts[list(firsts.values())].T
    truth = F.one_hot(which, len(columns)).to(scores.dtype)
    to_text = -(truth * scores.log_softmax(1)).sum(1).mean()
    to_image = -(truth / truth.sum(0) * scores.log_softmax(0)).sum(0).mean()
    return image_to_text * to_text + (1 - image_to_text) * to_image


def captioning(
    logits: Float[Tensor, "layer token word"], next_ids: Int[Tensor, " token"]
) -> Float[Tensor, " layer"]:
    """L_cap: cross-entropy of the next word, given the words before it (teacher forcing).

    Args:
        logits: at every token of all captions that has a next one.
        next_ids: what comes next, the end token included.
    """
    targets = next_ids.expand(len(logits), -1)
    entropy = F.cross_entropy(logits.flatten(0, 1), targets.flatten(), reduction="none")
    # One more than there are, as released: no tokens is no division by zero.
    return entropy.view_as(targets).sum(1) / (len(next_ids) + 1)
