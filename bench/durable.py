"""Files that stay whole, whatever befalls their writer: a kill, a full disk, a second process.

Lines are added in one call each, and a torn last line is cut off by whoever opens the file next.
Whole files are written beside their place and renamed. The kernel keeps the locks (`flock`): who is
killed holds none, so no lock is ever stale.
"""

import errno
import fcntl
import os
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from bench.errors import Busy, CannotWrite

PATIENCE = 1.0
"""Seconds until a locked file counts as another process's. What a killed process was just about to
start holds its lock for a moment longer than it."""
RESULTS = "--results or BENCH_RESULTS"
"""The options that say where results go."""
NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def whole(path: Path, option: str = RESULTS) -> Iterator[Path]:
    """A path to write to, that becomes `path` in one step once all of it is on disk.

    Until then, and if it fails, what was at `path` stays. The folder is made if need be.

    Raises:
        CannotWrite: with `option`, which says where the file goes.
    """
    beside = path.with_name(f".{path.name}.unfinished")
    with explained(path, option):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield beside
            with beside.open("rb") as file:
                os.fsync(file.fileno())
            beside.replace(path)
        except BaseException:
            with suppress(OSError):
                beside.unlink()
            raise


@contextmanager
def explained(path: Path, option: str = RESULTS) -> Iterator[None]:
    """Say in a sentence why `path` cannot be written, and what to do with which option."""
    try:
        yield
    except Exception as raised:
        if (error := _of_the_system(raised)) is None:
            raise
        if error.errno in NO_SPACE:
            raise CannotWrite(
                f"Cannot write {path}: no space is left there (disk, quota or file size limit). "
                "What was finished is kept; make room and run the same command again."
            ) from None
        if error.errno in NO_PERMISSION:
            raise CannotWrite(
                f"Cannot write {path}: no permission. Choose another place with {option}."
            ) from None
        raise CannotWrite(
            f"Cannot write {path}: {error.strerror}. Choose another place with {option}."
        ) from None


def lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines with their numbers from 1. What follows the last newline was torn: left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n") and line.strip():
                yield number, line


def _of_the_system(error: Exception) -> OSError | None:
    """What the operating system said, where it said something: libraries wrap it.

    >>> _of_the_system(ValueError("I/O error: File too large (os error 27)"))
    OSError(27, 'File too large')
    """
    if isinstance(error, OSError):
        return error
    if isinstance(error, RuntimeError) and isinstance(error.__context__, OSError):  # torch
        return error.__context__
    if said := re.search(r"\(os error (\d+)\)", str(error)):  # safetensors
        return OSError(int(said[1]), os.strerror(int(said[1])))
    return None


class Appender:
    """A file that is only added to, by one process at a time, whole lines at a time."""

    def __init__(
        self,
        path: Path,
        *,
        exclusive: str | None = None,
        patience: float = PATIENCE,
        option: str = RESULTS,
    ) -> None:
        self.path = path
        self._exclusive = exclusive
        """What to call it when refusing to share it; `None`: wait for the other to end."""
        self._patience = patience
        self._option = option

    def __enter__(self) -> "Appender":
        with explained(self.path, self._option):
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            with explained(self.path, self._option):
                self._lock()
                self._cut_torn_line()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)  # and with it the lock

    def _lock(self) -> None:
        if self._exclusive is None:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return
        end = time.monotonic() + self._patience
        while not self._locked():
            if time.monotonic() > end:
                raise Busy(
                    f"{self._exclusive} is being worked on by another process "
                    f"({self.path} is locked). Wait for it to end, or stop it."
                )
            time.sleep(PATIENCE / 20)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _cut_torn_line(self) -> None:
        """Cut off what follows the last newline: its writer was killed in the middle."""
        size = end = os.fstat(self._file).st_size
        while end:
            start = max(0, end - 65536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)

    def write(self, line: str, *, sync: bool = False) -> None:
        """Add one line. A line that does not fit on the disk is taken back whole."""
        content = line.encode() + b"\n"
        before = os.fstat(self._file).st_size
        with explained(self.path, self._option):
            try:
                written = os.write(self._file, content)
                if written < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if sync:
                    os.fsync(self._file)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, before)
                raise

    def cut(self, size: int = 0) -> None:
        """Shorten the file to so many bytes; it stays, because it carries the lock."""
        os.ftruncate(self._file, size)
