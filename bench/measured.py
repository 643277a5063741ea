"""What was measured of a system: the runs behind a number, and how sure it is.

Runs that differ in nothing but their seeds make one number: the mean over draws, with Student's
interval where there are several. A single run has the bootstrap interval over its images. A suite
has a number only where all of its members were measured.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from statistics import fmean, median, stdev

from bench import catalog
from bench.record import Record, Tuning
from bench.stats import LEVEL, record_intervals
from bench.store import Store

Bounds = tuple[float, float]
MEDIAN = "median "
"""What the name of a suite's score begins with where it is no mean."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """A measured number."""

    value: float
    """A fraction."""
    bounds: Bounds | None
    """95 %; `None`: there are no statistics to have them from."""
    protocol: str
    """The card it was measured under."""
    runs: tuple[str, ...]
    """The keys of the runs it rests on."""


class Measurements:
    """The whole, measured records of results folders, found by what they are of."""

    def __init__(self, *stores: Store, search: catalog.Search = ()) -> None:
        self._search = search
        self._suites = catalog.suites(search)
        self._records: dict[tuple[str, str, str], list[Record]] = defaultdict(list)
        self._stores: dict[str, Store] = {}
        for store in stores:
            for record in store.records():
                if not record.reported and not record.partial and _own_words(record, search):
                    place = (record.model.name, record.dataset.name, record.dataset.split)
                    self._records[place].append(record)
                    self._stores[record.key] = store

    @property
    def models(self) -> frozenset[str]:
        """Whom there are whole runs of."""
        return frozenset(model for model, _, _ in self._records)

    def of(
        self,
        model: str,
        dataset: str,
        split: str,
        task: str,
        score: str,
        *,
        tuning: Tuning | None = None,
        protocol: str | None = None,
    ) -> Measurement | None:
        """What was measured of a score; `None`: nothing.

        Runs under `protocol` count before others; of those under several others, the last card
        that was used. `tuning` counts by shots, unit and strategy. For the name of a suite, the
        mean of a score over its members.
        """
        if dataset in self._suites:
            return self._suite(model, dataset, task, score, tuning, protocol)
        runs = [
            record
            for record in self._records.get((model, dataset, split), ())
            if _alike(record.tuning, tuning)
            and task in record.scores
            and score in record.scores[task]
            and record.scores[task][score].value is not None
        ]
        if not runs:
            return None
        used = {record.protocol.name for record in runs}
        card = protocol if protocol in used else runs[-1].protocol.name
        chosen = _last_of_each_seed(record for record in runs if record.protocol.name == card)
        return self._number(chosen, task, score)

    def _number(self, runs: Sequence[Record], task: str, score: str) -> Measurement:
        by_draw: dict[int, list[float]] = defaultdict(list)
        for record in runs:
            value = record.scores[task][score].value
            assert value is not None
            by_draw[record.tuning.draw_seed if record.tuning else 0].append(value)
        draws = [fmean(values) for values in by_draw.values()]
        luck = draws if len(draws) > 1 else next(iter(by_draw.values()))
        bounds = student(luck) if len(luck) > 1 else self._bounds(runs[0], task, score)
        keys = tuple(record.key for record in runs)
        return Measurement(fmean(draws), bounds, runs[0].protocol.name, keys)

    def _bounds(self, record: Record, task: str, score: str) -> Bounds | None:
        found = record_intervals(record, self._stores[record.key]).get((task, score))
        if found is None:
            return record.scores[task][score].interval
        return found.low, found.high

    def _suite(
        self,
        model: str,
        suite: str,
        task: str,
        score: str,
        tuning: Tuning | None,
        protocol: str | None,
    ) -> Measurement | None:
        """The mean over members; their intervals add up as those of independent numbers."""
        parts = []
        for member in catalog.suite(suite, self._search).members:
            split = member.split or catalog.dataset(member.dataset, self._search).split()[0]
            part = self.of(
                model,
                member.dataset,
                split,
                task,
                score.removeprefix(MEDIAN),
                tuning=tuning,
                protocol=protocol,
            )
            if part is None:
                return None
            parts.append(part)
        cards = {part.protocol for part in parts}
        if len(cards) > 1:
            return None  # numbers under several protocols have no mean
        keys = tuple(key for part in parts for key in part.runs)
        if score.startswith(MEDIAN):
            return Measurement(median(part.value for part in parts), None, cards.pop(), keys)
        value = fmean(part.value for part in parts)
        known = [part.bounds for part in parts if part.bounds is not None]
        bounds = None
        if len(known) == len(parts):
            below = math.hypot(*(p.value - low for p, (low, _) in zip(parts, known, strict=True)))
            above = math.hypot(*(high - p.value for p, (_, high) in zip(parts, known, strict=True)))
            bounds = (value - below / len(parts), value + above / len(parts))
        return Measurement(value, bounds, cards.pop(), keys)


def student(values: Sequence[float]) -> Bounds:
    """Student's 95 % interval of the mean of independent numbers, two at least.

    >>> low, high = student([0.2, 0.3, 0.4])
    >>> round(low, 3), round(high, 3)
    (0.052, 0.548)
    """
    from scipy.stats import t

    half = float(t.ppf((1 + LEVEL) / 2, len(values) - 1)) * stdev(values) / math.sqrt(len(values))
    middle = fmean(values)
    return middle - half, middle + half


def _own_words(record: Record, search: catalog.Search) -> bool:
    """Whether the dataset's own vocabulary was asked."""
    words = record.vocabulary
    if words is None or words.name is None:
        return True
    known: Mapping[str, object] = catalog.datasets(search)
    if record.dataset.name not in known:
        return False
    return words.name == catalog.dataset(record.dataset.name, search).vocabulary


def _alike(tuning: Tuning | None, asked: Tuning | None) -> bool:
    """Whether two were tuned alike; a publication says neither seeds nor settings."""
    if tuning is None or asked is None:
        return tuning is asked
    names = ("shots", "unit", "strategy")
    return all(getattr(tuning, name) == getattr(asked, name) for name in names)


def _last_of_each_seed(records: Iterable[Record]) -> list[Record]:
    """Of runs again with the same seeds the last one."""
    found = {}
    for record in records:
        tuning = record.tuning
        found[(tuning.draw_seed, tuning.train_seed) if tuning else None] = record
    return list(found.values())
