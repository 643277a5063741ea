"""Linear layers that are as fast as the processor allows."""

from typing import Any

import torch
import torch.nn.functional as F
from jaxtyping import Float
from torch import Tensor, nn

SMALL_PRODUCT = 2**18
"""With fewer multiplications than this, asking oneDNN costs more than it saves."""
SMALL_MAP = 2**14
"""With fewer numbers than this, calling a convolution costs more than it saves."""

_onednn = (
    torch.ops.mkldnn._linear_pointwise
    if torch._C._has_mkldnn and hasattr(torch.ops.mkldnn, "_linear_pointwise")
    else None
)
"""PyTorch's own door to oneDNN's linear layer, which its compiler uses too; it has no gradient."""


def linear(
    x: Float[Tensor, "*place channel"],
    weight: Float[Tensor, "channel_out channel"],
    bias: Float[Tensor, " channel_out"] | None = None,
) -> Float[Tensor, "*place channel_out"]:
    """`x` times the transposed weight, plus the bias: `torch.nn.functional.linear`.

    On a processor PyTorch hands that to a BLAS library. Where it is MKL and the processor is not
    Intel's, oneDNN takes half the time for many places, and two thirds for one; the sums are the
    same but for their order. Without gradient oneDNN is asked directly. With gradient it is asked
    by way of a 1×1 convolution of a channels-last map, if there are several threads: with one,
    PyTorch has a slower convolution of its own.
    """
    if not _plain(x):
        return F.linear(x, weight, bias)
    if not torch.is_grad_enabled():
        if _onednn is None or x.numel() * len(weight) < SMALL_PRODUCT:
            return F.linear(x, weight, bias)
        product: Tensor = _onednn(x, weight, bias, "none", [], "")
        return product
    if x.numel() < SMALL_MAP or torch.get_num_threads() == 1:
        return F.linear(x, weight, bias)
    places = x.reshape(1, 1, -1, x.shape[-1]).permute(0, 3, 1, 2)
    y = F.conv2d(places, weight[:, :, None, None], bias)
    return y.permute(0, 2, 3, 1).reshape(*x.shape[:-1], -1)


def _plain(x: Tensor) -> bool:
    """Whether these are float32 on a processor, and stay so."""
    return (
        x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")
    )


class Linear(nn.Linear):
    """`torch.nn.Linear` by `linear`, and faster where one place is asked alone, again and again.

    A product with one place takes as long as reading the weight. Summing the rows of the transposed
    weight reads it at more than twice the speed of a product with the weight as it lies. So without
    gradient, on a processor, a transposed copy is kept from the first time one place is asked:
    writing the captions of single images doubles the memory of the layers that write.
    """

    def __init__(self, in_features: int, out_features: int, bias: bool = True) -> None:
        super().__init__(in_features, out_features, bias)
        self._turned = _Turned()

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
            summed = self._turned.of(self.weight, start, stop)(x.reshape(-1))
            if self.bias is not None:
                summed += self.bias[start:stop]
            return summed.reshape(*x.shape[:-1], -1)
        bias = None if self.bias is None else self.bias[start:stop]
        return linear(x, self.weight[start:stop], bias)

    def _apply(self, fn: Any, recurse: bool = True) -> "Linear":
        """Moved or converted weights are other weights."""
        self._turned = _Turned()
        super()._apply(fn, recurse)  # type: ignore[no-untyped-call] # as torch leaves it
        return self


class _RowSum:
    """A product as the sum of a matrix's rows, each multiplied with one number."""

    def __init__(self, rows: Float[Tensor, "channel channel_out"]) -> None:
        self._rows = rows
        self._all = torch.arange(len(rows), device=rows.device)
        self._first = self._all[:1]

    def __call__(self, x: Float[Tensor, " channel"]) -> Float[Tensor, "1 channel_out"]:
        summed: Tensor = F.embedding_bag(
            self._all, self._rows, self._first, mode="sum", per_sample_weights=x
        )
        return summed


class _Turned:
    """Transposed copies of parts of a weight, for as long as it does not change."""

    def __init__(self) -> None:
        self._state: tuple[int, int, int] | None = None
        self._parts: dict[tuple[int, int], _RowSum] = {}

    def of(self, weight: Tensor, start: int, stop: int) -> _RowSum:
        """The product with outputs `start` to `stop`."""
        version = 0 if weight.is_inference() else weight._version
        state = (id(weight), weight.data_ptr(), version)
        if state != self._state:
            self._state, self._parts = state, {}
        part = self._parts.get((start, stop))
        if part is None:
            part = _RowSum(weight.detach()[start:stop].t().contiguous())
            self._parts[start, stop] = part
        return part

    def __reduce__(self) -> tuple[type["_Turned"], tuple[()]]:
        """A copied or stored layer begins without copies."""
        return (_Turned, ())
