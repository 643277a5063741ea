"""Small made-up scenes for the segmentation metrics, from a seed, full of hard cases."""

from typing import Any

import numpy as np

from bench.metrics import rle
from bench.types import Instances, Mask, Panoptic, Segment, TrueInstance, TrueInstances

CLASSES = ("ant", "bee", "cat")


def blob(generator: np.random.Generator, size: tuple[int, int]) -> np.ndarray:
    """A rectangle with ragged edges; now and then nothing or a pixel."""
    height, width = size
    mask = np.zeros(size, bool)
    top, left = generator.integers(0, height), generator.integers(0, width)
    if generator.random() < 0.9:
        bottom, right = top + generator.integers(1, height), left + generator.integers(1, width)
        mask[top:bottom, left:right] = True
        mask &= generator.random(size) > 0.05
    elif generator.random() < 0.5:
        mask[top, left] = True
    return mask


def instances(seed: int, *, boxes: bool = False) -> tuple[Instances, TrueInstances]:
    """Detections (some near objects, scores tied) and objects (some crowds, odd areas, id 0)."""
    generator = np.random.default_rng(seed)
    size = tuple(generator.integers(8, 140, 2).tolist())
    true, masks, labels = [], [], []
    for id in range(generator.integers(0, 6)):
        mask, label = blob(generator, size), int(generator.integers(len(CLASSES)))
        area = (
            float(mask.sum()) if generator.random() < 0.8 else float(generator.choice([1024, 9216]))
        )
        true.append(
            TrueInstance(id, label, Mask.encode(mask), bool(generator.random() < 0.15), area)
        )
        for _ in range(generator.integers(0, 4)):
            near = np.roll(mask, generator.integers(-2, 3, 2), (0, 1)) ^ (
                generator.random(size) < 0.02
            )
            masks.append(mask if generator.random() < 0.2 else near)
            labels.append(
                label if generator.random() < 0.8 else int(generator.integers(len(CLASSES)))
            )
    for _ in range(generator.integers(0, 5)):
        masks.append(blob(generator, size))
        labels.append(int(generator.integers(len(CLASSES))))
    encoded = tuple(Mask.encode(mask) for mask in masks)
    said = Instances(
        encoded,
        np.array(labels, np.int64),
        np.round(generator.random(len(labels)), 1),
        rle.boxes(encoded) if boxes else None,
    )
    return said, TrueInstances(tuple(true))


def coco_rows(scenes: list[tuple[Instances, TrueInstances]]) -> tuple[dict[str, Any], list[Any]]:
    """The scenes as COCO annotations (ids from 1 in the order of scenes) and COCO results."""
    annotations, results, images = [], [], []
    for image, (said, true) in enumerate(scenes):
        masks = (*said.masks, *(o.mask for o in true.instances))
        height, width = (masks[0].height, masks[0].width) if masks else (8, 8)
        images.append({"id": image, "height": height, "width": width})
        for instance in true.instances:
            x, y, right, bottom = rle.boxes([instance.mask])[0].tolist()
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": image,
                    "category_id": instance.label,
                    "segmentation": run_lengths(instance.mask),
                    "area": instance.area,
                    "bbox": [x, y, right - x, bottom - y],
                    "iscrowd": int(instance.crowd),
                }
            )
        for index, mask in enumerate(said.masks):
            row = {
                "image_id": image,
                "category_id": int(said.labels[index]),
                "segmentation": run_lengths(mask),
                "score": float(said.scores[index]),
            }
            if said.boxes is not None:
                x, y, right, bottom = said.boxes[index].tolist()
                row["bbox"] = [x, y, right - x, bottom - y]
            results.append(row)
    categories = [{"id": label, "name": name} for label, name in enumerate(CLASSES)]
    truth = {"images": images, "annotations": annotations, "categories": categories, "info": {}}
    return truth, results


def run_lengths(mask: Mask) -> dict[str, Any]:
    return {"size": [mask.height, mask.width], "counts": rle.compress(mask).decode()}


def label_maps(seed: int, classes: int = 5) -> tuple[np.ndarray, np.ndarray]:
    """A predicted and a true label map with void, in patches with noise."""
    generator = np.random.default_rng(seed)
    height, width = generator.integers(1, 30, 2)
    true = generator.integers(-1, classes, (height // 4 + 1, width // 4 + 1))
    true = true.repeat(4, 0).repeat(4, 1)[:height, :width].astype(np.int32)
    noise = generator.random(true.shape) < 0.3
    said = np.where(noise, generator.integers(-1, classes, true.shape), true).astype(np.int32)
    return said, true


def panoptic(seed: int, classes: int = len(CLASSES)) -> tuple[Panoptic, Panoptic]:
    """A predicted and a true panoptic map: void, crowds, stated areas, ids that nobody lists."""
    generator = np.random.default_rng(seed)
    height, width = generator.integers(4, 16, 2)
    true_ids = generator.choice(2**24 - 1, generator.integers(1, 7), replace=False) + 1
    said_ids = generator.choice(2**24 - 1, generator.integers(1, 6), replace=False) + 1
    patches = generator.integers(0, len(true_ids) + 1, (height // 2 + 1, width // 2 + 1))
    patches = patches.repeat(2, 0).repeat(2, 1)[:height, :width]
    true = np.append(0, true_ids)[patches].astype(np.int32)
    follows = generator.integers(0, len(said_ids) + 1, len(true_ids) + 1)
    noise = generator.random(true.shape) < 0.15
    numbers = np.where(
        noise, generator.integers(0, len(said_ids) + 1, true.shape), follows[patches]
    )
    said = np.append(0, said_ids)[numbers].astype(np.int32)
    labels = generator.integers(0, classes, len(true_ids))
    true_segments = [
        Segment(
            int(id),
            int(label),
            crowd=bool(generator.random() < 0.3),
            area=int((true == id).sum() + (generator.random() < 0.2)),
        )
        for id, label in zip(true_ids, labels, strict=True)
    ]
    if generator.random() < 0.2:
        true_segments.pop()
    pairs = zip(follows[1:], labels, strict=True)
    label_of = {int(said_ids[followed - 1]): int(label) for followed, label in pairs if followed}
    said_segments = [
        Segment(int(id), label_of.get(int(id), int(generator.integers(classes))))
        for id in np.unique(said)
        if id
    ]
    return Panoptic(said, tuple(said_segments)), Panoptic(true, tuple(true_segments))
