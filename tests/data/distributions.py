"""Every dataset of the paper in miniature: two pictures each, laid out as its distributors do.

`WRITERS[name](root)` writes what the shipped spec of that name reads, below a data folder. Truth is
drawn from a seed and coded as the dataset does it, voids and groups included.
"""

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from layouts import annotation, coco, encode_ids, square, write_json, write_picture
from PIL import Image
from scipy.io import savemat

from bench import catalog
from bench.types import Mask

SEGINW = [name for name in catalog.datasets() if name.startswith("seginw-")]


def blocks(values: list[int], seed: int = 0, side: int = 4) -> np.ndarray:
    """A map of 3 × 4 squares of one value each; all of up to 12 values are somewhere."""
    chance = np.random.default_rng(seed)
    chosen = [*values, *chance.choice(values, 12)][:12]
    return np.kron(np.array(chosen).reshape(3, 4), np.ones((side, side), int))


def save(path: Path, pixels: np.ndarray, mode: Any = np.uint8) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels.astype(mode)).save(path)


# --- generic segmentation ------------------------------------------------------------------------


def write_ade20k_150(root: Path) -> None:
    home = root / "ADEChallengeData2016"
    names = ["ADE_val_00000001", "ADE_val_00000002"]
    images, rows, objects = [], [], []
    for seed, name in enumerate(names):
        write_picture(home / f"images/validation/{name}.jpg", seed)
        # Two beds (class 8, the first countable one), one door (15), a wall, and a bed that is
        # among the labels only.
        number = blocks([0, 0, 0, 1, 2, 3], seed)
        labels = np.choose(number, [blocks([0, 1, 8, 8, 8, 15], seed), 8, 8, 15])
        thing = np.choose(number, [0, 1, 1, 5])
        save(home / f"annotations/validation/{name}.png", labels)
        coded = np.stack([thing, number, 0 * number], -1)
        save(home / f"annotations_instance/validation/{name}.png", coded)
        # What Mask2Former's scripts make of it: categories from 0, any ids.
        save_ids(home / f"ade20k_panoptic_val/{name}.png", number + 900 * (labels == 1))
        images.append({"id": name, "file_name": f"{name}.jpg", "height": 12, "width": 16})
        segments = [{"id": 1, "category_id": 7}, {"id": 2, "category_id": 7}]
        segments += [{"id": 3, "category_id": 14}, {"id": 900, "category_id": 0}]
        rows.append({"image_id": name, "file_name": f"{name}.png", "segments_info": segments})
        for i, category in ((1, 7), (2, 7), (3, 14)):
            runs = Mask.encode(number == i).counts.tolist()
            objects.append(
                {
                    "id": len(objects) + 1, "image_id": name, "category_id": category,
                    "segmentation": {"size": [12, 16], "counts": runs}, "iscrowd": 0,
                }
            )  # fmt: skip
    things = catalog.vocabulary("ade20k-150").vocabulary().things
    listed = [{"id": i, "name": f"class {i}", "isthing": int(i in things)} for i in range(150)]
    content = {"images": images, "annotations": rows, "categories": listed}
    write_json(home / "ade20k_panoptic_val.json", content)
    listed = [category for category in listed if category["isthing"]]
    content = {"images": images, "annotations": objects, "categories": listed}
    write_json(home / "ade20k_instance_val.json", content)


def write_ade20k_847(root: Path) -> None:
    home = root / "ADE20K_2021_17_01"
    for seed, id in enumerate(("urban/street/ADE_val_00000001", "work_place/office/ADE_val_2")):
        write_picture(home / f"images/ADE/validation/{id}.jpg", seed)
        # wall, building, sky; 1 is a name that is not scored.
        indices = blocks([0, 1, 2978, 312, 2420], seed)
        pixels = np.stack([indices // 256 * 10, indices % 256, indices * 0 + seed], -1)
        save(home / f"images/ADE/validation/{id}_seg.png", pixels)
        save(home / f"images/ADE/validation/{id}_parts_1.png", pixels)
        save(home / f"images/ADE/validation/{id}/instance_000_ADE_val_1.png", pixels)
        name = id.rpartition("/")[2]
        write_picture(home / f"images_detectron2/validation/{name}.jpg", seed)
        table = {0: 65535, 1: 65535, 2978: 0, 312: 1, 2420: 2}
        derived = np.vectorize(table.get)(indices)
        save(home / f"annotations_detectron2/validation/{name}.tif", derived, np.uint16)


def write_voc(root: Path) -> None:
    home = root / "VOCdevkit/VOC2012"
    for seed, id in enumerate(("2007_000033", "2007_000042", "2007_000061")):
        write_picture(home / f"JPEGImages/{id}.jpg", seed)
        image = Image.fromarray(blocks([0, 1, 15, 20, 255], seed).astype(np.uint8), "P")
        image.putpalette(list(range(256)) * 3)
        (home / "SegmentationClass").mkdir(exist_ok=True)
        image.save(home / f"SegmentationClass/{id}.png")
    write_lines(home / "ImageSets/Segmentation/val.txt", ["2007_000033", "2007_000042"])
    write_lines(home / "ImageSets/Segmentation/train.txt", ["2007_000061"])


def write_context(root: Path) -> None:
    home = root / "VOCdevkit/VOC2010"
    for seed, id in enumerate(("2008_000002", "2008_000003", "2008_000008")):
        write_picture(home / f"JPEGImages/{id}.jpg", seed)
        (home / "trainval").mkdir(exist_ok=True)
        # aeroplane, bag and diningtable are among the 59; accordion (1) and 459 are not.
        values = blocks([1, 2, 9, 397, 459], seed).astype(np.uint16)
        savemat(home / f"trainval/{id}.mat", {"LabelMap": values})
    write_lines(home / "ImageSets/Main/val.txt", ["2008_000002", "2008_000003"])
    write_lines(home / "ImageSets/Main/train.txt", ["2008_000008"])


def write_context_derived(root: Path) -> None:
    home = root / "pascal_ctx_d2"
    for seed, id in enumerate(("2008_000002", "2008_000003")):
        write_picture(home / f"images/validation/{id}.jpg", seed)
        save(home / f"annotations_ctx59/validation/{id}.png", blocks([0, 1, 58, 255], seed))
        pixels = blocks([0, 1, 458, 65535], seed)
        save(home / f"annotations_ctx459/validation/{id}.tif", pixels, np.uint16)


def write_sunrgbd(root: Path) -> None:
    home = root / "sun_rgbd"
    for i in (1, 2):
        write_picture(home / f"image/test/img-{i:06d}.jpg", i)
        save(home / f"label37/test/{i + 5000:08d}.png", blocks([0, 1, 37, 255, i], i))


def write_scannet(root: Path) -> None:
    home = root / "scannet_frames_25k"
    for seed, scene in enumerate(("scene0568_00", "scene0000_00")):
        for frame in ("000000", "000100"):
            write_picture(home / scene / f"color/{frame}.jpg", seed)
            # 13 (blinds) is not among the 20 classes; 5001 and 5002 are two chairs.
            values = blocks([0, 1, 13, 39, 5, 5, 40], seed)
            save(home / scene / f"label/{frame}.png", values)
            number = blocks([0, 0, 1, 1, 1, 2, 0], seed)
            coded = np.where(number > 0, values * 1000 + number, values)
            save(home / scene / f"instance/{frame}.png", coded, np.uint16)
            write_picture(home / f"scans/{scene}/color/{frame}.jpg", seed)
            raw = np.where(values > 0, values + 1000, 0)
            save(home / f"scans/{scene}/label-filt/{frame}.png", raw, np.uint16)
    table = [f"{1000 + number}\tname {number}\t{number}" for number in range(1, 41)]
    rows = ["id\traw_category\tnyu40id", *table, "1163\tno class\t"]
    write_lines(home / "scannetv2-labels.combined.tsv", rows)
    write_lines(home / "scannetv2_val.txt", ["scene0568_00"])
    write_lines(home / "scannetv2_train.txt", ["scene0000_00"])


def write_cityscapes(root: Path) -> None:
    home = root / "cityscapes"
    # label id × 1000 + number: two cars, a group of persons, road, void.
    # Large enough for its own evaluation, which leaves out objects under 100 pixels.
    ids = blocks([3, 7, 26000, 26001, 24, 11], side=12)
    labels = np.where(ids >= 1000, ids // 1000, ids)
    train = {3: 255, 7: 0, 26: 13, 24: 11, 11: 2}
    images, rows = [], []
    for city in ("frankfurt", "lindau"):
        frame = f"{city}_000000_000294"
        write_picture(home / f"leftImg8bit/val/{city}/{frame}_leftImg8bit.png", size=ids.shape)
        stem = home / f"gtFine/val/{city}/{frame}_gtFine"
        save(Path(f"{stem}_labelIds.png"), labels)
        save(Path(f"{stem}_instanceIds.png"), ids, np.uint16)
        save(Path(f"{stem}_color.png"), np.zeros((*ids.shape, 4)))
        save(Path(f"{stem}_labelTrainIds.png"), np.vectorize(train.get)(labels))
        shown = np.where(ids == 3, 0, ids)
        save_ids(home / f"gtFine/cityscapes_panoptic_val/{frame}_gtFine_panoptic.png", shown)
        name = f"{frame}_gtFine_leftImg8bit.png"
        images.append({"id": frame, "file_name": name, "height": 36, "width": 48})
        segments = [
            {"id": int(i), "category_id": int(i // 1000 if i >= 1000 else i), "iscrowd": i == 24}
            for i in np.unique(ids[ids != 3]).tolist()
        ]
        png = f"{frame}_gtFine_panoptic.png"
        rows.append({"image_id": frame, "file_name": png, "segments_info": segments})
    values = catalog.dataset("cityscapes").splits["val"].truth["semantic"].options.values
    categories = [{"id": i, "name": name, "isthing": int(i > 23)} for i, name in values.items()]
    content = {"images": images, "annotations": rows, "categories": categories}
    write_json(home / "gtFine/cityscapes_panoptic_val.json", content)


def write_bdd(root: Path) -> None:
    home = root / "bdd100k"
    images, rows = [], []
    for seed, id in enumerate(("7d06fefd-f7be05a6", "7d128593-0ccfea4c")):
        write_picture(home / f"images/10k/val/{id}.jpg", seed)
        save(home / f"labels/sem_seg/masks/val/{id}.png", blocks([0, 13, 18, 255], seed))
        # category, attributes (2 is a crowd), and the id in two channels; 0 is void.
        number = blocks([0, 1, 2, 3, 300], seed)
        coding = {0: (0, 0), 1: (7, 0), 2: (35, 0), 3: (31, 2), 300: (35, 8)}
        category = np.vectorize(lambda i, c=coding: c[i][0])(number)
        attributes = np.vectorize(lambda i, c=coding: c[i][1])(number)
        pixels = np.stack([category, attributes, number >> 8, number & 255], -1)
        save(home / f"labels/pan_seg/bitmasks/val/{id}.png", pixels)
        save_ids(home / f"labels/pan_seg/coco_pano/val/{id}.png", number)
        images.append({"id": seed, "file_name": f"{id}.png", "height": 12, "width": 16})
        segments = [
            {"id": i, "category_id": c, "iscrowd": int(a == 2)} for i, (c, a) in coding.items() if i
        ]
        rows.append({"image_id": seed, "file_name": f"{id}.png", "segments_info": segments})
    names = catalog.vocabulary("bdd-40").vocabulary()
    categories = [
        {"id": i + 1, "name": name, "isthing": int(i in names.things)}
        for i, name in enumerate(names.names)
    ]
    content = {"images": images, "annotations": rows, "categories": categories}
    write_json(home / "labels/pan_seg/meta/coco_val.json", content)


def write_coco(root: Path) -> None:
    home = root / "coco"
    names = [f"{i:012d}.jpg" for i in (139, 285)]
    for i, name in enumerate(names):
        write_picture(home / "val2017" / name, i)
        write_picture(home / f"val2014/COCO_val2014_{name}", i)
        save_ids(home / f"panoptic_val2017/{name[:-4]}.png", blocks([0, 5, 66000], i))
    classes = catalog.vocabulary("coco-133").vocabulary()
    categories = [
        {"id": i + 1, "name": name, "isthing": int(i in classes.things)}
        for i, name in enumerate(classes.names)
    ]
    segments = [{"id": 5, "category_id": 1, "iscrowd": 1}, {"id": 66000, "category_id": 133}]
    rows = [
        {"image_id": i, "file_name": f"{name[:-4]}.png", "segments_info": segments}
        for i, name in enumerate(names)
    ]
    content = {**coco(names, rows), "categories": categories}
    write_json(home / "annotations/panoptic_val2017.json", content)
    objects = [annotation(1, 0, 2, square(1, 1, 4)), annotation(2, 1, 80, square(3, 3, 6))]
    things = [c for c in categories if c["isthing"]]
    write_json(home / "annotations/instances_val2017.json", coco(names, objects, things))
    said = [
        {"id": 5 * i + k, "image_id": i, "caption": f"picture {i} in words {k} "}
        for i in range(2)
        for k in range(5)
    ]
    write_json(home / "annotations/captions_val2017.json", coco(names, said))
    rows = [
        {
            "filepath": "val2014", "filename": f"COCO_val2014_{name}", "cocoid": i, "split": part,
            "sentences": [{"raw": f"Picture {i}, words {k}."} for k in range(5 + i)],
        }
        for i, (name, part) in enumerate(zip(names, ("test", "restval"), strict=True))
    ]  # fmt: skip
    for part in ("train", "val"):
        write_picture(home / f"val2014/COCO_val2014_{part}.jpg")
        said = [{"raw": f"The {part} picture in words {k}."} for k in range(5)]
        file = f"COCO_val2014_{part}.jpg"
        rows.append({**rows[1], "split": part, "filename": file, "sentences": said})
    write_json(home / "karpathy/dataset_coco.json", {"images": rows, "dataset": "coco"})


# --- Segmentation in the Wild --------------------------------------------------------------------


def write_seginw(root: Path, name: str, *, bundle: bool = True) -> None:
    """The official bundle, or a plain Roboflow export, of `seginw-<name>`."""
    home, classes = root / "seginw" / name, catalog.vocabulary(f"seginw-{name}").classes
    parts = ("train", "train_10shot", "valid") if bundle else ("train", "valid", "test")
    for seed, part in enumerate(parts):
        names = [f"{part}-{i}_jpg.rf.{i:032x}.jpg" for i in range(2)]
        for i, file in enumerate(names):
            write_picture(home / part / file, 10 * seed + i)
        last = len(classes) - 1
        objects = [annotation(0, 0, 0, square(1, 1, 4)), annotation(1, 1, last, square(3, 3, 6))]
        listed = [{"id": i, "name": c.name, "supercategory": "x"} for i, c in enumerate(classes)]
        if bundle:
            content = coco(names, objects, listed)
            write_json(home / part / "_annotations_min1cat.coco.json", content)
        # In a raw export a placeholder for the project comes first and moves the others by one.
        placeholder = {"id": 0, "name": "x", "supercategory": "none"}
        raw = [{**o, "category_id": o["category_id"] + 1} for o in objects]
        listed = [placeholder, *({**c, "id": c["id"] + 1} for c in listed)]
        write_json(home / part / "_annotations.coco.json", coco(names, raw, listed))


# --- images and language -------------------------------------------------------------------------

EXPRESSIONS = {
    "val": {1: [["the Cat on the left", "left cat"], ["a cat, asleep"]], 2: [["Big dog"]]},
    **{part: {3: [["the only one"]]} for part in ("test", "testA", "testB", "train")},
}
"""By part: for each annotation, what its references say."""


def refs_of(expressions: dict[str, dict[int, list[list[str]]]]) -> list[dict[str, Any]]:
    rows = []
    for part, of_part in expressions.items():
        for object, references in of_part.items():
            for said in references:
                sentences = [
                    {"raw": text, "sent": text.lower(), "tokens": text.split(), "sent_id": k}
                    for k, text in enumerate(said)
                ]
                image = 7 if part == "val" else 8
                rows.append(
                    {
                        "ref_id": len(rows), "ann_id": object, "image_id": image, "split": part,
                        "category_id": 1, "sent_ids": [0], "sentences": sentences,
                        "file_name": f"COCO_train2014_{image:012d}_{object}.jpg",
                    }
                )  # fmt: skip
    return rows


def write_refs(root: Path, folder: str = "refcocog", by: str = "umd") -> Path:
    home = root / "refer/data"
    images = home / "images/mscoco/images/train2014"
    listed = []
    for i in (7, 8):
        name = f"COCO_train2014_{i:012d}.jpg"
        write_picture(images / name, i)
        listed.append({"id": i, "file_name": name, "height": 12, "width": 16})
    objects = [
        {
            **annotation(1, 7, 1, square(1, 1, 3)),
            "segmentation": [square(1, 1, 3), square(8, 2, 2)],
        },
        annotation(2, 7, 2, square(5, 5, 6)),
        annotation(3, 8, 1, square(2, 2, 4)),
    ]
    content = {**coco([], objects), "images": listed}
    write_json(home / folder / "instances.json", content)
    path = home / folder / f"refs({by}).p"
    path.write_bytes(pickle.dumps(refs_of(EXPRESSIONS), protocol=0))
    return path


def write_flickr(root: Path) -> None:
    home, rows = root / "flickr30k", []
    for i, part in enumerate(("test", "val", "train")):
        write_picture(home / f"flickr30k-images/100{i}.jpg", i)
        said = [{"raw": f"Words {k} of {i} ."} for k in range(5)]
        rows.append({"filename": f"100{i}.jpg", "split": part, "sentences": said})
    write_json(home / "karpathy/dataset_flickr30k.json", {"images": rows, "dataset": "flickr30k"})


def write_vqa(root: Path) -> None:
    home = root / "vqa"
    questions, answers = [], []
    for i, image in enumerate((42, 42, 73)):
        write_picture(home / f"val2014/COCO_val2014_{image:012d}.jpg", image)
        questions.append({"image_id": image, "question": f"What is {i}?", "question_id": 420 + i})
        said = [{"answer": "yes" if k < 4 + i else "no", "answer_id": k} for k in range(10)]
        kinds = {"answer_type": "yes/no", "question_type": "what is"}
        answers.append({"image_id": image, "question_id": 420 + i, "answers": said, **kinds})
    file = "v2_OpenEnded_mscoco_val2014_questions.json"
    write_json(home / file, {"questions": questions, "task_type": "Open-Ended"})
    write_json(home / "v2_mscoco_val2014_annotations.json", {"annotations": answers})


# -------------------------------------------------------------------------------------------------


def save_ids(path: Path, ids: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    encode_ids(ids).save(path)


def write_lines(path: Path, lines: list[str]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")


WRITERS: dict[str, Callable[[Path], Any]] = {
    "ade20k-150": write_ade20k_150,
    "ade20k-847": write_ade20k_847,
    "voc-20": write_voc,
    "voc-21": write_voc,
    "context-59": write_context,
    "context-459": write_context,
    "context-59-derived": write_context_derived,
    "context-459-derived": write_context_derived,
    "sunrgbd-37": write_sunrgbd,
    "scannet-20": write_scannet,
    "scannet-41": write_scannet,
    "cityscapes": write_cityscapes,
    "bdd-sem": write_bdd,
    "bdd-pano": write_bdd,
    "coco": write_coco,
    "coco-retrieval": write_coco,
    "coco-caption": write_coco,
    "coco-2017-captions": write_coco,
    "flickr30k-retrieval": write_flickr,
    "vqav2": write_vqa,
    "refcocog": write_refs,
    "refcoco": lambda root: write_refs(root, "refcoco", "unc"),
    "refcoco-plus": lambda root: write_refs(root, "refcoco+", "unc"),
    **{
        name: (lambda root, name=name: write_seginw(root, name.removeprefix("seginw-")))
        for name in SEGINW
    },
}
