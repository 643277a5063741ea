"""COCO's JSON file: its images, categories and annotations, checked as far as reading needs.

One parser for instances, panoptic segments and captions, whoever exported them. What an exporter
gets wrong is found here, once, and said with the file's name. The reader `coco-images` gives the
images that such a file lists.
"""

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.data.images import ImageFiles, require_some
from bench.data.pattern import Pattern
from bench.data.source import Home, Reader
from bench.errors import DataError
from bench.protocol import Strict


@dataclass(frozen=True, slots=True)
class Category:
    """A row of `categories`."""

    id: int
    name: str
    supercategory: str = ""
    thing: bool | None = None
    """As `isthing` says; `None` where the file does not."""


@dataclass(frozen=True, slots=True)
class ListedImage:
    """A row of `images`."""

    id: int | str
    file_name: str
    height: int | None
    width: int | None

    @property
    def size(self) -> tuple[int, int] | None:
        """Height and width as the file states them."""
        if self.height is None or self.width is None:
            return None
        return self.height, self.width


@dataclass(frozen=True, eq=False)
class CocoFile:
    """A parsed file. Annotations stay as they are written until their image is read."""

    path: Path
    images: tuple[ListedImage, ...]
    categories: tuple[Category, ...]
    annotations: Mapping[int | str, Sequence[Mapping[str, Any]]]
    """By image id, in the order of the file; an image without any has no entry."""

    def by_id(self, file_name: Pattern) -> dict[str, ListedImage]:
        """The images by sample id, which `file_name` finds in each file name."""
        found: dict[str, ListedImage] = {}
        for image in self.images:
            id = file_name.id_of(image.file_name)
            if id is None:
                raise DataError(
                    f"{self.path}: the file name '{image.file_name}' does not fit "
                    f"'{file_name.text}'."
                )
            if id in found:
                raise DataError(f"{self.path} lists the image '{id}' twice.")
            found[id] = image
        return found


def read_coco(path: Path) -> CocoFile:
    """Parse a COCO JSON file.

    Raises:
        DataError: not JSON, not COCO's, or a row lacks what it needs; names the file and the row.
    """
    content = _parse(path)
    images = tuple(_image(path, row) for row in _rows(path, content, "images"))
    categories = tuple(_category(path, row) for row in content.get("categories") or ())
    annotations: dict[int | str, list[Mapping[str, Any]]] = defaultdict(list)
    known = {image.id for image in images}
    if len(known) < len(images):
        raise DataError(f"{path}: two images have the same id.")
    for row in _rows(path, content, "annotations"):
        if not isinstance(row, dict) or "image_id" not in row:
            raise DataError(f"{path}: an annotation has no 'image_id': {_excerpt(row)}.")
        if isinstance(row["image_id"], list | dict):
            raise DataError(f"{path}: the 'image_id' of an annotation is no id: {_excerpt(row)}.")
        if row["image_id"] not in known:
            raise DataError(
                f"{path}: annotation {row.get('id')} is of image {row['image_id']}, "
                "which 'images' does not list."
            )
        annotations[row["image_id"]].append(row)
    return CocoFile(path, images, categories, MappingProxyType(dict(annotations)))


def _parse(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_bytes())
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except ValueError as error:  # JSON or UTF-8
        raise DataError(f"{path} is not JSON: {error}.") from error
    if not isinstance(content, dict):
        raise DataError(
            f"{path} is not a COCO file: a {type(content).__name__}, not an object with 'images'."
        )
    return content


def _rows(path: Path, content: dict[str, Any], key: str) -> list[Any]:
    rows = content.get(key)
    if not isinstance(rows, list):
        found = ", ".join(sorted(content)) or "nothing"
        raise DataError(f"{path} is not a COCO file: it has no list of '{key}', but {found}.")
    return rows


def _image(path: Path, row: Any) -> ListedImage:
    try:
        name = str(row["file_name"]).replace("\\", "/")
        size = [None if row.get(side) is None else int(row[side]) for side in ("height", "width")]
        if isinstance(row["id"], list | dict):
            raise ValueError(f"'id' is {row['id']!r}")
        return ListedImage(row["id"], name, *size)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: an image needs 'id' and 'file_name' (missing or wrong: {error}), "
            f"found {_excerpt(row)}."
        ) from error


def _category(path: Path, row: Any) -> Category:
    try:
        thing = None if row.get("isthing") is None else bool(row["isthing"])
        above = str(row.get("supercategory") or "")
        name = "" if row["name"] is None else str(row["name"]).strip()
        if not name:
            raise ValueError("the name is empty")
        return Category(int(row["id"]), name, above, thing)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DataError(
            f"{path}: a category needs 'id' and 'name' (missing or wrong: {error}), "
            f"found {_excerpt(row)}."
        ) from error


def _excerpt(row: Any) -> str:
    text = json.dumps(row)
    return text if len(text) <= 80 else text[:77] + "…"


class ImagesOptions(Strict):
    """Options of the reader `coco-images`."""

    json_file: str
    """The COCO file that lists them."""
    otherwise: str | None = None
    """The file that lists them where that one is not there."""
    folder: str
    """Where the images are."""
    file_name: str = "{id}"
    """The file's `file_name` with {id} in place of the sample's id: `{id}.jpg` for COCO's own."""


def open_images(options: ImagesOptions, home: Home) -> ImageFiles:
    """The images a COCO file lists, those without annotations too."""
    coco = home.once(read_coco, home.either(options.json_file, options.otherwise))
    listed = coco.by_id(Pattern(options.file_name))
    if not listed:
        raise DataError(f"{coco.path} lists no image.")
    folder = home.folder(options.folder)
    paths = {id: folder / image.file_name for id, image in listed.items()}
    return ImageFiles(MappingProxyType(require_some(paths, home)))


IMAGES = Reader("the images that a COCO file lists", ImagesOptions, images=open_images)
