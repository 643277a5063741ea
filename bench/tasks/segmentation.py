"""Generic segmentation: semantic, instance and panoptic, from one question where possible."""

from collections.abc import Mapping, Sequence
from typing import Any

from bench.metrics.average_precision import BoxAveragePrecision, MaskAveragePrecision
from bench.metrics.meter import Meter
from bench.metrics.panoptic import PanopticQuality
from bench.metrics.semantic import MeanIoU
from bench.protocol import Protocol
from bench.tasks.task import Ask, Question, Task
from bench.types import (
    Image,
    InstanceSegmenter,
    PanopticSegmenter,
    Proposer,
    Sample,
    SemanticSegmenter,
    Vocabulary,
)


def _by_vocabulary(method: str) -> Ask:
    """Call `model.<method>(images, vocabulary)`: images in one call share their vocabulary."""

    def ask(model: Any, images: Sequence[Image], prompts: Sequence[Vocabulary]) -> Sequence[Any]:
        answers: Sequence[Any] = getattr(model, method)(images, prompts[0])
        return answers

    return ask


def _segment(
    answer: Any, sample: Sample, protocol: Protocol, wanted: frozenset[str]
) -> Mapping[str, Any]:
    from bench.postprocess import segment  # imports torch: only where a model ran already

    outputs = {task: _OUTPUT.get(task, task) for task in wanted}
    found = segment(answer, sample.prompt, protocol, sample.size, frozenset(outputs.values()))
    return {task: found[output] for task, output in outputs.items()}


def _as_it_is(
    answer: Any, sample: Sample, protocol: Protocol, wanted: frozenset[str]
) -> Mapping[str, Any]:
    """The answer is already the prediction of every task that asks for it."""
    return dict.fromkeys(wanted, answer)


_OUTPUT = {"cityscapes-instance": "instance"}
"""The segmentation that a task scores, where it is not called as the task is."""


PROPOSALS = Question(Proposer, _by_vocabulary("propose"), _segment)


def _semantic_meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    return (MeanIoU(vocabulary.names, protocol.miou),)


def _instance_meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    scored = tuple(sorted(vocabulary.things))
    return (
        MaskAveragePrecision(vocabulary.names, scored, protocol.ap),
        BoxAveragePrecision(vocabulary.names, scored, protocol.ap),
    )


def _panoptic_meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    return (PanopticQuality(vocabulary.names, vocabulary.things, protocol.pq),)


SEMANTIC = Task(
    "semantic",
    "Semantic segmentation",
    (
        PROPOSALS,
        Question(SemanticSegmenter, _by_vocabulary("segment_semantic"), _as_it_is, resized=False),
    ),
    _semantic_meters,
    "mIoU",
)
INSTANCE = Task(
    "instance",
    "Instance segmentation",
    (
        PROPOSALS,
        Question(InstanceSegmenter, _by_vocabulary("segment_instances"), _as_it_is, resized=False),
    ),
    _instance_meters,
    "AP",
)
PANOPTIC = Task(
    "panoptic",
    "Panoptic segmentation",
    (
        PROPOSALS,
        Question(PanopticSegmenter, _by_vocabulary("segment_panoptic"), _as_it_is, resized=False),
    ),
    _panoptic_meters,
    "PQ",
)
