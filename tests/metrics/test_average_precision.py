import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask as pycocotools_mask
from pycocotools.coco import COCO
from pycocotools.cocoeval import COCOeval
from scenes import CLASSES, coco_rows, instances
from text_cases import check_merging, check_weights

from bench.metrics.average_precision import SIZES, BoxAveragePrecision, MaskAveragePrecision
from bench.protocol import (
    AnnotationZero,
    AreaSource,
    AveragePrecision,
    ClassUse,
    DetectionArea,
    DetectionCap,
)
from bench.scoring.coco_objects import CocoObjects, read_coco_objects
from bench.types import Instances, Mask, TrueInstance, TrueInstances

STORED = Path(__file__).parent.parent / "fixtures" / "metrics" / "mask_ap"
EXPECTED = json.loads((STORED / "expected_pycocotools.json").read_text())
NASTY_IMAGES = [name for name in EXPECTED if name.startswith("nasty_only_image")]
SEEDS = st.lists(st.integers(0, 10_000), min_size=1, max_size=4)


def opened(name: str) -> CocoObjects:
    return read_coco_objects(STORED / f"{name}_gt.json", STORED / f"{name}_dt.json")


def with_boxes(objects: CocoObjects) -> CocoObjects:
    rows = [
        {**row, "bbox": pycocotools_mask.toBbox(row["segmentation"]).tolist()}
        for row in objects.results
    ]
    return CocoObjects(objects.images, objects.categories, objects.objects, rows)


def measured(meter, objects):
    return [meter.measure(said, true) for said, true in objects.pairs()]


def check_equal(scores, expected, prefix=""):
    """To the last digit; -1 or null where there is nothing to score."""
    for name, value in expected["stats"].items():
        ours = scores[prefix + name].value
        assert ours == value or (np.isnan(ours) and value == -1.0), name
    for place, (category, values) in enumerate(expected.get("per_class", {}).items()):
        for name, value in values.items():
            ours = list(scores[prefix + name].by_class.values())[place]
            assert ours == value or (np.isnan(ours) and value is None), (category, name)


# --- stored outputs of pycocotools and lvis ------------------------------------------------------


@pytest.mark.parametrize("name", ["random", "nasty"])
def test_scores_are_pycocotools_to_the_last_digit(name):
    objects = opened(name)
    meter = MaskAveragePrecision(objects.names())
    statistics = measured(meter, objects)
    check_equal(meter.compute(statistics), EXPECTED[name])
    stored = np.load(STORED / f"{name}_eval_arrays.npz")
    for (size, cap), readings in meter.curves(statistics).items():
        place = meter.metric.max_dets.index(cap)
        assert np.array_equal(readings.precision, stored["precision"][..., size, place])
        assert np.array_equal(readings.recall, stored["recall"][..., size, place])
        assert np.array_equal(readings.scores, stored["scores"][..., size, place])


@pytest.mark.parametrize("name", NASTY_IMAGES)
def test_single_hard_images_score_as_pycocotools_scores_them(name):
    objects = opened("nasty")
    at = list(objects.images).index(int(name.rpartition("_")[2]))
    meter = MaskAveragePrecision(objects.names())
    check_equal(meter.compute([measured(meter, objects)[at]]), EXPECTED[name])


@pytest.mark.parametrize("at", range(40))
def test_fuzzed_cases_score_as_pycocotools_scores_them(at, tmp_path):
    case = json.loads((STORED / "fuzz_cases.json").read_text())[at]
    for name in ("gt", "dt"):
        (tmp_path / name).write_text(json.dumps(case[name]))
    objects = read_coco_objects(tmp_path / "gt", tmp_path / "dt")
    meter = MaskAveragePrecision(objects.names())
    check_equal(meter.compute(measured(meter, objects)), case["expected"])


def test_stated_boxes_decide_the_size_ranges_of_masks_as_in_pycocotools():
    objects = with_boxes(opened("random"))
    meter = MaskAveragePrecision(objects.names())
    check_equal(meter.compute(measured(meter, objects)), EXPECTED["random_with_bbox_field"])
    by_mask = AveragePrecision(detection_area=DetectionArea.MASK)
    meter = MaskAveragePrecision(objects.names(), metric=by_mask)
    check_equal(meter.compute(measured(meter, objects)), EXPECTED["random"])


def test_box_scores_are_pycocotools_to_the_last_digit():
    objects = with_boxes(opened("random"))
    meter = BoxAveragePrecision(objects.names())
    check_equal(meter.compute(measured(meter, objects)), EXPECTED["random_bbox_task"], "box ")


def test_pooled_classes_score_as_pycocotools_without_categories():
    objects = opened("random")
    meter = MaskAveragePrecision(objects.names(), metric=AveragePrecision(classes=ClassUse.POOLED))
    stats = {"stats": EXPECTED["random_class_agnostic"]["stats"]}
    check_equal(meter.compute(measured(meter, objects)), stats)


def test_federated_scores_are_lvis_to_the_last_digit():
    expected = json.loads((STORED / "expected_lvis.json").read_text())
    objects = opened("lvis")
    metric = AveragePrecision(max_dets=(300,), cap=DetectionCap.PER_IMAGE)
    meter = MaskAveragePrecision(objects.names(), metric=metric, groups=objects.groups())
    scores = meter.compute(measured(meter, objects))
    names = {"AR@300": "AR300", "ARs@300": "ARs", "ARm@300": "ARm", "ARl@300": "ARl"}
    stats = {names.get(name, name): value for name, value in expected["results"].items()}
    per_class = {id: {"AP": value} for id, value in expected["per_class_AP"].items()}
    check_equal(scores, {"stats": stats, "per_class": per_class})


# --- against pycocotools itself ------------------------------------------------------------------


def pycocotools_scores(scenes, task, **params):
    truth, results = coco_rows(scenes)
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), task)
        for name, value in params.items():
            setattr(evaluation.params, name, value)
        evaluation.evaluate()
        evaluation.accumulate()
    return evaluation.eval


@settings(max_examples=60)
@given(SEEDS, st.booleans(), st.sampled_from(["segm", "bbox"]), st.booleans(), st.booleans())
def test_curves_are_pycocotools_on_random_scenes(seeds, boxes, task, pooled, few):
    scenes = [instances(seed, boxes=boxes) for seed in seeds]
    if not any(said.masks for said, _ in scenes):
        return
    caps = (1, 3) if few else (1, 10, 100)
    metric = AveragePrecision(
        max_dets=caps, classes=ClassUse.POOLED if pooled else ClassUse.SEPARATE
    )
    kind = MaskAveragePrecision if task == "segm" else BoxAveragePrecision
    meter = kind(CLASSES, metric=metric)
    statistics = [meter.measure(said, true) for said, true in scenes]
    expected = pycocotools_scores(scenes, task, maxDets=list(caps), useCats=int(not pooled))
    for (size, cap), readings in meter.curves(statistics).items():
        at = size, caps.index(cap)
        assert np.array_equal(readings.precision, expected["precision"][..., at[0], at[1]])
        assert np.array_equal(readings.recall, expected["recall"][..., at[0], at[1]])
        assert np.array_equal(readings.scores, expected["scores"][..., at[0], at[1]])


def test_annotation_id_zero_is_counted_unless_the_protocol_has_it_as_pycocotools():
    square = Mask.encode(np.pad(np.ones((6, 6), bool), 2))
    said = Instances((square,), np.array([0]), np.array([0.9]))
    true = TrueInstances((TrueInstance(0, 0, square),))
    counted = MaskAveragePrecision(("ant",))
    assert counted.compute([counted.measure(said, true)])["AP"].value == pytest.approx(1.0)
    metric = AveragePrecision(annotation_zero=AnnotationZero.NEVER_FOUND)
    as_tool = MaskAveragePrecision(("ant",), metric=metric)
    assert as_tool.compute([as_tool.measure(said, true)])["AP"].value == 0.0


@settings(max_examples=30)
@given(SEEDS)
def test_never_found_id_zero_is_pycocotools_on_random_scenes(seeds):
    scenes = [instances(seed) for seed in seeds]
    if not any(said.masks for said, _ in scenes):
        return
    truth, results = coco_rows(scenes)
    renumbered, place = [], 0
    for said, true in scenes:
        objects = []
        for instance in true.instances:
            objects.append(TrueInstance(place, *list(vars(instance).values())[1:]))
            truth["annotations"][place]["id"] = place
            place += 1
        renumbered.append((said, TrueInstances(tuple(objects))))
    metric = AveragePrecision(annotation_zero=AnnotationZero.NEVER_FOUND)
    meter = MaskAveragePrecision(CLASSES, metric=metric)
    with redirect_stdout(io.StringIO()):
        coco = COCO()
        coco.dataset = truth
        coco.createIndex()
        evaluation = COCOeval(coco, coco.loadRes(results), "segm")
        evaluation.evaluate()
        evaluation.accumulate()
    statistics = [meter.measure(said, true) for said, true in renumbered]
    for (size, cap), readings in meter.curves(statistics).items():
        theirs = evaluation.eval["precision"][..., size, meter.metric.max_dets.index(cap)]
        assert np.array_equal(readings.precision, theirs)


# --- laws ----------------------------------------------------------------------------------------


@settings(max_examples=15)
@given(SEEDS, st.data())
def test_halves_merge_and_weights_count_images(seeds, data):
    kind = data.draw(st.sampled_from([MaskAveragePrecision, BoxAveragePrecision]))
    meter = kind(CLASSES, groups={"APx": frozenset({0, 2})})
    statistics = [meter.measure(*_without_ties(*instances(seed))) for seed in seeds]
    check_merging(meter, statistics, data.draw(st.integers(0, len(seeds))))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(seeds), max_size=len(seeds)))
    check_weights(meter, statistics, weights)


def _without_ties(said, true):
    """Weights put copies of a detection side by side, which is another order among equals."""
    scores = np.random.default_rng(len(said.scores)).random(len(said.scores))
    return Instances(said.masks, said.labels, scores, said.boxes), true


@given(st.integers(0, 10_000))
def test_a_perfect_prediction_scores_one(seed):
    _, true = instances(seed)
    found = tuple(o for o in true.instances if o.mask.area and not o.crowd)
    said = Instances(
        tuple(o.mask for o in found),
        np.array([o.label for o in found], np.int64),
        np.linspace(0.1, 0.9, len(found)),
    )
    only = TrueInstances(found)
    meter = MaskAveragePrecision(CLASSES)
    value = meter.compute([meter.measure(said, only)])["AP"].value
    overlapping = len({tuple(o.mask.counts) for o in found}) < len(found)
    assert value == pytest.approx(1.0) or (not found and np.isnan(value)) or overlapping


def test_scores_say_what_they_rest_on():
    objects = opened("random")
    meter = MaskAveragePrecision(objects.names())
    scores = meter.compute(measured(meter, objects))
    counted = [row for row in objects.objects if not row["iscrowd"]]
    assert scores["AP"].n == len(counted)
    for name, (low, high) in SIZES.items():
        if name:
            inside = [row for row in counted if low <= row["area"] <= high]
            assert scores[f"AP{name}"].n == scores[f"AR{name}"].n == len(inside)


def test_only_scored_classes_count():
    square = Mask.encode(np.ones((4, 4), bool))
    said = Instances((square, square), np.array([0, 1]), np.array([0.5, 0.9]))
    true = TrueInstances((TrueInstance(1, 0, square), TrueInstance(2, 1, square)))
    meter = MaskAveragePrecision(CLASSES, scored=(1,))
    scores = meter.compute([meter.measure(said, true)])
    assert scores["AP"].n == 1
    assert list(scores["AP"].by_class) == ["bee"]


def test_the_area_of_an_object_can_be_counted_from_its_mask():
    square = Mask.encode(np.ones((40, 40), bool))
    said = Instances((square,), np.array([0]), np.array([0.5]))
    true = TrueInstances((TrueInstance(1, 0, square, area=10.0),))
    for source, small in ((AreaSource.FIELD, 1), (AreaSource.MASK, 0)):
        meter = MaskAveragePrecision(CLASSES, metric=AveragePrecision(area=source))
        assert meter.compute([meter.measure(said, true)])["APs"].n == small


def test_no_image_at_all_has_no_score():
    meter = MaskAveragePrecision(CLASSES)
    scores = meter.compute([])
    assert np.isnan(scores["AP"].value)
    assert scores["AP"].n == 0


def test_scores_and_labels_that_cannot_be_are_refused():
    square = Mask.encode(np.ones((4, 4), bool))
    meter = MaskAveragePrecision(CLASSES)
    with pytest.raises(ValueError, match="finite"):
        meter.measure(Instances((square,), np.array([0]), np.array([np.nan])), TrueInstances(()))
    with pytest.raises(ValueError, match=r"labels must be in 0\.\.2, found 3"):
        meter.measure(Instances((square,), np.array([3]), np.array([0.5])), TrueInstances(()))
    with pytest.raises(ValueError, match="must rise"):
        AveragePrecision(max_dets=(10, 1))
