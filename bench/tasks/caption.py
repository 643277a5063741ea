"""Captioning: what a model says about an image, held against what people said."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.metrics.caption import CaptionAgreement
from bench.metrics.meter import Meter
from bench.protocol import Protocol
from bench.tasks.task import Question, Task
from bench.types import Captioner, Image, Sample, Vocabulary


def _ask(model: Any, images: Sequence[Image], prompts: Sequence[Any]) -> Sequence[str]:
    captions: Sequence[str] = model.caption(images)
    return captions


def _finish(
    answer: str, sample: Sample, protocol: Protocol, wanted: frozenset[str]
) -> Mapping[str, Any]:
    return {"caption": answer}


def _meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    return (CaptionAgreement(),)


CAPTION = Task(
    "caption",
    "Captioning",
    (Question(Captioner, _ask, _finish, one_prompt=False),),
    _meters,
    "CIDEr",
)
"""Nothing is asked but the image; the truth is its reference captions."""
