import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from layouts import SIZE, encode_ids, write_json, write_panoptic, write_picture
from opened import SAMPLES, opened, opened_folder
from PIL import Image

from bench.data.coco_panoptic import ids_of, label_map, objects
from bench.data.panoptic_png import _bdd_bitmask
from bench.errors import DataError
from bench.types import VOID, Panoptic, Segment

JSON = "annotations/panoptic_val2017.json"
SPLIT = {
    "images": {"reader": "coco-images", "json_file": JSON, "folder": "val2017"},
    "truth": {
        "panoptic": {"reader": "coco-panoptic", "json_file": JSON, "folder": "panoptic_val2017"},
        "semantic": {"reader": "from-panoptic"},
        "instance": {"reader": "from-panoptic"},
    },
}
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="real samples are not beside the repository"
)


def rewrite(root, change):
    content = json.loads((root / JSON).read_text())
    change(content)
    write_json(root / JSON, content)


@given(st.lists(st.integers(0, 2**24 - 1), min_size=1, max_size=20))
def test_ids_survive_the_png_encoding(ids):
    array = np.array([ids])
    np.testing.assert_array_equal(ids_of(np.asarray(encode_ids(array))), array)


def test_segments_crowds_and_void_are_read_as_written(tmp_path):
    truth = opened(write_panoptic(tmp_path), SPLIT).load("1.jpg").truths["panoptic"]
    assert set(truth.segments) == {
        Segment(70000, 1), Segment(300, 0), Segment(7, 0, crowd=True)
    }  # fmt: skip
    assert (truth.ids == 70000).sum() == 6 * 15
    assert truth.ids[0, 0] == 0


def test_one_reading_of_the_png_gives_label_map_and_objects(tmp_path, monkeypatch):
    dataset = opened(write_panoptic(tmp_path), SPLIT)
    source, reads = dataset.truths["panoptic"], []
    read = type(source).read
    monkeypatch.setattr(type(source), "read", lambda *a: reads.append(1) or read(*a))
    truths = dataset.load("1.jpg").truths
    assert len(reads) == 1
    assert truths["semantic"][0, :2].tolist() == [VOID, 1]
    assert truths["semantic"][11, 15] == 0
    found = {o.id: (o.label, o.crowd, o.mask.area) for o in truths["instance"].instances}
    assert found == {300: (0, False, 6 * 8), 7: (0, True, 4 * 6)}


def test_the_label_map_can_be_had_without_asking_for_the_panoptic_task(tmp_path):
    dataset = opened(write_panoptic(tmp_path), SPLIT, tasks=["semantic"])
    assert set(dataset.load("1.jpg").truths) == {"semantic"}


@given(st.integers(0, 2**20))
def test_the_label_map_is_what_every_pixel_says_on_its_own(seed):
    random = np.random.default_rng(seed)
    segments = tuple(
        Segment(int(i), int(i) % 5) for i in random.choice(2**24, 6, replace=False) + 1
    )
    ids = random.choice([0, *(s.id for s in segments)], (7, 9)).astype(np.int32)
    truth = Panoptic(ids, segments)
    of = {0: VOID} | {s.id: s.label for s in segments}
    np.testing.assert_array_equal(label_map(truth), np.vectorize(of.get)(ids))
    for instance in objects(truth, frozenset(range(5))).instances:
        np.testing.assert_array_equal(instance.mask.decode(), ids == instance.id)


def test_a_segment_that_only_the_png_knows_is_an_error_that_names_it(tmp_path):
    write_panoptic(tmp_path)
    rewrite(tmp_path, lambda content: content["annotations"][0]["segments_info"].pop())
    with pytest.raises(DataError, match=r"1\.png shows segment 7, which"):
        opened(tmp_path, SPLIT).load("1.jpg")


def test_classes_left_out_of_the_vocabulary_become_void(tmp_path):
    truth = {"panoptic": {**SPLIT["truth"]["panoptic"], "unlisted": "leave-out"}}
    dataset = opened(write_panoptic(tmp_path), {**SPLIT, "truth": truth}, vocabulary=["cat"])
    found = dataset.load("1.jpg").truths["panoptic"]
    assert sorted(s.id for s in found.segments) == [7, 300]
    assert set(np.unique(found.ids)) == {0, 7, 300}


def test_an_image_that_the_file_does_not_list_is_void(tmp_path):
    write_panoptic(tmp_path)
    write_picture(tmp_path / "val2017" / "2.jpg")
    images = {"reader": "files", "files": "val2017/{id}"}
    truth = opened(tmp_path, {**SPLIT, "images": images}).load("2.jpg").truths["panoptic"]
    assert truth.segments == ()
    assert not truth.ids.any()


@pytest.mark.parametrize(
    ("break_it", "reason"),
    [
        (lambda r: (r / "panoptic_val2017" / "1.png").unlink(), r"1\.png is missing"),
        (lambda r: Image.new("L", SIZE[::-1]).save(r / "panoptic_val2017/1.png"), "needs red"),
        (lambda r: Image.new("RGB", (3, 3)).save(r / "panoptic_val2017/1.png"), "is 3×3, but"),
        (
            lambda r: rewrite(r, lambda c: c["annotations"].append(c["annotations"][0])),
            "annotates image 1 twice",
        ),
        (
            lambda r: rewrite(
                r, lambda c: c["annotations"][0]["segments_info"][0].update(category_id=99)
            ),
            "category 99 is not in",
        ),
    ],
)
def test_what_is_broken_is_named(tmp_path, break_it, reason):
    break_it(write_panoptic(tmp_path))
    with pytest.raises(DataError, match=reason):
        opened(tmp_path, SPLIT).load("1.jpg")


def coded(root, pixels, encoding, vocabulary, **options):
    write_picture(root / "images" / "a.jpg")
    (root / "labels").mkdir()
    Image.fromarray(pixels).save(root / "labels" / "a.png")
    split = {
        "images": {"reader": "files", "files": "images/{id}.jpg"},
        "truth": {
            "panoptic": {
                "reader": "panoptic-png", "files": "labels/{id}.png", "encoding": encoding,
                **options,
            }
        },
    }  # fmt: skip
    return opened(root, split, vocabulary=vocabulary).load("a").truths["panoptic"]


VOCABULARY = ["road", {"name": "car", "thing": True}]


def test_cityscapes_ids_tell_objects_groups_and_stuff_apart(tmp_path):
    pixels = np.full(SIZE, 7, np.uint16)
    pixels[:3], pixels[3:5], pixels[5], pixels[6] = 26000, 26001, 26, 0
    truth = coded(
        tmp_path, pixels, "cityscapes", VOCABULARY, values={7: "road", 26: "car"}, ignore=[0]
    )
    found = sorted((s.label, s.crowd, int((truth.ids == s.id).sum())) for s in truth.segments)
    assert found == [(0, False, 5 * 16), (1, False, 2 * 16), (1, False, 3 * 16), (1, True, 16)]
    assert not truth.ids[6].any()


def test_bdd_bitmasks_tell_ids_from_classes_and_crowds(tmp_path):
    pixels = np.zeros((*SIZE, 4), np.uint8)
    pixels[:4], pixels[4:6], pixels[6:8] = (1, 0, 0, 9), (2, 0, 1, 9), (2, 2, 1, 10)
    truth = coded(tmp_path, pixels, "bdd-bitmask", VOCABULARY, offset=1)
    assert set(truth.segments) == {
        Segment(9, 0), Segment(265, 1), Segment(266, 1, crowd=True)
    }  # fmt: skip


def test_two_channels_hold_class_and_number(tmp_path):
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[:4, :, 0], pixels[4:6] = 1, (2, 0, 0)
    pixels[6:8] = (2, 1, 0)
    truth = coded(tmp_path, pixels, "two-channel", VOCABULARY, offset=1)
    assert sorted(s.label for s in truth.segments) == [0, 1, 1]


def test_a_value_that_is_no_class_is_named(tmp_path):
    with pytest.raises(DataError, match=r"a\.png has the value 7"):
        coded(tmp_path, np.full(SIZE, 7, np.uint16), "cityscapes", VOCABULARY, values={8: "road"})


@needs_samples
def test_the_real_panoptic_sample_reads_as_its_json_says():
    dataset = opened_folder(SAMPLES / "coco_panoptic")
    content = json.loads((SAMPLES / "coco_panoptic" / "panoptic_examples.json").read_text())
    stated = {image["id"]: image["file_name"] for image in content["images"]}
    assert len(dataset.vocabulary) == 133
    assert len(dataset.vocabulary.things) == 80
    for row in content["annotations"]:
        truth = dataset.load(stated[row["image_id"]]).truths["panoptic"]
        areas = {s.id: int((truth.ids == s.id).sum()) for s in truth.segments}
        assert areas == {info["id"]: info["area"] for info in row["segments_info"]}


@needs_samples
def test_both_png_forms_of_the_real_sample_show_the_same_things():
    root = SAMPLES / "coco_panoptic"
    full = opened_folder(root)
    content = json.loads((root / "panoptic_coco_categories.json").read_text())
    split = {
        "images": {"reader": "files", "files": "input_images/{id}.jpg"},
        "truth": {
            "panoptic": {
                "reader": "panoptic-png", "files": "panoptic_examples_2ch_format/{id}.png",
                "encoding": "two-channel", "ignore": [0],
                "values": {c["id"]: c["name"] for c in content},
            }
        },
    }  # fmt: skip
    names = [{"name": c["name"], "thing": bool(c["isthing"])} for c in content]
    two_channel = opened(root, split, vocabulary=names)
    for id in two_channel.ids:
        first = full.load(f"{id}.jpg").truths["panoptic"]
        second = two_channel.load(id).truths["panoptic"]
        np.testing.assert_array_equal(label_map(first), label_map(second))


@needs_samples
def test_real_bdd_bitmasks_become_the_segments_of_their_coco_conversion():
    root = SAMPLES / "bdd100k_panoptic" / "bdd_to_coco"
    stated = json.loads((root / "coco" / "panseg_coco.json").read_text())
    with Image.open(root / "bdd100k" / "panseg_mask.png") as image:
        found = _bdd_bitmask(np.asarray(image), root)
    areas = np.bincount(found.ids.ravel())[found.shown].tolist()
    rows = zip(found.shown.tolist(), found.values.tolist(), areas, strict=True)
    assert set(rows) == {(s["id"], s["category_id"], s["area"]) for s in stated["segments_info"]}
