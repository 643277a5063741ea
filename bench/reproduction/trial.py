"""A trial: a model is trained, then asked about datasets; the record says how it was trained."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from bench.execute import Advanced, Event, Finished, work
from bench.plan import Job
from bench.record import Kept, Origin, Record
from bench.reproduction.training import Training, learn
from bench.stats import with_intervals
from bench.store import Store
from bench.workplace import Workplace

TRAINED = "trained"
"""The folder, inside that of results, of the models that were trained for tables."""


class Target(Kept):
    """What a model is asked: a dataset, a split of it, and some of its tasks."""

    dataset: str
    split: str
    tasks: tuple[str, ...]
    limit: int | None = None
    """Only the first so many images."""

    @property
    def title(self) -> str:
        """What tables call it."""
        return f"{self.dataset}/{self.split}"

    def within(self, record: Record) -> bool:
        """Whether a record has an answer to this."""
        limit = None if record.images is None else record.images.limit
        return (
            (record.dataset.name, record.dataset.split) == (self.dataset, self.split)
            and limit == self.limit
            and record.scores.keys() >= set(self.tasks)
        )


class Trial(Job):
    """A model that is trained first, and everything it is then asked: a job for an executor.

    `dataset` only says in words what follows.
    """

    training: Training
    targets: tuple[Target, ...]

    @property
    def title(self) -> str:
        """What it is, in a line."""
        return f"{self.training.title} on {self.dataset}"


def trial(training: Training, targets: Sequence[Target]) -> Trial:
    """A training and what its model is asked."""
    return Trial(
        model=training.recipe,
        dataset=", ".join(target.title for target in targets),
        training=training,
        targets=tuple(targets),
    )


def merged(trials: Iterable[Trial]) -> tuple[Trial, ...]:
    """Trials of several tables, each training once, with all that its model is asked.

    First those that nothing is changed in: what models begin on is then trained for all seeds side
    by side. Then seed by seed, so that whoever stops early has whole rows to compare.
    """
    asked: dict[str, tuple[Training, dict[tuple[str, str, int | None], list[str]]]] = {}
    for one in trials:
        _, targets = asked.setdefault(one.training.model_dump_json(), (one.training, {}))
        for target in one.targets:
            tasks = targets.setdefault((target.dataset, target.split, target.limit), [])
            tasks += [task for task in target.tasks if task not in tasks]
    return tuple(
        trial(
            training,
            [
                Target(dataset=dataset, split=split, tasks=tuple(tasks), limit=limit)
                for (dataset, split, limit), tasks in targets.items()
            ],
        )
        for training, targets in sorted(asked.values(), key=lambda each: _turn(each[0]))
    )


def _turn(training: Training) -> tuple[bool, int]:
    return training.recipe != training.base, training.seed


def left(trials: Iterable[Trial], records: Sequence[Record]) -> tuple[Trial, ...]:
    """What is left of trials where some records are there."""
    remaining = []
    for one in trials:
        known = [record for record in records if is_of(record, one.training)]
        targets = [t for t in one.targets if not any(t.within(record) for record in known)]
        if targets:
            remaining.append(trial(one.training, targets))
    return tuple(remaining)


def is_of(record: Record, training: Training) -> bool:
    """Whether a record is of a model trained like this: its recipe, budget and seed, by name."""
    trained = record.model.trained
    if trained is None or (trained.recipe, trained.seed) != (training.recipe, training.seed):
        return False
    budget = training.budget
    return budget.steps in (None, trained.steps) and budget.before in (None, trained.before)


@dataclass(frozen=True)
class Laboratory:
    """Where trials are done: folders and habits that change no number."""

    place: Workplace
    crew: int = 1
    """How many processes do trials side by side; they share the cores."""

    @property
    def models(self) -> Path:
        """The folder of the trained models."""
        return self.place.results / TRAINED


def do_trial(laboratory: Laboratory, job: Job, device: str) -> Iterator[Event]:
    """Do one trial: `partial(do_trial, laboratory)` is what executors map."""
    from bench.train.processes import use_threads

    assert isinstance(job, Trial)
    use_threads(None, laboratory.crew)
    training, place = job.training, laboratory.place
    yield from learn(training, laboratory.models, data=place.data, device=device)
    for target in job.targets:
        yield from _evaluate(place, training, training.folder(laboratory.models), target, device)


def _evaluate(
    place: Workplace, training: Training, folder: Path, target: Target, device: str
) -> Iterator[Event]:
    """Ask a trained model about one dataset, and call it by its recipe."""
    stated = {**target.model_dump(), "model": str(folder)}
    origins = dict.fromkeys(stated, Origin.SPEC)
    assignment = place.assign(Job.model_validate({**stated, "origins": origins}), device)
    name = training.recipe
    assignment = replace(
        assignment,
        job=assignment.job.model_copy(update={"model": name}),
        model=assignment.model.model_copy(update={"name": name}),
    )
    shown = assignment.job.model_copy(update={"model": training.title})
    store = Store(place.results)
    for event in work(assignment, store, fail_fast=place.fail_fast, again=place.again):
        if isinstance(event, Finished):
            yield Finished(shown, with_intervals(event.record, store))
        elif isinstance(event, Advanced):
            yield replace(event, job=shown)
        else:
            yield replace(event, job=shown)
