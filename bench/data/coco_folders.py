"""Recognising COCO's JSON files, here or in `annotations`, and the images that each lists."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from itertools import chain, takewhile
from pathlib import Path
from typing import Any

from bench.data.coco_json import CocoFile, read_coco
from bench.data.split_names import DEFAULT_ORDER, default_split, split_of
from bench.data.whereabouts import Place, Segments, image_place, segments
from bench.errors import DataError, DataMissing


@dataclass(frozen=True)
class CocoFolder:
    """What the COCO files of a folder make of it."""

    content: dict[str, Any] | None
    """Splits and vocabulary of a spec; `None` where no file has images here."""
    unused: tuple[str, ...] = ()
    """Why files that may be COCO's are not among the splits, a sentence each."""


class _Unused(Exception):
    """Why a file that may be COCO's annotates nothing here."""


@dataclass(frozen=True, eq=False)
class _File:
    """A COCO file of one kind."""

    coco: CocoFile
    task: str


@dataclass(frozen=True, eq=False)
class _Annotations(_File):
    """A COCO file, and where the images it lists are."""

    place: Place
    pngs: Segments | None

    @property
    def split(self) -> str:
        """What the file's name says, or else that of the folder with its images."""
        return split_of(self.coco.path.stem, self.place.split)


def coco_files(folder: Path) -> CocoFolder:
    """What COCO's JSON files annotate, here or in `annotations`, with the images they list.

    Raises:
        DataError: a COCO file is flawed; or it cannot be told which images or which file is meant;
            or a file that cannot be used would leave another split to be scored.
    """
    found, unused = _found(folder)
    by_split: dict[str, dict[str, list[_Annotations]]] = {}
    for file in found:
        by_split.setdefault(file.split, {}).setdefault(file.task, []).append(file)
    if not by_split:
        return CocoFolder(None, tuple(reason for _, reason in unused))
    _refuse_another_split(by_split, unused)
    chosen = {
        split: {task: _chosen(split, files) for task, files in sorted(tasks.items(), reverse=True)}
        for split, tasks in by_split.items()
    }
    splits = {split: _split(tasks, folder) for split, tasks in chosen.items()}
    return CocoFolder({"splits": splits, **_shared_classes(chosen)})


# --- which files there are -----------------------------------------------------------------------


def _found(folder: Path) -> tuple[list[_Annotations], list[tuple[str, str]]]:
    """The files with images here; and of those that cannot be used the split and the reason."""
    files: list[_File] = []
    unused: list[tuple[str, str]] = []
    for path in sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")]):
        try:
            file = _read(path)
        except _Unused as reason:
            unused.append((split_of(path.stem), str(reason)))
        else:
            files += [file] if file else []
    pngs = {f.coco.path: segments(f.coco, folder) for f in files if f.task == "panoptic"}
    found: list[_Annotations] = []
    for file in files:
        try:
            place = image_place(file.coco, folder, [png for png in pngs.values() if png])
        except DataMissing as missing:
            unused.append((split_of(file.coco.path.stem), str(missing)))
        else:
            found.append(_Annotations(file.coco, file.task, place, pngs.get(file.coco.path)))
    reasons = [(file, _taken_by_another(file, found)) for file in found]
    unused += [(file.split, reason) for file, reason in reasons if reason]
    return [file for file, reason in reasons if not reason], unused


def _read(path: Path) -> _File | None:
    """A COCO file; `None` for another JSON file, or one whose annotations are no masks.

    Raises:
        DataError: a COCO file with a flaw.
        _Unused: not JSON, or it has nothing that could be scored.
    """
    if path.name.startswith(".") or not path.is_file():
        return None
    try:
        coco = read_coco(path)
    except DataError as error:
        if not {"images", "annotations"} <= _lists_in(path, error):
            return None
        raise
    rows = list(chain.from_iterable(coco.annotations.values()))
    if any("segments_info" in row for row in rows):
        task = "panoptic"
    elif not rows or any({"segmentation", "bbox"} & set(row) for row in rows):
        task = "instance"
    else:
        return None
    held = {"images": coco.images, "annotations": rows, "categories": coco.categories}
    if lacking := [name for name, content in held.items() if not content]:
        raise _Unused(f"{path} has no {' and no '.join(lacking)}.")
    return _File(coco, task)


def _lists_in(path: Path, error: DataError) -> set[str]:
    """The names of the lists in a JSON file; `_Unused` with the error where it is no JSON."""
    try:
        content = json.loads(path.read_bytes())
    except (OSError, ValueError):
        raise _Unused(str(error)) from error
    content = content if isinstance(content, dict) else {}
    return {key for key, value in content.items() if isinstance(value, list)}


def _taken_by_another(file: _Annotations, files: Sequence[_Annotations]) -> str | None:
    """Why the images of another split, the only ones of these names, are not a file's own."""
    owner = file.place.split
    if owner in ("all", file.split):
        return None
    for other in files:
        if other.place.folder == file.place.folder and other.split == owner:
            names = {image.file_name for image in other.coco.images}
            if any(image.file_name in names for image in file.coco.images):
                return (
                    f"{file.coco.path} lists images of the same names as {other.coco.path}, and "
                    f"only {file.place.folder} has any, which by its name has those of '{owner}'."
                )
    return None


def _refuse_another_split(splits: Collection[str], unused: Sequence[tuple[str, str]]) -> None:
    """Refuse to score a split by default only because the files of the usual one are no good."""
    scored = default_split(splits)
    for split in takewhile(lambda split: split != scored, DEFAULT_ORDER):
        if reason := next((reason for of, reason in unused if of == split), None):
            raise DataError(
                f"{reason} Without it '{scored}' would be scored in place of '{split}': mend the "
                "file, or move it away if that is meant, or write a spec."
            )


def _chosen(split: str, found: list[_Annotations]) -> _Annotations:
    """The file that is meant where several annotate the same split."""
    if len(found) == 1:
        return found[0]
    usual = [f for f in found if f.coco.path.stem.split("_")[0] in ("instances", "panoptic")]
    if len(usual) == 1:
        return usual[0]
    names = ", ".join(str(f.coco.path) for f in found)
    raise DataError(
        f"Several files annotate the split '{split}': {names}. Write a spec that says which."
    )


# --- what they make of a spec --------------------------------------------------------------------


def _split(tasks: dict[str, _Annotations], folder: Path) -> dict[str, Any]:
    def file(of: _Annotations) -> str:
        return of.coco.path.relative_to(folder).as_posix()

    first = next(iter(tasks.values()))
    images = first.place.folder.relative_to(folder).as_posix()
    truth: dict[str, Any] = {}
    if panoptic := tasks.get("panoptic"):
        pngs = _png_folder(panoptic, folder).relative_to(folder).as_posix()
        truth["panoptic"] = {"reader": "coco-panoptic", "json_file": file(panoptic), "folder": pngs}
        truth |= {task: {"reader": "from-panoptic"} for task in ("semantic", "instance")}
    if instance := tasks.get("instance"):
        truth["instance"] = {"reader": "coco-instances", "json_file": file(instance)}
    return {
        "images": {"reader": "coco-images", "json_file": file(first), "folder": images},
        "truth": truth,
    }


def _png_folder(panoptic: _Annotations, folder: Path) -> Path:
    if panoptic.pngs is None:
        rows = next(iter(panoptic.coco.annotations.values()))
        raise DataError(
            f"{panoptic.coco.path} is a COCO panoptic file, and no folder in {folder} has its PNG "
            f"files, such as {rows[0].get('file_name')}."
        )
    return panoptic.pngs.folder


def _shared_classes(chosen: dict[str, dict[str, _Annotations]]) -> dict[str, Any]:
    """One vocabulary where a panoptic file and an instance file name different classes."""
    for tasks in chosen.values():
        if set(tasks) != {"panoptic", "instance"}:
            continue
        stuff, objects = tasks["panoptic"].coco.categories, tasks["instance"].coco.categories
        known = {category.name for category in stuff}
        others = [category for category in objects if category.name not in known]
        if others:
            classes = [{"name": c.name, "thing": c.thing is not False} for c in stuff]
            classes += [{"name": c.name, "thing": True} for c in others]
            return {"vocabulary": classes}
    return {}
