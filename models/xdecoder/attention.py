"""Multi-head attention with its keys and values open to caching.

The same arithmetic as `torch.nn.MultiheadAttention`, in parts: what is looked at can be projected
once and asked many times (caption decoding), and queries, keys and values may differ.
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.xdecoder.linear import Linear, linear

Allowed = Bool[Tensor, "*#batch #query key"]
"""True where a query may attend a key. A row must not be all false."""


class KeysValues:
    """What queries attend: keys and values, per head.

    More rows can be put behind these. As in a growing list, they go into spare room behind the
    last one if nothing else was put there, so that row after row costs no copy of the others.
    """

    def __init__(
        self,
        keys: Float[Tensor, "batch head key depth"],
        values: Float[Tensor, "batch head key depth"],
    ) -> None:
        self._room = _Room(keys, values, filled=keys.shape[2])
        self._count = keys.shape[2]

    @property
    def keys(self) -> Float[Tensor, "batch head key depth"]:
        """What a query is compared with."""
        return self._room.keys[:, :, : self._count]

    @property
    def values(self) -> Float[Tensor, "batch head key depth"]:
        """What a query collects."""
        return self._room.values[:, :, : self._count]

    def __len__(self) -> int:
        return self._count

    def followed_by(self, other: "KeysValues") -> "KeysValues":
        """These, and behind them the others."""
        if torch.is_grad_enabled() or len(other) > 1:
            return KeysValues(
                torch.cat((self.keys, other.keys), dim=2),
                torch.cat((self.values, other.values), dim=2),
            )
        room, count = self._room, self._count + len(other)
        if room.filled != self._count or count > room.keys.shape[2]:
            room = _Room.around(self, capacity=2 * count)
        room.keys[:, :, self._count : count] = other.keys
        room.values[:, :, self._count : count] = other.values
        room.filled = count
        both = object.__new__(KeysValues)
        both._room, both._count = room, count
        return both

    def of(self, batch: Tensor) -> "KeysValues":
        """Those of batch entries by index: repeated, or reordered."""
        return KeysValues(self.keys[batch], self.values[batch])

    def for_all(self, batch: int) -> "KeysValues":
        """Those of a single batch entry, for each of many, without a copy."""
        return KeysValues(
            self.keys.expand(batch, -1, -1, -1), self.values.expand(batch, -1, -1, -1)
        )

    def packed(self) -> "KeysValues":
        """The same with the rows of each head next to each other, as single queries read them."""
        return KeysValues(self.keys.contiguous(), self.values.contiguous())

    def among(self, rows: Tensor) -> "KeysValues":
        """Those of some rows, by index."""
        return KeysValues(self.keys[:, :, rows], self.values[:, :, rows])


@dataclass
class _Room:
    """Keys and values with space for more behind them."""

    keys: Tensor
    values: Tensor
    filled: int

    @classmethod
    def around(cls, rows: KeysValues, *, capacity: int) -> "_Room":
        """Room for `capacity` rows, with these in front."""
        batch, heads, count, depth = rows.keys.shape
        keys = rows.keys.new_empty(batch, heads, capacity, depth)
        values = rows.values.new_empty(batch, heads, capacity, depth)
        keys[:, :, :count], values[:, :, :count] = rows.keys, rows.values
        return cls(keys, values, filled=count)


class Attention(nn.Module):
    """Scaled dot-product attention with `heads` heads on `width` channels."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.in_proj = Linear(width, 3 * width)
        self.out_proj = Linear(width, width)
        nn.init.xavier_uniform_(self.in_proj.weight)
        nn.init.zeros_(self.in_proj.bias)
        nn.init.zeros_(self.out_proj.bias)

    def remember(
        self,
        keys: Float[Tensor, "batch key width"],
        values: Float[Tensor, "batch key width"],
        shift: Float[Tensor, " width"] | None = None,
    ) -> KeysValues:
        """Project what will be attended; `shift` is added to every key and value.

        It is projected once and added to the bias. So if keys and values take no gradient, and
        the shift does, none is worked out for every place.
        """
        if keys is values and shift is None:
            both = self._project(keys, 1, 3)
            return KeysValues(*both.chunk(2, dim=1))
        return KeysValues(self._project(keys, 1, 2, shift), self._project(values, 2, 3, shift))

    def ask(
        self,
        queries: Float[Tensor, "batch query width"],
        memory: KeysValues,
        allowed: Allowed | None = None,
    ) -> Float[Tensor, "batch query width"]:
        """Attend what `remember` projected; without `allowed`, all of it."""
        answers = attended(self._project(queries, 0, 1), memory, allowed)
        mixed: Tensor = self.out_proj(answers.transpose(1, 2).flatten(2))
        return mixed

    def forward(
        self,
        queries: Float[Tensor, "batch query width"],
        keys: Float[Tensor, "batch key width"],
        values: Float[Tensor, "batch key width"],
        allowed: Allowed | None = None,
    ) -> Float[Tensor, "batch query width"]:
        """Attend `keys`, collecting `values`."""
        return self.ask(queries, self.remember(keys, values), allowed)

    def _project(
        self,
        x: Float[Tensor, "batch row width"],
        first: int,
        stop: int,
        shift: Float[Tensor, " width"] | None = None,
    ) -> Float[Tensor, "batch heads row depth"]:
        """The queries (part 0), keys (1) or values (2) of `x`, or of `x` plus a shift.

        The heads of several parts come one part after the other.
        """
        rows = slice(first * x.shape[2], stop * x.shape[2])
        if shift is None:
            projected = self.in_proj.part(x, rows.start, rows.stop)
        else:
            weight = self.in_proj.weight[rows]
            projected = linear(x, weight, self.in_proj.bias[rows] + weight @ shift)
        heads = (stop - first) * self.heads
        return projected.reshape(*x.shape[:2], heads, -1).transpose(1, 2)


def attended(
    queries: Float[Tensor, "batch head query depth"],
    memory: KeysValues,
    allowed: Allowed | None = None,
) -> Float[Tensor, "batch head query depth"]:
    """The values that queries attend to.

    On a processor the gradient of attention takes four to fifteen times as long in bfloat16 as in
    float32, and attention itself no less: in training it is worked out in float32.
    """
    keys, values = memory.keys, memory.values
    if queries.device.type != "cpu" or not torch.is_grad_enabled():
        return F.scaled_dot_product_attention(queries, keys, values, attn_mask=allowed)
    with torch.autocast("cpu", enabled=False):
        exact = F.scaled_dot_product_attention(
            queries.float(), keys.float(), values.float(), attn_mask=allowed
        )
        return exact.to(queries.dtype)
