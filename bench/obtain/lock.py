"""What was fetched, pinned: `data.lock.json` beside the datasets, and a list of files a piece.

The first time a piece is put in place its content is written down; from then on anything else under
its name is an error that says so, whether it changed here or where it comes from. The lock file is
small and made to be shared; the lists lie in `.bench/manifests`.
"""

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from bench.errors import DataError, UsageError
from bench.obtain.archive import File

LOCK = "data.lock.json"
INSIDE = ".bench"
"""Our own folder under the data folder: downloads, what is being unpacked, lists of files."""


@dataclass(frozen=True)
class Entry:
    """What a piece was when it was first there."""

    source: str
    """Where it came from; `found` for what was there before."""
    archive: str
    """The sha256 of the archive; empty where there was none."""
    tree: str
    """The sha256 of its list of files: of their names, sizes and contents."""
    files: int
    bytes: int


@dataclass(frozen=True)
class Difference:
    """How files differ from a list of them."""

    missing: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.changed)

    def __str__(self) -> str:
        said = ((self.missing, "missing"), (self.changed, "changed"))
        return "; ".join(f"{len(p)} {word}, such as {p[0]}" for p, word in said if p)


SAME = Difference()
"""No difference."""


def listing(files: Sequence[File]) -> str:
    """A list of files as it is kept: sha256, size and path a line, in the order of paths."""
    ordered = sorted(files, key=lambda file: file.path)
    return "".join(f"{file.sha256}\t{file.size}\t{file.path}\n" for file in ordered)


def entry_of(files: Sequence[File], *, source: str, archive: str) -> Entry:
    """The entry that pins some files."""
    tree = hashlib.sha256(listing(files).encode()).hexdigest()
    return Entry(source, archive, tree, len(files), sum(file.size for file in files))


@dataclass(frozen=True)
class Pins:
    """What is pinned under a data folder."""

    root: Path

    @property
    def path(self) -> Path:
        """The lock file."""
        return self.root / LOCK

    def entries(self) -> dict[str, Entry]:
        """Everything that is pinned, by piece; `DataError` for a file that is not ours."""
        if not self.path.is_file():
            return {}
        try:
            content: dict[str, dict[str, Any]] = json.loads(self.path.read_text("utf-8"))
            return {name: Entry(**entry) for name, entry in content.items()}
        except (ValueError, TypeError, AttributeError) as error:
            raise DataError(f"{self.path} is no lock file of ours: {error}.") from error

    def files(self, piece: str) -> tuple[File, ...] | None:
        """The files of a piece as they were pinned; `None` where the list is not here.

        Raises:
            DataError: the list is not the one the lock file pins.
        """
        entry = self.entries().get(piece)
        path = self._manifest(piece)
        if entry is None or not path.is_file():
            return None
        text = path.read_text("utf-8")
        if hashlib.sha256(text.encode()).hexdigest() != entry.tree:
            raise DataError(
                f"{path} is not the list of files that {self.path} pins for {piece}. Delete it: "
                "`bench data get` writes it again."
            )
        rows = (line.split("\t", 2) for line in text.splitlines())
        return tuple(File(name, int(size), sha256) for sha256, size, name in rows)

    def pin(self, piece: str, entry: Entry, files: Sequence[File]) -> None:
        """Write down a piece, and leave the others."""
        manifest = self._manifest(piece)
        manifest.parent.mkdir(parents=True, exist_ok=True)
        _write(manifest, listing(files))
        entries = {**self.entries(), piece: entry}
        content = {name: asdict(entries[name]) for name in sorted(entries)}
        _write(self.path, json.dumps(content, indent=2, ensure_ascii=False) + "\n")

    def _manifest(self, piece: str) -> Path:
        return self.root / INSIDE / "manifests" / (quote(piece, safe="") + ".tsv")

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Keep every other `bench data get` out of this data folder; `UsageError` if one runs."""
        import fcntl

        inside = self.root / INSIDE
        inside.mkdir(parents=True, exist_ok=True)
        with (inside / "get.lock").open("w") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise UsageError(
                    f"Another `bench data get` is writing to {self.root}. Wait for it to end."
                ) from None
            yield


def _write(path: Path, text: str) -> None:
    unfinished = path.with_name(f".{path.name}.{os.getpid()}")
    unfinished.write_text(text, "utf-8")
    os.replace(unfinished, path)


# --- files on disk -------------------------------------------------------------------------------


def hashed(folder: Path, paths: Sequence[str]) -> tuple[File, ...]:
    """Files of a folder with their sizes and contents, read by a few threads."""

    def one(path: str) -> File:
        with (folder / path).open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        return File(path, (folder / path).stat().st_size, digest)

    with ThreadPoolExecutor(4) as pool:
        return tuple(pool.map(one, sorted(paths)))


def differences(folder: Path, files: Sequence[File], *, contents: bool) -> Difference:
    """How what lies in a folder differs from a list: by sizes, or by contents too."""
    missing = [file for file in files if not (folder / file.path).is_file()]
    gone = {file.path for file in missing}
    there = [file for file in files if file.path not in gone]
    changed = [file for file in there if (folder / file.path).stat().st_size != file.size]
    if contents:
        resized = {file.path for file in changed}
        same = [file for file in there if file.path not in resized]
        now = hashed(folder, [file.path for file in same])
        pinned = {file.path: file.sha256 for file in same}
        changed += [file for file in now if file.sha256 != pinned[file.path]]
    return Difference(tuple(f.path for f in missing), tuple(sorted(f.path for f in changed)))


def between(pinned: Sequence[File], found: Sequence[File]) -> Difference:
    """How one list of files differs from another that should be the same."""
    before, now = ({file.path: file.sha256 for file in files} for files in (pinned, found))
    changed = [path for path in sorted({*before, *now}) if before.get(path) != now.get(path)]
    missing = [path for path in changed if path not in now]
    return Difference(tuple(missing), tuple(path for path in changed if path in now))
