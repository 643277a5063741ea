"""Scoring COCO and LVIS result files of other systems."""

import json
from pathlib import Path

import numpy as np
import pytest
from pycocotools import mask as pycocotools_mask

from bench.errors import DataError, DataMissing, UnknownName, UsageError
from bench.protocol import (
    AnnotationZero,
    AreaSource,
    AveragePrecision,
    ClassUse,
    DetectionArea,
    DetectionCap,
    Protocol,
)
from bench.scoring.instance import Engine, score

STORED = Path(__file__).parent.parent / "fixtures" / "metrics" / "mask_ap"
EXPECTED = json.loads((STORED / "expected_pycocotools.json").read_text())
CARD = Protocol(name="test")
ENGINES = [None, *Engine]
EXPORTS = Path(__file__).parents[2].parent / "shared" / "reference" / "samples"


def card(**ap):
    return Protocol(name="test", ap=AveragePrecision(**ap))


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def stored(name):
    return json.loads((STORED / name).read_text())


@pytest.fixture
def boxed(tmp_path):
    """The random results with boxes beside their masks."""
    rows = stored("random_dt.json")
    boxes = pycocotools_mask.toBbox([row["segmentation"] for row in rows]).tolist()
    return write(
        tmp_path / "boxed.json",
        [{**row, "bbox": box} for row, box in zip(rows, boxes, strict=True)],
    )


def check_equal(scores, expected, prefix=""):
    for name, value in expected["stats"].items():
        ours = scores[prefix + name].value
        assert ours == value or (np.isnan(ours) and value == -1.0), name
    for place, (category, values) in enumerate(expected.get("per_class", {}).items()):
        for name, value in values.items():
            ours = list(scores[prefix + name].by_class.values())[place]
            assert ours == value or (np.isnan(ours) and value is None), (category, name)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["random", "nasty"])
def test_every_engine_gives_pycocotools_numbers_to_the_last_digit(engine, name):
    scores = score(STORED / f"{name}_gt.json", STORED / f"{name}_dt.json", CARD, engine)
    check_equal(scores, EXPECTED[name])


@pytest.mark.parametrize("engine", ENGINES)
def test_boxes_are_scored_too_and_decide_sizes_as_in_pycocotools(engine, boxed):
    scores = score(STORED / "random_gt.json", boxed, CARD, engine)
    check_equal(scores, EXPECTED["random_with_bbox_field"])
    check_equal(scores, EXPECTED["random_bbox_task"], "box ")
    by_mask = card(detection_area=DetectionArea.MASK)
    check_equal(score(STORED / "random_gt.json", boxed, by_mask, engine), EXPECTED["random"])


@pytest.mark.parametrize("engine", ENGINES)
def test_pooled_classes_are_pycocotools_without_categories(engine):
    pooled = card(classes=ClassUse.POOLED)
    scores = score(STORED / "random_gt.json", STORED / "random_dt.json", pooled, engine)
    check_equal(scores, {"stats": EXPECTED["random_class_agnostic"]["stats"]})


def test_results_of_boxes_alone_are_scored_as_boxes(boxed, tmp_path):
    rows = [
        {k: v for k, v in row.items() if k != "segmentation"}
        for row in json.loads(boxed.read_text())
    ]
    path = write(tmp_path / "boxes.json", rows)
    scores = score(STORED / "random_gt.json", path, CARD)
    assert all(name.startswith("box ") for name in scores)
    check_equal(scores, EXPECTED["random_bbox_task"], "box ")


def test_lvis_numbers_are_its_own_tool_s():
    metric = card(max_dets=(300,), cap=DetectionCap.PER_IMAGE)
    scores = score(STORED / "lvis_gt.json", STORED / "lvis_dt.json", metric)
    expected = stored("expected_lvis.json")["results"]
    for name in ("AP", "AP50", "AP75", "APs", "APm", "APl", "APr", "APc"):
        assert scores[name].value == expected[name]
    assert np.isnan(scores["APf"].value)
    assert expected["APf"] == -1
    assert scores["AR300"].value == expected["AR@300"]


@pytest.mark.parametrize("engine", ENGINES)
def test_no_result_at_all_scores_nothing_found(engine, tmp_path):
    scores = score(STORED / "random_gt.json", write(tmp_path / "none.json", []), CARD, engine)
    assert scores["AP"].value == scores["AR100"].value == 0.0
    classes = scores["AP"].by_class.values()
    per_class = EXPECTED["random"]["per_class"].values()
    for value, expected in zip(classes, per_class, strict=True):
        assert np.isnan(value) if expected["AP"] is None else value == 0.0


@pytest.mark.parametrize("engine", ENGINES)
def test_engines_count_the_same_objects(engine):
    truth, results = STORED / "random_gt.json", STORED / "random_dt.json"
    of_engine, of_bench = score(truth, results, CARD, engine), score(truth, results, CARD, "bench")
    assert {name: s.n for name, s in of_engine.items()} == {n: s.n for n, s in of_bench.items()}


SQUARE = [[2, 2, 8, 2, 8, 8, 2, 8]]


def tiny(**changes):
    """One image with one square."""
    annotation = {
        "id": 0,
        "image_id": 7,
        "category_id": 3,
        "segmentation": SQUARE,
        "area": 36,
        "bbox": [2, 2, 6, 6],
        "iscrowd": 0,
    }
    return {
        "images": [{"id": 7, "height": 12, "width": 12}],
        "categories": [{"id": 3, "name": "square"}, {"id": 4, "name": "circle"}],
        "annotations": [{**annotation, **changes}],
    }


def found(**changes):
    result = {"image_id": 7, "category_id": 3, "segmentation": SQUARE, "score": 0.5}
    return [{k: v for k, v in {**result, **changes}.items() if v is not None}]


@pytest.fixture
def scored(tmp_path):
    def run(truth, results, protocol=CARD, engine=None):
        paths = write(tmp_path / "truth.json", truth), write(tmp_path / "results.json", results)
        return score(*paths, protocol, engine)

    return run


@pytest.mark.parametrize("engine", ENGINES)
def test_annotation_id_zero_is_found_by_every_engine(scored, engine):
    scores = scored(tiny(), found(), CARD, engine)
    assert scores["AP"].value == scores["box AP"].value == pytest.approx(1.0)


@pytest.mark.parametrize("engine", [None, "bench", "pycocotools"])
def test_the_protocol_can_have_annotation_id_zero_never_found(scored, engine):
    never = card(annotation_zero=AnnotationZero.NEVER_FOUND)
    assert scored(tiny(), found(), never, engine)["AP"].value == 0.0


@pytest.mark.parametrize("engine", ENGINES)
def test_missing_fields_of_the_truth_follow_from_the_mask(scored, engine):
    truth = tiny()
    for key in ("area", "bbox", "iscrowd"):
        del truth["annotations"][0][key]
    scores = scored(truth, found(), CARD, engine)
    assert scores["AP"].value == scores["box AP"].value == pytest.approx(1.0)
    assert scores["APs"].n == 1


def test_categories_of_one_name_are_told_apart(scored):
    truth = tiny()
    truth["categories"][1]["name"] = "square"
    assert list(scored(truth, found())["AP"].by_class) == ["square (3)", "square (4)"]


RLE = {"size": [12, 12], "counts": [0, 144]}
SPELT = "24Z4"
"""The string of [2, 4, 138]."""


def with_counts(counts):
    return {**RLE, "counts": counts}


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize(
    ("mask", "reason"),
    [
        (with_counts(SPELT[:-2]), "add up to 6"),
        (with_counts(SPELT + "zz"), "not of their alphabet"),
        (with_counts(SPELT[:-1]), "end within a number"),
        (with_counts(SPELT + "0"), "add up to 148"),
        (with_counts("zzzz"), "not of their alphabet"),
        (with_counts("é"), "not of their alphabet"),
        (with_counts("\ud800"), "not of their alphabet"),
        (with_counts(""), "add up to 0"),
        (with_counts([]), "add up to 0"),
        (with_counts([5, 5]), "add up to 10"),
        (with_counts([0, 1000000]), "add up to 1000000"),
        (with_counts([2**62, 2**62, 2**62, 2**62, 144]), "add up to"),
        (with_counts([2**70]), "not all whole numbers"),
        (with_counts([145, -1]), "hold -1"),
        (with_counts([143.5, 0.5]), "not all whole numbers"),
        (with_counts(["0", "144"]), "not all whole numbers"),
        (with_counts([[0], [1, 143]]), "not all whole numbers"),
        (with_counts({"a": 1}), "no 'counts'"),
        ({"size": [12, 12]}, "no 'counts'"),
        ({**RLE, "size": 5}, "for height and width 5"),
        ({**RLE, "size": "ab"}, "for height and width 'ab'"),
        ({**RLE, "size": [12, "12"]}, "for height and width"),
        ("abc", "polygons or run lengths"),
        (7, "polygons or run lengths"),
        ([1, 2, 3, 4, 5, 6], "a list of numbers"),
        ([[1, 2, 3, 4, 5]], "an odd count"),
        ([[1, 2, 3, 4, 5, "6"]], "a list of numbers"),
        ([[1, 2, 3, 4, 5, float("inf")]], "not finite"),
        ([[0, 0, 1e9, 0, 1e9, 1e9]], r"coordinate 1e\+09, far outside"),
        ([[0, 0, 10**400, 0, 5, 5]], "not finite"),
    ],
)
def test_masks_that_cannot_be_read_are_refused_on_both_sides(scored, engine, mask, reason):
    with pytest.raises(DataError, match=rf"results\.json: result 1, a mask of image 7.*{reason}"):
        scored(tiny(), found() + found(segmentation=mask), CARD, engine)
    with pytest.raises(DataError, match=rf"truth\.json: annotation 0, a mask of image 7.*{reason}"):
        scored(tiny(segmentation=mask), found(), CARD, engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_every_spelling_of_run_lengths_scores_the_same(scored, engine):
    spelt = [with_counts(c) for c in (SPELT, [2, 4, 138], [2, 2, 0, 2, 138], [2.0, 4, 138])]
    for true in spelt:
        for said in spelt:
            scores = scored(tiny(segmentation=true), found(segmentation=said), CARD, engine)
            assert scores["AP"].value == pytest.approx(1.0)


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("iscrowd", ["0", "1", 2, [0]])
def test_a_crowd_that_is_neither_0_nor_1_is_refused(scored, engine, iscrowd):
    with pytest.raises(DataError, match="annotation 0 cannot be read: its 'iscrowd' is"):
        scored(tiny(iscrowd=iscrowd), found(), CARD, engine)


def test_a_crowd_may_be_true_or_false_or_not_said(scored):
    for iscrowd, count in ((0, 1), (1, 0), (False, 1), (True, 0), (None, 1)):
        assert scored(tiny(iscrowd=iscrowd), found())["AP"].n == count


@pytest.mark.parametrize("engine", ENGINES)
def test_ids_may_be_whole_floats(scored, engine):
    scores = scored(tiny(image_id=7.0), found(category_id=3.0), CARD, engine)
    assert scores["AP"].value == pytest.approx(1.0)


def test_ids_that_an_engine_does_not_take_are_said_so(scored):
    truth = {**tiny(image_id=-7), "images": [{"id": -7, "height": 12, "width": 12}]}
    assert scored(truth, found(image_id=-7), CARD, "bench")["AP"].value == pytest.approx(1.0)
    with pytest.raises(DataError, match=r"'hotcoco' cannot read .* --engine bench"):
        scored(truth, found(image_id=-7))
    with pytest.raises(DataError, match=r"'pycocotools' cannot read .* --engine bench"):
        scored(tiny(segmentation=[[]]), found(), CARD, "pycocotools")


@pytest.mark.parametrize(
    ("truth", "results", "reason"),
    [
        (tiny(), {"a": 1}, "a list of objects"),
        (tiny(), found(image_id=8), "1 values of 'image_id' are not in the truth: 8"),
        (tiny(), found(category_id=9), "'category_id' are not in the truth: 9"),
        (tiny(), found(score=None), "entry 0 .* has no 'score'"),
        (tiny(), found(score=float("nan")), "finite"),
        (tiny(), found(score="0.5"), "finite"),
        (tiny(), found(score=10**400), "finite"),
        (tiny(), found(score=True), "finite"),
        (tiny(), found(image_id=[7]), r"'image_id' must be a whole number, found \[7\]"),
        (tiny(category_id={"a": 1}), found(), "'category_id' must be a whole number"),
        (tiny(), found(bbox=["a", 0, 1, 1]), "result 0 has the 'bbox'"),
        (tiny(), found(bbox=[0, 0, float("nan"), 1]), "result 0 has the 'bbox'"),
        (tiny(), found(bbox=[0, 0, 1]), "has no box of 4 numbers"),
        (tiny(), found(bbox=5), "has no box of 4 numbers"),
        (tiny(), found() + found(bbox=["a", 0, 1, 1]), "result 1 has the 'bbox'"),
        (tiny(bbox=["a", 0, 1, 1]), found(), "annotation 0 has the 'bbox'"),
        (tiny(bbox=[0, 0, 1]), found(), "annotation 0 has the 'bbox'"),
        (tiny(area="x"), found(), "annotation 0 has the 'area' 'x'"),
        (tiny(area=float("nan")), found(), "annotation 0 has the 'area' nan"),
        (
            {**tiny(image_id="7"), "images": [{"id": "7", "height": 12, "width": 12}]},
            found(image_id="7"),
            "'images' has the 'id' '7', which must be a whole number",
        ),
        (
            {**tiny(category_id="3"), "categories": [{"id": "3", "name": "square"}]},
            found(category_id="3"),
            "'categories' has the 'id' '3', which must be a whole number",
        ),
        ({**tiny(), "images": [{"id": [7]}]}, found(), "has no 'height'"),
        ({**tiny(), "images": [{"id": 7, "height": "x", "width": 2}]}, found(), "'height' 'x'"),
        (tiny(), found(segmentation=None), "neither a 'segmentation' nor a 'bbox'"),
        (tiny(), found() + found(segmentation=None, bbox=[0, 0, 1, 1]), "has no mask"),
        (tiny(), found(bbox=[0, 0, 1, 1]) + found(), "has no box"),
        (tiny(), found(segmentation={**RLE, "size": [9, 9]}), r"\[9, 9\], but the truth says"),
        (tiny(), found(segmentation=[[1, 2, 3]]), "a mask of image 7"),
        (tiny(segmentation=[]), found(), "objects without masks"),
        ({"images": []}, found(), "'images', 'annotations' and 'categories'"),
        (tiny(image_id=9), found(), "'image_id' are not in the truth: 9"),
        ({**tiny(), "images": [{"id": 7}]}, found(), "has no 'height'"),
        ({**tiny(), "categories": [{"id": 3}, {"id": 3}]}, found(), "have the id 3"),
    ],
)
def test_files_that_cannot_be_scored_say_why(scored, truth, results, reason):
    with pytest.raises(DataError, match=reason):
        scored(truth, results)


@pytest.mark.parametrize("key", ["neg_category_ids", "not_exhaustive_category_ids"])
@pytest.mark.parametrize("listed", [5, "x", [[3]], [99], None])
def test_categories_that_an_image_was_searched_for_are_ids_of_categories(scored, key, listed):
    truth = tiny()
    truth["images"][0] |= {"neg_category_ids": [4], key: listed}
    with pytest.raises(DataError, match=f"'{key}' of image 7 should be a list of ids"):
        scored(truth, found())


def test_files_that_are_not_there_are_named(tmp_path):
    with pytest.raises(DataMissing, match=r"no\.json"):
        score(tmp_path / "no.json", STORED / "random_dt.json", CARD)


def test_an_engine_that_cannot_do_what_the_card_asks_says_so():
    truth, results = STORED / "random_gt.json", STORED / "random_dt.json"
    with pytest.raises(UnknownName, match="Did you mean 'hotcoco'"):
        score(truth, results, CARD, "hotcocoa")
    for engine, ap in [
        ("hotcoco", {"annotation_zero": AnnotationZero.NEVER_FOUND}),
        ("pycocotools", {"cap": DetectionCap.PER_IMAGE}),
        ("hotcoco", {"area": AreaSource.MASK}),
    ]:
        with pytest.raises(UsageError, match="does not know"):
            score(truth, results, card(**ap), engine)
    with pytest.raises(UsageError, match="LVIS"):
        score(STORED / "lvis_gt.json", STORED / "lvis_dt.json", CARD, "pycocotools")


def test_perfect_masks_of_a_real_export_with_id_zero_score_one(tmp_path):
    exports = sorted(EXPORTS.glob("roboflow_*_seg/**/_annotations.coco.json"))
    if not exports:
        pytest.skip("the shared samples are not here")
    for path in exports:
        truth = json.loads(path.read_text())
        rows = [row for row in truth["annotations"] if row["segmentation"]]
        truth["annotations"] = rows
        results = [
            {
                **{k: row[k] for k in ("image_id", "category_id", "segmentation")},
                "score": 1 - i / 1e6,
            }
            for i, row in enumerate(rows)
        ]
        files = write(tmp_path / "truth.json", truth), write(tmp_path / "results.json", results)
        assert score(*files, CARD)["AP"].value == pytest.approx(1.0)
        never = card(annotation_zero=AnnotationZero.NEVER_FOUND)
        if any(row["id"] == 0 for row in rows):
            assert score(*files, never)["AP"].value < 1
