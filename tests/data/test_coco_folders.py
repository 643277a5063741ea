"""Folders with COCO's JSON files: which images are meant, and what may not be left out."""

import json

import numpy as np
import pytest
from layouts import (
    annotation,
    coco,
    encode_ids,
    square,
    write_json,
    write_panoptic,
    write_picture,
)
from opened import opened_folder
from PIL import Image

from bench.data.folder import sniff
from bench.errors import DataError


def write_images(root, folder, names=("0.png", "1.png")):
    for name in names:
        write_picture(root / folder / name)


def write_coco(root, json_file, names=("0.png", "1.png"), annotations=None):
    rows = [annotation(1, 0, 1, square(1, 1, 4))] if annotations is None else annotations
    return write_json(root / json_file, coco(list(names), rows))


def write_segments(root, json_file, pngs):
    """A panoptic file of one image, 0.png, and its PNG of the same name; the image is not drawn."""
    (root / pngs).mkdir(parents=True)
    encode_ids(np.full((12, 16), 300)).save(root / pngs / "0.png")
    content = coco(["0.png"], [], [{"id": 1, "name": "sky", "isthing": 0}])
    segment = {"id": 300, "category_id": 1, "iscrowd": 0}
    content["annotations"] = [{"image_id": 0, "file_name": "0.png", "segments_info": [segment]}]
    write_json(root / json_file, content)


def folders(spec):
    return {name: split.images.options.folder for name, split in spec.splits.items()}


# --- which images are meant ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("files", "images"),
    [
        (
            ("annotations/instances_Train.json", "annotations/instances_Validation.json"),
            {"train": "images/Train", "val": "images/Validation"},
        ),
        (
            ("annotations/instances_train2017.json", "annotations/instances_val2017.json"),
            {"train": "train2017", "val": "val2017"},
        ),
        (("train.json", "val.json"), {"train": "train/images", "val": "val/images"}),
        (("train.json", "val.json"), {"train": "train_images", "val": "val_images"}),
    ],
)
def test_names_that_every_split_has_are_read_from_the_split_of_the_file(tmp_path, files, images):
    for file, folder in zip(files, images.values(), strict=True):
        write_images(tmp_path, folder)
        write_coco(tmp_path, file)
    assert folders(sniff(tmp_path)) == images


def test_a_folder_called_like_the_end_of_the_file_has_its_images(tmp_path):
    for folder in ("images/day", "images/night"):
        write_images(tmp_path, folder)
    write_coco(tmp_path, "annotations/instances_night.json")
    assert folders(sniff(tmp_path)) == {"all": "images/night"}


@pytest.mark.parametrize("masks", ["annotations", "masks/val", "semantic_val"])
def test_masks_of_the_same_names_are_not_images(tmp_path, masks):
    write_images(tmp_path, "images")
    write_images(tmp_path, masks)
    write_coco(tmp_path, "annotations/instances_val.json")
    assert folders(sniff(tmp_path)) == {"val": "images"}


def test_images_may_lie_beside_their_annotations(tmp_path):
    write_images(tmp_path, "annotations", ("0.jpg",))
    write_coco(tmp_path, "annotations/instances_val.json", ("0.jpg",))
    assert folders(sniff(tmp_path)) == {"val": "annotations"}


def test_masks_alone_are_not_taken_for_images(tmp_path):
    write_images(tmp_path, "masks")
    write_coco(tmp_path, "instances_val.json")
    with pytest.raises(DataError, match=r"no folder of .* has them \(masks has files of these nam"):
        sniff(tmp_path)


@pytest.mark.parametrize(
    ("json_file", "images", "pngs"),
    [
        ("panoptic_val.json", "val", "panoptic_val"),
        ("annotations/panoptic_val.json", "val", "segments"),
        ("annotations.json", "images", "a"),
    ],
)
def test_pngs_of_segments_are_told_from_images_of_the_same_names(tmp_path, json_file, images, pngs):
    write_segments(tmp_path, json_file, pngs)
    write_images(tmp_path, images, ["0.png"])
    dataset = opened_folder(tmp_path)
    assert (dataset.load("0.png").truths["semantic"] == 0).all()
    drawn = np.asarray(Image.open(tmp_path / images / "0.png"))
    assert (dataset.load("0.png").image == drawn).all()


def test_pngs_of_segments_alone_are_not_taken_for_images(tmp_path):
    write_segments(tmp_path, "panoptic_val.json", "panoptic_val")
    with pytest.raises(DataError, match=r"panoptic_val has files of these names, which must be"):
        sniff(tmp_path)


def test_a_panoptic_file_without_its_pngs_says_so(tmp_path):
    write_panoptic(tmp_path)
    (tmp_path / "panoptic_val2017" / "1.png").unlink()
    with pytest.raises(DataError, match=r"no folder in .* has its PNG files, such as 1\.png"):
        sniff(tmp_path)


@pytest.mark.parametrize(
    ("json_file", "first", "second"),
    [
        ("labels.json", "train", "val"),
        ("instances_val.json", "a/val", "b/val"),
        ("instances_val.json", "images", "sketches/val-old"),
    ],
)
def test_folders_that_cannot_be_told_apart_are_named(tmp_path, json_file, first, second):
    write_images(tmp_path, first)
    write_images(tmp_path, second)
    write_coco(tmp_path, json_file)
    with pytest.raises(DataError, match=rf"{first} and in {second}: nothing tells which"):
        sniff(tmp_path)


def test_one_folder_by_several_ways_is_one_folder(tmp_path):
    write_images(tmp_path, "pictures")
    (tmp_path / "again").symlink_to(tmp_path / "pictures", target_is_directory=True)
    write_coco(tmp_path, "val.json", ("../pictures/0.png", "../pictures/1.png"))
    assert folders(sniff(tmp_path)) == {"val": "again"}


def test_images_of_the_other_split_are_not_taken_where_ones_own_are_missing(tmp_path):
    write_images(tmp_path, "train2017")
    for split in ("train", "val"):
        write_coco(tmp_path, f"annotations/instances_{split}2017.json")
    with pytest.raises(DataError, match=r"val2017\.json lists images of the same names as .*train"):
        sniff(tmp_path)


def test_splits_of_one_folder_of_images_need_no_folders(tmp_path):
    write_images(tmp_path, "train2017")
    write_coco(tmp_path, "instances_train.json", ["0.png"])
    write_coco(tmp_path, "instances_val.json", ["1.png"])
    assert folders(sniff(tmp_path)) == {"train": "train2017", "val": "train2017"}


# --- what may not be left out --------------------------------------------------------------------


def write_two_splits(root):
    for split in ("train", "val"):
        write_images(root, split, [f"{split}{i}.png" for i in range(3)])
        write_coco(root, f"annotations/{split}.json", [f"{split}{i}.png" for i in range(3)])
    return root / "annotations" / "val.json"


def test_an_image_that_is_missing_leaves_the_split_where_it_is(tmp_path):
    write_two_splits(tmp_path)
    (tmp_path / "val" / "val0.png").unlink()
    dataset = opened_folder(tmp_path)
    assert (dataset.split, len(dataset)) == ("val", 3)
    with pytest.raises(DataError, match=r"val0\.png is missing"):
        dataset.load("val0.png")
    assert len(dataset.load("val1.png").truths["instance"].instances) == 0


def test_a_png_that_is_missing_leaves_the_folder_of_the_others(tmp_path):
    write_segments(tmp_path, "panoptic_val.json", "pngs")
    write_images(tmp_path, "val", ["0.png", "1.png"])
    content = json.loads((tmp_path / "panoptic_val.json").read_text())
    content["images"].insert(0, {**content["images"][0], "id": 7, "file_name": "1.png"})
    segment = {"id": 300, "category_id": 1}
    row = {"image_id": 7, "file_name": "1.png", "segments_info": [segment]}
    content["annotations"].insert(0, row)
    write_json(tmp_path / "panoptic_val.json", content)
    assert sniff(tmp_path).splits["val"].truth["panoptic"].options.folder == "pngs"


def test_a_flaw_in_a_coco_file_is_said(tmp_path):
    write_two_splits(tmp_path)
    orphan = annotation(1, 99, 1, square(1, 1, 4))
    write_coco(tmp_path, "annotations/val.json", ["val0.png"], [orphan])
    with pytest.raises(DataError, match=r"val\.json: annotation 1 is of image 99"):
        sniff(tmp_path)


def cut_off(file):
    file.write_text(file.read_text()[:-5])


def without(key):
    def write(file):
        write_json(file, {**json.loads(file.read_text()), key: []})

    return write


def without_its_images(file):
    for image in (file.parents[1] / "val").iterdir():
        image.unlink()


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (cut_off, "is not JSON"),
        (without("annotations"), "has no annotations"),
        (without("categories"), "has no categories"),
        (without_its_images, "lists 3 images, such as val0.png, and no folder of"),
    ],
)
def test_another_split_is_not_scored_for_one_that_cannot_be(tmp_path, spoil, said):
    spoil(write_two_splits(tmp_path))
    with pytest.raises(DataError, match=rf"val\.json {said}.* 'train' would be scored in place"):
        sniff(tmp_path)


def test_a_split_that_is_not_scored_by_default_may_lack_its_images(tmp_path):
    write_two_splits(tmp_path)
    for image in (tmp_path / "train").iterdir():
        image.unlink()
    assert set(sniff(tmp_path).splits) == {"val"}


def test_other_json_files_are_no_matter(tmp_path):
    write_two_splits(tmp_path)
    captions = {"id": 1, "image_id": 0, "caption": "a cat"}
    write_coco(tmp_path, "annotations/captions_test.json", ["test0.png"], [captions])
    write_json(tmp_path / "test.json", {"images": [{"file_name": "x"}], "pages": []})
    write_json(tmp_path / "names.json", ["cat"])
    (tmp_path / "log.json").write_text('{"step": 1}\n{"step": 2}\n')
    (tmp_path / "annotations" / "._val.json").write_bytes(b"\0\5\26\7")
    assert set(sniff(tmp_path).splits) == {"train", "val"}


def test_what_is_not_recognised_says_which_files_were_no_good(tmp_path):
    cut_off(write_coco(tmp_path, "annotations.json"))
    write_images(tmp_path, "images")
    with pytest.raises(DataError, match=r"Not used: \S*annotations\.json is not JSON.*Looked for"):
        sniff(tmp_path)
    write_images(tmp_path, "masks")
    with pytest.raises(DataError, match=r"what the classes are called.*annotations\.json is not J"):
        sniff(tmp_path)
