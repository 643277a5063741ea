"""From the values of pixels to the labels of a vocabulary, by one look-up table.

Label images count their classes from 0 or from 1, skip numbers, mark void with 0 or 255. The table
is made once; a value that it does not know is an error or void, as the spec says.
"""

from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int
from pydantic import Field

from bench.data.categories import Unlisted
from bench.errors import DataError, UnknownName
from bench.protocol import Strict
from bench.types import VOID, Vocabulary

_UNLISTED = -2


class Values(Strict):
    """How the values of pixels name classes."""

    offset: int = 0
    """The value of the first class; the others follow it."""
    values: dict[int, str | None] = Field(default_factory=dict)
    """The class of each value, where they do not follow each other; null is void."""
    ignore: tuple[int, ...] = ()
    """Values that are void: no class claims the pixel."""
    unlisted: Unlisted = Unlisted.REFUSE
    """What happens to any other value."""

    def table(self, vocabulary: Vocabulary) -> "ValueTable":
        """The label of every value under a vocabulary."""
        if self.values:
            label_of = {name: label for label, name in enumerate(vocabulary.names)}
            pairs = [(value, _label(name, label_of)) for value, name in self.values.items()]
        else:
            pairs = [(self.offset + label, label) for label in range(len(vocabulary))]
        pairs = [pair for pair in pairs if pair[0] >= 0] + [(v, VOID) for v in self.ignore]
        rest = VOID if self.unlisted is Unlisted.LEAVE_OUT else _UNLISTED
        lookup = np.full(max(value for value, _ in pairs) + 1, rest, np.int32)
        for value, label in pairs:
            lookup[value] = label
        return ValueTable(lookup, rest)


def _label(name: str | None, label_of: dict[str, int]) -> int:
    if name is None:
        return VOID
    if name not in label_of:
        raise UnknownName("class", name, label_of, hint="It stands in the reader's 'values'.")
    return label_of[name]


class ValueTable:
    """The label of every value, as an array to index."""

    def __init__(self, lookup: Int[np.ndarray, " value"], rest: int) -> None:
        self._lookup, self._rest = lookup, rest

    def labels(
        self, values: Int[np.ndarray, "height width"], path: Path
    ) -> Int[np.ndarray, "height width"]:
        """The labels of an image's values; `DataError` naming those that are no class."""
        last = len(self._lookup) - 1
        strange = (values > last) | (values < 0)
        labels: Int[np.ndarray, "height width"] = self._lookup.take(values, mode="clip")
        if strange.any():
            labels[strange] = self._rest
        if self._rest == _UNLISTED and labels.size and int(labels.min()) == _UNLISTED:
            raise unlisted_values(path, np.unique(values[labels == _UNLISTED]).tolist())
        return labels

    def label(self, value: int) -> int | None:
        """The label of one value; `None` for one that is no class and not void."""
        label = int(self._lookup[value]) if value < len(self._lookup) else self._rest
        return None if label == _UNLISTED else label


def unlisted_values(path: Path, values: Collection[Any]) -> DataError:
    """The error for values that are neither a class nor void."""
    shown = ", ".join(map(str, sorted(values)[:6])) + (" …" if len(values) > 6 else "")
    return DataError(
        f"{path} has the value {shown}, which is neither a class nor void: name it in the reader's "
        "'ignore' or 'values', or set 'offset' if classes are counted from 1."
    )
