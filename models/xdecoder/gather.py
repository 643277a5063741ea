"""How the processes of one training step share what a loss needs of the whole batch.

A contrastive loss compares every image with every text of the global batch, so each process must
see the others' embeddings. What is passed as `Gather` decides how: `Alone` for one process,
`Gathered` for several. With `Gathered()` and gradients averaged over processes (as DDP does), loss
and gradient are those of one process with the whole batch.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Tensor


@runtime_checkable
class Gather(Protocol):
    """Puts together what the processes of a step hold, in the order of their ranks."""

    def rows(self, own: Float[Tensor, "own channel"]) -> Float[Tensor, "all channel"]:
        """The rows of all processes, which may hold different numbers of them."""
        ...

    def texts(self, own: Sequence[str]) -> list[str]:
        """The strings of all processes."""
        ...

    def mean(self, own: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The mean of a number over the processes, without gradient."""
        ...


class Alone:
    """One process: its own part is all there is."""

    def rows(self, own: Float[Tensor, "own channel"]) -> Float[Tensor, "all channel"]:
        """The same rows."""
        return own

    def texts(self, own: Sequence[str]) -> list[str]:
        """The same strings."""
        return list(own)

    def mean(self, own: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The same number."""
        return own.detach()


@dataclass(frozen=True)
class Gathered:
    """All processes of a `torch.distributed` group.

    Args:
        own_gradient_only: rows of other processes carry no gradient back to them, as released.
            After averaging over `n` processes, the gradient of a contrastive loss is then 1/n of
            the global batch's; the loss itself is the same.
        group: the processes; absent: all of them.
    """

    own_gradient_only: bool = False
    group: dist.ProcessGroup | None = None

    def rows(self, own: Float[Tensor, "own channel"]) -> Float[Tensor, "all channel"]:
        """The rows of all processes, which may hold different numbers of them."""
        counts = self._counts(own)
        gathered: Tensor = _AllRows.apply(  # type: ignore[no-untyped-call]
            own, counts, self.own_gradient_only, self.group
        )
        return gathered

    def texts(self, own: Sequence[str]) -> list[str]:
        """The strings of all processes."""
        parts: list[Any] = [None] * dist.get_world_size(self.group)
        dist.all_gather_object(parts, list(own), group=self.group)
        return [text for part in parts for text in part]

    def mean(self, own: Float[Tensor, ""]) -> Float[Tensor, ""]:
        """The mean of a number over the processes, without gradient."""
        total = own.detach().clone()
        dist.all_reduce(total, group=self.group)
        return total / dist.get_world_size(self.group)

    def _counts(self, own: Tensor) -> list[int]:
        """How many rows each process holds."""
        count = torch.tensor([len(own)], device=own.device)
        counts = [torch.empty_like(count) for _ in range(dist.get_world_size(self.group))]
        dist.all_gather(counts, count, group=self.group)
        return [int(c) for c in torch.cat(counts)]


class _AllRows(torch.autograd.Function):
    """All processes' rows forward; backward, for each row the sum of what all processes say."""

    @staticmethod
    def forward(
        ctx: Any,
        own: Tensor,
        counts: list[int],
        own_gradient_only: bool,
        group: dist.ProcessGroup | None,
    ) -> Tensor:
        ctx.counts, ctx.own_gradient_only, ctx.group = counts, own_gradient_only, group
        parts = _padded(own, max(counts))
        gathered = [torch.empty_like(parts) for _ in counts]
        dist.all_gather(gathered, parts, group=group)
        return torch.cat([part[:count] for part, count in zip(gathered, counts, strict=True)])

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, None, None]:
        gradient = gradient.contiguous()
        if not ctx.own_gradient_only:
            # A copy: others' sums must not be written into what autograd handed out.
            gradient = gradient.clone()
            dist.all_reduce(gradient, group=ctx.group)
        rank = dist.get_rank(ctx.group)
        first = sum(ctx.counts[:rank])
        return gradient[first : first + ctx.counts[rank]], None, None, None


def _padded(rows: Tensor, count: int) -> Tensor:
    """Rows filled up with zeros to `count` of them."""
    full = rows.new_zeros(count, *rows.shape[1:])
    full[: len(rows)] = rows.detach()
    return full
