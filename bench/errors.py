"""What can go wrong, and the exit code that says so.

Every error that a user can mend is a `BenchError`: one message that says what was asked, what was
found and what to do. The command line prints the message alone, without a traceback, and exits
with the error's code. Anything else is a bug of ours, and exits with 1.

    BenchError
    ├── UsageError          2   the command, a spec or a protocol card is wrong
    │   └── UnknownName     2   no dataset, suite, model, metric … of that name
    ├── CannotDo            2   the model does not answer what the task asks
    ├── Missing             3   files are not where they should be
    │   ├── DataMissing     3   a dataset, an image, an annotation file
    │   ├── WeightsMissing  3   a checkpoint
    │   └── ExtraMissing    3   an optional dependency
    ├── DataError           3   files are there and cannot be read as what they should be
    ├── CannotWrite         3   no space, no permission
    │   └── Busy            3   another process is at work on the same run
    ├── JobsFailed          4   some jobs of a plan failed; the same command resumes
    ├── AnswerFailed        4   a model failed on an image; the same command resumes
    ├── GateFailed          5   a checkpoint is worse than its reference
    └── GateUndecided       6   too few images to tell
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class BenchError(Exception):
    """Something a user can mend, said in a sentence or two."""

    exit_code = 2


class UsageError(BenchError):
    """The command line, a spec or a protocol card is wrong."""


class UnknownName(UsageError):
    """Nothing of that kind has that name; near ones are suggested.

    >>> print(UnknownName("metric", "miuo", ["mIoU", "PQ"]))
    Unknown metric 'miuo'. Did you mean 'mIoU'?
    """

    def __init__(self, kind: str, name: str, known: Iterable[str], *, hint: str = "") -> None:
        self.kind, self.name, self.known = kind, name, sorted(known)
        super().__init__(
            " ".join(filter(None, [f"Unknown {kind} {name!r}.", self._advice(), hint]))
        )

    def _advice(self) -> str:
        near = nearest(self.name, self.known)
        if near:
            return f"Did you mean {' or '.join(repr(n) for n in near)}?"
        if not self.known:
            return ""
        shown = ", ".join(self.known[:12]) + (", …" if len(self.known) > 12 else "")
        return f"Known: {shown}."


class CannotDo(BenchError):
    """The model satisfies none of the protocols that the task can ask."""


class Missing(BenchError):
    """Files that should be there are not."""

    exit_code = 3


class DataMissing(Missing):
    """A dataset, or a file of it, is not under the data folder."""


class WeightsMissing(Missing):
    """A checkpoint is neither at its path nor in the weights folder."""


class ExtraMissing(Missing):
    """An optional dependency is not installed; the message names the extra."""


class DataError(BenchError):
    """A file is there, and cannot be read as what it should be."""

    exit_code = 3


class CannotWrite(BenchError):
    """A file cannot be written: no space, no permission."""

    exit_code = 3


class Busy(CannotWrite):
    """Another process is at work on the same run."""


class JobsFailed(BenchError):
    """Some jobs of a plan failed; the others are kept and the same command resumes."""

    exit_code = 4


class AnswerFailed(BenchError):
    """A model, or what follows from its answer, failed on an image; the message names it."""

    exit_code = 4


class GateFailed(BenchError):
    """A checkpoint scores worse (or implausibly better) than its reference."""

    exit_code = 5


class GateUndecided(BenchError):
    """The interval of the difference is too wide for a verdict."""

    exit_code = 6


def nearest(name: str, known: Iterable[str], *, n: int = 2) -> list[str]:
    """The `n` known names that look most like `name`, whatever their case.

    >>> nearest("ade20k-15O", ["ade20k-150", "ade20k-847", "voc"], n=1)
    ['ade20k-150']
    """
    by_lower = {k.lower(): k for k in known}
    return [by_lower[m] for m in get_close_matches(name.lower(), by_lower, n=n, cutoff=0.6)]
