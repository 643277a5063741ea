"""A data folder with four images of COCO and everything that is said of them, as released."""

import json
import pickle

import numpy as np
import PIL.Image

NUMBERS = (139, 285, 632, 724)
SIZE = (12, 16)
CATEGORIES = ("person", "sky-other-merged")


def write(root):
    """Images 139, 285, 632, 724: a person (left half) under sky; 285 has two persons."""
    coco, refer = root / "coco", root / "refer" / "data"
    for folder in (coco / "train2017", coco / "panoptic_train2017", coco / "annotations"):
        folder.mkdir(parents=True)
    (coco / "karpathy").mkdir()
    images = refer / "images" / "mscoco" / "images" / "train2014"
    images.mkdir(parents=True)
    for number in NUMBERS:
        picture = PIL.Image.fromarray(np.full((*SIZE, 3), number % 256, np.uint8))
        picture.save(coco / "train2017" / f"{number:012d}.jpg")
        picture.save(images / f"COCO_train2014_{number:012d}.jpg")
    _panoptic(coco)
    listed = [_listed(number, f"{number:012d}.jpg") for number in NUMBERS]
    captions = [
        {"id": 10 * number + i, "image_id": number, "caption": f"caption {i} of {number} "}
        for number in NUMBERS
        for i in range(2)
    ]
    _json(coco / "annotations/captions_train2017.json", images=listed, annotations=captions)
    _karpathy(coco / "karpathy")
    for name, split_by in (("refcoco", "unc"), ("refcoco+", "unc"), ("refcocog", "umd")):
        _refs(refer / name, split_by)
    grounding = [
        {
            "id": 5,
            "image_id": 139,
            "segmentation": [[0, 0, 4, 0, 4, 4, 0, 4]],
            "sentences": [{"raw": "The Small One"}, {"raw": "top left"}],
        }
    ]
    _json(coco / "annotations/grounding_train2017.json", images=listed, annotations=grounding)


def _listed(number, file_name):
    return {"id": number, "file_name": file_name, "height": SIZE[0], "width": SIZE[1]}


def _json(path, **content):
    path.write_text(json.dumps(content))


def _panoptic(coco):
    rows = []
    for number in NUMBERS:
        ids = np.full(SIZE, 2)
        ids[:, :8] = 1
        if number == 285:
            ids[:6, :8] = 3
        colours = np.stack([ids % 256, ids // 256, ids * 0], axis=-1).astype(np.uint8)
        PIL.Image.fromarray(colours).save(coco / "panoptic_train2017" / f"{number:012d}.png")
        segments = [
            {"id": int(id), "category_id": 200 if id == 2 else 1, "iscrowd": int(id == 3)}
            for id in np.unique(ids)
        ]
        for segment in segments:
            segment |= {"area": int((ids == segment["id"]).sum()), "bbox": [0, 0, 1, 1]}
        file_name = f"{number:012d}.png"
        rows.append({"image_id": number, "file_name": file_name, "segments_info": segments})
    _json(
        coco / "annotations/panoptic_train2017.json",
        images=[_listed(number, f"{number:012d}.jpg") for number in NUMBERS],
        annotations=rows,
        categories=[
            {"id": 1, "name": "person", "isthing": 1, "supercategory": "person"},
            {"id": 200, "name": "sky-other-merged", "isthing": 0, "supercategory": "sky"},
        ],
    )


def _karpathy(folder):
    """Image 724 is tested on, 632 validated on; both are of val2014."""
    parts = {139: "train", 285: "restval", 632: "val", 724: "test"}
    images = [
        {
            "filepath": "val2014",
            "filename": f"COCO_val2014_{number:012d}.jpg",
            "split": part,
            "sentences": [{"raw": "a caption"}],
        }
        for number, part in parts.items()
    ]
    _json(folder / "dataset_coco.json", images=images)


def _refs(folder, split_by):
    """Of image 139 one object is trained on, of 285 one is validated on."""
    folder.mkdir()
    refs = [
        {
            "ref_id": number,
            "ann_id": number,
            "category_id": 1,
            "image_id": number,
            "split": part,
            "sentences": [{"raw": f"Left Person of {folder.name}"}, {"raw": "the left one"}],
        }
        for number, part in ((139, "train"), (285, "val"))
    ]
    (folder / f"refs({split_by}).p").write_bytes(pickle.dumps(refs, protocol=2))
    _json(
        folder / "instances.json",
        images=[_listed(n, f"COCO_train2014_{n:012d}.jpg") for n in NUMBERS],
        annotations=[
            {
                "id": number,
                "image_id": number,
                "category_id": 1,
                "segmentation": [[0, 0, 8, 0, 8, 12, 0, 12]],
            }
            for number in (139, 285)
        ],
        categories=[{"id": 1, "name": "person"}],
    )
