import numpy as np
import pytest
from layouts import (
    SIZE,
    annotation,
    coco,
    square,
    write_json,
    write_label_maps,
    write_panoptic,
    write_picture,
    write_roboflow,
)
from opened import SAMPLES, opened_folder
from PIL import Image

from bench import catalog
from bench.data.folder import sniff
from bench.data.split_names import split_of
from bench.errors import DataError, DataMissing, UsageError
from bench.types import VOID


def test_every_part_of_a_roboflow_export_is_a_split_and_valid_is_scored(tmp_path):
    spec = sniff(write_roboflow(tmp_path, ("train", "valid", "test")))
    assert set(spec.splits) == {"train", "val", "test"}
    assert spec.split()[0] == "val"


def test_parts_in_capitals_are_the_same_splits(tmp_path):
    spec = sniff(write_roboflow(tmp_path, ("Train", "Valid", "Test")))
    assert (set(spec.splits), spec.split()[0]) == ({"train", "val", "test"}, "val")


def test_the_released_layout_of_segmentation_in_the_wild_is_read(tmp_path):
    write_roboflow(tmp_path, ("train", "valid", "train_10shot"))
    for part in ("train", "valid", "train_10shot"):
        file = tmp_path / part / "_annotations.coco.json"
        file.rename(file.with_name("_annotations_min1cat.coco.json"))
    assert set(sniff(tmp_path).splits) == {"train", "val", "train_10shot"}


def test_one_part_of_an_export_is_a_dataset_too(tmp_path):
    write_roboflow(tmp_path)
    assert len(opened_folder(tmp_path / "valid")) == 3


@pytest.mark.parametrize(
    ("json_file", "images", "split"),
    [
        ("instances_val2017.json", "val2017", "val"),
        ("annotations/instances_train.json", "images/train", "train"),
        ("labels.json", "images", "all"),
        ("labels.json", ".", "all"),
    ],
)
def test_a_coco_file_is_found_with_its_images_wherever_they_are(tmp_path, json_file, images, split):
    write_picture(tmp_path / images / "x.png")
    write_json(tmp_path / json_file, coco(["x.png"], [annotation(1, 0, 1, square(1, 1, 4))]))
    dataset = opened_folder(tmp_path)
    assert (dataset.split, dataset.ids) == (split, ("x.png",))
    assert len(dataset.load("x.png").truths["instance"].instances) == 1


def test_a_panoptic_folder_has_all_three_tasks(tmp_path):
    dataset = opened_folder(write_panoptic(tmp_path))
    assert set(dataset.tasks) == {"panoptic", "semantic", "instance"}
    assert dataset.vocabulary.things == {0}


def test_instances_beside_segments_bring_their_own_classes(tmp_path):
    write_panoptic(tmp_path)
    content = coco(["1.jpg"], [annotation(1, 0, 2, square(1, 1, 4))])
    write_json(tmp_path / "annotations" / "instances_val2017.json", content)
    dataset = opened_folder(tmp_path)
    assert dataset.vocabulary.names == ("cat", "sky-other", "dog")
    assert dataset.load("1.jpg").truths["instance"].instances[0].label == 2


def test_two_files_about_the_same_images_are_not_guessed_between(tmp_path):
    write_picture(tmp_path / "x.png")
    for name in ("alice_val.json", "bob_val.json"):
        write_json(tmp_path / name, coco(["x.png"], [annotation(1, 0, 1, square(1, 1, 4))]))
    with pytest.raises(DataError, match=r"alice_val\.json.*bob_val\.json.*spec that says which"):
        sniff(tmp_path)


def rows(*values):
    found = np.full(SIZE, values[0], np.uint8)
    found[: len(values)] = np.array(values)[:, None]
    return found


@pytest.mark.parametrize(
    ("values", "classes", "labels"),
    [
        (rows(0, 1, 2, 255), "sky\nroad\ncar\n", [0, 1, 2, VOID]),
        (rows(1, 2, 3, 0), "sky\nroad\ncar\n", [0, 1, 2, VOID]),
        (rows(5, 9, 0), "5: sky\n9: road\n", [0, 1, VOID]),
        (rows(1, 2, 0), "Idx\tRatio\tName\n1\t0.5\tsky\n2\t0.1\troad, route\n", [0, 1, VOID]),
    ],
)
def test_label_maps_follow_the_list_of_classes(tmp_path, values, classes, labels):
    sample = opened_folder(write_label_maps(tmp_path, values, classes)).load("a")
    assert sample.truths["semantic"][: len(labels), 0].tolist() == labels


def test_label_maps_without_a_list_of_classes_ask_for_one(tmp_path):
    write_label_maps(tmp_path, rows(0), "sky\n")
    (tmp_path / "classes.txt").unlink()
    with pytest.raises(DataError, match=r"nothing says what the classes are called: add one of cl"):
        sniff(tmp_path)


def test_label_maps_in_splits_are_splits(tmp_path):
    for part in ("train", "val"):
        write_picture(tmp_path / "images" / part / "a.jpg")
        (tmp_path / "labels" / part).mkdir(parents=True)
        Image.fromarray(rows(0, 1)).save(tmp_path / "labels" / part / "a.png")
    (tmp_path / "classes.txt").write_text("sky\nroad")
    assert set(sniff(tmp_path).splits) == {"train", "val"}


def test_roboflow_masks_take_their_classes_from_the_table_beside_them(tmp_path):
    write_picture(tmp_path / "valid" / "a_jpg.rf.1.jpg")
    Image.fromarray(rows(0, 2)).save(tmp_path / "valid" / "a_jpg.rf.1_mask.png")
    (tmp_path / "valid" / "_classes.csv").write_text("Pixel Value, Class\n0, nothing\n2, leaf\n")
    dataset = opened_folder(tmp_path)
    assert dataset.vocabulary.names == ("nothing", "leaf")
    assert dataset.load("a_jpg.rf.1").truths["semantic"][:2, 0].tolist() == [0, 1]


def test_what_is_not_recognised_lists_what_was_looked_for(tmp_path):
    write_picture(tmp_path / "x.png")
    (tmp_path / "settings.json").write_text("{}")
    with pytest.raises(DataError, match=r"_annotations\.coco\.json.*panoptic.*classes\.txt.*spec"):
        sniff(tmp_path)


def test_a_folder_that_is_not_there_is_missing_data(tmp_path):
    with pytest.raises(DataMissing, match="There is no folder"):
        sniff(tmp_path / "nowhere")


def test_a_folder_works_wherever_a_dataset_is_named(tmp_path):
    write_roboflow(tmp_path / "pets")
    assert catalog.dataset(str(tmp_path / "pets")).name == "pets"
    with pytest.raises(UsageError):
        catalog.dataset("pets-without-a-folder")


@pytest.mark.parametrize(
    ("name", "split"), [("val_sub", "val"), ("2017Train", "train"), ("evaluation", "all")]
)
def test_a_split_is_read_off_whole_words(name, split):
    assert split_of(name) == split


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not beside the repository")
@pytest.mark.parametrize(
    ("folder", "tasks", "n", "classes"),
    [
        ("roboflow_bottles_seg", {"instance"}, 16, 4),
        ("roboflow_leaf_veins_seg", {"instance"}, 2, 2),
        ("coco_panoptic", {"panoptic", "semantic", "instance"}, 2, 133),
        ("ade20k_scene_parsing", {"semantic"}, 3, 150),
    ],
)
def test_real_folders_are_recognised_and_every_sample_loads(folder, tasks, n, classes):
    dataset = opened_folder(SAMPLES / folder)
    assert (set(dataset.tasks), len(dataset), len(dataset.vocabulary)) == (tasks, n, classes)
    for sample in dataset:
        assert set(sample.truths) == tasks
