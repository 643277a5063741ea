"""Scoring what a network answered under another protocol card, without asking it again.

A run made with `--keep-raw` has its raw answers. Post-processing and metrics are done anew from
them; whatever decides what the network is shown or told cannot be changed that way. The outcome is
a run of its own, with its own key, whose provenance names the run that the answers are from.

Post-processing on an accelerator rounds otherwise than on a processor. Raw answers are scored on
the processor, so a run made there is met exactly and one made elsewhere up to a few pixels.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any
from typing import Protocol as TypingProtocol

from pydantic import ValidationError

from bench import tasks
from bench.command import command
from bench.data.dataset import Dataset
from bench.errors import CannotDo, DataError, UsageError
from bench.evaluation import Examination, Samples
from bench.execute import Advanced, Assignment, Finished, Started, work
from bench.fields import PHRASES, SHOWN, differing
from bench.metrics.meter import Meter
from bench.plan import Job, vocabulary_digest
from bench.protocol import Protocol
from bench.raw import RawAnswers, question_name
from bench.record import Origin, Record
from bench.store import Store
from bench.tasks import Question, Task
from bench.types import Image, Sample, Vocabulary
from bench.workplace import load_dataset

# --- what a card may change ----------------------------------------------------------------------


WORDS = ("templates", "strip_suffixes", "background")
"""Fields that may decide which sentences it is told; whether they do shows in the vocabulary."""
ONLY_ASKED = frozenset({"templates", "strip_suffixes", *PHRASES})
"""Fields that matter to the asking alone: where the answers stay the same, so do the scores."""


def card_of(record: Record) -> Protocol:
    """The card that a measured record was scored under, as resolved for its dataset.

    Raises:
        DataError: it has rules that this version of bench does not know.
    """
    used = record.protocol
    try:
        return Protocol.model_validate({"name": used.name, **(used.definition or {})})
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(
            f"Run {record.key} was scored by a rule that this version of bench does not know "
            f"({key}). Rescore it with the version that it names, or run it again."
        ) from None


def needing_a_run(record: Record, card: Protocol, vocabulary: Vocabulary) -> list[str]:
    """The fields of `card` that differ from the run's and decided what the network answered.

    `vocabulary` is the dataset's as `card` has it asked: where it is the one that was asked, the
    fields that make it are no obstacle, such as suffixes that no name has.
    """
    changed = differing(card_of(record), card)
    found = [field for field in changed if field in SHOWN]
    found += [field for field in changed if PHRASES.get(field) in record.scores]
    assert record.vocabulary is not None
    if vocabulary_digest(vocabulary) != record.vocabulary.digest:
        found += [field for field in changed if field in WORDS] or ["vocabulary"]
    return [field for field in (*changed, "vocabulary") if field in found]


# --- a run from what another was answered --------------------------------------------------------


class Fingerprinted(Samples, TypingProtocol):
    """A dataset that can be told from another of its name."""

    @property
    def fingerprint(self) -> str:
        """Digest of annotations, image names and sizes, and ids."""
        ...


def rescoring(record: Record, store: Store, dataset: Fingerprinted, card: Protocol) -> Assignment:
    """The job of scoring a run's raw answers under another card, for `bench.execute.work`.

    `dataset` is the run's, opened under `card`; `card` is resolved for it.

    Raises:
        UsageError: no raw answers were kept, or not of every image.
        CannotDo: the card shows or tells the network something else.
        DataError: the dataset is not the one that was asked about.
    """
    answers, failures = _complete(record, store)
    _check_dataset(record, dataset.fingerprint)
    if obstacles := needing_a_run(record, card, dataset.vocabulary):
        raise CannotDo(
            f"Card '{card.name}' cannot be scored from the answers of run {record.key}, because "
            f"the network would answer otherwise: {', '.join(obstacles)}. {_running(record, card)}"
        )
    assert record.provenance is not None
    return Assignment(
        _job(record, card),
        _examination(record, _Known(dataset, failures), card, answers),
        record.model,
        record.dataset,
        tuned=record.tuned,
        vocabulary=record.vocabulary.name if record.vocabulary else None,
        notes=_notes(record, answers),
        rescored_from=record.key,
    )


def _running(record: Record, card: Protocol) -> str:
    """How to ask the network under a card, in a sentence."""
    name, *changes = card.name.split(", ")
    if not changes:
        return f"Run it: {command(record, protocol=name)}."
    return (
        f"Write these values into a card of your own (`bench show {name}` prints one to begin "
        f"with) and run it: {command(record, protocol='CARD.yaml')}."
    )


def _complete(record: Record, store: Store) -> tuple[RawAnswers, dict[str, str]]:
    """The raw answers to all images that were scored, and why the others were not."""
    answers = RawAnswers(store.raw(record.key))
    outcomes = {} if record.reported else store.statistics(record.key)
    source = record.provenance.rescored_from if record.provenance else None
    if source is not None:
        raise UsageError(
            f"Run {record.key} was itself rescored, from the answers of run {source}: "
            "rescore that one."
        )
    again = command(record, keep_raw=True)
    if not len(answers) or outcomes is None:
        raise UsageError(
            f"No raw answers of run {record.key} are kept in {store.folder}. "
            f"Make it with them: {again}"
        )
    failures = {id: o.failure for id, o in outcomes.items() if o.failure is not None}
    if missing := [id for id in outcomes if id not in failures and not answers.has(id)]:
        raise UsageError(
            f"Raw answers of run {record.key} are kept of {len(outcomes) - len(missing)} of "
            f"{len(outcomes)} images. Complete them: {again}"
        )
    return answers, failures


def _check_dataset(record: Record, fingerprint: str) -> None:
    if fingerprint != record.dataset.fingerprint:
        raise DataError(
            f"The dataset '{record.dataset.name}' is not the one that run {record.key} was asked "
            f"about: its fingerprint is {fingerprint}, that of the run {record.dataset.fingerprint}"
            ". Its files have changed since, or --data names another folder."
        )


def _job(record: Record, card: Protocol) -> Job:
    """What was asked, with another card."""
    asked = {name: setting.value for name, setting in record.settings.items()}
    origins = {name: setting.origin for name, setting in record.settings.items()}
    origins["protocol"] = Origin.COMMAND_LINE
    return Job.model_validate_json(json.dumps({**asked, "protocol": card.name, "origins": origins}))


def _notes(record: Record, answers: RawAnswers) -> tuple[str, ...]:
    if not answers.rounded:
        return record.notes
    return (
        *record.notes,
        f"Scored from kept answers, of which {answers.rounded} have masks rounded to float16.",
    )


def _examination(
    record: Record, dataset: Samples, card: Protocol, answers: RawAnswers
) -> Examination:
    """What the run asked, answered from its file."""
    questions: dict[Question, list[Task]] = {}
    meters: dict[str, tuple[Meter, ...]] = {}
    kept = answers.questions()
    for name in record.scores:
        task = tasks.task(name)
        asked = next(q for q in task.questions if question_name(q) in kept)
        questions.setdefault(asked, []).append(task)
        meters[name] = task.meters(dataset.vocabulary, card)
    answered = {
        _answered(question, answers): tuple(served) for question, served in questions.items()
    }
    return Examination(None, dataset, card, answered, meters, record.unanswered, record.model.name)


def _answered(question: Question, answers: RawAnswers) -> Question:
    """The question as one that nobody need be asked: its answer is read where it is used."""
    return replace(
        question,
        ask=_ask_nobody,
        finish=partial(_finish_kept, question, answers),
        resized=False,
    )


def _ask_nobody(model: Any, images: Sequence[Image], prompts: Sequence[Any]) -> Sequence[None]:
    return [None] * len(images)


def _finish_kept(
    question: Question,
    answers: RawAnswers,
    answer: None,
    sample: Sample,
    protocol: Protocol,
    wanted: frozenset[str],
) -> Mapping[str, Any]:
    kept = answers.read(sample.id)[question_name(question)]
    return question.finish(kept, sample, protocol, wanted)


@dataclass(frozen=True)
class _Known:
    """A dataset of which some images are known to be unreadable: they stay unscored."""

    dataset: Samples
    failures: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.dataset.name

    @property
    def tasks(self) -> Sequence[str]:
        return self.dataset.tasks

    @property
    def vocabulary(self) -> Vocabulary:
        return self.dataset.vocabulary

    @property
    def ids(self) -> Sequence[str]:
        return self.dataset.ids

    def load(self, id: str) -> Sample:
        if id in self.failures:
            raise DataError(self.failures[id])
        return self.dataset.load(id)


# --- by name -------------------------------------------------------------------------------------


def dataset_of(
    record: Record, card: Protocol, *, data: Path | None = None, specs: Sequence[Path] = ()
) -> Dataset:
    """A run's dataset with the images it was to score, as `card` has it asked."""
    asked = {name: setting.value for name, setting in record.settings.items()}
    dataset = load_dataset(
        str(asked["dataset"]),
        record.dataset.split,
        protocol=card,
        vocabulary=None if asked.get("vocabulary") is None else str(asked["vocabulary"]),
        tasks=_job(record, card).tasks,
        data=data,
        specs=specs,
    )
    limit = record.images.limit if record.images else None
    return dataset if limit is None else dataset.subset(dataset.ids[:limit])


def rescore(
    record: Record,
    store: Store,
    card: Protocol,
    *,
    data: Path | None = None,
    specs: Sequence[Path] = (),
) -> Iterator[Started | Advanced | Finished]:
    """Score a run's raw answers under a card, resolved or not; ends with the new record.

    Whoever iterates decides whether the record goes into the store's list.

    Raises:
        UsageError, CannotDo, DataError: see `rescoring`.
    """
    dataset = dataset_of(record, card, data=data, specs=specs)
    resolved = card.for_dataset(dataset.name)
    yield from work(rescoring(record, store, dataset, resolved), store)
