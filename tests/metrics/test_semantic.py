import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenes import label_maps
from text_cases import check_merging, check_weights

from bench.metrics.runs import PairRuns
from bench.metrics.semantic import MeanIoU, confusion
from bench.protocol import MiouAverage, SaidVoid, SemanticMetric
from bench.types import VOID

STORED = Path(__file__).parent.parent / "fixtures" / "metrics" / "semantic"
EXPECTED = json.loads((STORED / "expected.json").read_text())
NAMES = tuple("abcde")
SEEDS = st.lists(st.integers(0, 10_000), min_size=1, max_size=4)


def stored(name):
    """The images of a fixture, and as many class names as it has classes."""
    case = EXPECTED[name]
    with np.load(STORED / f"{name}.npz") as file:
        said, true = (
            np.where(file[side] == case["ignore_index"], VOID, file[side].astype(np.int32))
            for side in ("pred", "gt")
        )
    return list(zip(said, true, strict=True)), [str(k) for k in range(case["num_classes"])]


@pytest.mark.parametrize("name", EXPECTED)
def test_the_confusion_is_exact(name):
    pairs, names = stored(name)
    meter = MeanIoU(names)
    counts = meter.confusion([meter.measure(*pair) for pair in pairs])
    rows = EXPECTED[name]["confusion_nonzero_pred_gt_count"]
    expected = {(gt, said): n for said, gt, n in rows if gt < len(names)}
    assert {(t, s): counts[t, s] for t, s in zip(*np.nonzero(counts), strict=True)} == expected


@pytest.mark.parametrize("name", EXPECTED)
def test_scores_are_those_of_detectron2_and_mmseg(name):
    pairs, names = stored(name)
    meter = MeanIoU(names)
    scores = meter.compute([meter.measure(*pair) for pair in pairs])
    expected = EXPECTED[name]["detectron2_xdecoder"]
    for ours, theirs in {"mIoU": "mIoU", "fwIoU": "fwIoU", "pAcc": "pACC", "mAcc": "mACC"}.items():
        assert 100 * scores[ours].value == pytest.approx(expected[theirs], abs=1e-12)
    mmseg = EXPECTED[name]["mmseg"]
    assert 100 * scores["mIoU"].value == pytest.approx(mmseg["mIoU"], abs=1e-12)
    for ours, theirs in zip(scores["mIoU"].by_class.values(), mmseg["IoU"], strict=True):
        assert np.isnan(ours) if theirs is None else 100 * ours == pytest.approx(theirs, abs=1e-12)
    torchmetrics = EXPECTED[name]["torchmetrics_macro_mIoU"]
    assert 100 * scores["mIoU"].value == pytest.approx(torchmetrics, abs=1e-4)


@pytest.mark.parametrize("name", EXPECTED)
def test_the_other_denominator_leaves_out_classes_without_truth(name):
    pairs, names = stored(name)
    meter = MeanIoU(names, SemanticMetric(average=MiouAverage.SEEN))
    score = meter.compute([meter.measure(*pair) for pair in pairs])["mIoU"]
    others = EXPECTED[name]["variants_that_are_wrong_for_published_tables"]
    assert 100 * score.value == pytest.approx(others["mean_over_classes_with_gt_only"], abs=1e-12)


def plain_confusion(said, true, classes):
    """The same counts, pixel by pixel."""
    counts = np.zeros((classes, classes + 1), np.int64)
    for t, s in zip(true.flat, said.flat, strict=True):
        if t != VOID:
            counts[t, s] += 1
    return counts


@given(st.integers(0, 10_000))
def test_runs_count_what_pixels_count(seed):
    said, true = label_maps(seed)
    assert np.array_equal(confusion(said, true, 5), plain_confusion(said, true, 5))


@given(SEEDS, st.data())
def test_halves_merge_and_weights_count_images(seeds, data):
    average = data.draw(st.sampled_from(list(MiouAverage)))
    meter = MeanIoU(NAMES, SemanticMetric(average=average))
    statistics = [meter.measure(*label_maps(seed)) for seed in seeds]
    check_merging(meter, statistics, data.draw(st.integers(0, len(seeds))))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(seeds), max_size=len(seeds)))
    check_weights(meter, statistics, weights)


@given(st.integers(0, 10_000), st.permutations(range(5)))
def test_scores_do_not_depend_on_the_order_of_classes(seed, order):
    said, true = label_maps(seed)
    moved = np.array([*order, VOID])
    meter = MeanIoU(NAMES)
    before = meter.compute([meter.measure(said, true)])
    after = meter.compute([meter.measure(moved[said], moved[true])])
    for name in meter.names:
        np.testing.assert_allclose(after[name].value, before[name].value, atol=1e-12)


def test_a_pixel_predicted_as_void_is_missed_and_one_truly_void_is_not_scored():
    true, said = np.array([[0, 0, 0, 0, VOID]]), np.array([[0, 0, 0, VOID, 1]])
    meter = MeanIoU(NAMES)
    scores = meter.compute([meter.measure(said, true)])
    assert scores["mIoU"].value == scores["pAcc"].value == 0.75
    assert scores["mIoU"].n == 4


def test_pixels_predicted_as_void_can_be_left_out_as_detectron2_does():
    generator = np.random.default_rng(0)
    pairs = [generator.integers(VOID, 5, (2, 40, 50)) for _ in range(6)]
    meter = MeanIoU(NAMES, SemanticMetric(said_void=SaidVoid.LEFT_OUT))
    statistics = [meter.measure(said, true) for said, true in pairs]
    counts = meter.confusion(statistics)[:, :-1]
    found, true, said = np.diag(counts), counts.sum(1), counts.sum(0)
    scores = meter.compute(statistics)
    assert scores["mIoU"].value == pytest.approx((found / (true + said - found)).mean())
    assert scores["mAcc"].value == pytest.approx((found / true).mean())
    assert scores["pAcc"].value == pytest.approx(found.sum() / true.sum())
    once = meter.resample(statistics, np.ones((1, len(statistics)), int))
    assert all(once[name][0] == pytest.approx(scores[name].value) for name in meter.names)


def test_nothing_but_void_has_no_score():
    meter = MeanIoU(NAMES)
    blank = np.full((2, 3), VOID)
    assert all(
        np.isnan(score.value) for score in meter.compute([meter.measure(blank, blank)]).values()
    )
    assert all(np.isnan(score.value) for score in meter.compute([]).values())


def test_maps_that_cannot_be_compared_are_refused():
    good = np.zeros((2, 3), int)
    with pytest.raises(ValueError, match="different sizes"):
        PairRuns.of(np.zeros((3, 2), int), good)
    with pytest.raises(ValueError, match=r"predicted labels must be in 0\.\.4"):
        confusion(good + 5, good, 5)
    with pytest.raises(ValueError, match="true labels"):
        confusion(good, good - 2, 5)


def test_runs_of_maps_without_pixels_are_none():
    empty = np.zeros((0, 4), int)
    assert PairRuns.of(empty, empty).lengths.size == 0
