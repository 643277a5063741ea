"""Which rows of a frame of scores a table is of, as a person asks for them."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from fnmatch import fnmatchcase

import pandas as pd

from bench.errors import UnknownName
from bench.report.frame import FULL, MARKS, MEASURED

NOT = "no-"
"""Before a mark of supervision: only systems without it."""


@dataclass(frozen=True)
class Selection:
    """Words for each column of a frame that is chosen by; empty: everything.

    Words are names, or patterns as in `xdecoder-*`. Those of supervision are marks that a system
    must have, or with `no-` before it must not have; who does not say has no place then.
    """

    model: tuple[str, ...] = ()
    dataset: tuple[str, ...] = ()
    task: tuple[str, ...] = ()
    protocol: tuple[str, ...] = ()
    shots: tuple[str, ...] = ()
    strategy: tuple[str, ...] = ()
    source: tuple[str, ...] = ()
    supervision: tuple[str, ...] = ()

    def of(self, long: pd.DataFrame) -> pd.DataFrame:
        """The rows that are meant.

        Raises:
            UnknownName: a word means nothing that there is.
        """
        chosen = long
        for column in (field.name for field in fields(self)):
            words: tuple[str, ...] = getattr(self, column)
            if not words:
                continue
            known = list(dict.fromkeys(long[column].astype(str)))
            known += [MEASURED] if column == "source" else []
            if column == "supervision":
                names = {said for said in known if _has_marks(said, words)}
            else:
                names = {name for word in words for name in _named(column, word, known)}
            chosen = chosen[chosen[column].isin(names)]
        return chosen


def _named(column: str, word: str, known: Sequence[str]) -> Iterator[str]:
    """The names that a word means: itself, or all that fit a pattern."""
    found = [name for name in known if name == word] or [
        name for name in known if fnmatchcase(name, word)
    ]
    if not found:
        raise UnknownName(column, word, [name for name in known if name])
    yield from found


def _has_marks(said: str, words: Sequence[str]) -> bool:
    marks = said.split(", ") if said else []
    for word in words:
        mark = word.removeprefix(NOT)
        if mark not in (*MARKS, FULL):
            raise UnknownName("mark of supervision", word, (*MARKS, FULL))
        if (mark in marks) == word.startswith(NOT):
            return False
    return bool(marks)
