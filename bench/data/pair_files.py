"""Files of image-text pairs, read pair by pair in any order: Arrow, Parquet and tar shards.

An image with five captions is five pairs.

| suffix | layout |
|---|---|
| `.arrow` | a column of images (bytes, or a struct with `bytes`), one of captions or lists |
| `.parquet` | the same; read by row group |
| `.tar` | members `name.jpg` and `name.txt` (or `name.json` with `caption`), as in webdataset |

ViLT's Arrow files, which X-Decoder's data are, and those that Hugging Face `datasets` writes differ
in the kind of Arrow file and in the names of columns; both are read.
"""

import json
import tarfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from io import BytesIO
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import PIL.Image
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from jaxtyping import Int
from PIL import ImageOps

from bench.errors import DataError, UsageError
from bench.types import Image

IMAGE_COLUMNS = ("image", "jpg", "img")
TEXT_COLUMNS = ("caption", "captions", "text", "txt")
NAME_COLUMNS = ("image_id", "file_name", "filename", "key", "__key__", "id")
IMAGE_SUFFIXES = ("jpg", "jpeg", "png", "webp")


@dataclass(frozen=True)
class Pair:
    """An image as it is stored, with one thing that is said of it."""

    image: bytes
    text: str
    name: str = ""
    """The file's own name for the image; empty where it has none."""

    def decoded(self) -> Image:
        """The image; `DataError` where it cannot be decoded or nothing is said of it."""
        if not self.text:
            raise DataError(f"image '{self.name}' has no text")
        try:
            with PIL.Image.open(BytesIO(self.image)) as image:
                return np.array(ImageOps.exif_transpose(image).convert("RGB"))
        except Exception as error:  # Pillow raises what it pleases on broken bytes
            raise DataError(f"image '{self.name}' cannot be decoded: {error}") from error


class Shard(Protocol):
    """Pairs that lie together: one file, or one row group."""

    @property
    def path(self) -> Path:
        """The file."""
        ...

    def __len__(self) -> int:
        """How many pairs."""
        ...

    def pair(self, index: int) -> Pair:
        """One of them."""
        ...

    def names(self) -> Sequence[str]:
        """The name of every pair's image, without reading images; empty where there are none."""
        ...


def open_shards(path: Path) -> tuple[Shard, ...]:
    """The shards of a file, by its suffix.

    Raises:
        UsageError: no reader for files of this suffix.
        DataError: the file is not what its suffix says, or has no images and texts.
    """
    if path.suffix not in _READERS:
        raise UsageError(f"{path}: pairs are read from {', '.join(_READERS)} files.")
    try:
        return tuple(_READERS[path.suffix](path))
    except (OSError, pa.ArrowInvalid, tarfile.TarError) as error:
        raise DataError(f"{path} cannot be read: {error}.") from error


# --- tables --------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Table:
    """A file of Arrow, or a row group of Parquet."""

    path: Path
    rows: int
    columns: tuple[str, str, str | None]
    """Of images, texts and names."""
    read: Callable[[Sequence[str]], pa.Table] = field(repr=False)
    """Some of its columns."""

    @cached_property
    def ends(self) -> Int[np.ndarray, " row"] | None:
        """The pairs up to and with each row; `None` where a row is a pair."""
        text = self.columns[1]
        said = self.read([text])[text]
        if not pa.types.is_list(said.type) and not pa.types.is_large_list(said.type):
            return None
        counts = pc.fill_null(pc.list_value_length(said), 0)
        return np.cumsum(counts.to_numpy(), dtype=np.int64)

    def __len__(self) -> int:
        if self.ends is None:
            return self.rows
        return int(self.ends[-1]) if self.rows else 0

    def pair(self, index: int) -> Pair:
        """A row's image with its text, or one of them."""
        table = _read(self)
        image, text, name = self.columns
        row = index if self.ends is None else int(np.searchsorted(self.ends, index, side="right"))
        content = table[image][row].as_py()
        if isinstance(content, Mapping):
            content = content.get("bytes")
        said = table[text][row].as_py()
        if self.ends is not None:
            said = said[index - int(self.ends[row])]  # counted from the last one backwards
        called = "" if name is None else self._called(table[name][row].as_py())
        return Pair(content or b"", said or "", called)

    def names(self) -> Sequence[str]:
        """The column of names, each as often as its row has texts."""
        name = self.columns[2]
        if name is None:
            return []
        names = [self._called(n) for n in self.read([name])[name].to_pylist()]
        if self.ends is None:
            return names
        counts = np.diff(self.ends, prepend=0).tolist()
        return [n for n, count in zip(names, counts, strict=True) for _ in range(count)]

    def _called(self, name: object) -> str:
        """The name of an image; where its number stands in place of that, as COCO writes it."""
        numbered = self.columns[2] == "image_id" and isinstance(name, int)
        return f"{name:012d}" if numbered else str(name)


@lru_cache(maxsize=16)  # the shards that a window of a shuffled order goes through
def _read(table: Table) -> pa.Table:
    return table.read([column for column in table.columns if column is not None])


def _arrow(path: Path) -> Iterable[Shard]:
    """One table, mapped into memory: nothing is read before a pair is asked for."""
    source = pa.memory_map(str(path))
    try:
        whole = pa.ipc.open_file(source).read_all()
    except pa.ArrowInvalid:
        whole = pa.ipc.open_stream(source).read_all()
    yield Table(path, len(whole), _columns(path, whole.schema.names), whole.select)


def _parquet(path: Path) -> Iterable[Shard]:
    """A table for each row group, which is the least that can be read."""
    file = pq.ParquetFile(path)
    columns = _columns(path, file.schema_arrow.names)
    for group in range(file.num_row_groups):
        rows = file.metadata.row_group(group).num_rows
        yield Table(path, rows, columns, _Group(path, group))


@dataclass(frozen=True)
class _Group:
    """Reads a row group; opens the file anew, so that processes share nothing."""

    path: Path
    group: int

    def __call__(self, columns: Sequence[str]) -> pa.Table:
        return pq.ParquetFile(self.path).read_row_group(self.group, columns=list(columns))


def _columns(path: Path, names: Sequence[str]) -> tuple[str, str, str | None]:
    image, text, name = (
        next((column for column in known if column in names), None)
        for known in (IMAGE_COLUMNS, TEXT_COLUMNS, NAME_COLUMNS)
    )
    if image is None or text is None:
        raise DataError(
            f"{path} has the columns {', '.join(names)}: pairs need one of images "
            f"({', '.join(IMAGE_COLUMNS)}) and one of texts ({', '.join(TEXT_COLUMNS)})."
        )
    return image, text, name


# --- tars ----------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Tar:
    """A tar of pairs; members are found by offset, so any pair costs one seek."""

    path: Path

    @cached_property
    def members(self) -> tuple[tuple[str, dict[str, tuple[int, int]]], ...]:
        """For each pair its name, and (offset, size) of its members by suffix."""
        found: dict[str, dict[str, tuple[int, int]]] = {}
        with tarfile.open(self.path, "r:") as tar:
            for member in tar:
                folder, _, file = member.name.rpartition("/")
                stem, _, suffix = file.partition(".")
                if member.isfile() and suffix:
                    place = (member.offset_data, member.size)
                    found.setdefault(f"{folder}/{stem}", {})[suffix.lower()] = place
        whole = {
            name: places
            for name, places in found.items()
            if places.keys() & {*IMAGE_SUFFIXES} and places.keys() & {"txt", "json"}
        }
        if not whole:
            raise DataError(f"{self.path} holds no pairs: members name.jpg with name.txt or .json.")
        return tuple(whole.items())

    def __len__(self) -> int:
        return len(self.members)

    def pair(self, index: int) -> Pair:
        """The members of one name."""
        name, places = self.members[index]
        with self.path.open("rb") as file:

            def content(suffix: str) -> bytes:
                offset, size = places[suffix]
                file.seek(offset)
                return file.read(size)

            image = content(next(s for s in IMAGE_SUFFIXES if s in places))
            if "txt" in places:
                text = content("txt").decode("utf-8", "replace").strip()
            else:
                text = str(_object(content("json")).get("caption") or "")
        return Pair(image, text, name)

    def names(self) -> Sequence[str]:
        """The names of the members."""
        return [name for name, _ in self.members]


def _object(content: bytes) -> dict[str, Any]:
    try:
        found = json.loads(content)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _tar(path: Path) -> Iterable[Shard]:
    tar = Tar(path)
    len(tar)  # read through now, so that what is wrong with it is said now
    yield tar


_READERS: Mapping[str, Callable[[Path], Iterable[Shard]]] = {
    ".arrow": _arrow,
    ".parquet": _parquet,
    ".tar": _tar,
}
