"""Reading pictures: any file that Pillow opens, upright, as 8-bit RGB.

The reader `files` lists the images of a folder, or those that a list names.
"""

import struct
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import PIL.Image
from PIL import ImageOps

from bench.data.pattern import Pattern
from bench.data.source import Home, Reader, file_digest
from bench.errors import DataError
from bench.protocol import Strict
from bench.types import Image

SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".bmp", ".webp", ".tif", ".tiff", ".gif", ".ppm"})
"""What a file must end with to be taken for an image where the spec does not say."""

_BROKEN = (
    OSError,
    SyntaxError,  # a broken PNG chunk
    ValueError,
    EOFError,
    IndexError,
    OverflowError,
    struct.error,
    zlib.error,
    PIL.Image.DecompressionBombError,
)


def open_image(path: Path) -> PIL.Image.Image:
    """Open and fully decode a picture as it is stored.

    Raises:
        DataError: the file is missing, truncated or no image; the message names it and the reason.
    """
    try:
        with PIL.Image.open(path) as image:
            image.load()
            return image.copy() if image.format == "GIF" else image
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except IsADirectoryError:
        raise DataError(f"{path} is a folder, not an image.") from None
    except PIL.UnidentifiedImageError:
        raise DataError(f"{path} is not an image that can be read ({_size(path)}).") from None
    except _BROKEN as error:
        raise DataError(f"{path} is a broken image: {_reason(error)}.") from error


def read_image(path: Path) -> Image:
    """A picture as 8-bit RGB with its EXIF orientation applied; transparency is dropped.

    Of 16 bits the upper 8 are kept.

    Raises:
        DataError: the file is missing, truncated or no image, or its pixels are fractions; the
            message names it and the reason.
    """
    image = open_image(path)
    if image.mode == "F":
        raise DataError(f"{path} has fractions for pixels, of no known range: save it in 8 bits.")
    try:
        upright = ImageOps.exif_transpose(image)
        return np.array(_as_rgb(upright))  # a copy of its own, which may be written to
    except _BROKEN as error:
        raise DataError(f"{path} is a broken image: {_reason(error)}.") from error


def _as_rgb(image: PIL.Image.Image) -> PIL.Image.Image:
    if image.mode.startswith("I"):  # 16 bits a pixel: Pillow would clip, not scale
        grey = (np.asarray(image).astype(np.uint32) >> 8).astype(np.uint8)
        return PIL.Image.fromarray(grey).convert("RGB")
    if image.mode == "P":
        image = image.convert("RGBA")
    return image.convert("RGB")


def _size(path: Path) -> str:
    return "the file is empty" if not path.stat().st_size else f"{path.stat().st_size} bytes"


def _reason(error: Exception) -> str:
    return (str(error) or type(error).__name__).rstrip(".")


@dataclass(frozen=True)
class ImageFiles:
    """Images as files, by id."""

    paths: Mapping[str, Path]

    @property
    def ids(self) -> Sequence[str]:
        """The ids, in the order given."""
        return tuple(self.paths)

    def read(self, id: str) -> Image:
        """The image, upright."""
        return read_image(self.paths[id])

    def digest(self, id: str) -> str:
        """The sha256 of the file."""
        try:
            return file_digest(self.paths[id])
        except OSError as error:
            raise DataError(f"{self.paths[id]} cannot be read: {error.strerror}.") from error

    def fingerprint(self) -> Iterator[bytes]:
        """Id and bytes of each file; -1 where it is missing."""
        for id, path in self.paths.items():
            yield f"{id}\0{path.stat().st_size if path.is_file() else -1}".encode()


class FilesOptions(Strict):
    """Options of the reader `files`."""

    files: str
    """Where the images are, with {id} in place of what tells them apart."""
    list: str | None = None
    """A text file in the dataset's folder, one id a line; without it, every file that fits."""
    within: str | None = None
    """A text file of folders, one a line: only the files whose id lies in one of them."""


def open_files(options: FilesOptions, home: Home) -> ImageFiles:
    """The images that fit a pattern, or those a list names."""
    pattern = Pattern(options.files)
    found = _listed(options.list, pattern, home) if options.list else _found(pattern, home)
    if options.within is not None:
        folders = set(_lines(options.within, home))
        found = {id: path for id, path in found.items() if id.rpartition("/")[0] in folders}
    if not found:
        raise home.missing(f"no {options.files} in {home.path}.")
    return ImageFiles(MappingProxyType(found))


def _found(pattern: Pattern, home: Home) -> dict[str, Path]:
    home.folder(".")
    found: dict[str, Path] = {}
    for id, path in pattern.files(home.path):
        if path.suffix.lower() not in SUFFIXES or path.name.startswith("."):
            continue
        if id in found:
            raise DataError(f"{found[id]} and {path} are both images of '{id}': keep one.")
        found[id] = path
    return found


def _listed(list_file: str, pattern: Pattern, home: Home) -> dict[str, Path]:
    ids = _lines(list_file, home)
    by_id = dict(pattern.files(home.path)) if not pattern.exact else {}
    where: Callable[[str], Path] = lambda id: by_id.get(id, home.path / pattern.fill(id))  # noqa: E731
    return require_some({id: where(id) for id in ids}, home)


def _lines(list_file: str, home: Home) -> list[str]:
    lines = home.file(list_file).read_text("utf-8").splitlines()
    return [line.strip() for line in lines if line.strip()]


def require_some(paths: dict[str, Path], home: Home) -> dict[str, Path]:
    """The same paths, if at least one file is there; single missing images are found later.

    Raises:
        DataMissing: not one is there, so the folder is not where it should be.
    """
    if paths and not any(path.is_file() for path in paths.values()):
        first = next(iter(paths.values()))
        home.folder(".")
        raise home.missing(f"none of its {len(paths)} images is there, such as {first}.")
    return paths


FILES = Reader("images in a folder, or named by a list", FilesOptions, images=open_files)
