"""Referring segmentation: the mask of what a phrase points at."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.metrics.meter import Meter
from bench.metrics.referring import ReferringSegmentation
from bench.protocol import Protocol
from bench.tasks.task import Question, Task
from bench.types import Image, ReferredMask, ReferringSegmenter, Sample, Vocabulary


def _ask(
    model: Any, images: Sequence[Image], prompts: Sequence[Sequence[str]]
) -> Sequence[Sequence[ReferredMask]]:
    answers: Sequence[Sequence[ReferredMask]] = model.refer(images, prompts)
    return answers


def _masks(
    answer: Sequence[ReferredMask], sample: Sample, protocol: Protocol, wanted: frozenset[str]
) -> Mapping[str, Any]:
    from bench.postprocess import refer  # imports torch: only where a model ran already

    return {"referring": [refer(mask, protocol, sample.size) for mask in answer]}


def _meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    return (ReferringSegmentation(protocol.ciou),)


REFERRING = Task(
    "referring",
    "Referring segmentation",
    (Question(ReferringSegmenter, _ask, _masks, one_prompt=False),),
    _meters,
    "cIoU",
)
"""A prompt is the phrases of an image, the truth one `Mask` a phrase in the same order."""
