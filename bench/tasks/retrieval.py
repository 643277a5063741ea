"""Image-text retrieval: which image a caption belongs to, and which caption an image has."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from bench.metrics.meter import Meter
from bench.metrics.retrieval import Embedded, Retrieval
from bench.protocol import Protocol
from bench.tasks.task import Question, Task
from bench.types import Image, ImageTextEncoder, Sample, Vocabulary


def _embed(
    model: Any, images: Sequence[Image], prompts: Sequence[Sequence[str]]
) -> Sequence[Embedded]:
    """The vectors of each image and of its own captions; ranks follow when all are there."""
    pictured = np.asarray(model.embed_images(images))
    written = np.asarray(model.embed_texts([text for texts in prompts for text in texts]))
    bounds = np.cumsum([0, *map(len, prompts)])
    if len(written) != bounds[-1]:
        raise ValueError(f"{len(written)} vectors for {bounds[-1]} texts")
    return [
        Embedded(vector, written[start:end])
        for vector, start, end in zip(pictured, bounds[:-1], bounds[1:], strict=True)
    ]


def _finish(
    answer: Embedded, sample: Sample, protocol: Protocol, wanted: frozenset[str]
) -> Mapping[str, Any]:
    return {"retrieval": answer}


def _meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    return (Retrieval(),)


RETRIEVAL = Task(
    "retrieval",
    "Image-text retrieval",
    (Question(ImageTextEncoder, _embed, _finish, one_prompt=False),),
    _meters,
    "IR@1",
)
"""A prompt is the captions of an image, and so is the truth."""
