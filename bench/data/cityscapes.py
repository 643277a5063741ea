"""Instance ids as Cityscapes writes them, for its own instance evaluation.

That evaluation looks at the ids themselves: objects of classes it does not score, groups and void
excuse what is predicted on them. So the map is handed on as it is; the reader `panoptic-png` makes
segments of the same file.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from bench.data.images import open_image
from bench.data.label_maps import require_size, single_channel
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.protocol import Strict

FIRST_OBJECT = 1000
"""Ids from here on are label id × 1000 + number; below, they are label ids of stuff and groups."""


class InstanceIdsOptions(Strict):
    """Options of the reader `cityscapes-instance-ids`."""

    files: str
    """Where the `*_gtFine_instanceIds.png` are, with {id} in place of the sample's id."""


@dataclass(frozen=True)
class InstanceIds:
    """Maps of instance ids by sample id."""

    root: Path
    pattern: Pattern

    def read(self, id: str, size: tuple[int, int]) -> Int[np.ndarray, "height width"]:
        """The instance id of every pixel, as in the file."""
        path = self.root / self.pattern.fill(id)
        ids = single_channel(np.asarray(open_image(path)), path).astype(np.int32)
        require_size(path, ids, size)
        return ids

    def count(self, truth: Int[np.ndarray, "height width"]) -> int:
        """How many objects a map has."""
        return int((np.unique(truth) >= FIRST_OBJECT).sum())

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the samples' files, in the order of ids."""
        return contents(self.pattern.files_of(self.root, ids))


def open_instance_ids(options: InstanceIdsOptions, opening: Opening) -> InstanceIds:
    """The maps that fit a pattern."""
    home, pattern = opening.home, Pattern(options.files)
    if not pattern.fits_any(home.path):
        home.folder(".")
        raise home.missing(f"no {options.files} in {home.path}.")
    return InstanceIds(home.path, pattern)


INSTANCE_IDS = Reader(
    "Cityscapes' maps of instance ids, for its own instance evaluation",
    InstanceIdsOptions,
    truths={"cityscapes-instance": open_instance_ids},
)
