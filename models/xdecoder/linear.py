"""Linear layers that are as fast as the processor allows."""

from collections.abc import Callable
from typing import Any, Generic, TypeVar

import torch
import torch.nn.functional as F
from jaxtyping import Float, Int
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

SMALL_PRODUCT = 2**18
"""With fewer multiplications than this, asking oneDNN costs more than it saves."""

_onednn = (
    torch.ops.mkldnn._linear_pointwise
    if torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    else None
)
"""PyTorch's own door to oneDNN's linear layer, which its compiler uses too; it has no gradient of
its own, see `_Product`."""


def linear(
    x: Float[Tensor, "*place channel"],
    weight: Float[Tensor, "channel_out channel"],
    bias: Float[Tensor, " channel_out"] | None = None,
) -> Float[Tensor, "*place channel_out"]:
    """`x` times the transposed weight, plus the bias: `torch.nn.functional.linear`.

    On a processor PyTorch hands that to a BLAS library. Where it is MKL and the processor is not
    Intel's, oneDNN takes half the time for many places, and two thirds for one, for the gradients
    as for the product; the sums are the same but for their order.
    """
    if _onednn is None or not _plain(x) or x.numel() * len(weight) < SMALL_PRODUCT:
        return F.linear(x, weight, bias)
    if not torch.is_grad_enabled():
        return _by_onednn(x, weight, bias)
    # Flat, as what it gives may then be changed in place.
    rows = x.reshape(-1, x.shape[-1])
    product: Tensor = _Product.apply(rows, weight, bias)  # type: ignore[no-untyped-call]
    return product.reshape(*x.shape[:-1], -1)


class _Product(torch.autograd.Function):
    """`_onednn` of rows, with a gradient."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _by_onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        of_x, of_weight, of_bias = ctx.needs_input_grad
        return (
            _by_onednn(gradient, weight.t(), None) if of_x else None,
            _by_onednn(gradient.t(), x.t(), None) if of_weight else None,
            gradient.sum(0) if of_bias else None,
        )


def _by_onednn(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    assert _onednn is not None
    product: Tensor = _onednn(x, weight, bias, "none", [], "")
    return product


def _plain(x: Tensor) -> bool:
    """Whether these are float32 on a processor, and stay so.

    Torch's compiler picks products of its own, and cannot take in the one that is used here.
    """
    return (
        x.device.type == "cpu"
        and x.dtype == torch.float32
        and not torch.is_autocast_enabled("cpu")
        and not torch.compiler.is_compiling()
    )


Made = TypeVar("Made")


class Derived(Generic[Made]):
    """Something made of a weight, kept for as long as the weight does not change.

    Args:
        make: makes it of the weight.
    """

    def __init__(self, make: Callable[[Tensor], Made]) -> None:
        self._make = make
        self._state: tuple[int, int, int] | None = None
        self._made: list[Made] = []

    def of(self, weight: Tensor) -> Made:
        """What was made of this weight as it is now."""
        state = (id(weight), weight.data_ptr(), 0 if weight.is_inference() else weight._version)
        if state != self._state:
            self._made = [self._make(weight.detach())]
            self._state = state
        return self._made[0]

    def __reduce__(self) -> tuple[type["Derived[Made]"], tuple[Callable[[Tensor], Made]]]:
        """Who is copied or stored begins without."""
        return (Derived, (self._make,))


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`, and faster where one place is asked alone, again and again.

    A product with one place takes as long as reading the weight. Summing the rows of the transposed
    weight reads it at more than twice the speed of a product with the weight as it lies. So without
    gradient, on a processor, a transposed copy is kept from the first time one place is asked:
    writing the captions of single images doubles the memory of the layers that write.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self._turned = Derived(_Turned)

    def forward(
        self, input: Float[Tensor, "*place channel"]
    ) -> Float[Tensor, "*place channel_out"]:
        """The transformed channels of each place."""
        return self.part(input, 0, self.out_features)

    def part(
        self, x: Float[Tensor, "*place channel"], start: int, stop: int
    ) -> Float[Tensor, "*place part"]:
        """Some of the output's channels, from `start` and before `stop`."""
        if (
            x.numel() == self.in_features
            and not torch.is_grad_enabled()
            and self.in_features * (stop - start) >= SMALL_PRODUCT
            and _plain(x)
        ):
            summed = self._row(self._turned.of(self.weight).part(start, stop), x.reshape(-1))
            if self.bias is not None:
                summed += self.bias[start:stop]
            return summed.reshape(*x.shape[:-1], -1)
        bias = None if self.bias is None else self.bias[start:stop]
        return linear(x, self.weight[start:stop], bias)

    def _row(
        self, product: "_RowSum", x: Float[Tensor, " channel"]
    ) -> Float[Tensor, "1 channel_out"]:
        return product(x)

    def _apply(self, fn: Any, recurse: bool = True) -> "Linear":
        """Moved or converted weights are other weights."""
        self._turned = Derived(_Turned)
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call] # as torch leaves it
        return self


class LinearAfterRelu(Linear):
    """A `Linear` of channels that are often zero: of one place alone, those are not read."""

    def _row(
        self, product: "_RowSum", x: Float[Tensor, " channel"]
    ) -> Float[Tensor, "1 channel_out"]:
        present = x.nonzero()[:, 0]
        return product(x[present], present)


class _RowSum:
    """A product as the sum of a matrix's rows, each multiplied with one number."""

    def __init__(self, rows: Float[Tensor, "channel channel_out"]) -> None:
        self._rows = rows
        self._all = torch.arange(len(rows), device=rows.device)
        self._first = self._all[:1]

    def __call__(
        self,
        x: Float[Tensor, " some_channel"],
        channels: Int[Tensor, " some_channel"] | None = None,
    ) -> Float[Tensor, "1 channel_out"]:
        """Of a vector, or of those of its numbers that stand at `channels`; the others are 0."""
        summed: Tensor = F.embedding_bag(
            self._all if channels is None else channels,
            self._rows,
            self._first,
            mode="sum",
            per_sample_weights=x,
        )
        return summed


class _Turned:
    """Transposed copies of parts of a weight, made when they are first asked for."""

    def __init__(self, weight: Float[Tensor, "channel_out channel"]) -> None:
        self._weight = weight
        self._parts: dict[tuple[int, int], _RowSum] = {}

    def part(self, start: int, stop: int) -> _RowSum:
        """The product with outputs `start` to `stop`."""
        if (start, stop) not in self._parts:
            self._parts[start, stop] = _RowSum(self._weight[start:stop].t().contiguous())
        return self._parts[start, stop]
