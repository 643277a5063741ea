"""The losses by themselves: what they are for simple cases, and what must not matter."""

import math

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.nn import functional

from models.xdecoder import losses

seeds = st.integers(0, 2**31)
ONE = torch.tensor(1.0)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def units(*shape: int, seed: int = 0) -> Tensor:
    return functional.normalize(torch.randn(*shape, generator=seeded(seed)), dim=-1)


def test_perfect_masks_cost_nothing() -> None:
    truth = (torch.rand(2, 3, 50, generator=seeded(0)) < 0.5).float()
    logits = 40 * truth - 20
    for loss in (losses.mask_bce, losses.mask_dice):
        torch.testing.assert_close(
            loss(logits, truth, masks=ONE), torch.zeros(2), atol=1e-6, rtol=0
        )


def test_opposite_masks_cost_most() -> None:
    truth = torch.ones(1, 1, 50)
    assert float(losses.mask_bce(-20 * truth, truth, masks=ONE)) > 19
    assert float(losses.mask_dice(-20 * truth, truth, masks=ONE)) > 0.97


def test_no_masks_cost_nothing_and_teach_nothing() -> None:
    logits = torch.zeros(2, 0, 50, requires_grad=True)
    for loss in (losses.mask_bce, losses.mask_dice):
        value = loss(logits, torch.zeros(2, 0, 50), masks=ONE)
        value.sum().backward()
        assert value.tolist() == [0.0, 0.0]


def test_background_counts_as_much_as_it_is_told_to() -> None:
    logits = torch.randn(1, 1, 2, 3, generator=seeded(0))
    entropy = -logits.log_softmax(3)[0, 0]
    expected = (entropy[0, 1] + 0.1 * entropy[1, 2]) / 1.1
    found = losses.mask_class(logits, torch.tensor([[[1, 2]]]), background=0.1)
    torch.testing.assert_close(found, expected[None])


@given(seeds)
def test_retrieval_is_the_same_with_images_and_texts_exchanged(seed: int) -> None:
    images, texts = units(4, 8, seed=seed), units(4, 8, seed=seed + 1)
    one = losses.retrieval(images[None], texts, torch.tensor(10.0))
    other = losses.retrieval(texts[None], images, torch.tensor(10.0))
    torch.testing.assert_close(one, other)


def test_retrieval_of_equal_vectors_is_a_guess_and_of_own_ones_is_sure() -> None:
    same = torch.ones(4, 1) / 1.0
    torch.testing.assert_close(losses.retrieval(same[None], same, ONE), torch.tensor([math.log(4)]))
    own = torch.eye(4)
    assert float(losses.retrieval(own[None], own, torch.tensor(100.0))) < 1e-6


def test_tokens_are_compared_with_every_object_and_then_averaged() -> None:
    objects, tokens = (
        torch.randn(*shape, generator=seeded(1)) for shape in ((2, 3, 5, 8), (3, 4, 8))
    )
    valid = torch.tensor([[1, 1, 1, 1], [1, 1, 0, 0], [1, 1, 1, 0]]).bool()
    scale = torch.tensor(7.0)
    found = losses.retrieval_tokens(objects, tokens, valid, scale, image_to_text=0.7)
    likeness = torch.einsum(
        "lbqc,tc->lbqt",
        functional.normalize(objects, dim=-1),
        functional.normalize(tokens[valid], dim=-1),
    )
    scores = (scale * likeness).mean(2)
    truth = torch.zeros(3, 9)
    truth[0, :4] = torch.tensor([1, 2, 3, 4]) / 10
    truth[1, 4:6] = torch.tensor([1, 2]) / 3
    truth[2, 6:] = torch.tensor([1, 2, 3]) / 6
    for layer in range(2):
        to_text = functional.cross_entropy(scores[layer], truth)
        to_image = -(truth * scores[layer].log_softmax(0)).sum(0).mean()
        torch.testing.assert_close(
            found[layer], 0.7 * to_text + 0.3 * to_image, atol=1e-5, rtol=1e-5
        )


@given(st.permutations(range(5)))
def test_nouns_in_another_order_cost_the_same(order: list[int]) -> None:
    images, texts = units(5, 8), units(3, 8, seed=1)[[0, 1, 0, 2, 1]]
    keys = ["dog", "cat", "dog", "tree", "cat"]
    settings = {"scale": torch.tensor(5.0), "image_to_text": 0.7}
    torch.testing.assert_close(
        losses.noun(images, texts, keys, **settings),
        losses.noun(images[order], texts[order], [keys[i] for i in order], **settings),
    )


def test_texts_of_one_meaning_are_no_negatives_of_each_other() -> None:
    images = torch.eye(2)
    settings = {"scale": torch.tensor(1.0), "image_to_text": 1.0}
    apart = losses.noun(images, torch.eye(2), ["dog", "cat"], **settings)
    together = losses.noun(images, torch.eye(2), ["dog", "dog"], **settings)
    assert float(apart) > 0.3
    assert float(together) == 0.0


def test_no_pairs_cost_nothing_and_teach_nothing() -> None:
    images = torch.zeros(0, 8, requires_grad=True)
    value = losses.noun(images, torch.zeros(0, 8), [], ONE, image_to_text=0.7)
    value.backward()
    assert value.tolist() == 0.0


def test_captioning_divides_by_one_more_than_its_tokens() -> None:
    logits = torch.randn(2, 6, 11, generator=seeded(2))
    next_ids = torch.randint(0, 11, (6,), generator=seeded(3))
    expected = [functional.cross_entropy(layer, next_ids, reduction="sum") / 7 for layer in logits]
    torch.testing.assert_close(losses.captioning(logits, next_ids), torch.stack(expected))


def test_phrases_share_the_queries_they_are_told_to() -> None:
    scores = torch.zeros(1, 1, 4, 2)
    shares = torch.zeros(1, 1, 4, 2)
    shares[..., 0, 0] = 1
    shares[..., :2, 1] = 0.5
    found = losses.referred_class(scores, shares, torch.tensor([[2.0, 0.0]]))
    torch.testing.assert_close(found, torch.tensor([2 * math.log(4)]))
