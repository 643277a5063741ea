"""A world small enough to reason about: ten-pixel images, a model that adds, a task that counts.

Used where a test is about the runner or the store, not about a metric.
"""

import os
import resource
import signal
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np

import bench.tasks
from bench.errors import CannotWrite, DataError, WeightsMissing
from bench.evaluation import examine
from bench.execute import Assignment, Event, work
from bench.metrics.meter import Score, Statistics
from bench.plan import Job
from bench.protocol import Protocol as Card
from bench.protocol import Resize
from bench.record import DatasetUsed, ModelUsed
from bench.store import Store
from bench.tasks import Question, Task
from bench.types import Image, Sample, Vocabulary

VOCABULARY = Vocabulary(("dark", "bright"))
CARD = Card(name="toy", resize=Resize(exact=(4, 6)))


def picture(id: str, size: tuple[int, int] = (3, 5)) -> Image:
    """An image that depends on its id alone."""
    generator = np.random.default_rng(zlib.crc32(id.encode()))
    return generator.integers(0, 256, (*size, 3), np.uint8)


@dataclass(frozen=True)
class ToyDataset:
    name: str = "toy"
    split: str = "val"
    tasks: tuple[str, ...] = ("brightness",)
    ids: tuple[str, ...] = tuple(f"{n:03}.png" for n in range(12))
    broken: frozenset[str] = frozenset()
    sizes: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    vocabulary: Vocabulary = VOCABULARY

    @property
    def fingerprint(self) -> str:
        return f"{zlib.crc32(repr((self.name, self.ids)).encode()):012x}"

    def load(self, id: str) -> Sample:
        if id in self.broken:
            raise DataError(f"{id} is truncated after 17 bytes.")
        image = picture(id, self.sizes.get(id, (3, 5)))
        truths = {task: float(image.mean()) / 255 for task in self.tasks}
        return Sample(id, image, self.vocabulary, truths)


@runtime_checkable
class LightMeter(Protocol):
    def brightness(self, images: Sequence[Image]) -> Sequence[float]: ...


@dataclass
class ToyModel:
    """Says how bright an image is, and notes down what it was asked."""

    name: str = "toy-model"
    diary: Path | None = None
    fails_on: int | None = None
    calls: list[list[tuple[int, ...]]] = field(default_factory=list)

    def brightness(self, images: Sequence[Image]) -> Sequence[float]:
        self.calls.append([image.shape for image in images])
        if self.fails_on is not None and len(self.calls) > self.fails_on:
            raise RuntimeError("the bulb burnt out")
        if self.diary:
            fd = os.open(self.diary, os.O_WRONLY | os.O_CREAT | os.O_APPEND)
            os.write(fd, b"asked\n" * len(images))
            os.close(fd)
        return [float(image.mean()) / 255 for image in images]


class Closeness:
    """One minus the mean error, with the errors of each image kept."""

    names = ("closeness",)

    def measure(self, prediction: float, truth: float) -> Statistics:
        errors = np.full(1 + int(truth * 100) % 3, abs(prediction - truth))
        return {"error": errors, "n": np.array(1, np.uint8)}

    def compute(self, statistics: Sequence[Statistics], weights: Any = None) -> dict[str, Score]:
        times = np.ones(len(statistics)) if weights is None else np.asarray(weights, float)
        errors = np.array([float(s["error"].mean()) for s in statistics])
        total = float(times.sum())
        value = 1 - float((errors * times).sum()) / total if total else float("nan")
        return {"closeness": Score(value, int(total), {"all": value})}


def _ask(model: Any, images: Sequence[Image], prompts: Sequence[Any]) -> Sequence[float]:
    return model.brightness(images)


def _finish(
    answer: float, sample: Sample, card: Card, wanted: frozenset[str]
) -> Mapping[str, float]:
    return dict.fromkeys(wanted, answer)


BRIGHTNESS_QUESTION = Question(LightMeter, _ask, _finish)


def _meters(vocabulary: Vocabulary, card: Card) -> tuple[Closeness, ...]:
    return (Closeness(),)


BRIGHTNESS = Task("brightness", "Brightness", (BRIGHTNESS_QUESTION,), _meters, "closeness")
GLOW = replace(BRIGHTNESS, name="glow", title="The same question under another name")


class Painter(Protocol):
    def paint(self) -> None: ...


PAINTING = Task(
    "painting",
    "What no toy can do",
    (Question(runtime_checkable(Painter), _ask, _finish),),
    _meters,
    "closeness",
)
TASKS = {"brightness": "toys:BRIGHTNESS", "glow": "toys:GLOW", "painting": "toys:PAINTING"}


def assignment(
    dataset: ToyDataset | None = None,
    model: ToyModel | None = None,
    *,
    batch_size: int = 1,
    limit: int | None = None,
) -> Assignment:
    """A job on toys, resolved. `TASKS` must be known to `bench.tasks`."""
    dataset, model = dataset or ToyDataset(), model or ToyModel()
    return Assignment(
        Job(model=model.name, dataset=dataset.name, limit=limit),
        examine(model, dataset, CARD, name=model.name),
        ModelUsed(name=model.name),
        DatasetUsed(name=dataset.name, split=dataset.split, fingerprint=dataset.fingerprint),
        batch_size=batch_size,
    )


def do(folder: Path, job: Job, device: str) -> Iterator[Event]:
    """Do a toy job by the name of its model: what `bench.workplace.run_job` is for real ones."""
    bench.tasks.TASKS |= TASKS
    if job.model == "absent":
        raise WeightsMissing("There is no checkpoint at absent.pt.")
    if job.model == "buggy":
        raise ZeroDivisionError("a bug")
    if job.model == "crashing":
        os.kill(os.getpid(), signal.SIGKILL)
    if job.model == "full":
        raise CannotWrite("Cannot write: no space is left there.")
    dataset = ToyDataset(name=job.dataset)
    model = ToyModel(name=job.model, fails_on=3 if job.model == "failing" else None)
    yield from work(assignment(dataset, model), Store(folder))


@contextmanager
def room(size: int) -> Iterator[None]:
    """Let no file grow beyond `size` bytes, as a full disk would."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
