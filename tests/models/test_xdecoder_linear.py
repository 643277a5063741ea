"""The fast linear layer is the plain one."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from models.xdecoder import linear as module
from models.xdecoder.linear import Linear, linear


def noise(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


@settings(max_examples=30)
@given(
    places=st.lists(st.integers(1, 40), min_size=0, max_size=3),
    channels=st.sampled_from([1, 3, 64, 96]),
    out=st.sampled_from([1, 4, 33, 128]),
    bias=st.booleans(),
)
def test_it_gives_what_the_matrix_product_gives(
    places: list[int], channels: int, out: int, bias: bool
) -> None:
    x, weight = noise(*places, channels), noise(out, channels, seed=1)
    added = noise(out, seed=2) if bias else None
    found = linear(x, weight, added)
    torch.testing.assert_close(
        found, torch.nn.functional.linear(x, weight, added), rtol=1e-4, atol=1e-4
    )


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_large_maps_keep_shape_type_and_gradients(dtype: torch.dtype) -> None:
    layer = Linear(32, 16).to(dtype)
    x = noise(2, 20, 30, 32).to(dtype)
    assert x.numel() >= module.SMALL
    moved = x.permute(0, 2, 1, 3).requires_grad_()
    layer(moved).square().sum().backward()
    found = (moved.grad, layer.weight.grad, layer.bias.grad)
    plain = x.permute(0, 2, 1, 3).clone().requires_grad_()
    weight, bias = (p.detach().clone().requires_grad_() for p in (layer.weight, layer.bias))
    torch.nn.functional.linear(plain, weight, bias).square().sum().backward()
    for ours, theirs in zip(found, (plain.grad, weight.grad, bias.grad), strict=True):
        assert ours is not None
        assert ours.dtype == dtype
        torch.testing.assert_close(ours, theirs, rtol=1e-3, atol=1e-2)


def test_an_empty_map_stays_empty() -> None:
    assert linear(torch.zeros(0, 8), torch.ones(3, 8)).shape == (0, 3)
