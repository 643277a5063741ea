"""From unpacked aside to in place: by renaming, and marked for as long as that takes.

A folder that is not there yet appears whole, in one step. Where files join others, the dataset's
folder carries a mark until all of them are in, and no dataset is read from a marked folder.
"""

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

    Raises:
        DataError: a file is there already with another content; nothing was moved.
    """
    _refuse_others(home, files)
    if not home.exists():
        home.parent.mkdir(parents=True, exist_ok=True)
        os.replace(staged, home)
        return
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
        else:
            os.replace(entry, place)


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
