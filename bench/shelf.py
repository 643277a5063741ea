"""Every record that is known here, and what is kept of its images.

Records stand in results folders: a person's own, others' that they name, and those that ship with
the package (`bench.store.shipped`, laid out as any other). Published numbers have no folder.
"""

import zlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np

from bench.durable import explained
from bench.errors import DataError
from bench.outcome import ImageOutcome
from bench.record import Record
from bench.stats import (
    RESAMPLES,
    SEED,
    Draws,
    Interval,
    meters_of,
    record_intervals,
    resampled,
)
from bench.store import Store


@dataclass(frozen=True)
class Drawn:
    """A score under many draws of the images it rests on."""

    values: Draws
    images: str
    """Digest of the images. Draws of equal images are of the same ones, draw by draw."""


@dataclass(frozen=True)
class Shelf:
    """Results folders, and published numbers."""

    stores: tuple[Store, ...] = ()
    """Of runs with one key, the first folder's counts."""
    published: bool = True
    """Whether published numbers are on it."""
    only: tuple[Record, ...] = ()
    """Just these, if there are any; the folders have their images."""
    _draws: dict[tuple[str, str, int], Mapping[str, Drawn]] = field(
        default_factory=dict, repr=False, compare=False
    )

    @cached_property
    def records(self) -> tuple[Record, ...]:
        """Published numbers first, then each folder's, the first folder's last."""
        from bench import reported

        if self.only:
            return self.only
        found: tuple[Record, ...] = reported.distinct() if self.published else ()
        return (*found, *(record for record, _ in self._kept.values()))

    @cached_property
    def _kept(self) -> Mapping[str, tuple[Record, Store]]:
        kept = {}
        for store in reversed(self.stores):
            kept.update({record.key: (record, store) for record in store.records()})
        return kept

    def intervals(self, record: Record) -> dict[tuple[str, str], Interval]:
        """An interval for each score of a record, as far as its images are known."""
        if record.key not in self._kept:
            return {}
        return record_intervals(record, self._kept[record.key][1])

    def outcomes(self, key: str) -> Mapping[str, ImageOutcome] | None:
        """A run's images by id; `None` where they are not known."""
        return self._kept[key][1].statistics(key) if key in self._kept else None

    def drawn(self, key: str, task: str, score: str) -> Drawn | None:
        """A run's score under draws of its images; `None` where they are not known.

        The draws are those of its interval (`bench.stats.record_intervals`).
        """
        if key not in self._kept:
            return None
        record = self._kept[key][0]
        try:
            meters = meters_of(record).get(task, ())
        except DataError:  # rules of another version of bench
            return None
        place = next((i for i, meter in enumerate(meters) if score in meter.names), None)
        if place is None:
            return None
        if (key, task, place) not in self._draws:
            self._draws[key, task, place] = self._draw(record, task, place)
        return self._draws[key, task, place].get(score)

    def _draw(self, record: Record, task: str, place: int) -> Mapping[str, Drawn]:
        outcomes = self.outcomes(record.key)
        if outcomes is None:
            return {}
        scored = [outcome for outcome in outcomes.values() if outcome.failure is None]
        statistics = [outcome.statistics[task][place] for outcome in scored]
        meter = meters_of(record)[task][place]
        values = resampled(meter, statistics, resamples=RESAMPLES, seed=SEED)
        ids = "\n".join([str(record.dataset.fingerprint), *(outcome.id for outcome in scored)])
        images = f"{zlib.crc32(ids.encode()):08x}"
        return {name: Drawn(of_score, images) for name, of_score in values.items()}

    def export(self, records: Iterable[Record], folder: Path, *, images: bool = True) -> int:
        """Copy whole measured runs, with statistics and intervals, into another results folder.

        Runs of the same system on the same dataset that lie there give way. Gives how many were
        copied.

        Args:
            records: the runs; published ones and partial ones are left out.
            folder: where to.
            images: whether statistics and intervals are copied, or records alone.

        Raises:
            CannotWrite: the folder cannot be written to.
        """
        with explained(folder / "records.jsonl", "--export"):
            folder.mkdir(parents=True, exist_ok=True)
            (folder / "records.jsonl").touch()
        chosen = [r for r in records if r.key in self._kept and not r.partial]
        there, new = Store(folder), {_asked(record) for record in chosen}
        kept = [record for record in there.records() if _asked(record) not in new]
        gone = {record.key for record in there.records()} - {record.key for record in kept}
        for record in chosen if images else ():
            self.intervals(record)  # so that they are computed by now
            self._kept[record.key][1].copy_run(record.key, there)
        there.replace_records([*kept, *chosen])
        for key in gone - {record.key for record in chosen}:
            there.drop_run(key)
        return len(chosen)


def _asked(record: Record) -> tuple[str | None, ...]:
    """What a record is about: of several records of this the last counts."""
    tuning = record.tuning.model_dump_json() if record.tuning else None
    words = record.vocabulary.name if record.vocabulary else None
    of_model = record.model.name, record.protocol.name, tuning, words
    return (*of_model, record.dataset.name, record.dataset.split)


def mean_of(parts: Mapping[str, Drawn]) -> Drawn:
    """The mean over datasets, each drawn on its own.

    Draws of equally many images of two datasets choose the same places in both, so each dataset's
    are put into an order that depends on its name alone.
    """
    mixed = [
        np.random.default_rng(zlib.crc32(dataset.encode())).permutation(part.values)
        for dataset, part in sorted(parts.items())
    ]
    images = " ".join(part.images for _, part in sorted(parts.items()))
    return Drawn(np.mean(mixed, axis=0), images)
