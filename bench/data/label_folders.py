"""Recognising images with label maps beside them, and the list that names their classes."""

import csv
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from bench.data.images import SUFFIXES, open_image
from bench.data.label_maps import single_channel
from bench.data.split_names import SPLIT_WORDS, folders_in, parts_with, split_called
from bench.errors import DataError

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages")
LABEL_FOLDERS = ("annotations", "labels", "masks", "label", "mask", "SegmentationClass", "gt")
LABEL_SUFFIXES = frozenset({".png", ".tif", ".tiff", ".bmp"})
CLASS_LISTS = ("classes.txt", "labels.txt", "names.txt", "categories.txt", "objectInfo*.txt")
VOID_VALUES = (255, 65535)


def roboflow_masks(folder: Path) -> dict[str, Any] | None:
    """Roboflow's semantic export: `x.jpg`, `x_mask.png` and `_classes.csv`, here or in splits.

    Raises:
        DataError: two folders stand for the same split, or a table of classes is no such table.
    """
    splits: dict[str, Any] = {}
    classes: list[str] = []
    for split, table in parts_with(folder, ("_classes.csv",)).items():
        part = table.parent
        image = next((path for path in sorted(part.glob("*.jp*g")) if _is_shown(path)), None)
        if image is None:
            continue
        names = _csv_names(table)
        classes += names.values()
        at = "" if part == folder else f"{part.name}/"
        masks = {"reader": "label-map", "files": f"{at}{{id}}_mask.png"}
        splits[split] = {
            "images": {"reader": "files", "files": f"{at}{{id}}{image.suffix}"},
            "truth": {"semantic": {**masks, "values": dict(sorted(names.items()))}},
        }
    return {"vocabulary": list(dict.fromkeys(classes)), "splits": splits} if splits else None


def _csv_names(path: Path) -> dict[int, str]:
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines(), skipinitialspace=True))
    try:
        return {int(value): name.strip() for value, name, *_ in rows[1:]}
    except ValueError as error:
        raise DataError(f"{path} should list pixel values and classes: {error}.") from error


# --- images beside label maps --------------------------------------------------------------------


@dataclass(frozen=True)
class _Pair:
    """A folder of images and one of label maps that share names: a split."""

    split: str
    images: Path
    labels: Path
    suffixes: frozenset[str]
    """What the images end with."""
    maps: tuple[Path, ...]
    """The label maps that have an image, in the order of names."""


def label_map_folders(folder: Path) -> dict[str, Any] | None:
    """A folder of images beside one of label maps, with a list of classes.

    Raises:
        DataError: no list of classes, two pairs of folders for one split, or not one label map
            that can be read.
    """
    pairs = _pairs(folder)
    if not pairs:
        return None
    classes = _class_list(folder)
    if classes is None:
        images, labels = pairs[0].images, pairs[0].labels
        raise DataError(
            f"{folder} has images in {images.relative_to(folder)} and label maps in "
            f"{labels.relative_to(folder)}, but nothing says what the classes are called: add one "
            f"of {', '.join(CLASS_LISTS)} with a name a line."
        )
    values = classes.values([path for pair in pairs for path in pair.maps])
    splits = {pair.split: _split(folder, pair, values) for pair in pairs}
    return {"vocabulary": list(dict.fromkeys(classes.names.values())), "splits": splits}


def _pairs(folder: Path) -> list[_Pair]:
    """Every pair of folders, one a split."""
    found: dict[str, _Pair] = {}
    for pair in _candidates(folder):
        other = found.setdefault(pair.split, pair)
        if other is not pair:
            both = " and ".join(
                f"{p.images.relative_to(folder)} with {p.labels.relative_to(folder)}"
                for p in (other, pair)
            )
            raise DataError(
                f"{folder} has {both}, and both are images with label maps of the split "
                f"'{pair.split}': move away what is not meant, or write a spec that says which is."
            )
    return list(found.values())


def _candidates(folder: Path) -> Iterator[_Pair]:
    """`images` beside `labels`, in or around folders of splits."""
    for part in (folder, *_called(folder, SPLIT_WORDS)):
        for images in _called(part, IMAGE_FOLDERS):
            for labels in _called(part, LABEL_FOLDERS):
                yield from _pair(split_called(part.name, "all"), images, labels)
                labelled = {inner.name.lower(): inner for inner in _called(labels, SPLIT_WORDS)}
                for inner in _called(images, SPLIT_WORDS):
                    if inner.name.lower() in labelled:
                        yield from _pair(
                            split_called(inner.name, "all"), inner, labelled[inner.name.lower()]
                        )


def _called(folder: Path, names: Iterable[str]) -> list[Path]:
    """The folders in a folder that have one of these names, in capitals or not."""
    lower = {name.lower() for name in names}
    return [child for child in folders_in(folder) if child.name.lower() in lower]


def _pair(split: str, images: Path, labels: Path) -> Iterator[_Pair]:
    """The pair of two folders, if any image has a label map."""
    pictures = [p for p in images.iterdir() if p.suffix.lower() in SUFFIXES and _is_shown(p)]
    stems = {picture.stem for picture in pictures}
    there = (path for path in labels.iterdir() if _is_label_map(path) and path.stem in stems)
    maps = tuple(sorted(there, key=lambda path: (path.stem, path.suffix)))
    for one, other in pairwise(maps):
        if one.stem == other.stem:
            raise DataError(f"{one} and {other} are both label maps of '{one.stem}': keep one.")
    if maps:
        yield _Pair(split, images, labels, frozenset(p.suffix for p in pictures), maps)


def _is_label_map(path: Path) -> bool:
    return path.suffix.lower() in LABEL_SUFFIXES and _is_shown(path)


def _is_shown(path: Path) -> bool:
    """Whether a file is not hidden, as what macOS leaves beside each file, `._x.png`, is."""
    return not path.name.startswith(".")


def _split(folder: Path, pair: _Pair, values: dict[str, Any]) -> dict[str, Any]:
    def pattern(path: Path, suffixes: Iterable[str]) -> str:
        at, (first, *others) = path.relative_to(folder).as_posix(), sorted(suffixes)
        return f"{at}/{{id}}{'.*' if others else first}"

    mapped = {path.suffix for path in pair.maps}
    reading = {"reader": "label-map", "files": pattern(pair.labels, mapped), **values}
    return {
        "images": {"reader": "files", "files": pattern(pair.images, pair.suffixes)},
        "truth": {"semantic": reading},
    }


# --- classes -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _ClassList:
    """The names of classes by value; `counted` where the list itself gave no values."""

    names: dict[int, str]
    counted: bool

    def values(self, maps: list[Path]) -> dict[str, Any]:
        """How a reader is told, given the label maps.

        Void that no map has yet is told too: an image with it may be added.
        """
        first, last = min(self.names), len(self.names)
        if not self.counted or last in VOID_VALUES:
            next(_pixels(maps))  # one at least can be read
        elif _any_shows(last, tuple(_Stated.of(path) for path in maps)):
            first = 1  # the list counts from 1, and 0 is void
        elif last == 1:
            (name,) = self.names.values()
            raise DataError(
                f"Nothing tells which value the one class, '{name}', has in the label maps, such "
                f"as {maps[0]}: none is 1. Write it before the name, as in '255 {name}'."
            )
        found: dict[str, Any] = {}
        if self.counted or sorted(self.names) == list(range(first, first + len(self.names))):
            found["offset"] = first
            known = set(range(first, first + len(self.names)))
        else:
            found["values"], known = self.names, set(self.names)
        found["ignore"] = [value for value in (0, *VOID_VALUES) if value not in known]
        return found


def _class_list(folder: Path) -> _ClassList | None:
    files = (file for pattern in CLASS_LISTS for file in sorted(folder.glob(pattern)))
    file = next(files, None)
    lines = file.read_text("utf-8-sig").splitlines() if file else []
    lines = [line for line in lines if line.strip()]
    if not lines:
        return None
    head = lines[0].split("\t")
    if "Idx" in head and "Name" in head:  # the table of the scene parsing benchmark
        value, name = head.index("Idx"), head.index("Name")
        rows = [line.split("\t") for line in lines[1:]]
        return _ClassList({int(r[value]): r[name].split(",")[0].strip() for r in rows}, False)
    numbered = [re.fullmatch(r"\s*(\d+)[\s:,;=]+(.+?)\s*", line) for line in lines]
    if all(numbered):
        return _ClassList({int(row[1]): row[2] for row in numbered if row}, False)
    return _ClassList({i: line.strip() for i, line in enumerate(lines)}, True)


@dataclass(frozen=True)
class _Stated:
    """A file as it is now."""

    path: Path
    size: int
    changed: int
    """In nanoseconds."""

    @staticmethod
    def of(path: Path) -> "_Stated":
        status = path.stat()
        return _Stated(path, status.st_size, status.st_mtime_ns)


@lru_cache(maxsize=16)
def _any_shows(value: int, maps: tuple[_Stated, ...]) -> bool:
    """Whether a pixel of any label map has a value; reads on until one does.

    A rare class may be in the last map alone, so where none has it all are read. A run asks for
    its spec several times: maps that did not change are not read again.
    """
    return any((pixels == value).any() for pixels in _pixels([map.path for map in maps]))


def _pixels(maps: list[Path]) -> Iterator[Int[np.ndarray, "height width"]]:
    """The label maps that can be read; the others are left out of a run one by one.

    Raises:
        DataError: none can be read; says why the first cannot.
    """
    broken: list[DataError] = []
    for path in maps:
        try:
            yield single_channel(np.asarray(open_image(path)), path)
        except DataError as error:
            broken.append(error)
    if len(broken) == len(maps):
        raise broken[0]
