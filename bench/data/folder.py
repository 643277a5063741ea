"""A spec for a folder that has none: its layout is recognised from what lies in it.

Recognised are COCO and Roboflow exports, COCO panoptic files with their PNGs, and pairs of folders
with images and label maps. What is found is an ordinary spec: it can be printed and written on.
"""

from pathlib import Path
from typing import Any

from bench.data.coco_folders import coco_files
from bench.data.label_folders import CLASS_LISTS, label_map_folders, roboflow_masks
from bench.data.split_names import default_split, parts_with
from bench.errors import DataError, DataMissing
from bench.spec import DatasetSpec

ROBOFLOW_FILES = ("_annotations.coco.json", "_annotations_min1cat.coco.json")


def sniff(path: Path) -> DatasetSpec:
    """The spec of a folder.

    Raises:
        DataMissing: there is no such folder.
        DataError: it holds nothing that is recognised (the message lists what was looked for, and
            which files were no good), or files or folders that cannot be told apart.
    """
    if not path.is_dir():
        raise DataMissing(f"There is no folder {path}.")
    folder = path.resolve()
    content, unused = roboflow_export(folder) or roboflow_masks(folder), ""
    if content is None:
        coco = coco_files(folder)
        content, unused = coco.content, _not_used(coco.unused)
    if content is None:
        try:
            content = label_map_folders(folder)
        except DataError as error:
            raise DataError(f"{error}{unused}") from error
    if content is not None:
        default = default_split(content["splits"])
        return DatasetSpec.model_validate(
            {"name": folder.name, "home": str(folder), "default_split": default, **content}
        )
    raise DataError(
        f"{path} is not recognised as a dataset.{unused} Looked for: {ROBOFLOW_FILES[0]} beside "
        "images (here, or in train, valid, test); a COCO .json file (here, or in annotations) and "
        "the images it lists; a COCO panoptic .json file and the folder of its PNG files; folders "
        f"such as images and labels with a list of classes ({', '.join(CLASS_LISTS)}); Roboflow "
        "masks with _classes.csv. For any other layout write a spec: `bench show --schema dataset`."
    )


def _not_used(reasons: tuple[str, ...], shown: int = 3) -> str:
    more = f" So it is with {len(reasons) - shown} other files." if len(reasons) > shown else ""
    return f" Not used: {' '.join(reasons[:shown])}{more}" if reasons else ""


def roboflow_export(folder: Path) -> dict[str, Any] | None:
    """Folders with images and one annotation file each; two of one split are a `DataError`."""
    splits = {}
    for split, file in parts_with(folder, ROBOFLOW_FILES).items():
        annotations = file.relative_to(folder).as_posix()
        images = file.parent.relative_to(folder).as_posix()
        splits[split] = {
            "images": {"reader": "coco-images", "json_file": annotations, "folder": images},
            "truth": {"instance": {"reader": "coco-instances", "json_file": annotations}},
        }
    return {"splits": splits} if splits else None
