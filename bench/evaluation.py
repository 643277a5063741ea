"""Asking a model about every image of a dataset, once, and scoring what it says.

The runner knows no task by name. Each task of a dataset picks the first of its questions that the
model can answer; tasks that share a question share its answer, so a mask classifier is asked once
for semantic, instance and panoptic segmentation.

`Examination.outcomes` is a generator: whoever iterates logs, shows progress, keeps or stops.
"""

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol, TypeVar

from bench import tasks
from bench.errors import AnswerFailed, BenchError, CannotDo, DataError, DataMissing
from bench.metrics.meter import Meter, Scores, Statistics
from bench.outcome import ImageOutcome
from bench.preprocess import resize
from bench.protocol import Protocol as Card
from bench.record import Seconds
from bench.tasks import Question, Task
from bench.types import FollowsProtocol, Image, Sample, Vocabulary

T = TypeVar("T")
WAITING = 4
"""So many times the batch size images may wait for others of their size, in memory."""


class Samples(Protocol):
    """What the runner needs of a dataset."""

    @property
    def name(self) -> str:
        """What messages call it."""
        ...

    @property
    def tasks(self) -> Sequence[str]:
        """The tasks it has truth for."""
        ...

    @property
    def vocabulary(self) -> Vocabulary:
        """The classes it is scored on."""
        ...

    @property
    def ids(self) -> Sequence[str]:
        """Its samples, in a stable order."""
        ...

    def load(self, id: str) -> Sample:
        """Read one sample; `DataError` or `DataMissing` where that cannot be done."""
        ...


@dataclass(frozen=True)
class Examination:
    """A model, a dataset and a protocol card, and what of the one can be asked of the other.

    Made by `examine`.
    """

    model: object
    dataset: Samples
    protocol: Card
    questions: Mapping[Question, tuple[Task, ...]]
    """Each distinct question, with the tasks that its answer serves."""
    meters: Mapping[str, tuple[Meter, ...]]
    """By task."""
    unanswered: Mapping[str, str]
    """The dataset's tasks that the model cannot do, and why."""
    name: str
    """What messages call the model."""

    def outcomes(
        self,
        ids: Sequence[str] | None = None,
        *,
        batch_size: int = 1,
        fail_fast: bool = False,
        overheard: "Callable[[Answered], None] | None" = None,
    ) -> Iterator[ImageOutcome]:
        """Ask about each image once, as soon as it is read; one outcome an image.

        Up to `batch_size` images of one size and one prompt are asked together; with more than one
        the outcomes come in another order than `ids`. An image or annotation that cannot be read
        gives an outcome with the reason, or with `fail_fast` ends everything. `overheard` is told
        what was said of an image before its outcome comes.

        Raises:
            AnswerFailed: the model, or what follows from its answer, failed on an image.
            DataError, DataMissing: an image cannot be read, and `fail_fast` is set.
        """
        waiting: list[_Batch] = []
        for loaded in _ahead(self._load, self.dataset.ids if ids is None else ids):
            if isinstance(loaded, _Unreadable):
                if fail_fast:
                    raise loaded.error
                yield ImageOutcome(loaded.id, {}, Seconds(load=loaded.seconds), str(loaded.error))
                continue
            batch = next((b for b in waiting if b.takes(loaded)), None)
            if batch is None:
                waiting.append(batch := _Batch())
            batch.add(loaded)
            if (
                len(batch.samples) == batch_size
                or sum(len(b.samples) for b in waiting) >= WAITING * batch_size
            ):
                fullest = max(waiting, key=lambda b: len(b.samples))
                waiting.remove(fullest)
                yield from self._answer(fullest, overheard)
        for batch in waiting:
            yield from self._answer(batch, overheard)

    def _load(self, id: str) -> "_Loaded | _Unreadable":
        """Read one sample and show it as each question wants it. Runs in a thread of its own."""
        start = perf_counter()
        try:
            sample = self.dataset.load(id)
        except (DataError, DataMissing) as error:
            return _Unreadable(id, error, perf_counter() - start)
        rule = self.protocol.resize
        shown = {
            question: resize(sample.image, rule) if question.resized else sample.image
            for question in self.questions
        }
        return _Loaded(sample, shown, perf_counter() - start)

    def _answer(
        self, batch: "_Batch", overheard: "Callable[[Answered], None] | None"
    ) -> Iterator[ImageOutcome]:
        """Ask every question about a batch, then measure its images one by one."""
        ids = [loaded.sample.id for loaded in batch.samples]
        start = perf_counter()
        answers: dict[Question, Sequence[Any]] = {}
        for question in self.questions:
            with _blame(self.name, ids):
                answers[question] = self._ask(question, batch)
        asked = (perf_counter() - start) / len(ids)
        for index, loaded in enumerate(batch.samples):
            with _blame(self.name, ids[index : index + 1]):
                answer = {question: of_batch[index] for question, of_batch in answers.items()}
                outcome = self._measure(loaded, answer, asked)
            if overheard is not None:
                overheard(Answered(loaded.sample, answer, outcome.seconds))
            yield outcome

    def _ask(self, question: Question, batch: "_Batch") -> Sequence[Any]:
        images = [loaded.shown[question] for loaded in batch.samples]
        prompts = [loaded.sample.prompt for loaded in batch.samples]
        answers = question.ask(self.model, images, prompts)
        _synchronise()
        if len(answers) != len(images):
            raise ValueError(f"{len(answers)} answers to {len(images)} images")
        return answers

    def _measure(
        self, loaded: "_Loaded", answers: Mapping[Question, Any], asked: float
    ) -> ImageOutcome:
        """From one image's answers to its statistics."""
        sample = loaded.sample
        finishing = measuring = 0.0
        statistics: dict[str, tuple[Statistics, ...]] = {}
        for question, served in self.questions.items():
            start = perf_counter()
            wanted = frozenset(task.name for task in served)
            predictions = question.finish(answers[question], sample, self.protocol, wanted)
            finished = perf_counter()
            for task in served:
                prediction, truth = predictions[task.name], sample.truths[task.name]
                statistics[task.name] = tuple(
                    meter.measure(prediction, truth) for meter in self.meters[task.name]
                )
            finishing += finished - start
            measuring += perf_counter() - finished
        seconds = Seconds(load=loaded.seconds, ask=asked, finish=finishing, measure=measuring)
        return ImageOutcome(sample.id, statistics, seconds)

    def hearing(self, answered: "Answered") -> ImageOutcome:
        """One image's outcome from what another examination of the same questions was answered.

        Raises:
            AnswerFailed: what follows from the answer failed.
        """
        known = {question.protocol: answer for question, answer in answered.answers.items()}
        answers = {question: known[question.protocol] for question in self.questions}
        shared = answered.seconds
        loaded = _Loaded(answered.sample, {}, shared.load)
        with _blame(self.name, [answered.sample.id]):
            return self._measure(loaded, answers, shared.ask)

    def score(self, outcomes: Iterable[ImageOutcome]) -> dict[str, Scores]:
        """Scores by task over the images that were scored, in the dataset's order.

        The order decides how equal detection scores are ranked, so it must not depend on which
        image was finished first.
        """
        place = {id: index for index, id in enumerate(self.dataset.ids)}
        scored = sorted(
            (o for o in outcomes if o.failure is None), key=lambda outcome: place[outcome.id]
        )
        return score(self.meters, scored)


@dataclass(frozen=True)
class Answered:
    """What was said of one image, for others who ask the same."""

    sample: Sample
    answers: Mapping[Question, Any]
    seconds: Seconds
    """What it took; loading and asking were for all."""


def score(
    meters: Mapping[str, Sequence[Meter]], outcomes: Sequence[ImageOutcome]
) -> dict[str, Scores]:
    """Scores by task over scored images, in their order."""
    found: dict[str, Scores] = {}
    for task, of_task in meters.items():
        scores: dict[str, Any] = {}
        for index, meter in enumerate(of_task):
            new = meter.compute([outcome.statistics[task][index] for outcome in outcomes])
            if taken := scores.keys() & new.keys():
                raise ValueError(f"two meters of task {task!r} both give {sorted(taken)}")
            scores.update(new)
        found[task] = scores
    return found


def examine(
    model: object,
    dataset: Samples,
    protocol: Card,
    wanted: Sequence[str] = (),
    *,
    name: str | None = None,
) -> Examination:
    """Find out what of `dataset` can be asked of `model`, before any image is read.

    `wanted` tasks only, or all that the dataset has truth for. `protocol` is the card as resolved
    for this dataset; a model that a card reaches into is asked as the card wants it. `name` is what
    messages call the model; its class's where absent.

    Raises:
        CannotDo: the model can do none of the tasks, or not one that was asked for by name.
    """
    questions: dict[Question, list[Task]] = {}
    meters: dict[str, tuple[Meter, ...]] = {}
    unanswered: dict[str, str] = {}
    for task in _chosen(dataset, wanted):
        try:
            question = task.question_for(model)
        except CannotDo as error:
            unanswered[task.name] = str(error)
            continue
        questions.setdefault(question, []).append(task)
        meters[task.name] = task.meters(dataset.vocabulary, protocol)
    name = name or type(model).__name__
    if not questions:
        raise CannotDo(
            f"Model '{name}' can do nothing that '{dataset.name}' asks. "
            + " ".join(unanswered.values())
        )
    served = {question: tuple(found) for question, found in questions.items()}
    model = following(model, protocol)
    return Examination(model, dataset, protocol, served, meters, unanswered, name)


def following(model: object, protocol: Card) -> object:
    """The model as a card wants it, where the card reaches into it; else the model itself."""
    return model.under(protocol) if isinstance(model, FollowsProtocol) else model


def _chosen(dataset: Samples, wanted: Sequence[str]) -> list[Task]:
    """The tasks to score, each of which the dataset must have truth for."""
    chosen = [tasks.task(name) for name in wanted or dataset.tasks]
    for task in chosen:
        if task.name not in dataset.tasks:
            raise CannotDo(
                f"'{dataset.name}' has no truth for task '{task.name}', "
                f"only for {', '.join(dataset.tasks)}."
            )
    return chosen


# --- loading and batching ------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Loaded:
    sample: Sample
    shown: Mapping[Question, Image]
    seconds: float


@dataclass(frozen=True, slots=True)
class _Unreadable:
    id: str
    error: BenchError
    seconds: float


@dataclass(eq=False)
class _Batch:
    """Images that may be asked together."""

    samples: list[_Loaded] = field(default_factory=list)

    def takes(self, new: _Loaded) -> bool:
        """Whether `new` has the sizes of those already here, and the prompt where that matters."""
        first = self.samples[0]
        if any(first.shown[q].shape != new.shown[q].shape for q in first.shown):
            return False
        prompt, another = first.sample.prompt, new.sample.prompt
        same = prompt is another or not any(q.one_prompt for q in first.shown)
        return same or bool(prompt == another)

    def add(self, new: _Loaded) -> None:
        """Let `new` be asked with the others."""
        self.samples.append(new)


def _ahead(load: Callable[[str], T], ids: Sequence[str], depth: int = 2) -> Iterator[T]:
    """`load(id)` for each id in order, read in a thread while the caller is at work.

    Decoding and resizing leave the interpreter free for the network: `depth` images are read or
    being read beyond the one in use.
    """
    with ThreadPoolExecutor(1, thread_name_prefix="bench-load") as thread:
        upcoming: deque[Future[T]] = deque()
        try:
            for id in ids:
                upcoming.append(thread.submit(load, id))
                if len(upcoming) > depth:
                    yield upcoming.popleft().result()
            while upcoming:
                yield upcoming.popleft().result()
        finally:
            for future in upcoming:
                future.cancel()


# --- what can go wrong in a model ----------------------------------------------------------------


@contextmanager
def _blame(model: str, ids: Sequence[str]) -> Iterator[None]:
    """Name the images that a model, or the use of its answer, failed on."""
    try:
        yield
    except DataError:  # a kept answer that is damaged: its message says all, and no model failed
        raise
    except Exception as error:
        about = f"image {ids[0]!r}" if len(ids) == 1 else f"{len(ids)} images from {ids[0]!r} on"
        said = f"{type(error).__name__}: {error}".strip().rstrip(".")
        out_of_memory = isinstance(error, MemoryError) or "OutOfMemory" in type(error).__name__
        advice = " Try a smaller --batch-size." if out_of_memory and len(ids) > 1 else ""
        raise AnswerFailed(
            f"Model '{model}' failed on {about}: {said}.{advice} What was finished is kept."
        ) from error


def _synchronise() -> None:
    """Wait for the accelerator, so that its time is counted where it is spent."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.synchronize()
