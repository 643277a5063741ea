"""Doing one job: ask about every image that is not done yet, keep each answer, make the record.

`work` is a generator of events. Whoever iterates shows progress; stopping between two events, or
being killed at any moment, loses at most the image that was being asked about.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import reduce
from operator import add
from platform import platform

from bench import provenance
from bench.errors import DataError
from bench.evaluation import Examination
from bench.metrics.meter import Scores
from bench.outcome import ImageOutcome
from bench.plan import Contents, Job, vocabulary_digest
from bench.raw import Keeping, Numbers, RawAnswers
from bench.record import (
    LISTED_FAILURES,
    DatasetUsed,
    FailedImage,
    Images,
    ModelUsed,
    ProtocolUsed,
    Provenance,
    Record,
    RecordedScore,
    Seconds,
    Session,
    Tuned,
    VocabularyUsed,
)
from bench.store import Failure, Run, Store
from bench.tune import FewShots

# --- what happens while jobs run -----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Started:
    """A job begins, or goes on."""

    job: Job
    images: int
    """How many it asks about in all."""
    done: int
    """How many of those were done before."""


@dataclass(frozen=True, slots=True)
class Advanced:
    """One more image is done."""

    job: Job
    id: str
    failure: str | None
    """Why it could not be scored."""
    raw: int | None = None
    """The bytes that its raw answers take, where they are kept."""


@dataclass(frozen=True, slots=True)
class Finished:
    """A job ended well."""

    job: Job
    record: Record


@dataclass(frozen=True, slots=True)
class Failed:
    """A job ended badly; the others go on."""

    job: Job
    failure: Failure


Event = Started | Advanced | Finished | Failed


# --- one job -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Assignment:
    """A job with its names resolved: the model and the dataset themselves."""

    job: Job
    examination: Examination
    model: ModelUsed
    dataset: DatasetUsed
    """`dataset.fingerprint` is known: it is measured, not reported."""
    device: str = "cpu"
    batch_size: int = 1
    few_shots: FewShots | None = None
    """What the model is tuned on before it is asked; `None`: it is asked as it is."""
    tuned: Tuned | None = None
    """What tuning did, once it is done."""
    vocabulary: str | None = None
    """The vocabulary's name, where it has one."""
    notes: tuple[str, ...] = ()
    """What was decided about the dataset's files."""
    rescored_from: str | None = None
    """The run whose raw answers are scored; `None`: the model is asked."""

    @property
    def contents(self) -> Contents:
        """All that can change a number."""
        asked, job = self.examination, self.job
        assert self.dataset.fingerprint is not None
        return Contents(
            model=(self.model.weights_digest and self.model.family) or self.model.name,
            weights=self.model.weights_digest,
            dataset=self.dataset.fingerprint,
            vocabulary=vocabulary_digest(asked.dataset.vocabulary),
            protocol=asked.protocol.digest(),
            tasks=tuple(job.tasks or asked.dataset.tasks),
            precision=job.precision,
            tuning=job.tuning,
            images=len(asked.dataset.ids),
            rescored_from=self.rescored_from,
        )

    def ready(self) -> "Assignment":
        """With the model that is asked: tuned, where that was wanted and is not done."""
        if self.few_shots is None:
            return self
        model, tuned = self.few_shots.tune()
        examination = replace(self.examination, model=model)
        return replace(self, examination=examination, few_shots=None, tuned=tuned)


def work(
    assignment: Assignment,
    store: Store,
    *,
    fail_fast: bool = False,
    again: bool = False,
    keep_raw: Numbers | None = None,
) -> Iterator[Started | Advanced | Finished]:
    """Do what is left of a job, or nothing if it is done, and end with its record.

    The record is kept in the run's own folder; who collects the events appends it to the store.
    `again` tries once more the images that could not be read. `keep_raw` keeps what the network
    answers, and asks once more about images whose raw answers are not there.

    Raises:
        AnswerFailed: the model failed on an image; the images before it are kept.
        DataError: with `fail_fast`, the first unreadable image; or no image could be read.
    """
    ids, key = assignment.examination.dataset.ids, assignment.contents.key
    again = again or (keep_raw is not None and bool(_without_raw(store, key, keep_raw)))
    with store.run(key, again=again) as run:
        keeping = None if keep_raw is None else Keeping(RawAnswers(store.raw(key)), keep_raw)
        todo = [] if run.record else _todo(ids, run, keeping)
        yield Started(assignment.job, len(ids), len(ids) - len(todo))
        if run.record is None:
            assignment = assignment.ready()
            yield from _ask(assignment, run, todo, keeping, fail_fast=fail_fast)
            run.finish(ids, _record(assignment, run))
        assert run.record is not None
        yield Finished(assignment.job, run.record)


def _without_raw(store: Store, key: str, numbers: Numbers) -> list[str]:
    """The scored images of a finished run whose raw answers are not kept."""
    known, answers = store.statistics(key) or {}, RawAnswers(store.raw(key))
    return [id for id, o in known.items() if o.failure is None and not answers.has(id, numbers)]


def _todo(ids: Sequence[str], run: Run, keeping: Keeping | None) -> list[str]:
    """The images that are not done, or whose raw answers are wanted and not there."""
    return [
        id for id in ids if id not in run.outcomes or (keeping is not None and keeping.lacks(id))
    ]


def _ask(
    assignment: Assignment,
    run: Run,
    todo: Sequence[str],
    keeping: Keeping | None,
    *,
    fail_fast: bool,
) -> Iterator[Advanced]:
    """Ask about the images that are to be done and write each to the log.

    Raw answers are written before the line: an image in the log has them.
    """
    if not todo and run.sessions:
        return
    run.begin(_session(assignment))
    provenance.reset_peak_memory()
    asked = assignment.examination if keeping is None else keeping.noting(assignment.examination)
    for outcome in asked.outcomes(todo, batch_size=assignment.batch_size, fail_fast=fail_fast):
        raw = None if keeping is None else keeping.write(outcome.id)
        run.write(outcome)
        yield Advanced(assignment.job, outcome.id, outcome.failure, raw)


def _session(assignment: Assignment) -> Session:
    revision = provenance.revision()
    return Session(
        started=datetime.now(UTC),
        revision=revision.commit if revision else None,
        dirty=revision.dirty if revision else None,
        packages=dict(provenance.packages()),
        python=provenance.python(),
        platform=platform(),
        device=provenance.device_name(assignment.device),
        batch_size=assignment.batch_size,
    )


def _record(assignment: Assignment, run: Run) -> Record:
    """What is kept of a run whose images are all done."""
    job, asked = assignment.job, assignment.examination
    images = _images(job, asked, run.outcomes)
    memory = provenance.peak_memory()
    tuning = job.tuning
    return Record(
        key=assignment.contents.key,
        model=assignment.model,
        dataset=assignment.dataset,
        protocol=ProtocolUsed(
            name=asked.protocol.name,
            digest=asked.protocol.digest(),
            definition=asked.protocol.definition(),
        ),
        vocabulary=VocabularyUsed(
            names=asked.dataset.vocabulary.names,
            things=tuple(sorted(asked.dataset.vocabulary.things)),
            digest=vocabulary_digest(asked.dataset.vocabulary),
            name=assignment.vocabulary,
        ),
        tuning=tuning,
        tuned=assignment.tuned,
        settings=job.settings(),
        scores=recorded(asked.score(run.outcomes.values())),
        unanswered=dict(asked.unanswered),
        images=images,
        partial=bool(images.limit is not None or images.failed),
        provenance=Provenance(
            sessions=tuple(run.sessions),
            precision=job.precision,
            seeds={"draw": tuning.draw_seed, "train": tuning.train_seed} if tuning else {},
            seconds=total_seconds(run.outcomes.values()),
            peak_memory=memory.host,
            peak_device_memory=memory.device,
            rescored_from=assignment.rescored_from,
        ),
        notes=assignment.notes,
    )


def _images(job: Job, asked: Examination, outcomes: Mapping[str, ImageOutcome]) -> Images:
    """How many images there were and which failed; `DataError` where that is all of them."""
    ids = asked.dataset.ids
    failed = [
        FailedImage(id=id, reason=reason)
        for id in ids
        if (reason := outcomes[id].failure) is not None
    ]
    if len(failed) == len(ids):
        raise DataError(
            f"None of the {len(ids)} images of '{asked.dataset.name}' could be read. "
            f"The first: {failed[0].reason}"
        )
    return Images(
        asked=len(ids),
        scored=len(ids) - len(failed),
        failed=len(failed),
        failures=tuple(failed[:LISTED_FAILURES]),
        limit=job.limit,
    )


def recorded(scores: Mapping[str, Scores]) -> dict[str, dict[str, RecordedScore]]:
    """Scores by task and name as a record keeps them."""
    return {
        task: {name: RecordedScore.of(score) for name, score in of_task.items()}
        for task, of_task in scores.items()
    }


def total_seconds(outcomes: Iterable[ImageOutcome]) -> Seconds:
    """Where the time went over all images."""
    return reduce(add, (outcome.seconds for outcome in outcomes), Seconds())
