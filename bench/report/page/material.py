"""What of a run can be looked at again: its images and truths, its statistics, its kept answers.

Records hold no pictures. Images and truths are read from the dataset, which must be the one that
was asked about; predictions are made from raw answers, where the run kept them.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench import tasks
from bench.command import command
from bench.data.dataset import Dataset
from bench.errors import BenchError
from bench.outcome import ImageOutcome
from bench.protocol import Protocol
from bench.raw import RawAnswers, question_name
from bench.record import Record
from bench.rescore import card_of, dataset_of
from bench.store import Store
from bench.tasks import Question
from bench.types import Sample


@dataclass(frozen=True)
class Kept:
    """The raw answers of a run, and how they become predictions."""

    answers: RawAnswers
    card: Protocol
    questions: Mapping[Question, frozenset[str]]
    """Each question that was asked, with the tasks its answer serves."""

    def has(self, id: str) -> bool:
        """Whether the answers to an image were kept."""
        return self.answers.has(id)

    def predictions(self, sample: Sample) -> dict[str, Any]:
        """What the model said about an image, by task; nothing where no answer was kept."""
        if not self.has(sample.id):
            return {}
        kept, found = self.answers.read(sample.id), dict[str, Any]()
        for question, served in self.questions.items():
            answer = kept[question_name(question)]
            found |= question.finish(answer, sample, self.card, served)
        return found


@dataclass(frozen=True)
class Material:
    """A run with what is still there of it."""

    record: Record
    outcomes: Mapping[str, ImageOutcome]
    """The scored images by id; empty where only the record is here."""
    dataset: Dataset | None
    """Its images and truths; `None` where they cannot be had."""
    kept: Kept | None
    """Its predictions; `None` where no answers were kept."""
    missing: tuple[str, ...] = ()
    """What cannot be shown and how to get it, a sentence each."""

    def samples(self, ids: Sequence[str]) -> Iterator[tuple[Sample, dict[str, Any]]]:
        """Images with their truths and what was said about them."""
        if self.dataset is not None:
            for id in ids:
                sample = self.dataset.load(id)
                yield sample, self.kept.predictions(sample) if self.kept else {}


@dataclass
class Finder:
    """Finds material: each dataset is opened once, whichever runs are on it."""

    store: Store
    data: Path | None = None
    specs: Sequence[Path] = ()
    _opened: dict[tuple[str, ...], Dataset | str] = field(default_factory=dict)

    def of(self, record: Record) -> Material:
        """All there is of a run. What is not there is said and not raised."""
        outcomes = self.store.statistics(record.key) or {}
        scored = {id: outcome for id, outcome in outcomes.items() if outcome.failure is None}
        missing = []
        if not scored:
            missing.append(
                f"No per-image statistics of run {record.key} are in {self.store.folder}: "
                "only its record is here."
            )
        dataset = self._dataset(record)
        if isinstance(dataset, str):
            missing.append(f"Images and truths cannot be shown: {dataset}")
        kept = self._kept(record)
        if kept is None or not any(kept.has(id) for id in scored):
            kept = None
            missing.append(
                "Predictions cannot be shown: no raw answers were kept. Keep them with "
                f"{command(record, keep_raw=True)}"
            )
        found = None if isinstance(dataset, str) else dataset
        return Material(record, scored, found, kept, tuple(missing))

    def _dataset(self, record: Record) -> Dataset | str:
        """The dataset that was asked about, or why it cannot be had."""
        asked = {name: setting.value for name, setting in record.settings.items()}
        limit = record.images.limit if record.images else None
        key = (record.dataset.split, record.protocol.digest, limit)
        named = (*key, *(asked.get(name) for name in ("dataset", "vocabulary", "tasks")))
        place = tuple(map(str, named))
        if place not in self._opened:
            self._opened[place] = self._open(record)
        dataset = self._opened[place]
        if isinstance(dataset, str) or dataset.fingerprint == record.dataset.fingerprint:
            return dataset
        return (
            f"the dataset '{record.dataset.name}' that is here is not the one that was asked "
            f"about; its fingerprint is {dataset.fingerprint}, the run's "
            f"{record.dataset.fingerprint}."
        )

    def _open(self, record: Record) -> Dataset | str:
        if "dataset" not in record.settings:
            return "the record does not say how the dataset was asked for."
        try:
            return dataset_of(record, card_of(record), data=self.data, specs=self.specs)
        except BenchError as error:
            return str(error)

    def _kept(self, record: Record) -> Kept | None:
        """A run's raw answers, or those of the run it was rescored from."""
        source = record.provenance.rescored_from if record.provenance else None
        answers = RawAnswers(self.store.raw(source or record.key))
        if not len(answers):
            return None
        asked = answers.questions()
        questions: dict[Question, frozenset[str]] = {}
        for name in record.scores:
            if name not in tasks.TASKS:
                continue
            for question in tasks.task(name).questions:
                if question_name(question) in asked:
                    questions[question] = questions.get(question, frozenset()) | {name}
                    break
        return Kept(answers, card_of(record), questions)
