"""One layer of the decoder: look at the image, talk among queries, think (equations 6 and 7)."""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.xdecoder.attention import Attention, KeysValues
from models.xdecoder.config import DecoderConfig
from models.xdecoder.linear import Linear, LinearAfterRelu


@dataclass(frozen=True)
class LayerMemory:
    """What a layer's later queries attend: the image, and the rows that were there before."""

    size: tuple[int, int]
    """Height and width of the image's grid in this layer."""
    seen: KeysValues
    heard: KeysValues

    def of(self, batch: Tensor) -> "LayerMemory":
        """The memory of batch entries by index: repeated, or reordered."""
        return LayerMemory(self.size, self.seen.of(batch), self.heard.of(batch))

    def packed(self) -> "LayerMemory":
        """The same, with what is seen laid out for queries that come one by one."""
        return LayerMemory(self.size, self.seen.packed(), self.heard)


@dataclass(frozen=True)
class Level:
    """One level of the image as what is attended."""

    size: tuple[int, int]
    keys: Float[Tensor, "batch place width"]
    values: Float[Tensor, "batch place width"]
    shift: Float[Tensor, " width"] | None = None
    """What is still to be added to every key and value: the level's embedding, where it learns
    from frozen maps."""


class DecoderLayer(nn.Module):
    """Cross-attention, self-attention and a feed-forward layer; each is added, then normed."""

    def __init__(self, config: DecoderConfig) -> None:
        super().__init__()
        self.cross = Attention(config.width, config.heads)
        self.cross_norm = nn.LayerNorm(config.width)
        self.among = Attention(config.width, config.heads)
        self.among_norm = nn.LayerNorm(config.width)
        self.widen = Linear(config.width, config.feedforward)
        self.narrow = LinearAfterRelu(config.feedforward, config.width)
        self.feedforward_norm = nn.LayerNorm(config.width)

    def forward(
        self,
        x: Float[Tensor, "batch row width"],
        positions: Float[Tensor, "batch row width"],
        level: Level,
        view: Bool[Tensor, "batch 1 looking place"],
        sight: Bool[Tensor, "#batch 1 row row"],
        looking: int,
    ) -> tuple[Float[Tensor, "batch row width"], LayerMemory]:
        """The states after the layer, and what its attentions attended."""
        seen = self.cross.remember(level.keys, level.values, level.shift)
        looked = self.look(x[:, :looking], positions[:, :looking], seen, view)
        x = torch.cat((looked, x[:, looking:]), dim=1)
        heard = self.hear(x, positions)
        return self.think(self.talk(x, positions, heard, sight)), LayerMemory(
            level.size, seen, heard
        )

    def look(
        self,
        x: Float[Tensor, "batch row width"],
        positions: Float[Tensor, "batch row width"],
        seen: KeysValues,
        view: Bool[Tensor, "batch 1 row place"] | None = None,
    ) -> Float[Tensor, "batch row width"]:
        """Attend the image where `view` is open."""
        looked: Tensor = self.cross_norm(x + self.cross.ask(x + positions, seen, view))
        return looked

    def hear(
        self, x: Float[Tensor, "batch row width"], positions: Float[Tensor, "batch row width"]
    ) -> KeysValues:
        """These rows as what others attend."""
        return self.among.remember(x + positions, x)

    def talk(
        self,
        x: Float[Tensor, "batch row width"],
        positions: Float[Tensor, "batch row width"],
        heard: KeysValues,
        sight: Bool[Tensor, "#batch 1 #row other"] | None = None,
    ) -> Float[Tensor, "batch row width"]:
        """Attend other rows, as far as they are in sight."""
        talked: Tensor = self.among_norm(x + self.among.ask(x + positions, heard, sight))
        return talked

    def think(self, x: Float[Tensor, "batch row width"]) -> Float[Tensor, "batch row width"]:
        """The feed-forward layer."""
        thought: Tensor = self.feedforward_norm(x + self.narrow(F.relu(self.widen(x))))
        return thought
