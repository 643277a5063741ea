"""Which query answers for which annotation: the cheapest one-to-one assignment (section 3.4).

Costs are worked out for all layers and images together; the assignments themselves (Kuhn's
Hungarian method, scipy) are small problems, one for each layer and image. No gradient passes.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float, Int, Shaped
from scipy.optimize import linear_sum_assignment
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from models.xdecoder.points import sampled

WORST = 1e30
"""In place of a cost that is no number."""


@dataclass(frozen=True)
class TrueMasks:
    """The annotated masks of all images of a batch, one after the other."""

    masks: Bool[Tensor, "target height width"]
    """At the size of the padded input."""
    counts: tuple[int, ...]
    """How many each image has."""

    @classmethod
    def of(cls, masks: Sequence[Tensor], padded_size: tuple[int, int]) -> "TrueMasks":
        """From each image's masks (mask, height, width); the padding is outside of all."""
        height, width = padded_size
        padded = [F.pad(m, (0, width - m.shape[2], 0, height - m.shape[1])) for m in masks]
        return cls(torch.cat(padded), tuple(map(len, masks)))

    @property
    def images(self) -> Int[Tensor, " target"]:
        """Which image each mask belongs to."""
        counts = torch.tensor(self.counts, device=self.masks.device)
        return torch.repeat_interleave(counts)

    @property
    def most(self) -> int:
        """The greatest number of masks in one image."""
        return max(self.counts, default=0)


@dataclass(frozen=True)
class Matches:
    """The matched pairs of a batch, for each layer; image after image, by rising query."""

    images: Int[Tensor, " match"]
    queries: Int[Tensor, "layer match"]
    targets: Int[Tensor, "layer match"]
    """Positions among the targets of the match's own image."""
    counts: tuple[int, ...]
    """Matches of each image."""

    def __len__(self) -> int:
        return sum(self.counts)

    def top(self, layers: int) -> "Matches":
        """The matches of the first so many layers."""
        return Matches(self.images, self.queries[:layers], self.targets[:layers], self.counts)

    def positions(self, counts: Sequence[int]) -> Int[Tensor, "layer match"]:
        """Positions among the targets of all images, which have `counts` each."""
        firsts = torch.tensor([0, *np.cumsum(counts)[:-1]], device=self.images.device)
        return firsts[self.images] + self.targets

    @property
    def rows(self) -> tuple[Tensor, Tensor, Tensor]:
        """Layer, image and query of every match: an index into tensors with these axes."""
        layers = torch.arange(len(self.queries), device=self.queries.device)[:, None]
        return layers, self.images, self.queries


def mask_costs(
    embeddings: Float[Tensor, "layer batch query channel"],
    features: Float[Tensor, "batch channel height width"],
    true: TrueMasks,
    points: Float[Tensor, "batch point 2"],
    *,
    bce: float,
    dice: float,
) -> Float[Tensor, "layer batch query most"]:
    """What it costs to give each query's mask to each annotation, compared at points.

    The points are shared by all masks of an image and by all layers. A mask's logits are products
    of its embedding with the features, so the features are sampled and no mask is made.
    """
    layers = len(embeddings)
    # An image's queries of all layers stand in one row, so that its features are read once.
    rows = embeddings.transpose(0, 1).flatten(1, 2)
    logits = rows.float() @ sampled(features.float(), points)
    masks = true.masks[:, None].to(points.dtype)
    truth = by_image(sampled(masks, points[true.images])[:, 0], true.counts)
    inside, probabilities = truth.mT, logits.sigmoid()
    # BCE(x, t) = softplus(x) - x t: summed over points, its second part is a product.
    entropy = (F.softplus(logits).sum(2, keepdim=True) - logits @ inside) / points.shape[1]
    areas = probabilities.sum(2, keepdim=True) + truth.sum(2)[:, None]
    costs = bce * entropy + dice * (1 - (2 * (probabilities @ inside) + 1) / (areas + 1))
    batch, together, most = costs.shape
    return costs.view(batch, layers, together // layers, most).transpose(0, 1)


def match(
    costs: Float[Tensor, "layer batch query most"],
    counts: Sequence[int],
    taken: Matches | None = None,
) -> Matches:
    """The cheapest assignment in each layer and image.

    Args:
        costs: for each query and target; only the first `counts[i]` targets of image `i` exist.
        counts: the targets of each image. Where they are more than queries, some stay unmatched.
        taken: matches whose queries are out of the question.
    """
    layers, images, all_queries = costs.shape[:3]
    device = costs.device
    table = costs.detach().float().cpu().numpy()
    if not np.isfinite(table).all():  # as the losses are then: it is they that end a training
        table = np.nan_to_num(table, nan=WORST, posinf=WORST, neginf=-WORST)
    free = np.ones((layers, images, all_queries), bool)
    if taken is not None:
        free[np.arange(layers)[:, None], taken.images.cpu(), taken.queries.cpu()] = False
    queries: list[list[np.ndarray]] = [[] for _ in range(layers)]
    targets: list[list[np.ndarray]] = [[] for _ in range(layers)]
    for layer in range(layers):
        for image, count in enumerate(counts):
            open_ = np.flatnonzero(free[layer, image])
            rows, columns = linear_sum_assignment(table[layer, image, open_, :count])
            queries[layer].append(open_[rows])
            targets[layer].append(columns)
    matched = torch.tensor([len(rows) for rows in queries[0]])
    return Matches(
        torch.repeat_interleave(matched).to(device),
        torch.from_numpy(np.stack([np.concatenate(of) for of in queries])).to(device),
        torch.from_numpy(np.stack([np.concatenate(of) for of in targets])).to(device),
        tuple(matched.tolist()),
    )


def by_image(
    rows: Shaped[Tensor, "row *channel"], counts: Sequence[int]
) -> Shaped[Tensor, "batch most *channel"]:
    """Rows of one image after the other as a batch, images of fewer filled up with zeros."""
    return pad_sequence(list(torch.split(rows, list(counts))), batch_first=True)
