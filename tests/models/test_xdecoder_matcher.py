"""Matching queries with annotations: costs without masks, and the cheapest assignment."""

from itertools import permutations

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.xdecoder.matcher import Matches, TrueMasks, mask_costs, match
from models.xdecoder.points import sampled

seeds = st.integers(0, 2**31)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def plain_costs(
    embeddings: Tensor, features: Tensor, masks: Tensor, points: Tensor
) -> tuple[Tensor, Tensor]:
    """Cross-entropy and dice of one image's masks, from whole mask logits, pair by pair."""
    logits = torch.einsum("qc,chw->qhw", embeddings, features)
    found = sampled(logits[None], points[None])[0]
    truth = sampled(masks.float()[None], points[None])[0]
    bce, dice = (torch.empty(len(found), len(truth)) for _ in range(2))
    for q, x in enumerate(found):
        for m, t in enumerate(truth):
            bce[q, m] = functional.binary_cross_entropy_with_logits(x, t)
            inside = x.sigmoid()
            dice[q, m] = 1 - (2 * (inside * t).sum() + 1) / (inside.sum() + t.sum() + 1)
    return bce, dice


def test_costs_from_features_at_points_equal_those_of_whole_masks() -> None:
    generator = seeded(0)
    embeddings = torch.randn(2, 2, 5, 8, generator=generator)
    features = torch.randn(2, 8, 6, 7, generator=generator)
    masks = [torch.rand(n, 24, 28, generator=generator) < 0.4 for n in (3, 1)]
    points = torch.rand(2, 40, 2, generator=generator)
    costs = mask_costs(
        embeddings, features, TrueMasks.of(masks, (24, 28)), points, bce=5.0, dice=2.0
    )
    assert costs.shape == (2, 2, 5, 3)
    for layer in range(2):
        for image, n in enumerate((3, 1)):
            bce, dice = plain_costs(
                embeddings[layer, image], features[image], masks[image], points[image]
            )
            torch.testing.assert_close(
                costs[layer, image, :, :n], 5 * bce + 2 * dice, atol=1e-4, rtol=1e-5
            )


@given(st.integers(1, 4), st.integers(0, 4), seeds)
def test_no_assignment_is_cheaper(queries: int, targets: int, seed: int) -> None:
    costs = torch.rand(1, 1, queries, targets, generator=seeded(seed))
    found = match(costs, [targets])
    price = float(costs[0, 0, found.queries[0], found.targets[0]].sum())
    table = costs[0, 0].numpy() if queries <= targets else costs[0, 0].numpy().T
    few, many = table.shape
    cheapest = min(
        float(table[range(few), order].sum()) for order in permutations(range(many), few)
    )
    assert len(found) == min(queries, targets)
    np.testing.assert_allclose(price, cheapest, atol=1e-5)


@given(st.lists(st.integers(0, 3), min_size=1, max_size=3), seeds)
def test_targets_in_another_order_have_the_same_queries(counts: list[int], seed: int) -> None:
    generator = seeded(seed)
    costs = torch.rand(2, len(counts), 5, max(counts), generator=generator)
    before = match(costs, counts)
    for image, count in enumerate(counts):
        order = torch.randperm(count, generator=generator)
        turned = costs.clone()
        turned[:, image, :, :count] = costs[:, image][..., order]
        after = match(turned, counts)
        torch.testing.assert_close(after.queries, before.queries)
        here = after.images == image
        torch.testing.assert_close(order[after.targets[:, here]], before.targets[:, here])


def test_taken_queries_are_out_of_the_question() -> None:
    costs = torch.tensor([[[[0.0], [1.0], [2.0]]]])
    taken = Matches(torch.tensor([0]), torch.tensor([[0]]), torch.tensor([[0]]), (1,))
    assert match(costs, [1]).queries.tolist() == [[0]]
    assert match(costs, [1], taken).queries.tolist() == [[1]]


def test_positions_count_through_the_images() -> None:
    matches = match(torch.zeros(1, 3, 2, 2), [2, 0, 1])
    assert matches.counts == (2, 0, 1)
    assert matches.images.tolist() == [0, 0, 2]
    assert sorted(matches.positions([2, 0, 1])[0].tolist()) == [0, 1, 2]


def test_padding_belongs_to_no_mask() -> None:
    true = TrueMasks.of([torch.ones(2, 3, 4, dtype=torch.bool)], (5, 6))
    assert true.masks.shape == (2, 5, 6)
    assert int(true.masks.sum()) == 2 * 3 * 4
    assert true.masks[:, :3, :4].all()
