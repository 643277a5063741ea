"""A spec for a folder that has none: its layout is recognised from what lies in it.

Recognised are COCO and Roboflow exports, COCO panoptic files with their PNGs, and pairs of folders
with images and label maps. What is found is an ordinary spec: it can be printed and written on.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.coco_json import CocoFile, read_coco
from bench.data.label_folders import (
    CLASS_LISTS,
    SPLIT_WORDS,
    label_map_folders,
    roboflow_masks,
    split_of,
)
from bench.errors import DataError, DataMissing
from bench.spec import DatasetSpec

DEFAULT_ORDER = ("val", "test", "train")
"""The split that is scored is the first of these that is there."""
ROBOFLOW_FILES = ("_annotations.coco.json", "_annotations_min1cat.coco.json")


def sniff(path: Path) -> DatasetSpec:
    """The spec of a folder.

    Raises:
        DataMissing: there is no such folder.
        DataError: it holds nothing that is recognised, or two files that could be meant; the
            message lists what was looked for.
    """
    if not path.is_dir():
        raise DataMissing(f"There is no folder {path}.")
    folder = path.resolve()
    for layout in (roboflow_export, roboflow_masks, coco_files, label_map_folders):
        content = layout(folder)
        if content:
            splits = content["splits"]
            default = next((s for s in DEFAULT_ORDER if s in splits), next(iter(splits)))
            return DatasetSpec.model_validate(
                {"name": folder.name, "home": str(folder), "default_split": default, **content}
            )
    raise DataError(
        f"{path} is not recognised as a dataset. Looked for: {ROBOFLOW_FILES[0]} beside images "
        "(here, or in train, valid, test); a COCO .json file (here, or in annotations) and the "
        "images it lists; a COCO panoptic .json file and the folder of its PNG files; folders such "
        f"as images and labels with a list of classes ({', '.join(CLASS_LISTS)}); Roboflow masks "
        "with _classes.csv. For any other layout write a spec: `bench show --schema dataset`."
    )


# --- Roboflow ------------------------------------------------------------------------------------


def roboflow_export(folder: Path) -> dict[str, Any] | None:
    """Folders with images and one annotation file each."""
    splits = {}
    for part in (folder, *sorted(child for child in folder.iterdir() if child.is_dir())):
        file = next((part / name for name in ROBOFLOW_FILES if (part / name).is_file()), None)
        if file is None:
            continue
        name = SPLIT_WORDS.get(part.name, "all" if part == folder else part.name)
        annotations = file.relative_to(folder).as_posix()
        images = part.relative_to(folder).as_posix()
        splits[name] = {
            "images": {"reader": "coco-images", "json_file": annotations, "folder": images},
            "truth": {"instance": {"reader": "coco-instances", "json_file": annotations}},
        }
    return {"splits": splits} if splits else None


# --- COCO ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Annotations:
    """A COCO file of one kind, and where the images it lists are."""

    task: str
    coco: CocoFile
    images: Path


def coco_files(folder: Path) -> dict[str, Any] | None:
    """COCO's JSON files, here or in `annotations`, with the images they list."""
    by_split: dict[str, dict[str, list[_Annotations]]] = {}
    for file in sorted([*folder.glob("*.json"), *folder.glob("annotations/*.json")]):
        found = _annotations(file, folder)
        if found is not None:
            named = "" if found.images == folder else found.images.name
            split = split_of(file.stem, split_of(named))
            by_split.setdefault(split, {}).setdefault(found.task, []).append(found)
    if not by_split:
        return None
    chosen = {
        split: {task: _chosen(found) for task, found in sorted(tasks.items(), reverse=True)}
        for split, tasks in by_split.items()
    }
    splits = {split: _split(tasks, folder) for split, tasks in chosen.items()}
    return {"splits": splits, **_shared_classes(chosen)}


def _annotations(file: Path, folder: Path) -> _Annotations | None:
    """What a JSON file annotates; `None` for one that is of another kind, or has no images here."""
    try:
        coco = read_coco(file)
    except DataError:
        return None  # some other JSON file
    rows = next(iter(coco.annotations.values()), ())
    if not coco.images or not coco.categories or not rows:
        return None
    task = "panoptic" if "segments_info" in rows[0] else "instance"
    if task == "instance" and not {"segmentation", "bbox"} & set(rows[0]):
        return None
    images = _folder_with(coco.images[0].file_name, folder, prefer=file.stem)
    return None if images is None else _Annotations(task, coco, images)


def _chosen(found: list[_Annotations]) -> _Annotations:
    """The file that is meant where several annotate the same split."""
    if len(found) == 1:
        return found[0]
    usual = [f for f in found if f.coco.path.stem.split("_")[0] in ("instances", "panoptic")]
    if len(usual) == 1:
        return usual[0]
    names = ", ".join(str(f.coco.path) for f in found)
    raise DataError(
        f"Several files annotate the same images: {names}. Write a spec that says which."
    )


def _split(tasks: dict[str, _Annotations], folder: Path) -> dict[str, Any]:
    def file(of: _Annotations) -> str:
        return of.coco.path.relative_to(folder).as_posix()

    first = next(iter(tasks.values()))
    images = first.images.relative_to(folder).as_posix()
    truth: dict[str, Any] = {}
    if panoptic := tasks.get("panoptic"):
        pngs = _png_folder(panoptic.coco, folder).relative_to(folder).as_posix()
        truth["panoptic"] = {"reader": "coco-panoptic", "json_file": file(panoptic), "folder": pngs}
        truth |= {task: {"reader": "from-panoptic"} for task in ("semantic", "instance")}
    if instance := tasks.get("instance"):
        truth["instance"] = {"reader": "coco-instances", "json_file": file(instance)}
    return {
        "images": {"reader": "coco-images", "json_file": file(first), "folder": images},
        "truth": truth,
    }


def _shared_classes(chosen: dict[str, dict[str, _Annotations]]) -> dict[str, Any]:
    """One vocabulary where a panoptic file and an instance file name different classes."""
    for tasks in chosen.values():
        if set(tasks) != {"panoptic", "instance"}:
            continue
        segments, objects = tasks["panoptic"].coco.categories, tasks["instance"].coco.categories
        known = {category.name for category in segments}
        others = [category for category in objects if category.name not in known]
        if others:
            classes = [{"name": c.name, "thing": c.thing is not False} for c in segments]
            classes += [{"name": c.name, "thing": True} for c in others]
            return {"vocabulary": classes}
    return {}


def _png_folder(coco: CocoFile, folder: Path) -> Path:
    rows = next(iter(coco.annotations.values()))
    found = _folder_with(str(rows[0].get("file_name")), folder, prefer=coco.path.stem)
    if found is None:
        raise DataError(
            f"{coco.path} is a COCO panoptic file, and no folder in {folder} has its "
            f"{rows[0].get('file_name')}."
        )
    return found


def _folder_with(file: str, folder: Path, prefer: str) -> Path | None:
    """The folder, at most two levels down, where a file lies; the preferred name first."""
    candidates = [folder, *_folders_in(folder)]
    there = [candidate for candidate in candidates if (candidate / file).is_file()]
    return min(there, key=lambda path: (path.name != prefer, len(path.parts), path), default=None)


def _folders_in(folder: Path, levels: int = 2) -> Iterator[Path]:
    for child in sorted(folder.iterdir()):
        if child.is_dir() and not child.name.startswith("."):
            yield child
            if levels > 1:
                yield from _folders_in(child, levels - 1)
