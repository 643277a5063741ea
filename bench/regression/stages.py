"""What an examination shows between image and score, on a few fixed images.

The images go through the runner like all others; what they are shown as, what the model shows of
itself, what it answers and what becomes of that are noted on the way. So nothing is computed in
another way than when it is scored.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from bench.evaluation import Examination
from bench.metrics.meter import Statistics
from bench.outcome import ImageOutcome
from bench.protocol import Protocol
from bench.raw import question_name
from bench.regression.arrays import arrays_of, plain
from bench.regression.sketch import Sketch, sketch
from bench.tasks import Question
from bench.types import Image, Sample, ShowsStages

STAGES = (
    "preprocessing",
    "text",
    "backbone",
    "pixel decoder",
    "decoder",
    "answer",
    "post-processing",
    "metric",
)
"""In the order of the data: what diverges first is to blame."""

FIXED_IMAGES = 8
IMAGE = "image"
"""The array that is the image as it is shown to the model."""

Shown = dict[str, dict[str, Sketch]]
"""Of one image: sketches by stage and array."""


def fixed_images(ids: Sequence[str]) -> tuple[str, ...]:
    """Eight of a dataset's images, spread evenly over it; all where there are no more.

    >>> fixed_images([f"{n:02}" for n in range(80)])
    ('05', '15', '25', '35', '45', '55', '65', '75')
    """
    if len(ids) <= FIXED_IMAGES:
        return tuple(ids)
    step = len(ids) / FIXED_IMAGES
    return tuple(ids[int((place + 0.5) * step)] for place in range(FIXED_IMAGES))


def show(
    examination: Examination, ids: Sequence[str], seen: Callable[[], None] = lambda: None
) -> tuple[list[ImageOutcome], dict[str, Shown]]:
    """Ask about images one at a time: their outcomes, and what each showed of every stage.

    `seen` is called after each image.

    Raises:
        BenchError: an image cannot be read, or the model failed on it.
    """
    notes = _Notes(examination)
    outcomes = []
    for outcome in notes.taking().outcomes(ids, fail_fast=True):
        notes.measured(outcome)
        outcomes.append(outcome)
        seen()
    return outcomes, notes.images


def examine_all(
    examination: Examination,
    ids: Sequence[str],
    fixed: Sequence[str],
    *,
    batch_size: int = 1,
    seen: Callable[[], None] = lambda: None,
) -> tuple[dict[str, ImageOutcome], dict[str, Shown]]:
    """Ask about all images: the outcome of each, and what the fixed ones showed.

    Raises:
        BenchError: an image cannot be read, or the model failed on it.
    """
    first, shown = show(examination, fixed, seen)
    outcomes = {outcome.id: outcome for outcome in first}
    rest = [id for id in ids if id not in outcomes]
    for outcome in examination.outcomes(rest, batch_size=batch_size, fail_fast=True):
        outcomes[outcome.id] = outcome
        seen()
    return outcomes, shown


class _Notes:
    """What is noted of each image while it is examined."""

    def __init__(self, examination: Examination) -> None:
        self._examination = examination
        self._asked: dict[Question, dict[str, dict[str, Sketch]]] = {}
        """Of the image that is being asked about, whose name is not known yet."""
        self.images: dict[str, Shown] = {}

    def taking(self) -> Examination:
        """The same examination, overheard."""
        questions = {
            replace(
                question, ask=partial(self._ask, question), finish=partial(self._finish, question)
            ): served
            for question, served in self._examination.questions.items()
        }
        return replace(self._examination, questions=questions)

    def _ask(
        self, question: Question, model: Any, images: Sequence[Image], prompts: Sequence[Any]
    ) -> Sequence[Any]:
        listening = model.showing_stages() if isinstance(model, ShowsStages) else nullcontext({})
        with listening as stages:
            answers = question.ask(model, images, prompts)
        noted: dict[str, dict[str, Any]] = {"preprocessing": {IMAGE: images[0]}}
        for stage, arrays in stages.items():
            if stage not in STAGES:
                raise ValueError(f"a model shows {STAGES}, not {stage!r}")
            noted.setdefault(stage, {}).update(arrays)
        noted["answer"] = arrays_of(answers[0])
        self._asked[question] = {
            stage: {name: sketch(plain(array)) for name, array in arrays.items()}
            for stage, arrays in noted.items()
        }
        return answers

    def _finish(
        self,
        question: Question,
        answer: Any,
        sample: Sample,
        protocol: Protocol,
        wanted: frozenset[str],
    ) -> Mapping[str, Any]:
        predictions = question.finish(answer, sample, protocol, wanted)
        image = self.images.setdefault(sample.id, {})
        several = len(self._examination.questions) > 1
        for stage, arrays in self._asked.pop(question).items():
            for name, found in arrays.items():
                full = f"{question_name(question)}: {name}" if several else name
                image.setdefault(stage, {})[full] = found
        after = image.setdefault("post-processing", {})
        for task, prediction in predictions.items():
            after |= {f"{task}.{n}": sketch(a) for n, a in arrays_of(prediction).items()}
        return predictions

    def measured(self, outcome: ImageOutcome) -> None:
        """Note what the meters made of an image."""
        self.images[outcome.id]["metric"] = {
            f"{task}.{name}": sketch(np.asarray(array, np.float64))
            for task, of_task in outcome.statistics.items()
            for name, array in _joined(of_task).items()
        }


def _joined(of_task: Sequence[Statistics]) -> dict[str, Any]:
    """The statistics of all meters of a task, the first meter's under their own names."""
    return {
        f"{index}.{name}" if index else name: array
        for index, statistics in enumerate(of_task)
        for name, array in statistics.items()
    }
