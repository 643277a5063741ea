"""Captions of images: COCO's JSON file, and the lists of Karpathy's splits.

One set of captions answers two questions: what was said of an image (captioning), and which image
a caption belongs to (retrieval, where the captions are also what is asked).
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field

from bench.data.coco_json import read_coco
from bench.data.images import ImageFiles, require_some
from bench.data.pattern import Pattern
from bench.data.source import Home, Opening, Reader, contents
from bench.errors import DataError
from bench.protocol import Strict


@dataclass(frozen=True)
class Captions:
    """The captions of every image: truth for captioning and retrieval, and what retrieval asks."""

    path: Path
    texts: Mapping[str, tuple[str, ...]]

    def read(self, id: str, size: tuple[int, int] | None = None) -> tuple[str, ...]:
        """The captions of an image, as written."""
        if not self.texts.get(id):
            raise DataError(f"{self.path} has no caption of '{id}'.")
        return self.texts[id]

    def count(self, truth: tuple[str, ...]) -> int:
        """How many captions an image has."""
        return len(truth)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The file's bytes."""
        return contents([self.path])


# --- Karpathy's splits ---------------------------------------------------------------------------


class KarpathyOptions(Strict):
    """Options of the reader `karpathy`."""

    json_file: str
    """`dataset_coco.json`, `dataset_flickr30k.json`."""
    folder: str = "."
    """Where the images are; the file says in which folder below it, if any."""
    parts: tuple[str, ...] = Field(min_length=1)
    """The images of which splits of the file: COCO's training is `train` and `restval`."""


@dataclass(frozen=True)
class _Listed:
    """An image of the file."""

    path: str
    part: str
    texts: tuple[str, ...]


def read_karpathy(path: Path) -> tuple[_Listed, ...]:
    """Every image of a file of Karpathy's splits."""
    try:
        rows = json.loads(path.read_bytes())["images"]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of Karpathy's splits: {error!r}.") from error
    return tuple(_listed(path, row) for row in rows)


def _listed(path: Path, row: Any) -> _Listed:
    try:
        below = f"{row['filepath']}/" if row.get("filepath") else ""
        texts = tuple(str(sentence["raw"]).strip() for sentence in row["sentences"])
        return _Listed(f"{below}{row['filename']}", str(row["split"]), texts)
    except (KeyError, TypeError, AttributeError) as error:
        raise DataError(
            f"{path}: an image needs filename, split and sentences with their raw text "
            f"(missing or wrong: {error}), found {str(row)[:80]}."
        ) from error


def _of_parts(options: KarpathyOptions, home: Home) -> dict[str, _Listed]:
    path = home.file(options.json_file)
    listed = home.once(read_karpathy, path)
    if absent := set(options.parts) - {image.part for image in listed}:
        known = ", ".join(sorted({image.part for image in listed}))
        raise DataError(f"{path} has no part '{min(absent)}': it has {known}.")
    return {Path(image.path).stem: image for image in listed if image.part in options.parts}


def _karpathy_images(options: KarpathyOptions, home: Home) -> ImageFiles:
    folder = home.folder(options.folder)
    paths = {id: folder / image.path for id, image in _of_parts(options, home).items()}
    return ImageFiles(MappingProxyType(require_some(paths, home)))


def _karpathy_captions(options: KarpathyOptions, opening: Opening) -> Captions:
    home = opening.home
    texts = {id: image.texts for id, image in _of_parts(options, home).items()}
    return Captions(home.file(options.json_file), MappingProxyType(texts))


KARPATHY = Reader(
    "images and captions by Karpathy's splits",
    KarpathyOptions,
    images=_karpathy_images,
    truths={"retrieval": _karpathy_captions, "caption": _karpathy_captions},
    prompts=_karpathy_captions,
)


# --- COCO's own file -----------------------------------------------------------------------------


class CocoCaptionsOptions(Strict):
    """Options of the reader `coco-captions`."""

    json_file: str
    """The COCO file, such as `annotations/captions_val2017.json`."""
    file_name: str = "{id}"
    """Its `file_name` with {id} in place of the sample's id."""


def _coco_captions(options: CocoCaptionsOptions, opening: Opening) -> Captions:
    coco = opening.home.once(read_coco, opening.home.file(options.json_file))
    texts = {}
    for id, image in coco.by_id(Pattern(options.file_name)).items():
        rows = coco.annotations.get(image.id, ())
        if any(not isinstance(row.get("caption"), str) for row in rows):
            raise DataError(f"{coco.path}: an annotation of image {image.id} has no 'caption'.")
        texts[id] = tuple(row["caption"].strip() for row in rows)
    return Captions(coco.path, MappingProxyType(texts))


COCO_CAPTIONS = Reader(
    "captions as COCO writes them",
    CocoCaptionsOptions,
    truths={"retrieval": _coco_captions, "caption": _coco_captions},
    prompts=_coco_captions,
)
