"""The folder that is meant by the file names in a COCO file, told from others with such files.

Frames of a video and pictures called 0.jpg, 1.jpg are in `train` and in `val` under the same names,
and so are masks beside images. A wrong folder would put masks on wrong images without a word, so
where names do not tell it is an error.
"""

import os
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.coco_json import CocoFile
from bench.data.coco_panoptic import read_ids
from bench.data.label_folders import IMAGE_FOLDERS, LABEL_FOLDERS, LABEL_SUFFIXES
from bench.data.split_names import SPLIT_WORDS, folders_in, split_of
from bench.errors import DataError, DataMissing

PROBED = 1000
"""File names that are looked for in every folder, spread over all that a COCO file lists."""
IMAGE_WORDS = frozenset(name.lower() for name in IMAGE_FOLDERS)
LABEL_WORDS = frozenset(name.lower() for name in LABEL_FOLDERS) | {"panoptic", "semantic", "semseg"}


@dataclass(frozen=True)
class Place:
    """A folder that holds at least one of the files that a COCO file lists."""

    folder: Path
    parts: tuple[str, ...]
    """Its path below the dataset's folder."""
    name: str
    """The first file that was found there."""

    @property
    def file(self) -> Path:
        """The first file that was found there."""
        return self.folder / self.name

    @property
    def split(self) -> str:
        """The split that its path speaks of, the innermost folder first."""
        return next(
            (found for part in reversed(self.parts) if (found := split_of(part, ""))), "all"
        )

    @property
    def holds_labels(self) -> bool:
        """Whether it is called as folders of masks are: `masks`, `annotations/val`, `gt_val`."""
        for part in reversed(self.parts):
            words = set(_words(part)) - set(SPLIT_WORDS)
            if words and words <= LABEL_WORDS:
                return True
            if words & IMAGE_WORDS:
                return False
        return False


@dataclass(frozen=True)
class Segments:
    """The PNG files of a COCO panoptic file."""

    folder: Path
    names: frozenset[str]


def image_place(coco: CocoFile, root: Path, pngs: Sequence[Segments]) -> Place:
    """Where the images are that a COCO file lists, which is not where masks are.

    Raises:
        DataMissing: nowhere.
        DataError: several folders could be meant; names them.
    """
    names = [image.file_name for image in coco.images]
    there = _places(names, root)
    pictures = [
        place
        for place in there
        if not any(place.folder == png.folder and place.name in png.names for png in pngs)
    ]
    taken = [place for place in pictures if not place.holds_labels]
    taken = taken or [p for p in pictures if p.file.suffix.lower() not in LABEL_SUFFIXES]
    if taken:
        return _told_apart(taken, coco.path, root, IMAGE_WORDS)
    said = f" ({_listed(there, root)} has files of these names, which must be masks)"
    raise DataMissing(
        f"{coco.path} lists {len(names)} images, such as {names[0]}, and no folder of {root} has "
        f"them{said if there else ''}."
    )


def segments(coco: CocoFile, root: Path) -> Segments | None:
    """Where the PNG files of a COCO panoptic file are; `None` for nowhere.

    Raises:
        DataError: several folders could be meant; names them.
    """
    rows = {str(row.get("file_name")): row for rows in coco.annotations.values() for row in rows}
    there = _places(list(rows), root)
    if len(there) > 1:  # a photograph shows other colours than the ids of segments
        there = [p for p in there if _shows_segments(p.file, rows[p.name])] or there
    if not there:
        return None
    folder = _told_apart(there, coco.path, root, LABEL_WORDS).folder
    return Segments(folder, frozenset(rows))


def _shows_segments(png: Path, row: Mapping[str, Any]) -> bool:
    try:
        shown = set(np.unique(read_ids(png)).tolist())
        return shown <= {0, *(int(info["id"]) for info in row["segments_info"])}
    except (DataError, KeyError, TypeError, ValueError):
        return False


def _places(names: Sequence[str], root: Path) -> list[Place]:
    """The folders, at most two levels down, that hold some of the files; each file counts once."""
    probed = names[:: max(1, len(names) // PROBED)]
    found: dict[str, Place] = {}
    for folder in sorted([root, *_folders(root)], key=lambda path: (len(path.parts), path)):
        # Unlike `Path.is_file`, this takes a name that is too long, or may not be looked at, for
        # one that is not there.
        name = next((name for name in probed if os.path.isfile(folder / name)), None)
        if name is not None:  # `../images/0.jpg` is the same file from everywhere
            file = os.path.normpath(folder.resolve() / name)
            found.setdefault(file, Place(folder, folder.relative_to(root).parts, name))
    return list(found.values())


def _folders(folder: Path, levels: int = 2) -> Iterator[Path]:
    with suppress(PermissionError):
        for child in folders_in(folder):
            yield child
            if levels > 1:
                yield from _folders(child, levels - 1)


def _told_apart(
    there: Sequence[Place], json_file: Path, root: Path, words: Collection[str]
) -> Place:
    """The place that is meant by a JSON file, of those that hold files of its names.

    A place of another split is meant only where there is no other. Of the rest it is the one to
    which none is preferred, neither by its split nor by its name.
    """
    split = split_of(json_file.stem)
    clues = {place: (_nearness(place, split), _aptness(place, json_file, words)) for place in there}
    if any(near for near, _ in clues.values()):
        clues = {place: clue for place, clue in clues.items() if clue[0]}
    best = [
        place
        for place, (near, apt) in clues.items()
        if not any(a >= near and b >= apt and a + b > near + apt for a, b in clues.values())
    ]
    if len(best) > 1:
        raise DataError(
            f"{json_file} lists {best[0].name}, and files of the names that it lists are in "
            f"{_listed(best, root)}: nothing tells which are meant. Move the others away, or write "
            "a spec that says which."
        )
    return best[0]


def _nearness(place: Place, split: str) -> int:
    """2 for a place of this split, 0 for one of another, 1 where one of both is of none."""
    return 2 if place.split == split else int("all" in (place.split, split))


def _aptness(place: Place, json_file: Path, words: Collection[str]) -> int:
    """How much of a place's name speaks for it: that of the JSON file, and one of these words.

    `images/day` has both for `instances_day.json`.
    """
    if not place.parts:
        return 0
    *above, name = place.parts
    stem, split = json_file.stem.lower(), split_of(json_file.stem)
    is_its_name = re.search(rf"(^|[\W_]){re.escape(name.lower())}$", stem) is not None
    is_its_split = len(_words(name)) == 1 and split_of(name, "") == split
    said = _words(name)
    if is_its_name or split_of(name, ""):
        said += [word for part in above[-1:] for word in _words(part)]
    return (is_its_name or is_its_split) + any(word in words for word in said)


def _words(name: str) -> list[str]:
    return re.findall(r"[a-z]+", name.lower())


def _listed(places: Sequence[Place], root: Path) -> str:
    return " and in ".join("/".join(place.parts) or str(root) for place in places)
