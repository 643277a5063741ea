"""Masks at points: bilinear, uncertain ones first, random numbers from outside."""

import torch
from hypothesis import given
from hypothesis import strategies as st

from models.xdecoder.points import drawn_from, sampled, sampled_masks, uncertain_points

sizes = st.integers(1, 7)
seeds = st.integers(0, 2**31)


def seeded(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@given(sizes, sizes, seeds)
def test_pixel_centres_give_pixels(height: int, width: int, seed: int) -> None:
    maps = torch.rand(1, 2, height, width, generator=seeded(seed))
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    centres = torch.stack(((x + 0.5) / width, (y + 0.5) / height), dim=-1).view(1, -1, 2)
    torch.testing.assert_close(sampled(maps, centres), maps.flatten(2), atol=1e-5, rtol=0)


@given(sizes, sizes, seeds)
def test_masks_looked_up_by_every_layer_equal_samples_of_copies(
    height: int, width: int, seed: int
) -> None:
    generator = seeded(seed)
    masks = torch.rand(3, height, width, generator=generator) < 0.5
    which = torch.stack([torch.randperm(3, generator=generator)[:2] for _ in range(4)])
    points = torch.rand(4, 2, 9, 2, generator=generator)
    found = sampled_masks(masks, which, points)
    for layer in range(4):
        copies = masks[which[layer]].float()[:, None]
        torch.testing.assert_close(found[layer], sampled(copies, points[layer])[:, 0])


def test_most_points_lie_where_the_mask_is_undecided() -> None:
    ramp = torch.linspace(-8, 8, 64).expand(1, 1, 64, 64)
    points = uncertain_points(
        ramp, drawn_from(seeded(0)), count=100, oversampling=3.0, importance=0.75
    )
    undecided = (points[0, 0, :, 0] - 0.5).abs()
    # 75 of 300 candidates: about the quarter of the width around the middle.
    assert (undecided[:75] < 0.2).all()
    assert (undecided[75:] > 0.2).any()


@given(st.integers(1, 40), st.floats(1, 4), st.floats(0, 1), seeds)
def test_there_are_as_many_points_as_asked_for(
    count: int, oversampling: float, importance: float, seed: int
) -> None:
    logits = torch.randn(2, 3, 4, 5, generator=seeded(seed))
    points = uncertain_points(
        logits,
        drawn_from(seeded(seed)),
        count=count,
        oversampling=oversampling,
        importance=importance,
    )
    assert points.shape == (2, 3, count, 2)
    assert ((points >= 0) & (points < 1)).all()


def test_the_same_seed_draws_the_same_numbers() -> None:
    first, second = (drawn_from(seeded(3))((2, 5)) for _ in range(2))
    torch.testing.assert_close(first, second, rtol=0, atol=0)
