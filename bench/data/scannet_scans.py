"""ScanNet's labels of single scans: `label-filt` pictures of raw category ids, and their table.

Each scan has its own archive of 16-bit pictures whose values are rows of
`scannetv2-labels.combined.tsv`; its column `nyu40id` gives the classes of the benchmarks. The
frames of `scannet_frames_25k` hold those numbers already and need no table.
"""

import csv
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from bench.data.images import open_image
from bench.data.label_maps import require_size, single_channel
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.data.values import Values, ValueTable
from bench.errors import DataError
from bench.types import LabelMap


class ScansOptions(Values):
    """Options of the reader `scannet-scans`; its values are those of the table's column."""

    files: str
    """Where the `label-filt` pictures are, with {id} in place of the sample's id."""
    table_file: str = "scannetv2-labels.combined.tsv"
    """The table that ScanNet ships with the scans."""
    column: str = "nyu40id"
    """Which numbers of the table are the values."""


@dataclass(frozen=True)
class Scans:
    """Label maps by sample id."""

    root: Path
    pattern: Pattern
    table_file: Path
    numbers: Int[np.ndarray, " raw"]
    """The value of each raw id; 0 where the table has none."""
    table: ValueTable

    def read(self, id: str, size: tuple[int, int]) -> LabelMap:
        """The label of every pixel, void as -1."""
        path = self.root / self.pattern.fill(id)
        raw = single_channel(np.asarray(open_image(path)), path)
        require_size(path, raw, size)
        if raw.size and int(raw.max()) >= len(self.numbers):
            raise DataError(
                f"{path} has the raw id {int(raw.max())}, and {self.table_file} ends at "
                f"{len(self.numbers) - 1}."
            )
        return self.table.labels(self.numbers[raw], path)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the table and of the samples' pictures."""
        return contents([self.table_file, *self.pattern.files_of(self.root, ids)])


def read_numbers(path: Path, column: str) -> Int[np.ndarray, " raw"]:
    """A column of ScanNet's table by raw id, 0 where it is empty."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file, delimiter="\t"))
        pairs = [(int(row["id"]), int(row[column] or 0)) for row in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no table of ScanNet's labels: {error!r}.") from error
    numbers = np.zeros(max((raw for raw, _ in pairs), default=0) + 1, np.int32)
    for raw, number in pairs:
        numbers[raw] = number
    return numbers


def open_scans(options: ScansOptions, opening: Opening) -> Scans:
    """The pictures that fit a pattern, under a vocabulary."""
    home, pattern = opening.home, Pattern(options.files)
    table_file = home.file(options.table_file)
    if not pattern.fits_any(home.path):
        raise home.missing(f"no {options.files} in {home.path}.")
    numbers = home.once(read_numbers, table_file, options.column)
    return Scans(home.path, pattern, table_file, numbers, options.table(opening.vocabulary))


SCANS = Reader(
    "ScanNet's label-filt pictures of raw category ids, with its table",
    ScansOptions,
    truths={"semantic": open_scans},
)
