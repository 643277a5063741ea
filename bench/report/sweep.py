"""A few-shot sweep over a suite, from records: each setting with its scores on every dataset.

What tables and figures of few-shot results are made of. Spreads are sample standard deviations over
runs (with n - 1); that of an average is over the runs' averages, each over all datasets. A setting
that lacks a run on some dataset has no average, and so no difference to a published one: what is
left would be the average of something else.
"""

import math
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from bench import catalog
from bench.record import Record, RecordedScore
from bench.report.frame import MEASURED
from bench.spec import SuiteSpec

ZERO, ALL = "0", "all"
"""Numbers of shots: none, and every image there is."""
AVERAGE = "average"
ZERO_SHOT = "zero-shot"


# --- what is shown -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Column:
    """A dataset as a suite states it."""

    dataset: str
    label: str
    """What tables call it: without the suite's name in front."""
    split: str
    vocabulary: str = ""
    """The words it is asked with; empty: its own."""


def columns_of(suite: SuiteSpec, search: catalog.Search = ()) -> tuple[Column, ...]:
    """A suite's datasets by label, as the paper's tables order them."""
    columns = []
    for member in suite.members:
        spec = catalog.dataset(member.dataset, search)
        plain = re.sub(rf"^{re.escape(suite.name)}[-/]", "", member.dataset)
        label = next((spec.columns[s] for s in suite.mean_of if s in spec.columns), plain)
        split, _ = spec.split(member.split)
        columns.append(Column(member.dataset, label, split, member.vocabulary or ""))
    return tuple(sorted(columns, key=lambda column: column.label.casefold()))


class Run(NamedTuple):
    """Which of several runs of one setting."""

    draw: int
    """The seed of the support set."""
    train: int
    """The seed of the training."""

    def __str__(self) -> str:
        """As a sentence names it."""
        return f"draw {self.draw}, training {self.train}"


@dataclass(frozen=True, slots=True)
class Spread:
    """The mean of runs, and how far they lie apart."""

    mean: float
    sd: float | None = None
    """Sample standard deviation; `None` for a single run."""
    runs: int | None = None
    """How many; `None` where a publication does not say."""

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """Of measured values.

        >>> Spread.of([0.2, 0.4]).mean
        0.30000000000000004
        """
        sd = float(np.std(values, ddof=1)) if len(values) > 1 else None
        return cls(float(np.mean(values)), sd, len(values))


class Setting(NamedTuple):
    """What was run: everything but the dataset and the seeds."""

    model: str
    source: str
    """Where it was published, or `MEASURED`."""
    strategy: str
    shots: str
    unit: str
    protocol: str
    weights: str
    precision: str


@dataclass(frozen=True)
class Entry:
    """One setting on all datasets: a row."""

    setting: Setting
    label: str
    """The model, with what tells it from another of its name."""
    runs: Mapping[str, Mapping[Run, Record]]
    """The records, by dataset label and run."""
    values: Mapping[str, Mapping[Run, float]]
    """What each scored."""
    scores: Mapping[str, Spread]
    """By dataset label, of those that have any."""
    average: Spread | None
    """`None` where a run on some dataset is missing."""
    missing: tuple[str, ...]
    """What is missing."""
    parameters: tuple[int, ...]
    """How many parameters were tuned, as counted; several where datasets differ."""
    reference: "Entry | None" = None
    """The same as it was published."""

    @property
    def reported(self) -> bool:
        """Whether someone else measured it."""
        return self.setting.source != MEASURED

    def difference(self, label: str) -> float:
        """Ours minus theirs on a dataset, or `AVERAGE`; NaN where either is missing."""
        if self.reference is None or self.average is None:
            return math.nan
        ours, theirs = self.spread(label), self.reference.spread(label)
        return math.nan if ours is None or theirs is None else ours.mean - theirs.mean

    def spread(self, label: str) -> Spread | None:
        """The scores on a dataset, or `AVERAGE`."""
        return self.average if label == AVERAGE else self.scores.get(label)


# --- from records --------------------------------------------------------------------------------


def entries(
    records: Iterable[Record],
    columns: Sequence[Column],
    score: str,
    *,
    wholes: Collection[str] = (),
) -> tuple[tuple[Entry, ...], tuple[str, ...]]:
    """Every setting that has a run on one of the datasets, and sentences on what was left out.

    A model's settings follow each other: zero-shot, then by strategy and rising shots; a model of
    which something was published stands beside that. Of two runs that differ in nothing the later
    one counts.

    Args:
        records: measured and published, oldest first.
        columns: the datasets.
        score: the name of the score, such as `AP`.
        wholes: what published averages over these datasets have as their dataset.
    """
    everywhere = [Column(name, AVERAGE, "") for name in wholes]
    kept, notes = _kept(records, [*columns, *everywhere], score)
    grouped: dict[Setting, dict[str, dict[Run, Record]]] = {}
    labels = {column.dataset: column.label for column in (*columns, *everywhere)}
    for record in kept:
        of_setting = grouped.setdefault(_setting(record), {})
        of_setting.setdefault(labels[record.dataset.name], {})[_run(record)] = record
    names = _told_apart(list(grouped))
    ordered = [column.label for column in columns]
    found = [
        _entry(setting, names[setting], runs, ordered, score) for setting, runs in grouped.items()
    ]
    return _in_order(_with_references(_once(found))), notes


def _once(found: Sequence[Entry]) -> list[Entry]:
    """Without published rows of what an earlier table has: zero-shot rows are in each of three."""
    seen: set[tuple[str, str, str]] = set()
    kept = []
    for entry in found:
        if not (entry.reported and _identity(entry) in seen):
            kept.append(entry)
        if entry.reported:
            seen.add(_identity(entry))
    return kept


def _kept(
    records: Iterable[Record], columns: Sequence[Column], score: str
) -> tuple[list[Record], tuple[str, ...]]:
    """The records that belong to the columns, partial ones left out and said so."""
    asked = {column.dataset: column for column in columns}
    kept, notes = [], []
    for record in records:
        column = asked.get(record.dataset.name)
        if column is None or not _belongs(record, column) or _score(record, score) is None:
            continue
        if record.partial:
            scored = record.images.scored if record.images else 0
            notes.append(
                f"Left out: {record.model.name} on {column.label}, of which only {scored} images "
                "were scored."
            )
        else:
            kept.append(record)
    return kept, tuple(dict.fromkeys(notes))


def _belongs(record: Record, column: Column) -> bool:
    """Whether a record is of the split and the words that a column means; publications are."""
    if record.reported:
        return not column.vocabulary
    words = (record.vocabulary.name if record.vocabulary else None) or ""
    return record.dataset.split == column.split and words == column.vocabulary


def _score(record: Record, name: str) -> RecordedScore | None:
    """The first task's score of that name; `None` where there is none with a value."""
    found = (of_task[name] for of_task in record.scores.values() if name in of_task)
    score = next(found, None)
    return None if score is None or score.value is None else score


def _setting(record: Record) -> Setting:
    tuning = record.tuning
    return Setting(
        record.model.name,
        record.source or MEASURED,
        tuning.strategy if tuning else ZERO_SHOT,
        tuning.shots if tuning else ZERO,
        tuning.unit if tuning else "",
        record.protocol.name,
        (record.model.weights_digest or "")[:8],
        record.provenance.precision if record.provenance else "",
    )


def _run(record: Record) -> Run:
    tuning = record.tuning
    return Run(tuning.draw_seed, tuning.train_seed) if tuning else Run(0, 0)


def _told_apart(settings: Sequence[Setting]) -> dict[Setting, str]:
    """Each setting's model, with protocol, weights, precision or unit where those differ."""
    alike: dict[tuple[str, bool], list[Setting]] = {}
    for setting in settings:
        alike.setdefault((setting.model, setting.source == MEASURED), []).append(setting)
    names = {}
    for group in alike.values():
        differing = [
            field
            for field in ("protocol", "weights", "precision")
            if len({getattr(setting, field) for setting in group}) > 1
        ]
        units = {setting.unit for setting in group} - {"", "images"}
        for setting in group:
            more = [getattr(setting, field) for field in differing]
            more += [setting.unit] if setting.unit in units else []
            names[setting] = setting.model + (f" ({', '.join(more)})" if more else "")
    return names


def _entry(
    setting: Setting,
    label: str,
    runs: Mapping[str, Mapping[Run, Record]],
    labels: Sequence[str],
    score: str,
) -> Entry:
    values = {
        dataset: {run: _value(record, score) for run, record in of_dataset.items()}
        for dataset, of_dataset in runs.items()
    }
    missing = _missing(runs, labels)
    spreads = {dataset: _spread(list(found.values()), score) for dataset, found in runs.items()}
    published = spreads.pop(AVERAGE, None)
    average = published or (None if missing else _average([values[label] for label in labels]))
    parameters = {
        _parameters(record) for of_dataset in runs.values() for record in of_dataset.values()
    }
    counts = tuple(sorted(count for count in parameters if count is not None))
    return Entry(setting, label, runs, values, spreads, average, missing, counts)


def _spread(records: Sequence[Record], score: str) -> Spread:
    """Over runs; or as it was published."""
    if records[0].reported:
        found = _score(records[0], score)
        return Spread(_value(records[0], score), found.spread if found else None)
    return Spread.of([_value(record, score) for record in records])


def _parameters(record: Record) -> int | None:
    """How many parameters were tuned."""
    if record.publication is not None:
        return record.publication.tuned_parameters
    return record.tuned.parameters if record.tuned else None


def _value(record: Record, score: str) -> float:
    found = _score(record, score)
    assert found is not None
    assert found.value is not None
    return found.value


def _missing(runs: Mapping[str, Mapping[Run, Record]], labels: Sequence[str]) -> tuple[str, ...]:
    """The datasets without a run, and the runs that others have and one has not."""
    every = sorted({run for of_dataset in runs.values() for run in of_dataset})
    missing = []
    for label in labels:
        lacking = [run for run in every if run not in runs.get(label, {})]
        if len(lacking) == len(every):
            missing.append(label)
        elif lacking:
            missing.append(f"{label} ({'; '.join(map(str, lacking))})")
    return tuple(missing)


def _average(values: Sequence[Mapping[Run, float]]) -> Spread:
    """Of complete runs, by dataset: each run's average, and the spread of those."""
    return Spread.of([float(np.mean([of[run] for of in values])) for run in values[0]])


# --- order and references ------------------------------------------------------------------------


def same_model(name: str) -> str:
    """A model's name without what publications and command lines spell differently.

    >>> same_model("X-Decoder (L-IN21K)") == same_model("xdecoder-L-IN21K")
    True
    """
    return re.sub(r"[^a-z0-9+]", "", name.lower())


def _with_references(found: Sequence[Entry]) -> list[Entry]:
    """Each complete measured row with the published one of the same model, shots and strategy."""
    published = {_identity(entry): entry for entry in found if entry.reported}
    return [
        entry
        if entry.reported or entry.average is None
        else replace(entry, reference=published.get(_identity(entry)))
        for entry in found
    ]


def _identity(entry: Entry) -> tuple[str, str, str]:
    setting = entry.setting
    return same_model(setting.model), setting.strategy, setting.shots


def _in_order(found: Sequence[Entry]) -> tuple[Entry, ...]:
    """Models as they first appear in publications, else in runs; then by strategy and shots.

    A published row without a measured one beside it stands where that would.
    """
    by_origin = sorted(found, key=lambda entry: not entry.reported)
    models = list(dict.fromkeys(same_model(entry.setting.model) for entry in by_origin))
    measured = {same_model(e.setting.model): e.label for e in reversed(found) if not e.reported}
    names = list(dict.fromkeys(entry.label for entry in found if not entry.reported))
    strategies = [ZERO_SHOT, *dict.fromkeys(e.setting.strategy for e in by_origin)]

    def place(entry: Entry) -> tuple[int, int, int, float, bool]:
        model = same_model(entry.setting.model)
        beside = measured.get(model) if entry.reported else entry.label
        return (
            models.index(model),
            0 if beside is None else names.index(beside),
            strategies.index(entry.setting.strategy),
            shots_rank(entry.setting.shots),
            entry.reported,
        )

    return tuple(sorted(found, key=place))


def shots_rank(shots: str) -> float:
    """Numbers of shots in their order, all images last."""
    return math.inf if shots == ALL else float(shots)
