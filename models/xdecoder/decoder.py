"""The decoder: queries look at the image, then talk to each other, layer by layer (section 3.3).

It sees a `Layout` and nothing of tasks. The states of all groups are rows of one tensor, in the
layout's order; each layer lets the leading rows that look at the image attend one of its three
levels (equation 6), then lets all rows attend the rows they may see (equation 7).
"""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn

from models.xdecoder.config import DecoderConfig, FreedRow
from models.xdecoder.decoder_layer import DecoderLayer, LayerMemory, Level
from models.xdecoder.groups import Content, Group, Layout, Looks, Rows
from models.xdecoder.heads import ClassHead, MaskHead, summary
from models.xdecoder.position import sine_position
from models.xdecoder.prediction import Decoding, ImageFeatures, Prediction, Text

LEVELS = 3


class Decoder(nn.Module):
    """Latent queries, the layers that refine them, and the two heads the layers themselves need.

    Args:
        config: sizes and behaviours.
        level_width: channels of the maps that queries attend.
        mask_width: channels of the mask features.
        context: the longest caption, in tokens.
    """

    def __init__(
        self, config: DecoderConfig, *, level_width: int, mask_width: int, context: int
    ) -> None:
        super().__init__()
        width = config.width
        self.config = config
        self.queries = nn.Embedding(config.queries, width)
        self.query_positions = nn.Embedding(config.queries, width)
        self.token_positions = nn.Embedding(context, width)
        self.level_embedding = nn.Embedding(LEVELS, width)
        self.project = nn.ModuleList(
            nn.Identity() if level_width == width else nn.Conv2d(level_width, width, 1)
            for _ in range(LEVELS)
        )
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.layers))
        self.norm = nn.LayerNorm(width)
        self.masks = MaskHead(width, mask_width)
        self.classes = ClassHead(width)

    def forward(
        self,
        image: ImageFeatures,
        layout: Layout,
        texts: Mapping[str, Text] | None = None,
        *,
        remember: bool = False,
    ) -> Decoding:
        """Refine the queries of `layout`.

        Args:
            image: what they look at.
            layout: which groups enter.
            texts: what the groups that start from tokens start from, by group name.
            remember: keep what every layer attended, for queries that come later.
        """
        texts = texts or {}
        x, positions, rows = self._enter(layout, texts, batch=len(image.pooled))
        sight = _sight(rows, texts, x.device)
        levels = [self._level(image, level) for level in range(LEVELS)]
        predictions = [self._read(x, rows, image)]
        memory = []
        for index, layer in enumerate(self.layers):
            level = levels[index % LEVELS]
            view = self._view(predictions[-1], rows, level.size, texts)
            x, remembered = layer(x, positions, level, view, sight, rows.looking)
            if remember:
                memory.append(remembered)
            predictions.append(self._read(x, rows, image))
        return Decoding(tuple(predictions), tuple(memory))

    def follow(
        self,
        memory: Sequence[LayerMemory],
        text: Text,
        first: int = 0,
        sight: Bool[Tensor, "#batch 1 #token heard"] | None = None,
    ) -> tuple[Float[Tensor, "batch token width"], tuple[LayerMemory, ...]]:
        """Let ordered tokens join queries that nobody sees them from, and that are remembered.

        The same as `forward` with all of them, for the tokens' rows alone: what was remembered
        does not depend on them.

        Args:
            memory: what was attended before, by layer.
            text: the tokens that join.
            first: how many tokens of the same text joined before.
            sight: which remembered rows and tokens each token sees; absent: all.

        Returns:
            the tokens' normed states, and the memory with them in it.
        """
        count = text.states.shape[1]
        positions = text.states + self.token_positions.weight[first : first + count]
        x = text.states.detach()
        views = _views(text, memory)
        grown = []
        layers = cast("list[DecoderLayer]", self.layers)
        for layer, before in zip(layers, memory, strict=True):
            view = views[before.size]
            x = layer.look(x, positions, before.seen, view)
            heard = before.heard.followed_by(layer.hear(x, positions))
            x = layer.think(layer.talk(x, positions, heard, sight))
            grown.append(replace(before, heard=heard))
        return self.norm(x), tuple(grown)

    def _enter(
        self, layout: Layout, texts: Mapping[str, Text], *, batch: int
    ) -> tuple[Tensor, Tensor, Rows]:
        """Content and position of every row before the first layer, and who owns the rows."""
        contents, positions, sizes = [], [], {}
        for group in layout.groups:
            content, position = self._start(group, texts, batch)
            sizes[group.name] = content.shape[1]
            contents.append(content)
            positions.append(position)
        return torch.cat(contents, dim=1), torch.cat(positions, dim=1), layout.rows(sizes)

    def _start(
        self, group: Group, texts: Mapping[str, Text], batch: int
    ) -> tuple[Float[Tensor, "batch query width"], Float[Tensor, "batch query width"]]:
        """Content and position of one group's queries."""
        match group.content:
            case Content.LEARNED_OBJECTS | Content.LEARNED_IMAGE:
                image = group.content is Content.LEARNED_IMAGE
                which = slice(-1, None) if image else slice(None, -1)
                content = self.queries.weight[which].expand(batch, -1, -1)
                return content, self.query_positions.weight[which].expand(batch, -1, -1)
            case Content.TOKENS:
                states = texts[group.name].states
                return states.detach(), states
            case Content.TOKENS_IN_ORDER:
                states = texts[group.name].states
                return states.detach(), states + self.token_positions.weight[: states.shape[1]]

    def _level(self, image: ImageFeatures, index: int) -> "Level":
        """One level as keys (with the place's position) and values."""
        features = self.project[index](image.levels[index])
        size = (features.shape[2], features.shape[3])
        values, shift = features.flatten(2).mT, self.level_embedding.weight[index]
        position = sine_position(*size, values.shape[2], device=values.device).flatten(0, 1)
        if features.requires_grad or not shift.requires_grad:
            # Added in the released order, to which masks close to their threshold are sensitive.
            values = values + shift
            return Level(size, values + position.to(values.dtype), values)
        return Level(size, values + position.to(values.dtype), values, shift)

    def _read(
        self, x: Float[Tensor, "batch row width"], rows: Rows, image: ImageFeatures
    ) -> Prediction:
        """What the heads make of the states."""
        states = self.norm(x)
        picture, objects = rows.of("image"), rows.of("objects")
        states = torch.cat(
            (
                states[:, : picture.start],
                summary(states[:, picture], states[:, objects]),
                states[:, picture.stop :],
            ),
            dim=1,
        )
        masked = states[:, : rows.masked]
        return Prediction(rows, states, self.classes(masked), self.masks(masked), image.masks)

    @torch.no_grad()
    def _view(
        self,
        before: Prediction,
        rows: Rows,
        size: tuple[int, int],
        texts: Mapping[str, Text],
    ) -> Bool[Tensor, "batch 1 row place"]:
        """Where each looking row may look: true where a place is open."""
        logits = before.masks.logits_at(before.mask_embeddings, size).flatten(2)
        open_ = logits.sigmoid() >= 0.5
        freed = self._freed_row(rows)
        if freed is not None:
            open_[:, freed] = True
        views = [open_]
        for group in rows.layout.groups:
            if group.looks is Looks.EVERYWHERE:
                own = rows.of(group.name)
                views.append(_region(texts[group.name], own.stop - own.start, size))
        view = torch.cat([v.expand(len(open_), -1, -1) for v in views], dim=1)
        return _unblocked(view)[:, None]

    def _freed_row(self, rows: Rows) -> int | None:
        """The row that looks past its own mask, if there is one (see `FreedRow`)."""
        image = rows.of("image").start
        row = {
            FreedRow.ONE_PAST_IMAGE: image + 1,
            FreedRow.IMAGE: image,
            FreedRow.NONE: rows.masked,
        }[self.config.freed_row]
        return row if row < rows.masked else None


def _sight(
    rows: Rows, texts: Mapping[str, Text], device: torch.device
) -> Bool[Tensor, "#batch 1 row row"]:
    """Who sees whom, with the filled up ends of texts out of everyone's sight."""
    sight = rows.sight(device)[None, None]
    for group in rows.layout.groups:
        valid = texts[group.name].valid if group.name in texts else None
        if valid is not None:
            seen = torch.ones(len(valid), 1, 1, rows.total, dtype=torch.bool, device=device)
            seen[:, 0, 0, rows.of(group.name)] = valid
            sight = sight & seen
    return sight


def _views(
    text: Text, memory: Sequence[LayerMemory]
) -> dict[tuple[int, int], Bool[Tensor, "batch 1 1 place"] | None]:
    """Where the text's rows may look on each of the image's grids; `None`: everywhere."""
    sizes = {layer.size for layer in memory}
    if text.region is None:
        return dict.fromkeys(sizes)
    return {size: _unblocked(_region(text, 1, size))[:, None] for size in sizes}


def _region(text: Text, count: int, size: tuple[int, int]) -> Bool[Tensor, "#batch count place"]:
    """The text's region on a level's grid, the same for each of its rows."""
    places = size[0] * size[1]
    if text.region is None:
        return torch.ones(1, count, places, dtype=torch.bool, device=text.states.device)
    grid = F.interpolate(text.region[:, None].float(), size=size, mode="nearest")
    return (grid.flatten(2) > 0.5).expand(-1, count, -1)


def _unblocked(
    view: Bool[Tensor, "batch row place"],
) -> Bool[Tensor, "batch row place"]:
    """The same views, but a row that is blocked everywhere looks everywhere instead."""
    return view | ~view.any(dim=2, keepdim=True)
