"""Image-text pairs to train on: from files, or as a stream from the Hugging Face hub."""

import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from glob import glob
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from bench.data.augmentation import shown
from bench.data.joined import LeftOut, key_of
from bench.data.order import ShardOrder
from bench.data.pair_files import IMAGE_COLUMNS, TEXT_COLUMNS, Pair, Shard, open_shards
from bench.errors import DataError, DataMissing
from bench.recipe import Example, Examples, HubPairs, Pairs, View

Places = Sequence[int] | Int[np.ndarray, " pair"]

BROKEN_IN_A_ROW = 100
"""So many unreadable pairs one after the other are no accident."""


@dataclass(frozen=True)
class PairFiles:
    """A source (`bench.data.order`) of the pairs in files."""

    shards: tuple[Shard, ...]
    kept: tuple[Places, ...]
    """Of each shard, the pairs that are trained on."""
    view: View
    notes: tuple[str, ...]

    @classmethod
    def open(cls, data: Pairs, root: Path) -> "PairFiles":
        """Open what `data` names.

        Raises:
            DataMissing: a pattern fits no file.
            DataError: a file cannot be read, or nothing is left to train on.
        """
        shards = tuple(s for path in _files(data.files, root) for s in open_shards(path))
        left_out = LeftOut.of(data.without, root)
        kept: list[Places] = []
        present = set()
        nameless = set()
        for shard in shards:
            keys = [key_of(name) for name in shard.names()] if data.without else []
            present.update(keys)
            nameless |= {shard.path} if data.without and len(shard) and not keys else set()
            ours = np.flatnonzero([key not in left_out for key in keys])
            kept.append(ours if keys else range(len(shard)))
        if not any(map(len, kept)):
            raise DataError(f"No pairs are left to train on in {', '.join(data.files)}.")
        notes = left_out.report(present)
        if nameless:
            notes += (
                f"{len(nameless)} files, such as {min(nameless)}, do not say which images they "
                "have, so none of theirs is left out",
            )
        return cls(shards, tuple(kept), data.view, notes)

    def __len__(self) -> int:
        return sum(map(len, self.kept))

    def order(self, seed: int) -> ShardOrder:
        """See `bench.data.order.Source`."""
        return ShardOrder(tuple(map(len, self.kept)), seed)

    def examples(self, places: Sequence[tuple[int, int]], chance: np.random.Generator) -> Examples:
        """Those pairs; for an unreadable one another of its shard, and a warning."""
        return Examples(tuple(self._example(shard, index, chance) for shard, index in places))

    def _example(self, shard: int, index: int, chance: np.random.Generator) -> Example:
        kept = self.kept[shard]
        for _ in range(BROKEN_IN_A_ROW):
            try:
                pair = self.shards[shard].pair(int(kept[index]))
                return _shown(pair, self.view, chance)
            except DataError as error:
                warnings.warn(f"{self.shards[shard].path}: {error}", stacklevel=2)
                index = int(chance.integers(len(kept)))
        raise DataError(f"{self.shards[shard].path}: {BROKEN_IN_A_ROW} pairs in a row are broken.")


def _shown(pair: Pair, view: View, chance: np.random.Generator) -> Example:
    return shown(Example(pair.decoded(), captions=(pair.text,)), view, chance)


def _files(patterns: Sequence[str], root: Path) -> Iterator[Path]:
    """The files that patterns fit, in order."""
    for pattern in patterns:
        found = [path for each in spelled_out(pattern) for path in sorted(glob(str(root / each)))]
        if not found:
            raise DataMissing(
                f"No file fits {root / pattern}, which training reads pairs from. BENCH_DATA says "
                "where data lie."
            )
        yield from map(Path, found)


def spelled_out(pattern: str) -> list[str]:
    """A pattern for each number of a `{first..last}`, as webdataset writes ranges.

    >>> spelled_out("cc3m/{08..10}.tar")
    ['cc3m/08.tar', 'cc3m/09.tar', 'cc3m/10.tar']
    """
    range_ = re.search(r"\{(\d+)\.\.(\d+)\}", pattern)
    if range_ is None:
        return [pattern]
    first, last = range_.groups()
    before, after = pattern[: range_.start()], pattern[range_.end() :]
    numbers = (str(n).zfill(len(first)) for n in range(int(first), int(last) + 1))
    return [each for number in numbers for each in spelled_out(f"{before}{number}{after}")]


# --- streams -------------------------------------------------------------------------------------


@dataclass
class PairStream:
    """A source of pairs that can only be read from their beginning on.

    It keeps its place: asked for what lies behind it reads on, for anything else it begins again.
    A run that continues therefore reads the stream up to where it was.
    """

    data: HubPairs
    notes: tuple[str, ...] = ()
    _reading: Iterator[Pair] | None = field(default=None, repr=False)
    _next: int = 0

    def __len__(self) -> int:
        return self.data.pairs

    def order(self, seed: int) -> range:
        """Positions as they are: the stream is shuffled where it is read."""
        return range(2**62)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> Examples:
        """The pairs at those positions; for an unreadable one the one before it, and a warning."""
        found: list[Example] = []
        for place in places:
            try:
                found.append(_shown(self._pair(place), self.data.view, chance))
            except DataError as error:
                if not found:
                    raise
                warnings.warn(f"{self.data.name}: {error}", stacklevel=2)
                found.append(found[-1])
        return Examples(tuple(found))

    def _pair(self, place: int) -> Pair:
        """The pair at a position of the stream, which is read up to there."""
        if self._reading is None or place < self._next:
            self._reading, self._next = self._from(place), place
        for pair in islice(self._reading, place - self._next, None):
            self._next = place + 1
            return pair
        raise DataError(f"{self.data.name} ended before position {place}.")

    def _from(self, place: int) -> Iterator[Pair]:
        """The pairs from a position on, epoch after epoch, each shuffled anew."""
        import datasets

        epoch, first = divmod(place, self.data.pairs)
        while True:
            rows = datasets.load_dataset(self.data.name, split=self.data.split, streaming=True)
            image, text = (
                self._column(rows.column_names, known) for known in (IMAGE_COLUMNS, TEXT_COLUMNS)
            )
            rows = rows.cast_column(image, datasets.Image(decode=False)).map(
                _pairs,
                batched=True,
                batch_size=100,
                fn_kwargs={"image": image, "text": text},
                remove_columns=rows.column_names,
            )
            pairs = rows.shuffle(seed=epoch, buffer_size=self.data.shuffled).skip(first)
            for pair in islice(pairs, self.data.pairs - first):
                yield Pair(pair["picture"]["bytes"] or b"", pair["said"] or "")
            epoch, first = epoch + 1, 0

    def _column(self, names: Sequence[str], known: Sequence[str]) -> str:
        found = next((column for column in known if column in names), None)
        if found is None:
            raise DataError(
                f"{self.data.name} has the columns {', '.join(names)}, and none of "
                f"{', '.join(known)}."
            )
        return found


def _pairs(rows: Mapping[str, Sequence[Any]], image: str, text: str) -> dict[str, list[Any]]:
    """Each image with each of its texts: before they are mixed, so that they come apart."""
    pairs = [
        (picture, one)
        for picture, said in zip(rows[image], rows[text], strict=True)
        for one in ([said] if isinstance(said, str) else said or ())
    ]
    return {"picture": [p for p, _ in pairs], "said": [t for _, t in pairs]}
