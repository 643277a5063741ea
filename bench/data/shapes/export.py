"""Writes `shapes-in-the-wild` to disk, laid out exactly as Roboflow exports COCO segmentation.

Folders `train`, `valid`, `test` with images beside `_annotations.coco.json`; a category 0 that
stands for the project and that nothing is labelled with; image and annotation ids from 0; file
names with the original's name, `.rf.` and a digest. Outlines are polygons where polygons say it
all, and compressed run lengths where a mask has a hole.
"""

import json
import shutil
import tempfile
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Int
from PIL import Image as Picture

from bench.data.shapes.dataset import Scenes
from bench.data.shapes.naming import Naming
from bench.data.shapes.suite import SUITE, TEST, TRAIN, VALID, WildDataset
from bench.data.shapes.world import Split
from bench.errors import DataMissing
from bench.types import VOID, Mask

ANNOTATIONS = "_annotations.coco.json"
STAMP = "shapes-in-the-wild.json"
"""Lies in a finished export and holds the digest of what was written."""
CAPTURED = "2024-01-01T00:00:00+00:00"


def export(root: Path) -> tuple[Path, ...]:
    """Write every dataset of the suite that `root` does not hold yet; the folders, in order.

    Each appears at once when it is complete, so a killed export leaves nothing half-written.

    Raises:
        DataMissing: `root` cannot be written to.
    """
    return tuple(_export_dataset(dataset, root / dataset.name) for dataset in SUITE)


def _export_dataset(dataset: WildDataset, folder: Path) -> Path:
    parts = (("train", 0, TRAIN), ("valid", TRAIN, VALID), ("test", TRAIN + VALID, TEST))
    scenes = Scenes(dataset.world, Split.VAL, TRAIN + VALID + TEST)
    content = [repr((dataset, parts)).encode(), *scenes.fingerprint()]
    digest = sha256(b"\n".join(content)).hexdigest()
    if _stamp(folder) == digest:
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".drawing-") as name:
            drawn = Path(name) / folder.name
            for split, first, n in parts:
                _write_split(dataset, scenes, drawn / split, scenes.ids[first : first + n])
            (drawn / STAMP).write_text(json.dumps({"digest": digest}))
            _put(drawn, folder, digest)
    except OSError as error:
        raise DataMissing(
            f"The suite shapes-in-the-wild could not be written to {folder}: {error.strerror}. "
            "Point BENCH_DATA at a folder that can be written."
        ) from error
    return folder


def _put(drawn: Path, folder: Path, digest: str) -> None:
    """Move a drawn dataset into its place, unless another process has put the same there."""
    if folder.exists() and _stamp(folder) != digest:
        shutil.rmtree(folder)
    try:
        drawn.rename(folder)
    except OSError:  # only an empty folder can be renamed onto
        if _stamp(folder) != digest:
            raise


def _stamp(folder: Path) -> str | None:
    try:
        found = json.loads((folder / STAMP).read_text())["digest"]
    except (OSError, ValueError, KeyError):
        return None
    return str(found)


def _write_split(dataset: WildDataset, scenes: Scenes, folder: Path, ids: tuple[str, ...]) -> None:
    folder.mkdir(parents=True)
    naming = Naming(dataset.categories)
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for id in ids:
        found, drawing = scenes.drawn(id)
        digest = sha256(drawing.image.tobytes()).hexdigest()[:32]
        name = f"{id}_png.rf.{digest}.png"
        Picture.fromarray(drawing.image).save(folder / name, compress_level=3)
        height, width = drawing.ids.shape
        for number, label in enumerate(naming.labels(found), start=1):
            if label != VOID:
                where = {"id": len(annotations), "image_id": len(images), "category_id": label + 1}
                annotations.append(where | annotation(drawing.ids == number))
        images.append(
            {
                "id": len(images), "license": 1, "file_name": name,
                "height": height, "width": width, "date_captured": CAPTURED,
                "extra": {"name": f"{id}.png"},
            }
        )  # fmt: skip
    content = {
        "info": {
            "year": "2024", "version": "1", "description": dataset.title, "contributor": "bench",
            "url": "", "date_created": CAPTURED,
        },
        "licenses": [{"id": 1, "url": "", "name": "Apache-2.0"}],
        "categories": _categories(dataset),
        "images": images,
        "annotations": annotations,
    }  # fmt: skip
    (folder / ANNOTATIONS).write_text(json.dumps(content))


def _categories(dataset: WildDataset) -> list[dict[str, Any]]:
    """The project as category 0, then the classes."""
    names = [category.name for category in dataset.categories]
    rows = [{"id": 0, "name": dataset.name, "supercategory": "none"}]
    return rows + [
        {"id": i, "name": name, "supercategory": dataset.name}
        for i, name in enumerate(names, start=1)
    ]


def annotation(mask: Bool[np.ndarray, "height width"]) -> dict[str, Any]:
    """What a COCO annotation says of a mask: box, area, outline."""
    rows, columns = (np.flatnonzero(mask.any(axis=axis)) for axis in (1, 0))
    x, y = int(columns[0]), int(rows[0])
    loops = outlines(mask)
    polygons = [[int(v) for corner in loop for v in corner] for loop in loops if _area(loop) > 0]
    whole = len(polygons) == len(loops)
    return {
        "bbox": [x, y, int(columns[-1]) + 1 - x, int(rows[-1]) + 1 - y],
        "area": int(mask.sum()),
        "segmentation": polygons if whole else _run_lengths(mask),
        "iscrowd": 0,
    }


def outlines(mask: Bool[np.ndarray, "height width"]) -> list[Int[np.ndarray, "corner 2"]]:
    """The borders of a mask as loops of corners (x, y), along the edges of its pixels.

    The inside lies to the right of the way: outer borders run clockwise on the screen and have a
    positive area, holes a negative one. Pixels that touch at a corner only are apart.
    """
    padded = np.pad(mask, 1).astype(np.int8)
    ways: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for axis, along in ((0, (1, 0)), (1, (0, 1))):
        change = np.diff(padded, axis=axis)
        change = change[:, 1:-1] if axis == 0 else change[1:-1]
        for row, column in np.argwhere(change).tolist():
            # Going right has the inside below; going down has it to the left of the picture.
            forward = change[row, column] > 0 if axis == 0 else change[row, column] < 0
            start, end = (column, row), (column + along[0], row + along[1])
            if not forward:
                start, end = end, start
            ways.setdefault(start, []).append(end)
    loops = []
    while ways:
        loops.append(np.array(_corners(_walk(ways)), np.int64))
    return loops


def _walk(ways: dict[tuple[int, int], list[tuple[int, int]]]) -> list[tuple[int, int]]:
    """Follow the edges from some start until it is met again, and take them out of `ways`."""
    start = at = next(iter(ways))
    path: list[tuple[int, int]] = []
    while not path or at != start:
        ends = ways[at]
        if len(ends) == 2 and path:  # two pixels touch here: turn right, and stay with this one
            dx, dy = at[0] - path[-1][0], at[1] - path[-1][1]
            end = (at[0] - dy, at[1] + dx)
            ends.remove(end)
        else:
            end = ends.pop()
        if not ends:
            del ways[at]
        path.append(at)
        at = end
    return path


def _corners(path: list[tuple[int, int]]) -> list[tuple[int, int]]:
    """The points of a closed path where it turns."""
    around = zip(path[-1:] + path[:-1], path, path[1:] + path[:1], strict=True)
    return [b for a, b, c in around if (b[0] - a[0], b[1] - a[1]) != (c[0] - b[0], c[1] - b[1])]


def _area(loop: Int[np.ndarray, "corner 2"]) -> int:
    """The area a loop encloses: positive where it runs clockwise on the screen."""
    x, y = loop.T
    return int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) // 2


def _run_lengths(mask: Bool[np.ndarray, "height width"]) -> dict[str, Any]:
    """COCO's compressed run lengths."""
    height, width = mask.shape
    return {"size": [height, width], "counts": _compressed(Mask.encode(mask).counts.tolist())}


def _compressed(counts: list[int]) -> str:
    """Run lengths as COCO's string: differences to the run before last, five bits a character."""
    characters = []
    for i, count in enumerate(counts):
        rest = count - counts[i - 2] if i > 2 else count
        more = True
        while more:
            bits, rest = rest & 31, rest >> 5
            more = rest != (-1 if bits & 16 else 0)
            characters.append(chr(48 + bits + (32 if more else 0)))
    return "".join(characters)
