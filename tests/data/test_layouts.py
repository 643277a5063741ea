"""Where files are, and what is said when they are not as a reader needs them."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SIZE, coco, write_json, write_picture
from opened import opened
from PIL import Image
from scipy.io import savemat

from bench.data.pattern import Pattern
from bench.errors import DataError, DataMissing, UsageError

names = st.text("abcXYZ0123456789_-", min_size=1, max_size=8)
IMAGES = {"reader": "files", "files": "images/{id}.png"}


# --- patterns ------------------------------------------------------------------------------------


@given(st.lists(names, min_size=2, max_size=4).map("/".join))
@pytest.mark.parametrize("text", ["a/{id}_x.png", "a/{folder}/color/{name}.jpg"])
def test_the_id_of_a_filled_pattern_is_the_id(text, id):
    pattern = Pattern(text)
    assert pattern.id_of(pattern.fill(id)) == id


@pytest.mark.parametrize(
    "text", ["{folder}/x.png", "{name}/{folder}.png", "{folder}/{id}.png", "{id}{name}", "{other}"]
)
def test_a_pattern_that_could_not_name_a_sample_is_refused(text):
    with pytest.raises(ValueError, match=r"needs|may have"):
        Pattern(text)


def test_only_images_in_the_listed_folders_are_taken(tmp_path):
    for scene in ("one", "two", "one_more"):
        write_picture(tmp_path / f"images/{scene}/a.png")
    (tmp_path / "list.txt").write_text("one\n\ntwo\n")
    (tmp_path / "none.txt").write_text("three\n")
    assert opened(tmp_path, {"images": {**IMAGES, "within": "list.txt"}}).ids == ("one/a", "two/a")
    with pytest.raises(DataMissing, match=r"no images/\{id\}.png"):
        opened(tmp_path, {"images": {**IMAGES, "within": "none.txt"}})


def test_another_file_stands_for_one_that_is_not_there_and_is_named(tmp_path):
    write_picture(tmp_path / "a.png")
    truth = {"reader": "coco-instances", "json_file": "first.json", "otherwise": "second.json"}
    images = {**truth, "reader": "coco-images", "folder": "."}
    split = {"images": images, "truth": {"instance": truth}}
    with pytest.raises(DataMissing, match=r"no first\.json"):
        opened(tmp_path, split)
    write_json(tmp_path / "second.json", coco(["a.png"], []))
    assert opened(tmp_path, split).notes == ("read second.json: no first.json",)
    write_json(tmp_path / "first.json", coco(["a.png"], []))
    assert opened(tmp_path, split).notes == ()


# --- MATLAB files --------------------------------------------------------------------------------


def of_mat(tmp_path, values, name="LabelMap"):
    write_picture(tmp_path / "images/a.png")
    if values is not None:
        savemat(tmp_path / "a.mat", {name: values})
    truth = {"reader": "mat-label-map", "files": "{id}.mat", "offset": 1, "ignore": [0]}
    split = {"images": IMAGES, "truth": {"semantic": truth}}
    (sample,) = opened(tmp_path, split, vocabulary=["one", "two"])
    return sample.truths["semantic"]


@pytest.mark.parametrize("kind", [np.uint8, np.uint16, ">u2", np.int32, np.float64])
def test_label_maps_of_any_number_type_are_read(tmp_path, kind):
    values = np.zeros(SIZE, kind)
    values[3:, 2:], values[9:, 4:] = 1, 2
    labels = of_mat(tmp_path, values)
    assert np.array_equal(labels, values.astype(int) - 1)


@pytest.mark.parametrize(
    ("values", "name", "sentence"),
    [
        (np.full(SIZE, 0.5), "LabelMap", "does not hold whole numbers"),
        (np.zeros(SIZE, int), "Labels", "has no matrix 'LabelMap'"),
        (np.zeros((2, *SIZE), int), "LabelMap", "has no matrix 'LabelMap'"),
        (np.zeros((5, 5), int), "LabelMap", "is 5×5, but its image is 16×12"),
        (np.full(SIZE, 9), "LabelMap", "has the value 9"),
    ],
)
def test_what_is_wrong_with_a_matlab_file_is_said(tmp_path, values, name, sentence):
    with pytest.raises(DataError, match=sentence):
        of_mat(tmp_path, values, name)


@pytest.mark.parametrize(
    "content", [b"", b"not matlab at all", b"MATLAB 5.0 MAT-file" + b" " * 200]
)
def test_a_broken_matlab_file_is_a_data_error(tmp_path, content):
    (tmp_path / "a.mat").write_bytes(content)
    with pytest.raises(DataError, match=r"a\.mat"):
        of_mat(tmp_path, None)


# --- pictures of codes ---------------------------------------------------------------------------


def test_as_many_objects_as_classes_are_needed(tmp_path):
    write_picture(tmp_path / "images/a.png")
    Image.fromarray(np.zeros((*SIZE, 3), np.uint8)).save(tmp_path / "a_seg.png")
    truth = {"reader": "ade20k-full", "files": "{id}_seg.png", "objects": [1, 2, 3]}
    with pytest.raises(UsageError, match="3 'objects', and its vocabulary has 2 classes"):
        opened(
            tmp_path, {"images": IMAGES, "truth": {"semantic": truth}}, vocabulary=["one", "two"]
        )


@pytest.mark.parametrize(
    ("truth", "task"),
    [
        ({"reader": "ade20k-full", "files": "{id}_seg.png", "objects": [1, 2]}, "semantic"),
        ({"reader": "ade20k-instances", "files": "{id}_seg.png"}, "instance"),
    ],
)
def test_a_grey_picture_is_no_picture_of_objects(tmp_path, truth, task):
    write_picture(tmp_path / "images/a.png")
    Image.fromarray(np.zeros(SIZE, np.uint8)).save(tmp_path / "a_seg.png")
    dataset = opened(
        tmp_path, {"images": IMAGES, "truth": {task: truth}}, vocabulary=["one", "two"]
    )
    with pytest.raises(DataError, match="is no picture of ADE20K's objects"):
        dataset.load("a")


# --- captions and questions ----------------------------------------------------------------------


def karpathy(tmp_path, content):
    (tmp_path / "k.json").write_text(content if isinstance(content, str) else json.dumps(content))
    reader = {"reader": "karpathy", "json_file": "k.json", "parts": ["test"]}
    return opened(tmp_path, {"images": reader, "truth": {"caption": reader}})


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        ("not json", "is no file of Karpathy's splits"),
        ([], "is no file of Karpathy's splits"),
        ({"images": [{"filename": "a.jpg", "split": "test"}]}, "an image needs filename, split"),
        ({"images": [{"filename": "a.jpg", "split": "val", "sentences": []}]}, "no part 'test'"),
    ],
)
def test_what_is_wrong_with_a_file_of_splits_is_said(tmp_path, content, sentence):
    with pytest.raises(DataError, match=sentence):
        karpathy(tmp_path, content)


def test_an_image_without_captions_cannot_be_scored(tmp_path):
    write_picture(tmp_path / "a.jpg")
    dataset = karpathy(
        tmp_path, {"images": [{"filename": "a.jpg", "split": "test", "sentences": []}]}
    )
    with pytest.raises(DataError, match="has no caption of 'a'"):
        dataset.load("a")


@pytest.mark.parametrize(
    ("questions", "answers", "sentence"),
    [
        ([{"image_id": 1, "question": "?", "question_id": 5}], [], "question 5 is not in"),
        ([{"image_id": 1, "question": "?"}], [], "a row needs question_id, image_id, question"),
        ([], [{"answers": []}], "a row needs question_id, answers"),
    ],
)
def test_what_is_wrong_with_questions_is_said(tmp_path, questions, answers, sentence):
    write_json(tmp_path / "q.json", {"questions": questions})
    write_json(tmp_path / "a.json", {"annotations": answers})
    reader = {"reader": "vqa", "questions": "q.json", "answers": "a.json", "images": "{id}.jpg"}
    with pytest.raises(DataError, match=sentence):
        opened(tmp_path, {"images": reader, "prompts": reader, "truth": {"vqa": reader}})
