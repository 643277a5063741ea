"""Images to look at: files, the files of a folder, the frames of a moving picture."""

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image

from bench.data.images import SUFFIXES, read_image
from bench.errors import DataError, DataMissing, ExtraMissing
from bench.types import Image

VIDEOS = frozenset({".mp4", ".mov", ".avi", ".mkv", ".webm", ".m4v"})


@dataclass(frozen=True)
class Frame:
    """One image with the name its answers are filed under."""

    name: str
    source: Path
    image: Image
    index: int | None = None
    """Which frame of a moving picture, from 0; `None` for a still one."""


def frames(
    paths: Sequence[Path], left_out: Callable[[DataError], None] | None = None
) -> Iterator[Frame]:
    """Every image of files, folders and moving pictures, in order; each read when it is due.

    Two files with one stem in one run keep their suffixes in their names. Of a file that cannot be
    read `left_out` is told, where it is given, and the next one is due.

    Raises:
        DataMissing: a path is not there, or a folder has no image.
        DataError: a file cannot be read, and nobody wants to be told.
        ExtraMissing: a video in a format that Pillow does not read.
    """
    files = [file for path in paths for file in _files(path)]
    stems = [file.stem for file in files]
    taken: dict[str, int] = {}
    for file in files:
        name = file.stem if stems.count(file.stem) == 1 else file.name.replace(".", "-")
        taken[name] = taken.get(name, 0) + 1
        if taken[name] > 1:  # the same name in another folder
            name = f"{name}-{taken[name]}"
        try:
            yield from _frames_of(file, name)
        except DataError as error:
            if left_out is None:
                raise
            left_out(error)


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        found = [file for file in path.iterdir() if file.suffix.lower() in SUFFIXES | VIDEOS]
        if not found:
            raise DataMissing(f"The folder {path} has no image ({', '.join(sorted(SUFFIXES))}).")
        return sorted(found, key=_natural)
    if not path.exists():
        raise DataMissing(f"There is no image at {path}.")
    return [path]


def _natural(path: Path) -> list[tuple[int, str]]:
    """Orders frame 2 before frame 10."""
    parts = re.split(r"(\d+)", path.name)
    return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]


def _frames_of(file: Path, name: str) -> Iterator[Frame]:
    if file.suffix.lower() in VIDEOS:
        yield from _numbered(_video(file), file, name)
    elif _moves(file):
        yield from _numbered(_animation(file), file, name)
    else:
        yield Frame(name, file, read_image(file))


def _numbered(images: Iterator[Image], file: Path, name: str) -> Iterator[Frame]:
    for index, image in enumerate(images):
        yield Frame(f"{name}-{index:05}", file, image, index)


def _moves(file: Path) -> bool:
    with suppress(Exception), PIL.Image.open(file) as image:  # what is broken is told by the reader
        return getattr(image, "n_frames", 1) > 1 and image.format in ("GIF", "PNG", "WEBP")
    return False


def _animation(file: Path) -> Iterator[Image]:
    with PIL.Image.open(file) as image:
        for index in range(getattr(image, "n_frames", 1)):
            try:
                image.seek(index)
                yield np.array(image.convert("RGB"))
            except (OSError, EOFError, ValueError) as error:
                raise DataError(f"{file} is broken at frame {index}: {error}.") from error


def _video(file: Path) -> Iterator[Image]:
    try:
        reader: Any = import_module("imageio.v3")
    except ModuleNotFoundError:
        raise ExtraMissing(
            f"{file} is a video, for which imageio is needed: pip install 'imageio[ffmpeg]'. Or "
            f"make frames of it (ffmpeg -i {file.name} frames/%05d.png) and give their folder."
        ) from None
    try:
        for frame in reader.imiter(file):
            yield np.asarray(frame)[..., :3]
    except Exception as error:  # whatever a decoder raises
        raise DataError(f"{file} cannot be read as a video: {error}.") from error
