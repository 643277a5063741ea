"""What a task is: what it asks of a model, and what it scores the answer with.

A task is a value. The runner knows no task by name: it takes, for each task of a dataset, the first
question the model can answer, asks every distinct question once per image, and hands the answers'
predictions to the meters. So a mask classifier answers semantic, instance and panoptic segmentation
with one forward pass, and a model that only makes label maps is scored on what it can do.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.errors import CannotDo
from bench.metrics.meter import Meter
from bench.protocol import Protocol
from bench.types import Image, Sample, Vocabulary

Ask = Callable[[Any, Sequence[Image], Sequence[Any]], Sequence[Any]]
"""(model, images of one size, their prompts) -> one raw answer an image."""

Finish = Callable[[Any, Sample, Protocol, frozenset[str]], Mapping[str, Any]]
"""(raw answer, sample, protocol, wanted tasks) -> the prediction for each wanted task."""


@dataclass(frozen=True)
class Question:
    """One thing to ask a model, and how its answer becomes predictions."""

    protocol: type
    """The one-method protocol of `bench.types` that a model must satisfy."""
    ask: Ask
    finish: Finish
    resized: bool = True
    """Whether images are shown after the card's resize rule; otherwise at their own size."""
    one_prompt: bool = True
    """Whether images that are asked about together must have one prompt, as with a vocabulary."""


@dataclass(frozen=True)
class Task:
    """What a dataset can be scored on."""

    name: str
    title: str
    questions: tuple[Question, ...]
    """In order of preference: the first that the model can answer is asked."""
    meters: Callable[[Vocabulary, Protocol], tuple[Meter, ...]]
    headline: str
    """The score a leaderboard sorts by."""

    def question_for(self, model: object) -> Question:
        """The first question `model` can answer, or `CannotDo` naming what it would need.

        A model that has a protocol's method but cannot follow it says so in `cannot`: the
        protocol's name, and why.
        """
        refused: Mapping[str, str] = getattr(model, "cannot", {})
        able = [question for question in self.questions if isinstance(model, question.protocol)]
        for question in able:
            if question.protocol.__name__ not in refused:
                return question
        if able:
            raise CannotDo(refused[able[0].protocol.__name__])
        needed = " or ".join(q.protocol.__name__ for q in self.questions)
        raise CannotDo(f"Task '{self.name}' needs a model that is a {needed}.")
