"""What is in an archive, or in a folder that stands for one, and how it gets out safely.

An archive is a stranger's: no name in it leads outside the target, links and devices are refused,
and what it grows to is bounded. Files are hashed while they are written.
"""

import hashlib
import lzma
import os
import re
import shutil
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from bench.errors import DataError, DataMissing

_BLOCK = 1 << 20
_JUNK = re.compile(r"(^|/)(__MACOSX/|\._|\.DS_Store$|Thumbs\.db$|desktop\.ini$)")
_UNREADABLE = (
    zipfile.BadZipFile,
    tarfile.TarError,
    zlib.error,
    lzma.LZMAError,
    EOFError,
    OSError,
    NotImplementedError,  # a compression that zipfile does not know
    RuntimeError,  # an encrypted zip
)


@dataclass(frozen=True)
class Limits:
    """How much an archive may unpack to before it counts as a bomb."""

    ratio: int = 100
    """Times its own size."""
    floor: int = 1 << 30
    """Bytes that any archive may unpack to."""
    files: int = 2_000_000

    def bytes_of(self, archive: Path) -> int:
        """The most that an archive of that size may unpack to."""
        return max(self.floor, self.ratio * archive.stat().st_size)


LIMITS = Limits()


@dataclass(frozen=True, slots=True)
class File:
    """A file that was unpacked, or is there."""

    path: str
    """Relative to the folder it was unpacked to, with forward slashes."""
    size: int
    sha256: str


@dataclass(frozen=True)
class Member:
    """A regular file of an archive, with a name that leads nowhere else."""

    path: str
    size: int
    """As the archive states it."""
    open: Callable[[], IO[bytes]]


Choose = Callable[[str], str | None]
"""From a member's path to where it goes below the target; `None`: it is left."""


def names(source: Path) -> tuple[str, ...]:
    """The paths of all regular files in an archive or a folder.

    Raises:
        DataError: it is neither, it is broken, or a name in it leads elsewhere.
    """
    with members(source) as found:
        return tuple(member.path for member in found)


def unpack(
    source: Path, target: Path, choose: Choose = lambda path: path, *, limits: Limits = LIMITS
) -> tuple[File, ...]:
    """Write the chosen files of an archive or a folder below `target`, in the order of paths.

    Raises:
        DataError: it is broken, holds a name that leads elsewhere, a link or a device, the same
            file twice, or more than `limits` allow. What was written until then stays.
        DataMissing: the disk has no room for it.
    """
    target.mkdir(parents=True, exist_ok=True)
    _require_room(source, target, choose)
    written: dict[str, File] = {}
    most, left = limits.bytes_of(source), limits.files
    with members(source) as found:
        for member in found:
            wanted = choose(member.path)
            if wanted is None:
                continue
            path = _safe(wanted, source)
            if path in written:
                raise DataError(f"{source} holds {path} twice, and it is not clear which is meant.")
            left -= 1
            most -= member.size
            if left < 0 or (most < 0 and not source.is_dir()):
                raise DataError(
                    f"{source} unpacks to more than it should: over {limits.files} files, or over "
                    f"{limits.bytes_of(source) >> 20} MiB. It is left alone."
                )
            written[path] = _write(member, target / path, path, source)
    return tuple(written[path] for path in sorted(written))


def is_archive(path: Path) -> bool:
    """Whether a file is a zip or a tar, compressed or not."""
    return is_tar(path) or zipfile.is_zipfile(path)


def is_tar(path: Path) -> bool:
    """Whether a file begins as a tar does; one that ends with a zip is a tar all the same."""
    try:
        return path.is_file() and tarfile.is_tarfile(path)
    except _UNREADABLE:
        return False


@contextmanager
def members(source: Path) -> Iterator[Iterator[Member]]:
    """The regular files of an archive, or of a folder, one after the other."""
    if source.is_dir():
        yield _of_folder(source)
        return
    try:
        if is_tar(source):
            with tarfile.open(source) as tar:
                yield _of_tar(tar, source)
        elif zipfile.is_zipfile(source):
            with zipfile.ZipFile(source) as archive:
                yield _of_zip(archive, source)
        else:
            raise DataError(f"{source} is neither a zip nor a tar{_looks_like(source)}.")
    except (tarfile.TarError, zipfile.BadZipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _broken(source, error) from error


# --- kinds ---------------------------------------------------------------------------------------


def _of_zip(archive: zipfile.ZipFile, source: Path) -> Iterator[Member]:
    for info in archive.infolist():
        kind = stat.S_IFMT(info.external_attr >> 16)
        path = _safe(info.filename, source)
        if info.is_dir() or not path or _JUNK.search(path):
            continue
        if kind not in (0, stat.S_IFREG):
            raise _refused(source, path)

        def opened(info: zipfile.ZipInfo = info) -> IO[bytes]:
            return archive.open(info)

        yield Member(path, info.file_size, opened)


def _of_tar(tar: tarfile.TarFile, source: Path) -> Iterator[Member]:
    for info in tar:
        path = _safe(info.name, source)
        if info.isdir() or (info.isfile() and (not path or _JUNK.search(path))):
            continue
        if not info.isfile():
            raise _refused(source, path)

        def opened(info: tarfile.TarInfo = info) -> IO[bytes]:
            file = tar.extractfile(info)
            assert file is not None  # it is regular
            return file

        yield Member(path, info.size, opened)


def _of_folder(folder: Path) -> Iterator[Member]:
    for parent, below, files in os.walk(folder):
        below[:] = sorted(name for name in below if not name.startswith("."))
        for name in sorted(files):
            file = Path(parent, name)
            path = file.relative_to(folder).as_posix()
            if name.startswith(".") or _JUNK.search(path):
                continue

            def opened(file: Path = file) -> IO[bytes]:
                return file.open("rb")

            yield Member(path, file.stat().st_size, opened)


def _safe(name: str, source: Path) -> str:
    """A name as a relative path with forward slashes; `DataError` where it leads elsewhere."""
    text = name.replace("\\", "/")
    parts = [part for part in PurePosixPath(text).parts if part != "."]
    if text.startswith("/") or ".." in parts or re.match(r"[A-Za-z]:", text) or "\0" in text:
        raise DataError(
            f"{source} holds the name {name!r}, which leads outside the folder it is unpacked to. "
            "It is not unpacked: get it from somewhere else."
        )
    return "/".join(parts)


def _require_room(source: Path, target: Path, choose: Choose) -> None:
    """Refuse what the disk has no room for; of a tar nobody knows before it is read."""
    if not (source.is_dir() or zipfile.is_zipfile(source)) or is_tar(source):
        return
    with members(source) as found:
        needed = sum(member.size for member in found if choose(member.path) is not None)
    free = shutil.disk_usage(target).free
    if needed > free:
        raise DataMissing(
            f"{source.name} unpacks to {needed >> 20} MiB, and {target} has room for "
            f"{free >> 20} MiB."
        )


# --- writing -------------------------------------------------------------------------------------


def _write(member: Member, target: Path, path: str, source: Path) -> File:
    """One file, and what it is; no byte more than the archive states."""
    target.parent.mkdir(parents=True, exist_ok=True)
    digest, size = hashlib.sha256(), 0
    with target.open("xb") as out:
        for block in _blocks(member, source):
            size += len(block)
            if size > member.size:
                raise DataError(f"{source}: {member.path} is larger than the archive says.")
            digest.update(block)
            out.write(block)
    if size < member.size:
        raise DataError(f"{source} is cut off: {member.path} has {size} of {member.size} bytes.")
    return File(path, size, digest.hexdigest())


def _blocks(member: Member, source: Path) -> Iterator[bytes]:
    """What is in a member; reading errors are the archive's, writing errors are not."""
    try:
        with member.open() as file:
            while block := file.read(_BLOCK):
                yield block
    except _UNREADABLE as error:
        raise _broken(source, error) from error


def _refused(source: Path, path: str) -> DataError:
    return DataError(
        f"{source} holds {path!r}, which is a link or a device and no file. It is not unpacked: "
        "get it from somewhere else."
    )


def _broken(source: Path, error: Exception) -> DataError:
    reason = (str(error) or type(error).__name__).rstrip(".")
    return DataError(f"{source} is a broken archive: {reason}. Delete it, and get it again.")


def _looks_like(source: Path) -> str:
    """What the beginning of a file says, where an archive was wanted."""
    with source.open("rb") as file:
        start = file.read(256).lstrip().lower()
    if start.startswith((b"<!doctype", b"<html")):
        return ", but a web page: its address wants a log-in, or has moved"
    return "" if start else ": the file is empty"


def folder_files(folder: Path, paths: Sequence[str]) -> tuple[str, ...]:
    """The files at and below some paths of a folder, in order; those that are not there are left.

    Hidden files are nobody's.
    """
    found: set[str] = set()
    for path in paths:
        at = folder / path
        if at.is_file():
            found.add(path)
        elif at.is_dir():
            found |= {
                below if path in ("", ".") else f"{path.rstrip('/')}/{below}" for below in names(at)
            }
    return tuple(sorted(found))
