"""Visual question answering: open questions about an image, and what people answered."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.metrics.meter import Meter
from bench.metrics.vqa import AnswerAccuracy
from bench.protocol import Protocol
from bench.tasks.task import Question, Task
from bench.types import Image, QuestionAnswerer, Sample, Vocabulary


def _ask(
    model: Any, images: Sequence[Image], prompts: Sequence[Sequence[str]]
) -> Sequence[Sequence[str]]:
    answers: Sequence[Sequence[str]] = model.answer(images, prompts)
    return answers


def _finish(
    answer: Sequence[str], sample: Sample, protocol: Protocol, wanted: frozenset[str]
) -> Mapping[str, Any]:
    return {"vqa": answer}


def _meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    return (AnswerAccuracy(),)


VQA = Task(
    "vqa",
    "Visual question answering",
    (Question(QuestionAnswerer, _ask, _finish, one_prompt=False),),
    _meters,
    "accuracy",
)
"""A prompt is the questions of an image, the truth `HumanAnswers` to each in the same order."""
