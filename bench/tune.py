"""Tuning a model on a support set before it is asked, whatever the model and its strategies are.

What is tuned on is resolved when a run is planned, so that it is in the run's key; the tuning
itself happens only where images are left to ask about.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from hashlib import sha256
from time import perf_counter
from typing import Any

from bench.data.dataset import Dataset
from bench.data.support import Support
from bench.errors import CannotDo, DataError
from bench.preprocess import resize
from bench.protocol import Protocol
from bench.record import Tuned, Tuning
from bench.types import Lesson, Mask, Panoptic, Sample, TrueInstances, Tunable, Tuner, Vocabulary

CHEAPEST = "class-embedding"
"""The strategy where none is named: the paper's with the fewest parameters."""


@dataclass(frozen=True)
class FewShots:
    """A way of tuning, and what is tuned on."""

    tuner: Tuner
    support: Support
    tuning: Tuning
    """What was asked."""
    vocabulary: Vocabulary
    """The words that will be asked."""
    protocol: Protocol
    """As it is resolved for the dataset: the size at which images are shown."""

    @property
    def resolved(self) -> Tuning:
        """What was asked, with everything that follows from it and can change a number."""
        found = {
            "support": self.support.dataset.fingerprint,
            "recipe": dict(self.tuner.settings),
        }
        return self.tuning.model_copy(update=found)

    def tune(self) -> tuple[object, Tuned]:
        """The tuned model, and what is kept of the tuning."""
        start, images = perf_counter(), self.support.dataset
        learned = lessons(images, self.vocabulary, self.protocol)
        model = self.tuner.tune(learned, self.vocabulary, seed=seed_of(self.tuning))
        return model, Tuned(
            support=tuple(images.ids),
            split=images.split,
            drawn=self.support.drawn,
            parameters=self.tuner.parameters,
            seconds=perf_counter() - start,
        )


def tuner_of(model: object, name: str, strategy: str) -> Tuner:
    """The model's way of tuning of that name; `name` is what messages call the model.

    Raises:
        CannotDo: the model cannot be tuned.
        UnknownName: it has no such strategy.
    """
    if not isinstance(model, Tunable):
        raise CannotDo(f"Model '{name}' cannot be tuned with few shots; leave out --shots.")
    return model.tuner(strategy)


def seed_of(tuning: Tuning) -> int:
    """The seed of the training: of the draw and the training seed together.

    A released support set is the same for all draws; so their runs still differ.
    """
    words = f"{tuning.draw_seed}:{tuning.train_seed}"
    return int.from_bytes(sha256(words.encode()).digest()[:4])


def lessons(dataset: Dataset, vocabulary: Vocabulary, protocol: Protocol) -> tuple[Lesson, ...]:
    """Every sample of a dataset as something to learn from.

    Args:
        dataset: with one truth, of objects.
        vocabulary: the classes that labels are positions in.
        protocol: the card as resolved for the dataset.

    Raises:
        DataError: an image cannot be read, or has classes that the vocabulary lacks.
    """
    labels = _labels(dataset, vocabulary)
    return tuple(_lesson(sample, labels, protocol) for sample in dataset)


def _labels(dataset: Dataset, vocabulary: Vocabulary) -> Sequence[int]:
    """Where the classes of a split stand among those that are asked."""
    known = {name: label for label, name in enumerate(vocabulary.names)}
    strange = [name for name in dataset.vocabulary.names if name not in known]
    if strange:
        raise DataError(
            f"'{dataset.name}' has other classes in '{dataset.split}' than are scored: "
            f"{', '.join(map(repr, strange))}. Give its spec a vocabulary."
        )
    return [known[name] for name in dataset.vocabulary.names]


def _lesson(sample: Sample, labels: Sequence[int], protocol: Protocol) -> Lesson:
    (truth,) = sample.truths.values()
    found = _objects(truth)
    return Lesson(
        resize(sample.image, protocol.resize),
        tuple(mask for _, mask in found),
        tuple(labels[label] for label, _ in found),
    )


def _objects(truth: Any) -> list[tuple[int, Mask]]:
    """Label and mask of everything that is told apart."""
    if isinstance(truth, TrueInstances):
        return [(one.label, one.mask) for one in truth.instances if not one.crowd]
    assert isinstance(truth, Panoptic)
    return [
        (segment.label, Mask.encode(truth.ids == segment.id))
        for segment in truth.segments
        if not segment.crowd
    ]
