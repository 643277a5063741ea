"""The fast linear layer is the plain one."""

import copy
from collections.abc import Callable

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
    assert x.numel() * 16 >= module.SMALL_PRODUCT
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


def test_gradients_of_parts_of_a_weight_are_the_plain_ones() -> None:
    layer, x = Linear(64, 96), noise(700, 64).requires_grad_()
    (layer.part(x, 32, 96).sin().sum() + layer.part(x, 0, 32).cos().sum()).backward()
    found = (x.grad, layer.weight.grad, layer.bias.grad)
    plain, weight, bias = (p.detach().clone().requires_grad_() for p in (x, *layer.parameters()))
    made = torch.nn.functional.linear(plain, weight, bias)
    (made[:, 32:].sin().sum() + made[:, :32].cos().sum()).backward()
    for ours, theirs in zip(found, (plain.grad, weight.grad, bias.grad), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-4, atol=1e-4)


def test_what_it_gives_may_be_changed_in_place() -> None:
    layer, x = Linear(64, 96), noise(3, 200, 64)
    layer(x).relu_().sum().backward()
    found, layer.weight.grad = layer.weight.grad, None
    torch.nn.functional.linear(x, layer.weight, layer.bias).relu().sum().backward()
    torch.testing.assert_close(found, layer.weight.grad, rtol=1e-4, atol=1e-4)


def test_only_gradients_that_are_wanted_are_worked_out() -> None:
    weight, x = noise(96, 64, seed=1), noise(700, 64)
    assert not linear(x, weight).requires_grad
    bias = noise(96, seed=2).requires_grad_()
    linear(x, weight, bias).sum().backward()
    assert torch.equal(bias.grad, torch.full((96,), 700.0))
    assert x.grad is weight.grad is None


def one_alone(layer: Linear, x: torch.Tensor) -> torch.Tensor:
    with torch.inference_mode():
        product: torch.Tensor = layer(x)
    return product


@pytest.mark.parametrize("shape", [(512,), (1, 512), (1, 1, 512), (3, 512), (64, 5, 512)])
@pytest.mark.parametrize("bias", [True, False])
def test_without_gradient_it_gives_the_same(shape: tuple[int, ...], bias: bool) -> None:
    layer, x = Linear(512, 768, bias=bias), noise(*shape)
    plain = torch.nn.functional.linear(x, layer.weight, layer.bias)
    for _ in range(2):  # the second time from the copy that the first left
        torch.testing.assert_close(one_alone(layer, x), plain, rtol=1e-5, atol=1e-5)
    with torch.inference_mode():
        some = layer.part(x, 512, 768)
    torch.testing.assert_close(some, plain[..., 512:], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "change",
    [
        lambda layer: torch.optim.SGD(layer.parameters(), lr=1.0).step(),
        lambda layer: layer.load_state_dict({k: 2 * v for k, v in layer.state_dict().items()}),
        lambda layer: layer.double().mul_weights(),
        lambda layer: setattr(layer, "weight", torch.nn.Parameter(layer.weight.detach() + 1)),
    ],
    ids=["trained", "loaded", "converted", "replaced"],
)
def test_a_weight_that_changed_is_read_anew(change: Callable[[Linear], object]) -> None:
    class Changing(Linear):
        def mul_weights(self) -> None:
            self.weight.data.mul_(3.0)
            self.float()

    layer, x = Changing(512, 512), noise(1, 512)
    before = one_alone(layer, x)
    layer(x).sum().backward()
    change(layer)
    after = one_alone(layer, x)
    assert not torch.allclose(before, after)
    torch.testing.assert_close(after, torch.nn.functional.linear(x, layer.weight, layer.bias))


def test_a_copied_layer_has_copies_of_its_own() -> None:
    layer, x = Linear(512, 512), noise(1, 512)
    before = one_alone(layer, x)
    other = copy.deepcopy(layer)
    with torch.no_grad():
        other.weight.zero_()
        other.bias.zero_()
    assert not one_alone(other, x).any()
    torch.testing.assert_close(one_alone(layer, x), before)


def test_products_under_autocast_are_in_its_precision() -> None:
    layer, x = Linear(512, 512), noise(1, 512)
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16


def test_an_empty_map_stays_empty() -> None:
    assert linear(torch.zeros(0, 8), torch.ones(3, 8)).shape == (0, 3)
