"""Tiny datasets in the layouts of the real ones, written where a test wants them."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

SIZE = (12, 16)
"""Height and width of every picture here."""


def write_picture(path: Path, seed: int = 0, size: tuple[int, int] = SIZE) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), np.uint8)
    Image.fromarray(pixels).save(path)


def square(x: float, y: float, side: float) -> list[float]:
    return [x, y, x + side, y, x + side, y + side, x, y + side]


def annotation(id: int, image: int, category: int, polygon: list[float], **more: Any) -> dict:
    x, y = polygon[0], polygon[1]
    w, h = polygon[4] - x, polygon[5] - y
    return {
        "id": id, "image_id": image, "category_id": category, "segmentation": [polygon],
        "bbox": [x, y, w, h], "area": w * h, "iscrowd": 0, **more,
    }  # fmt: skip


def coco(
    images: list[str], annotations: list[dict], categories: list[dict] | None = None
) -> dict[str, Any]:
    height, width = SIZE
    return {
        "images": [
            {"id": i, "file_name": name, "height": height, "width": width}
            for i, name in enumerate(images)
        ],
        "annotations": annotations,
        "categories": categories or [{"id": 1, "name": "cat"}, {"id": 2, "name": "dog"}],
    }


def write_json(path: Path, content: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(content))
    return path


def write_roboflow(root: Path, splits: tuple[str, ...] = ("train", "valid")) -> Path:
    """An export with a placeholder category, ids from 0 and an image without annotations."""
    for seed, split in enumerate(splits):
        names = [f"{split}-{i}_jpg.rf.{i}.jpg" for i in range(3)]
        for i, name in enumerate(names):
            write_picture(root / split / name, seed=10 * seed + i)
        content = coco(
            names,
            [
                annotation(0, 0, 1, square(1, 1, 4)),
                annotation(1, 0, 2, square(8, 2, 5)),
                annotation(2, 1, 2, square(3, 3, 6)),
            ],
            [
                {"id": 0, "name": "pets", "supercategory": "none"},
                {"id": 1, "name": "cat", "supercategory": "pets"},
                {"id": 2, "name": "dog", "supercategory": "pets"},
            ],
        )
        write_json(root / split / "_annotations.coco.json", content)
    return root


def encode_ids(ids: np.ndarray) -> Image.Image:
    channels = [ids & 255, ids >> 8 & 255, ids >> 16 & 255]
    return Image.fromarray(np.stack(channels, -1).astype(np.uint8))


def write_panoptic(root: Path) -> Path:
    """One picture: sky above (void corner), a thing, and a crowd, with ids beyond one byte."""
    write_picture(root / "val2017" / "1.jpg")
    ids = np.zeros(SIZE, np.int64)
    ids[:6, 1:], ids[6:, :8], ids[8:, 10:] = 70000, 300, 7
    (root / "panoptic_val2017").mkdir()
    encode_ids(ids).save(root / "panoptic_val2017" / "1.png")
    content = {
        "images": [{"id": 1, "file_name": "1.jpg", "height": SIZE[0], "width": SIZE[1]}],
        "annotations": [
            {
                "image_id": 1,
                "file_name": "1.png",
                "segments_info": [
                    {"id": 70000, "category_id": 5, "iscrowd": 0},
                    {"id": 300, "category_id": 1, "iscrowd": 0},
                    {"id": 7, "category_id": 1, "iscrowd": 1},
                ],
            }
        ],
        "categories": [
            {"id": 1, "name": "cat", "isthing": 1},
            {"id": 5, "name": "sky-other", "isthing": 0},
        ],
    }
    write_json(root / "annotations" / "panoptic_val2017.json", content)
    return root


def write_label_maps(root: Path, values: np.ndarray, classes: str, suffix: str = ".png") -> Path:
    write_picture(root / "images" / "a.jpg")
    (root / "labels").mkdir()
    Image.fromarray(values).save(root / "labels" / f"a{suffix}")
    (root / "classes.txt").write_text(classes)
    return root
