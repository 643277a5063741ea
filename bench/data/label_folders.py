"""Recognising images with label maps beside them, and the list that names their classes."""

import csv
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.images import SUFFIXES, open_image
from bench.data.label_maps import single_channel
from bench.errors import DataError

IMAGE_FOLDERS = ("images", "image", "imgs", "img", "JPEGImages")
LABEL_FOLDERS = ("annotations", "labels", "masks", "label", "mask", "SegmentationClass", "gt")
CLASS_LISTS = ("classes.txt", "labels.txt", "names.txt", "categories.txt", "objectInfo*.txt")
VOID_VALUES = (255, 65535)


def roboflow_masks(folder: Path) -> dict[str, Any] | None:
    """Roboflow's semantic export: `x.jpg`, `x_mask.png` and `_classes.csv`, here or in splits."""
    splits: dict[str, Any] = {}
    names: dict[int, str] = {}
    for part in (folder, *sorted(child for child in folder.iterdir() if child.is_dir())):
        if not (part / "_classes.csv").is_file():
            continue
        image = next(iter(sorted(part.glob("*.jp*g"))), None)
        if image is None:
            continue
        names |= _csv_names(part / "_classes.csv")
        at = "" if part == folder else f"{part.name}/"
        splits[split_of(part.name)] = {
            "images": {"reader": "files", "files": f"{at}{{id}}{image.suffix}"},
            "truth": {"semantic": {"reader": "label-map", "files": f"{at}{{id}}_mask.png"}},
        }
    if not splits:
        return None
    for split in splits.values():
        split["truth"]["semantic"]["values"] = dict(sorted(names.items()))
    return {"vocabulary": list(dict.fromkeys(names.values())), "splits": splits}


def _csv_names(path: Path) -> dict[int, str]:
    rows = list(csv.reader(path.read_text("utf-8-sig").splitlines(), skipinitialspace=True))
    try:
        return {int(value): name.strip() for value, name, *_ in rows[1:]}
    except ValueError as error:
        raise DataError(f"{path} should list pixel values and classes: {error}.") from error


def label_map_folders(folder: Path) -> dict[str, Any] | None:
    """A folder of images beside one of label maps, with a list of classes."""
    pairs = list(_pairs(folder))
    if not pairs:
        return None
    classes = _class_list(folder)
    if classes is None:
        images, labels = pairs[0][1:]
        raise DataError(
            f"{folder} has images in {images.relative_to(folder)} and label maps in "
            f"{labels.relative_to(folder)}, but nothing says what the classes are called: add one "
            f"of {', '.join(CLASS_LISTS)} with a name a line."
        )
    values = classes.values(set().union(*(_seen(labels) for _, _, labels in pairs)))
    splits = {split: _split(folder, images, labels, values) for split, images, labels in pairs}
    return {"vocabulary": list(dict.fromkeys(classes.names.values())), "splits": splits}


def _pairs(folder: Path) -> Iterator[tuple[str, Path, Path]]:
    """(split, images, label maps): `images` beside `labels`, in or around folders of splits."""
    for part in (folder, *(folder / word for word in SPLIT_WORDS)):
        for images in (part / name for name in IMAGE_FOLDERS):
            for labels in (part / name for name in LABEL_FOLDERS):
                if not (images.is_dir() and labels.is_dir()):
                    continue
                if _shared_stem(images, labels):
                    yield split_of(part.name), images, labels
                for word in SPLIT_WORDS:
                    inner = images / word, labels / word
                    if all(path.is_dir() for path in inner) and _shared_stem(*inner):
                        yield split_of(word), *inner


def _shared_stem(images: Path, labels: Path) -> str | None:
    """The name of an image that has a label map."""
    labelled = {path.stem for path in labels.iterdir() if _is_label_map(path)}
    pictured = (path.stem for path in sorted(images.iterdir()) if path.suffix.lower() in SUFFIXES)
    return next((stem for stem in pictured if stem in labelled), None)


def _is_label_map(path: Path) -> bool:
    return path.suffix.lower() in {".png", ".tif", ".tiff", ".bmp"}


def _split(folder: Path, images: Path, labels: Path, values: dict[str, Any]) -> dict[str, Any]:
    def pattern(path: Path, suffixes: set[str]) -> str:
        at = path.relative_to(folder).as_posix()
        return f"{at}/{{id}}{suffixes.pop() if len(suffixes) == 1 else '.*'}"

    pictured = {p.suffix for p in images.iterdir() if p.suffix.lower() in SUFFIXES}
    mapped = {p.suffix for p in labels.iterdir() if _is_label_map(p)}
    reading = {"reader": "label-map", "files": pattern(labels, mapped), **values}
    return {
        "images": {"reader": "files", "files": pattern(images, pictured)},
        "truth": {"semantic": reading},
    }


@dataclass(frozen=True)
class _ClassList:
    """The names of classes by value; `counted` where the list itself gave no values."""

    names: dict[int, str]
    counted: bool

    def values(self, seen: set[int]) -> dict[str, Any]:
        """How a reader is told, given the values that the label maps have."""
        first = min(self.names)
        if self.counted and max(seen - set(VOID_VALUES), default=0) == len(self.names):
            first = 1  # the list counts from 1, and 0 is void
        found: dict[str, Any] = {}
        if self.counted or sorted(self.names) == list(range(first, first + len(self.names))):
            found["offset"] = first
            known = set(range(first, first + len(self.names)))
        else:
            found["values"], known = self.names, set(self.names)
        found["ignore"] = [value for value in (0, *VOID_VALUES) if value in seen - known]
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


def _seen(folder: Path) -> set[int]:
    """The values in the first label maps of a folder."""
    paths = [path for path in sorted(folder.iterdir()) if _is_label_map(path)]
    seen: set[int] = set()
    for path in paths[:LOOKED_AT]:
        seen |= set(np.unique(single_channel(np.asarray(open_image(path)), path)).tolist())
    return seen
