"""From unpacked aside to in place: by renaming, and marked for as long as that takes.

A folder that is not there yet appears whole, in one step. Where files join others, the dataset's
folder carries a mark until all of them are in, and no dataset is read from a marked folder.
"""

import errno
import hashlib
import os
import shutil
from collections.abc import Sequence
from pathlib import Path

from bench.data.source import INCOMPLETE
from bench.errors import DataError
from bench.obtain.archive import File


def place(staged: Path, home: Path, files: Sequence[File]) -> None:
    """Move what lies in `staged` into `home`, which keeps what it has.

    `home` may be a link, or lie on another disk.

    Raises:
        DataError: a file is there already with another content, or `home` is a link to nothing;
            nothing was moved.
    """
    if home.is_symlink() and not home.exists():
        raise DataError(
            f"{home} is a link to {os.readlink(home)}, which is not there. Nothing was moved: make "
            "that folder (or mount its disk), or remove the link, and run the same command again."
        )
    _refuse_others(home, files)
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        if _renamed(staged, home):
            return
        home.mkdir()
    mark = home / INCOMPLETE
    mark.touch()
    _merge(staged, home)
    shutil.rmtree(staged, ignore_errors=True)
    mark.unlink()


def _merge(staged: Path, target: Path) -> None:
    for entry in sorted(staged.iterdir()):
        place = target / entry.name
        if entry.is_dir() and place.is_dir():
            _merge(entry, place)
        elif place.exists():
            entry.unlink()  # the same content, or it would have been refused
        elif not _renamed(entry, place):
            _copy(entry, place)


def _renamed(entry: Path, place: Path) -> bool:
    """Move a file or a folder in one step; false where its place is on another disk."""
    try:
        os.replace(entry, place)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        return False
    return True


def _copy(entry: Path, place: Path) -> None:
    """What renaming cannot do between disks: every file appears whole, or not at all."""
    if entry.is_dir():
        place.mkdir()
        _merge(entry, place)
        return
    part = place.with_name(f"{place.name}.part")
    with entry.open("rb") as source, part.open("wb") as target:
        shutil.copyfileobj(source, target)
        target.flush()
        os.fsync(target.fileno())
    os.replace(part, place)


def _refuse_others(home: Path, files: Sequence[File]) -> None:
    """Refuse to put a file where another one is."""
    others = [file.path for file in files if _is_another(home / file.path, file)]
    if others:
        raise DataError(
            f"{home} already has {len(others)} of these files with another content, such as "
            f"{others[0]}. Nothing was moved: move them away, and run the same command again."
        )


def _is_another(path: Path, file: File) -> bool:
    if not path.exists():
        return False
    if not path.is_file() or path.stat().st_size != file.size:
        return True
    with path.open("rb") as there:
        return hashlib.file_digest(there, "sha256").hexdigest() != file.sha256
