"""A plan: what is to be run, as frozen jobs, printed before anything runs.

A job says in words what is asked. Its key says it in content: hashes of data, weights, words and
rules. What changes no number (device, batch size, number of processes, paths, dates) is in no key,
so a sweep that was killed on one machine continues on another.
"""

import hashlib
import json
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import product

from pydantic import Field

from bench.errors import BenchError
from bench.record import Kept, Origin, Setting, Tuning
from bench.types import Vocabulary


class Job(Kept):
    """One model on one dataset: what a person asks for, by name."""

    model: str
    """A card's name, a path to a checkpoint, or `module:attribute`."""
    dataset: str
    """A spec's name, or a folder."""
    split: str | None = None
    """Which part of the dataset; `None`: the one its spec names for evaluation."""
    protocol: str | None = None
    """A protocol card; `None`: the dataset's own."""
    vocabulary: str | None = None
    """A vocabulary; `None`: the dataset's own."""
    tasks: tuple[str, ...] = ()
    """The tasks to score; empty: all that the dataset has truth for."""
    limit: int | None = Field(None, gt=0)
    """Only the first so many images. The record is then partial."""
    precision: str = "float32"
    """The network's number format."""
    weights: str | None = None
    """A checkpoint in place of the model's own, or `random`, or `random:SEED`."""
    tuning: Tuning | None = None
    """Few-shot settings; `None` is zero-shot."""
    also: tuple[str, ...] = ()
    """More protocol cards to score the same answers under; no part of any one run's settings."""
    origins: dict[str, Origin] = Field(default_factory=dict)
    """Who decided the settings that are not at their default."""

    def apart(self) -> "tuple[Job, ...]":
        """A job for each of its cards, its own first.

        >>> [each.protocol for each in Job(model="m", dataset="d", also=("a", "b")).apart()]
        [None, 'a', 'b']
        """
        own = self.model_copy(update={"also": ()})
        return (own, *(own.model_copy(update={"protocol": card}) for card in self.also))

    @property
    def called(self) -> str:
        """What tables call the model: other weights make another model.

        >>> Job(model="xdecoder-T", dataset="shapes", weights="random").called
        'xdecoder-T (weights: random)'
        """
        return self.model if self.weights is None else f"{self.model} (weights: {self.weights})"

    @property
    def title(self) -> str:
        """What it is, in a line.

        >>> Job(model="xdecoder-T", dataset="ade20k-150", limit=8).title
        'xdecoder-T on ade20k-150, first 8 images'
        """
        parts = [f"{self.called} on {self.dataset}" + (f" ({self.split})" if self.split else "")]
        if tuning := self.tuning:
            seeds = f"draw {tuning.draw_seed}, seed {tuning.train_seed}"
            parts.append(f"{tuning.shots}-shot {tuning.strategy} ({seeds})")
        if self.protocol:
            parts.append(f"protocol {self.protocol}")
        if self.limit is not None:
            parts.append(f"first {self.limit} images")
        return ", ".join(parts)

    def settings(self) -> dict[str, Setting]:
        """Every setting with who decided it."""
        values = self.model_dump(mode="json", exclude={"origins", "also"})
        return {
            name: Setting(value=value, origin=self.origins.get(name, Origin.DEFAULT))
            for name, value in values.items()
        }


@dataclass(frozen=True, slots=True)
class Contents:
    """What a job is made of, once names are resolved: all that can change a number."""

    model: str
    """Who the model is, besides its weights: its family, or its name where it has no weights."""
    weights: str | None
    """sha256 of the weights; `None` for a model without any."""
    dataset: str
    """The dataset's fingerprint, which covers split and ids."""
    vocabulary: str
    protocol: str
    """Digest of the card as resolved for the dataset."""
    tasks: tuple[str, ...]
    precision: str
    tuning: Tuning | None
    images: int
    """How many images will be asked about; no part of the key, the fingerprint has their ids."""
    rescored_from: str | None = None
    """The run whose raw answers are scored; `None`: the model is asked."""
    asking: str = ""
    """Digest of what the card decides of the asking; no part of the key, which has all of it."""
    called: str = ""
    """The dataset's name, where it is a person's own: equal data of two names are two runs."""

    @property
    def question(self) -> "Contents":
        """What is asked, whatever is made of the answers: jobs of one question can share them."""
        return replace(self, protocol="")

    @property
    def key(self) -> str:
        """Sixteen hex digits over everything but `images`."""
        content = {
            "model": self.model,
            "weights": self.weights,
            "dataset": self.dataset,
            "vocabulary": self.vocabulary,
            "protocol": self.protocol,
            "tasks": sorted(self.tasks),
            "precision": self.precision,
            "tuning": self.tuning.model_dump(mode="json") if self.tuning else None,
        }
        if self.rescored_from is not None:
            content["rescored_from"] = self.rescored_from
        if self.called:
            content["called"] = self.called
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:16]


def vocabulary_digest(vocabulary: Vocabulary) -> str:
    """Twelve hex digits over everything a model is told and a metric names."""
    content = [
        vocabulary.names,
        vocabulary.prompts,
        sorted(vocabulary.things),
        vocabulary.templates,
        vocabulary.background,
    ]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()[:12]


@dataclass(frozen=True, slots=True)
class Planned:
    """A job with what is known of it before it runs."""

    job: Job
    contents: Contents | None = None
    """What it is made of; `None` where something is missing."""
    problem: BenchError | None = None
    """What is missing, and what to do about it."""
    twins: tuple[str, ...] = ()
    """Other names under which the same was asked for."""

    @property
    def key(self) -> str | None:
        """The job's key, where its contents are known."""
        return self.contents.key if self.contents else None


@dataclass(frozen=True, slots=True)
class Plan:
    """Jobs in the order they run."""

    jobs: tuple[Planned, ...]

    def __iter__(self) -> Iterator[Planned]:
        return iter(self.jobs)

    def __len__(self) -> int:
        return len(self.jobs)

    @property
    def images(self) -> int:
        """How many images all jobs ask about; those with a problem count nothing."""
        return sum(planned.contents.images for planned in self.jobs if planned.contents)

    def passes(self) -> tuple[Job, ...]:
        """The jobs that can run, those that differ in nothing but what is made of answers as one.

        Tuned models are asked for each card anew: what they are tuned on is shown as the card says.
        """
        led: dict[object, Job] = {}
        for planned in self.jobs:
            job, contents = planned.job, planned.contents
            where: object = job.model_dump_json()
            if contents is not None and job.tuning is None:
                names = (job.called, job.dataset, job.split, job.vocabulary, job.limit)
                where = (*names, contents.question)
            if where in led and job.protocol is not None:
                also = (*led[where].also, job.protocol)
                led[where] = led[where].model_copy(update={"also": also})
            else:
                led[where] = job
        return tuple(led.values())

    def without(self, done: Collection[str]) -> "Plan":
        """What is left to do when the jobs with these keys are done."""
        return Plan(tuple(planned for planned in self.jobs if planned.key not in done))


def plan(jobs: Sequence[Job], resolve: Callable[[Job], tuple[Job, Contents]]) -> Plan:
    """Resolve jobs: name what they leave to their defaults, and find out what they are made of.

    One that cannot be resolved stays in the plan, with its problem, and fails. Two jobs of one
    content (a suite that names a dataset twice, a checkpoint under two names) are one.
    """
    found: dict[str, Planned] = {}
    for job in jobs:
        try:
            planned = Planned(*resolve(job))
        except BenchError as error:
            planned = Planned(job, problem=error)
        key = planned.key or job.model_dump_json()
        first = found.setdefault(key, planned)
        if job.called not in (first.job.called, *first.twins):
            found[key] = replace(first, twins=(*first.twins, job.called))
    return Plan(tuple(found.values()))


def sweep(
    models: Sequence[str],
    datasets: Sequence[str],
    *,
    template: Job | None = None,
    tunings: Sequence[Tuning | None] = (None,),
) -> tuple[Job, ...]:
    """Every model on every dataset with every tuning; one model's jobs follow each other.

    `template` holds what they share; its own model, dataset and tuning do not count.

    >>> [job.title for job in sweep(["colour"], ["shapes", "voc"])]
    ['colour on shapes', 'colour on voc']
    """
    shared = template or Job(model="", dataset="")
    return tuple(
        shared.model_copy(update={"model": model, "dataset": dataset, "tuning": tuning})
        for model, dataset, tuning in product(models, datasets, tunings)
    )


def tunings(
    shots: Sequence[str],
    strategies: Sequence[str] = (),
    *,
    unit: str = "images",
    draw_seeds: Sequence[int] = (0,),
    train_seeds: Sequence[int] = (0,),
) -> tuple[Tuning | None, ...]:
    """Few-shot settings in every combination; zero shots is one zero-shot run, whatever the rest.

    >>> len(tunings(["0", "1", "5"], ["prompt", "decoder"], draw_seeds=[0, 1, 2]))
    13
    """
    zero: tuple[None, ...] = (None,) if "0" in shots else ()
    return zero + tuple(
        Tuning(shots=count, strategy=strategy, unit=unit, draw_seed=draw, train_seed=train)
        for count, strategy, draw, train in product(
            [count for count in shots if count != "0"], strategies, draw_seeds, train_seeds
        )
    )
