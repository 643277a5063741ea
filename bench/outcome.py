"""What is known of one image after it was asked about, and how that is written down.

Numbers survive exactly: arrays are kept as their bytes, with their type and shape beside them.
"""

import base64
import json
import zlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np

from bench.errors import DataError
from bench.metrics.meter import Statistics
from bench.record import Seconds


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """One image: its statistics, or why there are none."""

    id: str
    statistics: Mapping[str, tuple[Statistics, ...]]
    """By task, one for each of the task's meters; empty where the image failed."""
    seconds: Seconds = field(default_factory=Seconds)
    failure: str | None = None
    """Why the image could not be scored."""


def encode_line(outcome: ImageOutcome) -> str:
    """One image as one line of JSON: a table of arrays, and their bytes, compressed.

    >>> decode_line(encode_line(ImageOutcome("cat.jpg", {}, failure="truncated"))).failure
    'truncated'
    """
    content = b"".join(array.tobytes() for _, array in _named(outcome.statistics))
    packed = base64.b64encode(zlib.compress(content, 1)).decode()
    return json.dumps({**_row(outcome), "data": packed}, separators=(",", ":"))


def decode_line(line: str | bytes) -> ImageOutcome:
    """The image on a line; `ValueError` if it is damaged."""
    try:
        row = json.loads(line)
        content = zlib.decompress(base64.b64decode(row["data"], validate=True))
        return _outcome(row, _Bytes(content))
    except (KeyError, TypeError, zlib.error) as error:
        raise ValueError(f"not an image's outcome: {error!r}") from error


def write_statistics(outcomes: Sequence[ImageOutcome]) -> bytes:
    """Many images as an `.npz` file: arrays of one name end to end, and a table of the images.

    The table, `images`, is JSON as in a run's log; each array is cut where its row says.
    """
    columns: dict[str, list[np.ndarray]] = {}
    for outcome in outcomes:
        for name, array in _named(outcome.statistics):
            columns.setdefault(_column(name, array.dtype.str), []).append(array.ravel())
    table = json.dumps([_row(outcome) for outcome in outcomes]).encode()
    arrays = {name: np.concatenate(parts) for name, parts in columns.items()}
    file = BytesIO()
    np.savez_compressed(file, allow_pickle=False, images=np.frombuffer(table, np.uint8), **arrays)
    return file.getvalue()


def read_statistics(source: Path | BytesIO) -> dict[str, ImageOutcome]:
    """The images that `write_statistics` wrote, by id, in their order.

    Raises:
        DataError: the file is damaged.
    """
    content = BytesIO(source.read_bytes()) if isinstance(source, Path) else source
    try:
        with np.load(content, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files}
        rows = json.loads(arrays.pop("images").tobytes())
    except (BadZipFile, EOFError, KeyError, ValueError, zlib.error) as error:
        raise DataError(
            f"{source} is damaged ({error}): copy it anew, or delete its folder and run again."
        ) from error
    columns = _Columns(arrays)
    return {row["id"]: _outcome(row, columns) for row in rows}


def _named(statistics: Mapping[str, Sequence[Statistics]]) -> Iterator[tuple[str, np.ndarray]]:
    """Every array, by `task/meter/name`."""
    for task, meters in statistics.items():
        for index, meter in enumerate(meters):
            for name, array in meter.items():
                if array.dtype.hasobject:
                    raise ValueError(f"{task}/{index}/{name} holds Python objects, not numbers")
                yield f"{task}/{index}/{name}", array


def _row(outcome: ImageOutcome) -> dict[str, Any]:
    """All of an outcome but the bytes of its arrays."""
    return {
        "id": outcome.id,
        "failure": outcome.failure,
        "seconds": list(outcome.seconds.model_dump().values()),
        "meters": {task: len(meters) for task, meters in outcome.statistics.items()},
        "arrays": [[n, a.dtype.str, list(a.shape)] for n, a in _named(outcome.statistics)],
    }


def _outcome(row: Mapping[str, Any], source: "_Bytes | _Columns") -> ImageOutcome:
    """An outcome from its row, its arrays taken from `source` in the row's order."""
    meters: dict[str, tuple[dict[str, np.ndarray], ...]] = {
        task: tuple({} for _ in range(count)) for task, count in row["meters"].items()
    }
    for path, dtype, shape in row["arrays"]:
        task, index, name = path.split("/", 2)
        meters[task][int(index)][name] = source.take(path, dtype, prod(shape)).reshape(shape)
    seconds = Seconds(**dict(zip(Seconds.model_fields, row["seconds"], strict=True)))
    return ImageOutcome(row["id"], meters, seconds, row["failure"])


def _column(name: str, dtype: str) -> str:
    return f"{name}:{dtype}"


class _Bytes:
    """Arrays of any type, one after the other."""

    def __init__(self, content: bytes) -> None:
        self._content, self._offset = content, 0

    def take(self, name: str, dtype: str, size: int) -> np.ndarray:
        """The next `size` numbers."""
        kind = np.dtype(dtype)
        found = (
            np.frombuffer(self._content, kind, size, self._offset) if size else np.empty(0, kind)
        )
        self._offset += found.nbytes
        return found


class _Columns:
    """Arrays of one name end to end."""

    def __init__(self, columns: Mapping[str, np.ndarray]) -> None:
        self._columns, self._offsets = columns, dict.fromkeys(columns, 0)

    def take(self, name: str, dtype: str, size: int) -> np.ndarray:
        """The next `size` numbers of that name and type."""
        column = _column(name, dtype)
        start = self._offsets[column]
        self._offsets[column] = start + size
        return self._columns[column][start : start + size]
