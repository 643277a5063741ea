"""Support sets: the few images that a model is tuned on.

Which images enter is decided by a hash of their id and a seed, so it depends on no order of files,
and fewer shots are among more: 1 in 3 in 5 in 10 in all. Each has something annotated, and none may
be an image of the split that is reported.
"""

import logging
import re
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from enum import StrEnum
from functools import cache
from hashlib import sha256
from itertools import islice

from bench.data.dataset import Dataset
from bench.errors import DataError, UsageError
from bench.spec import DatasetSpec
from bench.types import Panoptic, TrueInstances

TRAIN = "train"
"""The split that support sets are drawn from."""
RELEASED = re.compile(r"train_(\d+)shot")
"""Splits that were released as a support set: `train_10shot`."""
TRUTHS = ("panoptic", "instance")
"""The tasks whose truth can be learned from; the first that a split has is used."""
ALL = "all"


class Unit(StrEnum):
    """What a shot counts."""

    IMAGES = "images"
    """Images in all."""
    IMAGES_PER_CLASS = "images-per-class"
    """For each class so many images that show it, which may show others too."""


@dataclass(frozen=True)
class Support:
    """A support set."""

    dataset: Dataset
    """Only its images, in the order they were drawn."""
    drawn: bool
    """Whether we drew it; else it is a released set, whole."""


def usable_splits(spec: DatasetSpec, shots: str, unit: str) -> tuple[str, ...]:
    """The splits that such a set may come from, the best first; files may be there or not.

    A released set has its own number of shots, and is drawn from for fewer.

    Raises:
        UsageError: the dataset has no split to tune on.
    """
    released = {int(found[1]): name for name in spec.splits if (found := RELEASED.fullmatch(name))}
    fitting = [
        released[size]
        for size in sorted(released)
        if unit == Unit.IMAGES and shots != ALL and int(shots) <= size
    ]
    if TRAIN not in spec.splits and not fitting:
        raise UsageError(
            f"'{spec.name}' has no images to tune on: shots are drawn from a part '{TRAIN}', and "
            f"it has {', '.join(spec.splits)}. Put some of its images, with their annotations, "
            f"into a '{TRAIN}' beside them."
        )
    return (*fitting, *((TRAIN,) if TRAIN in spec.splits else ()))


def truth_of(spec: DatasetSpec, split: str) -> str:
    """The task whose truth is learned from.

    Raises:
        UsageError: the split has no annotated objects.
    """
    has = spec.splits[split].truth
    for task in TRUTHS:
        if task in has:
            return task
    raise UsageError(
        f"'{spec.name}' has no objects to tune on: its split '{split}' has truth for "
        f"{', '.join(has) or 'nothing'}, and {' or '.join(TRUTHS)} is needed."
    )


def support(dataset: Dataset, shots: str, *, unit: str, seed: int) -> Support:
    """The support set of so many shots.

    Args:
        dataset: the split it comes from, with one truth.
        shots: a number, or `all`.
        unit: what it counts, one of `Unit`.
        seed: of the draw.

    Raises:
        DataError: there are not so many images with something annotated that can be read.
    """
    found = RELEASED.fullmatch(dataset.split)
    if found and found[1] == shots:
        ids = tuple(id for id in dataset.ids if _labels(dataset, id))
        return Support(_some(dataset, ids, shots), drawn=False)
    ids = draw(dataset.ids, lambda id: _labels(dataset, id), shots, unit=unit, seed=seed)
    return Support(_some(dataset, ids, shots), drawn=True)


def draw(
    ids: Iterable[str],
    labels_of: Callable[[str], frozenset[int]],
    shots: str,
    *,
    unit: str,
    seed: int,
) -> tuple[str, ...]:
    """Ids by rising hash, as many as are asked for or as there are.

    Args:
        ids: to draw from, in any order.
        labels_of: what is annotated in an image; asked no oftener than needed.
        shots: a number, or `all`.
        unit: what it counts, one of `Unit`.
        seed: of the hash.

    >>> draw(["a", "b", "c", "d"], lambda id: frozenset({0}), "2", unit="images", seed=0)
    ('d', 'a')
    """
    ordered = sorted(ids, key=lambda id: sha256(f"{seed}:{id}".encode()).digest())
    shown = ((id, labels) for id in ordered if (labels := labels_of(id)))
    if shots == ALL:
        return tuple(id for id, _ in shown)
    match Unit(unit):
        case Unit.IMAGES:
            return tuple(id for id, _ in islice(shown, int(shots)))
        case Unit.IMAGES_PER_CLASS:
            return tuple(_first_of_each(shown, int(shots)))


def _first_of_each(shown: Iterable[tuple[str, frozenset[int]]], shots: int) -> Iterator[str]:
    """The images that are among the first so many of one of their classes."""
    counts: dict[int, int] = defaultdict(int)
    for id, labels in shown:
        if any(counts[label] < shots for label in labels):
            yield id
        for label in labels:
            counts[label] += 1


def _some(dataset: Dataset, ids: Sequence[str], shots: str) -> Dataset:
    wanted = 1 if shots == ALL else int(shots)
    if len(ids) < wanted:
        raise DataError(
            f"'{dataset.name}' cannot be tuned with {shots} shots: only {len(ids)} of the "
            f"{len(dataset.ids)} images of its split '{dataset.split}' can be read and have an "
            "annotation."
        )
    return dataset.subset(ids)


def _labels(dataset: Dataset, id: str) -> frozenset[int]:
    """The classes that are annotated in an image; of groups that are not told apart, none.

    An image that cannot be read shows nothing, and that is said.
    """
    try:
        truths = dataset.load(id).truths.values()
    except DataError as error:
        _say(f"'{dataset.name}' is tuned without '{id}' of its split '{dataset.split}': {error}")
        return frozenset()
    return frozenset(label for truth in truths for label in _of(truth))


@cache  # draws of every seed meet the same images
def _say(text: str) -> None:
    logging.getLogger(__name__).warning(text)


def _of(truth: Panoptic | TrueInstances) -> Iterator[int]:
    if isinstance(truth, Panoptic):
        return (segment.label for segment in truth.segments if not segment.crowd)
    return (one.label for one in truth.instances if not one.crowd and one.mask.area)


def refuse_leaks(support: Dataset, reported: Dataset) -> None:
    """Make sure that no image is both tuned on and scored, whatever the files are called.

    Raises:
        DataError: one is, by its content.
    """
    known: dict[str, str] = {}
    for id in reported.ids:
        with suppress(DataError):  # what cannot be read is not scored
            known[reported.digest_of(id)] = id
    for id in support.ids:
        if (other := known.get(support.digest_of(id))) is not None:
            raise DataError(
                f"'{reported.name}' cannot be tuned on '{id}' of its split '{support.split}': the "
                f"same image is '{other}' in '{reported.split}', which is scored. Take it out of "
                "one of them, or draw with another seed."
            )
