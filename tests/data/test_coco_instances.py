import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from layouts import SIZE, annotation, coco, square, write_json, write_picture, write_roboflow
from opened import SAMPLES, opened, opened_folder
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from bench.data.coco_instances import mask_of
from bench.errors import DataError, DataMissing
from bench.types import Mask

pytestmark = pytest.mark.filterwarnings(  # pycocotools' own, of its decode
    "ignore:__array__ implementation:DeprecationWarning"
)
SPLIT = {
    "images": {"reader": "coco-images", "json_file": "a.json", "folder": "."},
    "truth": {"instance": {"reader": "coco-instances", "json_file": "a.json"}},
}
coordinates = st.floats(-3, 20, width=32)
polygons = st.lists(
    st.lists(coordinates, min_size=3, max_size=9).flatmap(
        lambda xs: st.lists(coordinates, min_size=len(xs), max_size=len(xs)).map(
            lambda ys: [v for point in zip(xs, ys, strict=True) for v in point]
        )
    ),
    min_size=1,
    max_size=3,
)


def write(root, annotations, images=("x.png",), **more):
    for i, name in enumerate(images):
        write_picture(root / name, seed=i)
    write_json(root / "a.json", coco(list(images), annotations, **more))
    return root


def only(root, **options):
    truth = {"instance": {**SPLIT["truth"]["instance"], **options}}
    dataset = opened(root, {**SPLIT, "truth": truth})
    return dataset, dataset.load(dataset.ids[0]).truths["instance"].instances


@settings(max_examples=150, deadline=None)
@given(polygons)
def test_polygons_become_the_pixels_that_pycocotools_gives_them(polygons):
    expected = coco_mask.decode(coco_mask.merge(coco_mask.frPyObjects(polygons, *SIZE)))
    np.testing.assert_array_equal(mask_of(polygons, SIZE).decode(), expected.astype(bool))


@given(st.integers(0, 2**20))
def test_run_lengths_of_both_spellings_are_the_mask_itself(seed):
    pixels = np.random.default_rng(seed).random(SIZE) < 0.5
    compressed = coco_mask.encode(np.asfortranarray(pixels.astype(np.uint8)))["counts"].decode()
    uncompressed = Mask.encode(pixels).counts.tolist()
    for counts in (compressed, uncompressed):
        found = mask_of({"size": list(SIZE), "counts": counts}, SIZE)
        np.testing.assert_array_equal(found.decode(), pixels)


def test_an_annotation_keeps_its_id_area_box_and_crowd(tmp_path):
    runs = {"size": list(SIZE), "counts": [0, 20, SIZE[0] * SIZE[1] - 20]}
    crowd = annotation(7, 0, 2, square(1, 2, 4)) | {"segmentation": runs, "iscrowd": 1, "area": 3.5}
    _, (plain, crowd) = only(write(tmp_path, [annotation(0, 0, 1, square(1, 2, 4)), crowd]))
    assert (plain.id, plain.label, plain.crowd, plain.box) == (0, 0, False, (1, 2, 5, 6))
    assert (crowd.id, crowd.label, crowd.crowd, crowd.area) == (7, 1, True, 3.5)
    assert crowd.mask.area == 20


def test_an_image_without_annotations_has_no_objects(tmp_path):
    dataset = opened(
        write(tmp_path, [annotation(1, 0, 1, square(1, 1, 4))], ("x.png", "y.png")), SPLIT
    )
    assert [len(sample.truths["instance"].instances) for sample in dataset] == [1, 0]


def test_the_placeholder_of_an_export_is_no_class_even_when_it_shares_a_name(tmp_path):
    categories = [
        {"id": 0, "name": "vein", "supercategory": "none"},
        {"id": 1, "name": "midrib", "supercategory": "vein"},
        {"id": 2, "name": "vein", "supercategory": "vein"},
    ]
    rows = [annotation(0, 0, 2, square(1, 1, 4))]
    dataset, (vein,) = only(write(tmp_path, rows, categories=categories))
    assert dataset.vocabulary.names == ("midrib", "vein")
    assert vein.label == 1
    assert "placeholder" in dataset.notes[0]


def test_a_category_zero_with_annotations_is_a_class(tmp_path):
    categories = [
        {"id": 0, "name": "pets", "supercategory": "none"},
        {"id": 1, "name": "cat", "supercategory": "pets"},
    ]
    rows = [annotation(0, 0, 0, square(1, 1, 4))]
    dataset, (pet,) = only(write(tmp_path, rows, categories=categories))
    assert dataset.vocabulary.names == ("pets", "cat")
    assert pet.label == 0


def test_categories_of_one_name_are_merged_or_kept_as_the_spec_says_and_reported(tmp_path):
    categories = [{"id": 3, "name": "pot"}, {"id": 5, "name": "cup"}, {"id": 9, "name": "pot"}]
    rows = [annotation(i, 0, c, square(1, 1, 4)) for i, c in enumerate((3, 5, 9))]
    write(tmp_path, rows, categories=categories)
    merged, found = only(tmp_path)
    assert (merged.vocabulary.names, [o.label for o in found]) == (("pot", "cup"), [0, 1, 0])
    kept, found = only(tmp_path, duplicates="keep")
    assert kept.vocabulary.names == ("pot", "cup", "pot (9)")
    assert kept.vocabulary.prompts[2] == ("pot",)
    assert [o.label for o in found] == [0, 1, 2]
    assert "3, 9" in merged.notes[0]
    assert "kept" in kept.notes[0]


def test_labels_follow_the_vocabulary_and_not_the_file(tmp_path):
    write(tmp_path, [annotation(1, 0, 1, square(1, 1, 4))])
    dataset = opened(tmp_path, SPLIT, vocabulary=["dog", "bird", "cat"])
    assert dataset.load("x.png").truths["instance"].instances[0].label == 2


def test_a_class_outside_the_vocabulary_is_refused_renamed_or_left_out(tmp_path):
    write(tmp_path, [annotation(1, 0, 1, square(1, 1, 4))])
    with pytest.raises(DataError, match=r"category 2 'dog'.*nearest: 'dogs'"):
        opened(tmp_path, SPLIT, vocabulary=["cat", "dogs"])
    for options in ({"renamed": {"dog": "dogs"}}, {"unlisted": "leave-out"}, {"first_id": 1}):
        truth = {"instance": {**SPLIT["truth"]["instance"], **options}}
        dataset = opened(tmp_path, {**SPLIT, "truth": truth}, vocabulary=["cat", "dogs"])
        assert len(dataset.load("x.png").truths["instance"].instances) == 1


def test_boxes_without_masks_are_refused_with_the_reason(tmp_path):
    rows = [annotation(i, 0, 1, square(1, 1, 4)) | {"segmentation": []} for i in range(3)]
    with pytest.raises(DataError, match=r"3 boxes and no masks.*export it with polygons"):
        opened(write(tmp_path, rows), SPLIT)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"segmentation": []}, "has a box but no polygon"),
        ({"segmentation": [[1, 2, 3, 4, 5, 6, 7]]}, "odd count"),
        ({"segmentation": [[1, 2, "3", 4, 5, 6]]}, "list of numbers"),
        ({"segmentation": {"size": [3, 3], "counts": [9]}}, r"run lengths are for .*\(3, 3\)"),
        ({"segmentation": {"size": list(SIZE), "counts": [5]}}, "add up to"),
        ({"segmentation": {"size": list(SIZE), "counts": "zz~"}}, "run lengths"),
        ({"segmentation": {"size": list(SIZE)}}, "no 'counts'"),
        ({"segmentation": {"size": 5, "counts": [5]}}, "height and width 5"),
        ({"segmentation": {"size": list(SIZE), "counts": [0.5, 191.5]}}, "whole numbers"),
        ({"segmentation": "abc"}, "polygons or run lengths"),
        ({"segmentation": [[0, 0, 1e8, 0, 5, 5]]}, r"coordinate 1e\+08, far outside"),
        ({"segmentation": [[0, 0, 5, -2e6, 5, 5]]}, r"coordinate -2e\+06, far outside"),
        ({"segmentation": [[0, 0, 10**400, 0, 5, 5]]}, "not finite"),
        ({"area": 10**400}, "too large"),
        ({"iscrowd": "0"}, "its 'iscrowd' is '0' and must be 0 or 1"),
        ({"category_id": [1]}, r"category \[1\]"),
        ({"category_id": 77}, "category 77"),
        ({"bbox": [1, 2]}, "unpack"),
    ],
)
def test_a_broken_annotation_is_named_with_its_file_and_the_reason(tmp_path, change, reason):
    rows = [annotation(1, 0, 1, square(1, 1, 4)), annotation(41, 1, 1, square(1, 1, 4)) | change]
    dataset = opened(write(tmp_path, rows, ("x.png", "y.png")), SPLIT)
    dataset.load("x.png")
    with pytest.raises(DataError, match=rf"a\.json: annotation 41 .*{reason}"):
        dataset.load("y.png")


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "is not JSON"),
        ("[]", "not a COCO file: a list"),
        ('{"images": []}', "no list of 'annotations', but images"),
        ('{"images": [{"id": 1}], "annotations": []}', "needs 'id' and 'file_name'"),
        ('{"images": [], "annotations": [{"id": 3}]}', "no 'image_id'"),
        ('{"images": [], "annotations": [{"image_id": [1]}]}', "is no id"),
        (
            '{"images": [{"id": [1], "file_name": "x.png"}], "annotations": []}',
            r"missing or wrong: 'id' is \[1\]",
        ),
        ('{"images": [], "annotations": [{"id": 3, "image_id": 8}]}', "annotation 3 is of image 8"),
    ],
)
def test_a_file_that_is_not_coco_is_named_with_the_reason(tmp_path, text, reason):
    write_picture(tmp_path / "x.png")
    (tmp_path / "a.json").write_text(text)
    with pytest.raises(DataError, match=rf"a\.json.*{reason}"):
        opened(tmp_path, SPLIT)


def test_one_missing_image_fails_alone_and_all_missing_fail_at_once(tmp_path):
    write(tmp_path, [annotation(1, 0, 1, square(1, 1, 4))], ("x.png", "y.png"))
    (tmp_path / "y.png").unlink()
    dataset = opened(tmp_path, SPLIT)
    dataset.load("x.png")
    with pytest.raises(DataError, match=r"y\.png is missing"):
        dataset.load("y.png")
    (tmp_path / "x.png").unlink()
    with pytest.raises(DataMissing, match="none of its 2 images is there"):
        opened(tmp_path, SPLIT)


def test_an_image_of_another_size_than_its_annotations_is_refused(tmp_path):
    write(tmp_path, [annotation(1, 0, 1, square(1, 1, 4))])
    write_picture(tmp_path / "x.png", size=SIZE[::-1])
    with pytest.raises(DataError, match=r"16×12 'x\.png', but the image is 12×16 \(turned by"):
        opened(tmp_path, SPLIT).load("x.png")


def test_roboflow_exports_read_without_a_spec(tmp_path):
    dataset = opened_folder(write_roboflow(tmp_path / "pets"))
    assert (dataset.name, dataset.split, len(dataset)) == ("pets", "val", 3)
    assert dataset.vocabulary.names == ("cat", "dog")
    assert dataset.vocabulary.things == {0, 1}


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not beside the repository")
@pytest.mark.parametrize("part", ["bottles_seg/valid", "bottles_seg/test", "leaf_veins_seg/train"])
def test_real_exports_agree_with_pycocotools_object_by_object(part, capsys):
    folder = SAMPLES / f"roboflow_{part}"
    reference = COCO(str(folder / "_annotations.coco.json"))
    dataset = opened_folder(folder)
    file_names = {image["file_name"]: id for id, image in reference.imgs.items()}
    assert set(dataset.ids) == set(file_names)
    for sample in dataset:
        rows = reference.imgToAnns[file_names[sample.id]]
        found = sample.truths["instance"].instances
        assert [o.id for o in found] == [row["id"] for row in rows]
        for instance, row in zip(found, rows, strict=True):
            np.testing.assert_array_equal(instance.mask.decode(), reference.annToMask(row) > 0)
            name = reference.cats[row["category_id"]]["name"]
            assert dataset.vocabulary.names[instance.label] == name


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not beside the repository")
def test_a_real_export_of_boxes_is_refused_with_the_reason():
    with pytest.raises(DataError, match="28 boxes and no masks"):
        opened_folder(SAMPLES / "roboflow_apples_boxes_only")


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not beside the repository")
def test_the_synthetic_coco_folder_reads_with_its_crowd_and_its_gap_in_category_ids():
    dataset = opened_folder(SAMPLES / "synthetic_fixtures" / "coco_dataset", "val")
    assert dataset.vocabulary.names == ("a", "b", "c")
    plain, crowd = dataset.load("b.jpg").truths["instance"].instances
    assert (plain.label, plain.mask.area, crowd.label, crowd.crowd) == (0, 2, 1, True)
    assert json.loads(json.dumps(crowd.mask.counts.tolist())) == [0, 20, 30]
