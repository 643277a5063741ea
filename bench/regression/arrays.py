"""Answers and predictions as arrays whose change can be measured.

What has no order is given none: instances become maps to which every one adds its share, and
segments become labels and borders. So two detections that trade ranks, by rounding, change little.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import fields, is_dataclass
from hashlib import sha256
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from bench.errors import CannotDo
from bench.types import VOID, Instances, Mask, Panoptic

Array = Shaped[np.ndarray, "..."]
GOLDEN = (5**0.5 - 1) / 2
"""Multiples of it fall evenly into 0..1: a weight for each label that no other has."""


def arrays_of(value: Any) -> dict[str, Array]:
    """Everything in a value of the types of `bench.types`, or of dataclasses of such, by name.

    >>> {name: array.tolist() for name, array in arrays_of({"sizes": [3, 2.5]}).items()}
    {'sizes.0': [3.0], 'sizes.1': [2.5]}

    Raises:
        CannotDo: something in it is no array and cannot become one.
    """
    return dict(_named(value, ""))


def _named(value: Any, name: str) -> Iterator[tuple[str, Array]]:
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from _named(item, _under(name, key))
    elif isinstance(value, Panoptic):
        yield from _panoptic(value, name)
    elif isinstance(value, Instances):
        yield from _instances(value, name)
    elif isinstance(value, Mask):
        yield name or "mask", value.decode()
    elif isinstance(value, str):
        yield name or "text", np.array([_hash(value)])
    elif isinstance(value, bool | int | float):
        yield name or "value", np.array([float(value)])
    elif isinstance(value, Sequence):
        for index, item in enumerate(value):
            yield from _named(item, _under(name, index))
    elif is_dataclass(value):
        for field in fields(value):
            if (content := getattr(value, field.name)) is not None:
                yield from _named(content, _under(name, field.name))
    else:
        array = plain(value)
        yield name or ("array" if array.dtype.kind == "f" else "labels"), array


def plain(value: Any) -> Array:
    """An array or a tensor of any device and type as a numpy array; short floats as float32.

    Raises:
        CannotDo: it is neither.
    """
    if type(value).__module__.partition(".")[0] == "torch" and hasattr(value, "detach"):
        tensor = value.detach().cpu()
        short = tensor.dtype.is_floating_point and tensor.dtype.itemsize < 4
        value = (tensor.float() if short else tensor).numpy()
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "fiub":
        raise CannotDo(f"A {type(value).__name__} cannot be compared with what it was: no array.")
    return np.asarray(value)


def _under(name: str, part: object) -> str:
    return f"{name}.{part}" if name else str(part)


def _panoptic(value: Panoptic, name: str) -> Iterator[tuple[str, Array]]:
    """Every pixel's label, and where two segments meet: ids themselves mean nothing."""
    label_of = np.full(int(value.ids.max(initial=0)) + 1, VOID, np.int64)
    for segment in value.segments:
        label_of[segment.id] = segment.label
    yield _under(name, "labels"), label_of[value.ids]
    yield _under(name, "borders"), _borders(value.ids)


def _borders(ids: Int[np.ndarray, "height width"]) -> Bool[np.ndarray, "height width"]:
    """Where the pixel to the right or the one below is of another segment."""
    borders = np.zeros(ids.shape, bool)
    borders[:, :-1] |= ids[:, 1:] != ids[:, :-1]
    borders[:-1] |= ids[1:] != ids[:-1]
    return borders


def _instances(value: Instances, name: str) -> Iterator[tuple[str, Array]]:
    """At every pixel the scores of the masks over it, added up; and again weighted by label."""
    height, width = (value.masks[0].height, value.masks[0].width) if value.masks else (0, 0)
    evidence: Float[np.ndarray, "height width"] = np.zeros((height, width), np.float32)
    by_label = evidence.copy()
    for mask, label, score in zip(value.masks, value.labels, value.scores, strict=True):
        inside = mask.decode()
        evidence[inside] += score
        by_label[inside] += score * ((int(label) + 1) * GOLDEN % 1)
    yield _under(name, "evidence"), evidence
    yield _under(name, "evidence by label"), by_label


def _hash(text: str) -> int:
    """A whole number that stands for a text."""
    return int.from_bytes(sha256(text.encode()).digest()[:7], "little")
