"""Reading what other systems wrote, and saying plainly what is wrong with it."""

import json
import zipfile
from collections.abc import Collection, Hashable, Iterable, Mapping
from pathlib import Path
from sys import float_info
from typing import Any

import numpy as np

from bench.errors import DataError, DataMissing

_SHOWN = 5


def read_json(path: Path, what: str) -> Any:
    """The content of a JSON file; `what` it should hold is named in errors."""
    try:
        return json.loads(path.read_bytes())
    except (FileNotFoundError, IsADirectoryError):
        raise DataMissing(f"There is no file {path} with {what}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError) as error:
        raise DataError(
            f"{path}: this should be {what} as JSON, and is no JSON: {error}."
        ) from None


def read_arrays(path: Path, what: str) -> Mapping[str, np.ndarray]:
    """The arrays of an `.npz` file."""
    try:
        with path.open("rb") as stream:
            loaded = np.load(stream, allow_pickle=False)
            if isinstance(loaded, np.ndarray):
                raise ValueError("it holds one array, without a name.")
            with loaded:
                return dict(loaded)
    except (FileNotFoundError, IsADirectoryError):
        raise DataMissing(f"There is no file {path} with {what}.") from None
    except (ValueError, OSError, EOFError, zipfile.BadZipFile) as error:
        problem = f"{path}: this should be {what} as .npz, and cannot be read: {error}"
        raise DataError(problem) from None


def array(arrays: Mapping[str, np.ndarray], names: Iterable[str], path: Path) -> np.ndarray:
    """The first array that the file has under one of the names."""
    names = list(names)
    for name in names:
        if name in arrays:
            return arrays[name]
    raise DataError(
        f"{path}: no array '{names[0]}'; it holds {', '.join(map(repr, arrays)) or 'nothing'}."
    )


def check_ids(
    asked: Collection[Hashable], said: Collection[Hashable], *, thing: str, answer: str, path: Path
) -> None:
    """Everything asked is answered, and nothing else: `DataError` with counts otherwise.

    Args:
        asked: ids in the truth.
        said: ids in the predictions.
        thing: what an id stands for, as `image`.
        answer: what is said of it, as `caption`.
        path: the file of the predictions.
    """
    unknown = set(said) - set(asked)
    if unknown:
        raise DataError(
            f"{path}: {len(unknown)} of {len(set(said))} {thing} ids are not in the truth: "
            f"{some(unknown)}. Were these made for another split?"
        )
    missing = set(asked) - set(said)
    if missing:
        raise DataError(
            f"{path}: {len(missing)} of {len(set(asked))} {thing}s have no {answer}: "
            f"{some(missing)}. A score over the rest would be of another set. Each needs one; an "
            f"empty {answer} is one."
        )


def is_finite(value: Any) -> bool:
    """Whether a value is a number that a float can hold."""
    return isinstance(value, int | float) and -float_info.max <= value <= float_info.max


def is_whole(value: Any) -> bool:
    """Whether a value is an integer of 64 bits, or a float that is one."""
    fits = is_finite(value) and not isinstance(value, bool) and abs(value) < 2**63
    return fits and value == int(value)


def some(ids: Iterable[Hashable]) -> str:
    """A few of the ids, for a message.

    >>> some(range(9))
    '0, 1, 2, 3, 4, …'
    """
    texts = [str(i) for i in ids]
    texts.sort(key=lambda text: (len(text), text))
    return ", ".join(texts[:_SHOWN]) + (", …" if len(texts) > _SHOWN else "")
