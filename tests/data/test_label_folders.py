"""Folders of label maps: their numbers, files that are no label maps, and splits twice over."""

import numpy as np
import pytest
from layouts import SIZE, coco, write_json, write_picture
from opened import opened_folder
from PIL import Image

from bench.data import label_folders
from bench.data.folder import sniff
from bench.errors import DataError
from bench.types import VOID

CLASSES = "cat\ndog\nbird\n"


def write_maps(root, *maps, images="images", labels="masks", classes=CLASSES):
    """An image and a label map for each tuple of values, from the top row on."""
    for i, values in enumerate(maps):
        write_picture(root / images / f"{i:03d}.jpg")
        pixels = np.full(SIZE, values[0], np.uint16 if max(values) > 255 else np.uint8)
        pixels[: len(values)] = np.array(values)[:, None]
        (root / labels).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(root / labels / f"{i:03d}.png")
    (root / "classes.txt").write_text(classes)
    return root


def labels(root, id, n):
    return opened_folder(root).load(id).truths["semantic"][:n, 0].tolist()


# --- numbers -------------------------------------------------------------------------------------


def test_the_last_class_settles_the_numbering_wherever_it_is(tmp_path):
    write_maps(tmp_path, *[(0, 1, 2)] * 60, (0, 3))
    assert labels(tmp_path, "000", 3) == [VOID, 0, 1]
    assert labels(tmp_path, "060", 2) == [VOID, 2]


def test_classes_count_from_zero_where_no_map_has_the_number_of_classes(tmp_path):
    write_maps(tmp_path, *[(0, 1)] * 60, (2,))
    assert labels(tmp_path, "000", 2) == [0, 1]


@pytest.mark.parametrize(("values", "first"), [((0, 1, 2), 0), ((1, 2, 3), 1)])
def test_void_is_void_whether_any_map_has_it_or_not(tmp_path, values, first):
    write_maps(tmp_path, values)
    ignore = sniff(tmp_path).splits["all"].truth["semantic"].options.ignore
    assert ignore == (*range(first), 255, 65535)
    write_maps(tmp_path, values, (1, 255), (65535, 1))
    assert labels(tmp_path, "001", 2)[1] == VOID
    assert labels(tmp_path, "002", 2)[0] == VOID


def test_a_class_is_no_void_because_of_its_number(tmp_path):
    write_maps(tmp_path, (0, 1, 255), classes="0 sky\n1 road\n255 car\n")
    assert labels(tmp_path, "000", 3) == [0, 1, 2]


def test_one_class_needs_its_value_where_it_is_not_1(tmp_path):
    write_maps(tmp_path, (0, 255), classes="cat\n")
    with pytest.raises(DataError, match=r"none is 1. Write it before the name, as in '255 cat'"):
        sniff(tmp_path)
    (tmp_path / "classes.txt").write_text("255 cat\n")
    assert labels(tmp_path, "000", 2) == [VOID, 0]


def test_label_maps_that_did_not_change_are_read_once(tmp_path, monkeypatch):
    write_maps(tmp_path, (0, 1), (0, 2))
    opened = []
    read = label_folders.open_image
    monkeypatch.setattr(
        label_folders, "open_image", lambda path: opened.append(path.name) or read(path)
    )
    for _ in range(2):
        sniff(tmp_path)
    assert opened == ["000.png", "001.png"]
    write_maps(tmp_path, (0, 1), (0, 2), (0, 3))
    assert labels(tmp_path, "000", 2) == [VOID, 0]


# --- files that are no label maps ----------------------------------------------------------------


def test_a_broken_label_map_is_a_matter_of_its_image(tmp_path):
    write_maps(tmp_path, (1,), (2,), (3,))
    (tmp_path / "masks" / "000.png").write_bytes(b"\x89PNG")
    dataset = opened_folder(tmp_path)
    assert dataset.load("002").truths["semantic"][0, 0] == 2
    with pytest.raises(DataError, match=r"000\.png is not an image that can be read"):
        dataset.load("000")


def test_what_lies_among_label_maps_without_an_image_is_no_matter(tmp_path):
    write_maps(tmp_path, (0,), (1,))
    write_picture(tmp_path / "masks" / "overview.png")
    write_picture(tmp_path / "masks" / "legend.bmp")
    (tmp_path / "masks" / "._000.png").write_bytes(b"\0\5\26\7")
    (tmp_path / "images" / "._000.JPG").write_bytes(b"\0\5\26\7")
    dataset = opened_folder(tmp_path)
    assert dataset.ids == ("000", "001")
    assert [sample.truths["semantic"][0, 0] for sample in dataset] == [0, 1]


@pytest.mark.parametrize("classes", [CLASSES, "0: cat\n1: dog\n"])
def test_label_maps_that_are_all_in_colour_are_refused(tmp_path, classes):
    write_maps(tmp_path, (0,), (1,), classes=classes)
    for name in ("000.png", "001.png"):
        write_picture(tmp_path / "masks" / name)
    with pytest.raises(DataError, match=r"000\.png is in colour"):
        sniff(tmp_path)


def test_two_label_maps_of_one_image_are_refused(tmp_path):
    write_maps(tmp_path, (0,))
    Image.fromarray(np.ones(SIZE, np.uint8)).save(tmp_path / "masks" / "000.bmp")
    with pytest.raises(DataError, match=r"000\.bmp and \S+000\.png are both label maps of '000'"):
        sniff(tmp_path)


# --- splits twice over ---------------------------------------------------------------------------


def test_two_folders_of_label_maps_are_not_guessed_between(tmp_path):
    write_maps(tmp_path, (1,), labels="labels")
    write_maps(tmp_path, (2,), labels="masks")
    with pytest.raises(DataError, match=r"images with labels and images with masks.*move away"):
        sniff(tmp_path)


def test_two_folders_of_one_split_are_not_guessed_between(tmp_path):
    for split in ("val", "validation"):
        write_maps(tmp_path, (1,), images=f"images/{split}", labels=f"masks/{split}")
    with pytest.raises(DataError, match=r"masks/val and images/validation with .*split 'val'"):
        sniff(tmp_path)


@pytest.mark.parametrize("layout", ["images/{}", "{}/Images"])
def test_splits_of_label_maps_may_be_in_capitals(tmp_path, layout):
    for split in ("Train", "Valid", "Test"):
        at = layout.format(split)
        write_maps(tmp_path, (1,), images=at, labels=at.lower().replace("images", "Masks"))
    if layout == "{}/Images":  # the masks went into `train`, beside `Train`
        for split in ("Train", "Valid", "Test"):
            (tmp_path / split.lower() / "Masks").rename(tmp_path / split / "Masks")
            (tmp_path / split.lower()).rmdir()
    spec = sniff(tmp_path)
    assert (set(spec.splits), spec.default_split) == ({"train", "val", "test"}, "val")


def write_part(root, part, values=(0, 1), table="0, background\n1, cat\n"):
    write_picture(root / part / f"{part}.jpg")
    pixels = np.repeat(np.array(values, np.uint8), SIZE[1]).reshape(-1, SIZE[1])
    pixels = np.vstack([pixels, np.zeros((SIZE[0] - len(values), SIZE[1]), np.uint8)])
    Image.fromarray(pixels).save(root / part / f"{part}_mask.png")
    (root / part / "_classes.csv").write_text(f"Pixel Value, Class\n{table}")


def test_parts_of_roboflow_masks_are_splits_by_their_whole_names(tmp_path):
    for part in ("Train", "valid", "validation_extra"):
        write_part(tmp_path, part)
    spec = sniff(tmp_path)
    assert set(spec.splits) == {"train", "val", "validation_extra"}
    assert spec.splits["val"].images.options.files == "valid/{id}.jpg"


def test_parts_of_roboflow_masks_keep_their_own_numbers(tmp_path):
    write_part(tmp_path, "train", table="0, cat\n1, dog\n")
    write_part(tmp_path, "valid", table="0, dog\n1, cat\n")
    names = [opened_folder(tmp_path, split).vocabulary.names for split in ("train", "val")]
    assert names == [("cat", "dog")] * 2
    read = [opened_folder(tmp_path, s).load(p) for s, p in (("train", "train"), ("val", "valid"))]
    assert [s.truths["semantic"][:2, 0].tolist() for s in read] == [[0, 1], [1, 0]]


@pytest.mark.parametrize("masks", [True, False])
def test_two_parts_of_one_split_are_not_guessed_between(tmp_path, masks):
    for part in ("val", "Valid"):
        if masks:
            write_part(tmp_path, part)
        else:
            write_json(tmp_path / part / "_annotations.coco.json", coco(["0.jpg"], []))
    with pytest.raises(DataError, match=r"Valid and \S+val both stand for the split 'val': move"):
        sniff(tmp_path)
