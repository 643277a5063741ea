"""Doing one job: ask about every image that is not done yet, keep each answer, make the record.

`work` is a generator of events. Whoever iterates shows progress; stopping between two events, or
being killed at any moment, loses at most the image that was being asked about.
"""

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cached_property, reduce
from operator import add
from platform import platform

from bench import provenance
from bench.errors import DataError
from bench.evaluation import Answered, Examination
from bench.fields import asking
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
    own_name: str = ""
    """The dataset's name, where it is a person's own and none that ships with bench."""
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
            asking=self._asking,
            called=self.own_name,
        )

    @property
    def _asking(self) -> str:
        """Digest of what the card decides of the asking."""
        decided = asking(self.examination.protocol, self.job.tasks or self.examination.meters)
        return hashlib.sha256(json.dumps(decided, sort_keys=True).encode()).hexdigest()[:12]

    def ready(self) -> "Assignment":
        """With the model that is asked: tuned, where that was wanted and is not done."""
        if self.few_shots is None:
            return self
        model, tuned = self.few_shots.tune()
        examination = replace(self.examination, model=model)
        return replace(self, examination=examination, few_shots=None, tuned=tuned)


@dataclass
class _Part:
    """A run of a pass: what one card makes of the answers."""

    assignment: Assignment
    run: Run
    keeping: Keeping | None
    todo: Sequence[str]

    @property
    def key(self) -> str:
        return self.assignment.contents.key

    def takes(self, outcome: ImageOutcome) -> Iterator[Advanced]:
        """Keep the outcome of an image that is to be done."""
        if outcome.id in self._due:
            raw = None if self.keeping is None else self.keeping.write(outcome.id)
            self.run.write(outcome)
            yield Advanced(self.assignment.job, outcome.id, outcome.failure, raw)

    @cached_property
    def _due(self) -> frozenset[str]:
        return frozenset(self.todo)


def work(
    assignment: Assignment,
    store: Store,
    *,
    also: Sequence[Assignment] = (),
    fail_fast: bool = False,
    again: bool = False,
    keep_raw: Numbers | None = None,
) -> Iterator[Started | Advanced | Finished]:
    """Do what is left of a job, or nothing if it is done, and end with its record.

    The record is kept in the run's own folder; who collects the events appends it to the store.
    `also` are jobs of the same question under other cards (`bench.plan.Plan.passes`): the model is
    asked once for all, and each ends with a record of its own. `again` tries once more the images
    that could not be read. `keep_raw` keeps what the network answers, with the first job, and asks
    once more about images whose raw answers are not there.

    Raises:
        AnswerFailed: the model failed on an image; the images before it are kept.
        DataError: with `fail_fast`, the first unreadable image; or no image could be read.
    """
    with ExitStack() as held:
        parts = [_part(assignment, store, held, again=again, keep_raw=keep_raw)]
        parts += [_part(each, store, held, again=again) for each in also]
        for part in parts:
            images = len(part.assignment.examination.dataset.ids)
            yield Started(part.assignment.job, images, images - len(part.todo))
        if unfinished := [part for part in parts if part.run.record is None]:
            for part in unfinished:
                part.assignment = part.assignment.ready()
            yield from _ask(unfinished, fail_fast=fail_fast)
            for part in unfinished:
                ids = part.assignment.examination.dataset.ids
                part.run.finish(ids, _record(part.assignment, part.run))
        for part in parts:
            assert part.run.record is not None
            yield Finished(part.assignment.job, part.run.record)


def _part(
    assignment: Assignment,
    store: Store,
    held: ExitStack,
    *,
    again: bool,
    keep_raw: Numbers | None = None,
) -> _Part:
    """A run, held until `held` ends, with what is left of it."""
    ids, key = assignment.examination.dataset.ids, assignment.contents.key
    again = again or (keep_raw is not None and bool(_without_raw(store, key, keep_raw)))
    run = held.enter_context(store.run(key, again=again))
    keeping = None if keep_raw is None else Keeping(RawAnswers(store.raw(key)), keep_raw)
    return _Part(assignment, run, keeping, [] if run.record else _todo(ids, run, keeping))


def _without_raw(store: Store, key: str, numbers: Numbers) -> list[str]:
    """The scored images of a finished run whose raw answers are not kept."""
    known, answers = store.statistics(key) or {}, RawAnswers(store.raw(key))
    return [id for id, o in known.items() if o.failure is None and not answers.has(id, numbers)]


def _todo(ids: Sequence[str], run: Run, keeping: Keeping | None) -> list[str]:
    """The images that are not done, or whose raw answers are wanted and not there."""
    return [
        id for id in ids if id not in run.outcomes or (keeping is not None and keeping.lacks(id))
    ]


def _ask(parts: Sequence[_Part], *, fail_fast: bool) -> Iterator[Advanced]:
    """Ask about the images that are to be done in any part and write each to the parts' logs.

    The first part asks, the others hear. Raw answers are written before the line: an image in the
    log has them.
    """
    for part in parts:
        if part.todo or not part.run.sessions:
            keys = tuple(other.key for other in parts if other is not part)
            part.run.begin(_session(part.assignment, keys))
    todo = frozenset(id for part in parts for id in part.todo)
    if not todo:
        return
    provenance.reset_peak_memory()
    first, others = parts[0], parts[1:]
    asked = first.assignment.examination
    if first.keeping is not None:
        asked = first.keeping.noting(asked)
    heard: list[Answered] = []
    for outcome in asked.outcomes(
        [id for id in asked.dataset.ids if id in todo],
        batch_size=first.assignment.batch_size,
        fail_fast=fail_fast,
        overheard=heard.append if others else None,
    ):
        yield from first.takes(outcome)
        for part in others:
            told = [part.assignment.examination.hearing(answered) for answered in heard]
            yield from part.takes(told[0] if told else outcome)  # nothing is heard of a failure
        heard.clear()


def _session(assignment: Assignment, shared_with: tuple[str, ...]) -> Session:
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
        shared_with=shared_with,
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
            definition=asked.protocol.recorded(),
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
