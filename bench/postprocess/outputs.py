"""The three segmentations on a CPU, from as few mask values as they can depend on.

An output reads the bounds of every mask over every tile (`bench.postprocess.tiles`), settles the
tiles that they decide, and says which masks it must see in the others (`needed`). One visit to each
tile computes the union of what is asked for and shows it to each output (`see`).

Predictions equal those of `plain` except where its own float32 rounding decides: logits, or sums
over queries, that differ by less than about 1e-5 of their size.
"""

from threading import Lock
from typing import Any, Protocol

import numpy as np
import torch
from jaxtyping import Bool
from torch import Tensor

from bench.postprocess.classes import ClassScores, Picks, pick_instances, pick_segments
from bench.postprocess.threads import each
from bench.postprocess.tiles import ROUNDING, Grid, Tile
from bench.protocol import PanopticRule
from bench.protocol import Protocol as ProtocolCard
from bench.types import VOID, Instances, LabelMap, Mask, Panoptic, Proposals, Segment


def segment(
    proposals: Proposals,
    scores: ClassScores,
    things: frozenset[int],
    protocol: ProtocolCard,
    size: tuple[int, int],
    wanted: frozenset[str],
) -> dict[str, Any]:
    """The wanted predictions at `size` (height, width)."""
    grid = Grid.over(
        proposals.mask_logits.detach().float(),
        proposals.padded_size,
        proposals.input_size,
        size,
        protocol.mask_resize,
    )
    outputs: dict[str, Output] = {}
    if "semantic" in wanted:
        outputs["semantic"] = Labels(grid, scores)
    if "instance" in wanted:
        outputs["instance"] = Objects(grid, pick_instances(scores, things, protocol.instance))
    if "panoptic" in wanted:
        picks = pick_segments(scores, protocol.panoptic)
        outputs["panoptic"] = Partition(grid, picks, things, protocol.panoptic)
    needed = np.zeros(grid.bounds[0].shape, bool)
    for output in outputs.values():
        needed |= output.needed

    def visit(place: tuple[int, int]) -> None:
        tile = grid.tile(*place, torch.from_numpy(np.flatnonzero(needed[place])))
        for output in outputs.values():
            output.see(tile)

    each(visit, [(int(column), int(row)) for column, row in np.argwhere(needed.any(2))])
    return {name: output.result() for name, output in outputs.items()}


class Output(Protocol):
    """One segmentation in the making."""

    needed: Bool[np.ndarray, "column row query"]
    """Which masks it must see in which tiles."""

    def see(self, tile: Tile) -> None:
        """Take what is needed of a tile that has it. Tiles come from several threads."""
        ...

    def result(self) -> Any:
        """The prediction, once every tile with something needed was seen."""
        ...


class Labels:
    """Each pixel's class: the largest sum over queries of class × mask probability."""

    def __init__(self, grid: Grid, scores: ClassScores) -> None:
        self._scores = scores
        self._columns = scores.probabilities[:, : scores.competing].T.contiguous()
        self._labels = torch.full(grid.shape, VOID, dtype=torch.int32)
        self._rivals: dict[tuple[int, int], Tensor] = {}
        tiles = (len(grid.columns), len(grid.rows), scores.probabilities.shape[0])
        self.needed = np.zeros(tiles, bool)
        if all(self._columns.shape):
            self._settle(grid)

    def _settle(self, grid: Grid) -> None:
        """Fill the tiles that one class wins whatever the masks are within their bounds."""
        least, most = (bound.sigmoid() for bound in grid.bounds)
        middle, reach = (most + least) / 2, (most - least) / 2
        leaders = (middle @ self._columns.T).argmax(-1)
        slack = ROUNDING * (most @ self._columns.T).amax(-1)
        for column, across in enumerate(grid.columns):
            for row, down in enumerate(grid.rows):
                lead = self._columns - self._columns[leaders[column, row]]
                best = lead @ middle[column, row] + lead.abs() @ reach[column, row]
                rivals = (best >= -slack[column, row]).nonzero()[:, 0]
                if len(rivals) == 1:
                    self._labels[across.pixels, down.pixels] = rivals[0]
                else:
                    self._rivals[column, row] = rivals
                    self.needed[column, row] = True

    def see(self, tile: Tile) -> None:
        """Sum the classes that can win here, over all queries."""
        rivals = self._rivals.get((tile.column, tile.row))
        if rivals is not None:
            sums = self._columns[rivals] @ tile.probabilities.transpose(0, 1)
            self._labels[tile.area] = rivals[sums.max(1).indices].to(torch.int32)

    def result(self) -> LabelMap:
        """The label map; void where a column wins that is no class, and without any query."""
        self._labels[self._labels >= self._scores.classes] = VOID
        return np.ascontiguousarray(self._labels.numpy().T)


class Objects:
    """A binary mask (logit above 0) for each pick, scored by class × mean probability inside."""

    def __init__(self, grid: Grid, picks: Picks) -> None:
        self._picks, self._columns = picks, grid.columns
        self._queries, self._mask_of = torch.unique(picks.queries, return_inverse=True)
        _, most = grid.bounds
        self.needed = np.zeros(most.shape, bool)
        # as numpy: it takes a tensor of one index for a plain number, and drops the axis
        self.needed[:, :, self._queries.numpy()] = most[:, :, self._queries].numpy() > 0
        # Zeroed pages are not touched, and take no memory, before something is written to them.
        self._inside = torch.from_numpy(np.zeros((len(self._queries), *grid.shape), bool))
        self._above_half = torch.zeros(len(self._queries), dtype=torch.float64)
        self._adding = Lock()

    def see(self, tile: Tile) -> None:
        """Note where the masks of this tile are positive, and how sure they are there."""
        here = np.flatnonzero(self.needed[tile.column, tile.row, self._queries.numpy()])
        masks = torch.from_numpy(here)
        places = tile.place[self._queries[masks]]
        self._inside[(masks, *tile.area)] = tile.logits.index_select(0, places) > 0
        above = (tile.probabilities.index_select(0, places) - 0.5).clamp_(min=0)
        above_half = above.flatten(1).sum(1)
        with self._adding:
            self._above_half[masks] += above_half

    def result(self) -> Instances:
        """The instances, in the order of the picks."""
        masks = [self._encode(place) for place in range(len(self._queries))]
        area = torch.tensor([mask.area for mask in masks], dtype=torch.float64)
        mean = (self._above_half + area / 2) / (area + 1e-6)
        return Instances(
            tuple(masks[place] for place in self._mask_of.tolist()),
            self._picks.labels.numpy(),
            (self._picks.scores * mean[self._mask_of].float()).numpy(),
        )

    def _encode(self, place: int) -> Mask:
        """Run lengths of one mask, read only in the columns that were seen."""
        inside = self._inside[place]
        width, height = inside.shape
        used = np.flatnonzero(self.needed[:, :, int(self._queries[place])].any(1))
        if not len(used):
            return Mask(height, width, np.array([inside.numel()], np.uint32))
        start, stop = self._columns[used[0]].pixels.start, self._columns[used[-1]].pixels.stop
        counts = Mask.encode(inside[start:stop].numpy().T).counts
        before, after = start * height, (width - stop) * height
        if len(counts) % 2 == 0:
            counts = np.append(counts, np.uint32(0))
        counts[0] += before
        counts[-1] += after
        return Mask(height, width, counts if counts[-1] else counts[:-1])


class Partition:
    """Each pixel goes to the pick with the largest class score × mask probability there.

    A pick keeps the pixels it wins and has inside its own mask; it is dropped if these are none,
    or if it wins too small a share of its mask's area. Stuff of one class is one segment.
    """

    def __init__(
        self, grid: Grid, picks: Picks, things: frozenset[int], rule: PanopticRule
    ) -> None:
        self._picks, self._things, self._rule = picks, things, rule
        self._winner = torch.zeros(grid.shape, dtype=torch.int16)
        self._owned = torch.zeros(grid.shape, dtype=torch.bool)
        self._area = torch.zeros(len(picks.queries), dtype=torch.int64)
        self._adding = Lock()
        self.needed = np.zeros((len(grid.columns), len(grid.rows), len(grid.logits)), bool)
        # Who can win a tile, where the bounds do not say who; whose mask may cover a part of it.
        self._rivals = self._mixed = torch.zeros(
            (len(grid.columns), len(grid.rows), len(picks.queries)), dtype=torch.bool
        )
        if len(picks.queries):
            self._settle(grid)

    def _settle(self, grid: Grid) -> None:
        """Find who can win each tile, and whose mask covers it; fill those without a question."""
        least, most = (bound[:, :, self._picks.queries] for bound in grid.bounds)
        # A logit just below 0 has the probability 0.5 in float32.
        covers, self._mixed = least >= 0, (least < 0) & (most >= -ROUNDING)
        worst, best = (self._picks.scores * bound.sigmoid() for bound in (least, most))
        can_win = best >= worst.amax(-1, keepdim=True) * (1 - ROUNDING)
        leader = can_win.to(torch.int16).argmax(-1)
        is_open = (can_win.sum(-1) > 1) | self._mixed.gather(-1, leader[:, :, None])[:, :, 0]
        self._rivals = can_win & is_open[:, :, None]
        self.needed[:, :, self._picks.queries.numpy()] = (self._rivals | self._mixed).numpy()
        for column, across in enumerate(grid.columns):
            for row, down in enumerate(grid.rows):
                area = across.pixels, down.pixels
                self._area += covers[column, row] * across.length * down.length
                if not is_open[column, row]:
                    pick = leader[column, row]
                    self._winner[area] = pick.to(torch.int16)
                    self._owned[area] = covers[column, row, pick]

    def see(self, tile: Tile) -> None:
        """Let the rivals of this tile compete, and measure the masks that cover a part of it."""
        mixed = self._mixed[tile.column, tile.row].nonzero()[:, 0]
        if len(mixed):
            places = tile.place[self._picks.queries[mixed]]
            inside = tile.probabilities.index_select(0, places) >= 0.5
            area = inside.flatten(1).sum(1)
            with self._adding:
                self._area[mixed] += area
        rivals = self._rivals[tile.column, tile.row].nonzero()[:, 0]
        if len(rivals):
            places = tile.place[self._picks.queries[rivals]]
            probabilities = tile.probabilities.transpose(0, 1).index_select(1, places)
            scores = self._picks.scores[rivals, None]
            first = (scores * probabilities).max(1, keepdim=True).indices
            self._winner[tile.area] = rivals[first[:, 0]].to(torch.int16)
            self._owned[tile.area] = probabilities.gather(1, first)[:, 0] >= 0.5

    def result(self) -> Panoptic:
        """The panoptic map; ids count from 1 in query order."""
        count = len(self._picks.queries)
        won = self._winner.flatten().bincount(minlength=count).tolist()
        own = self._winner[self._owned].bincount(minlength=count).tolist()
        id_of, segments = np.zeros(max(count, 1), np.int32), list[Segment]()
        stuff: dict[int, int] = {}
        for pick, (label, score) in enumerate(
            zip(self._picks.labels.tolist(), self._picks.scores.tolist(), strict=True)
        ):
            if not own[pick] or won[pick] / int(self._area[pick]) < self._rule.overlap_threshold:
                continue
            if label not in stuff:
                segments.append(Segment(len(segments) + 1, label, score))
                if label not in self._things:
                    stuff[label] = len(segments)
            id_of[pick] = stuff.get(label, len(segments))
        ids = id_of[self._winner.numpy()] * self._owned.numpy()
        return Panoptic(np.ascontiguousarray(ids.T), tuple(segments))
