import io
import json
from contextlib import redirect_stdout
from pathlib import Path

import numpy as np
import pytest
from hotcoco.panoptic import PanopticEval
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scenes import CLASSES, panoptic
from text_cases import check_merging, check_weights

from bench.metrics.panoptic import PanopticQuality
from bench.protocol import AreaSource, PanopticMetric, VoidRule
from bench.scoring.panoptic import read_coco_panoptic, statistics
from bench.types import Panoptic, Segment

STORED = Path(__file__).parent.parent / "fixtures" / "metrics" / "panoptic"
EXPECTED = json.loads((STORED / "expected_panopticapi.json").read_text())
SEEDS = st.lists(st.integers(0, 10_000), min_size=1, max_size=4)
METER = PanopticQuality(CLASSES, {0, 2})


def stored(name):
    """A meter for a fixture's classes, and the statistics of its images."""
    files = read_coco_panoptic(STORED / f"{name}_gt.json", STORED / f"{name}_pred.json")
    meter = PanopticQuality([str(id) for id in files.classes.labels], files.classes.things)
    return meter, list(statistics(meter, files))


def counted(meter, statistics):
    """Counts as panopticapi's fixture has them, by category id."""
    counts = meter.counts(statistics)
    rows = zip(counts.matched, counts.wrong, counts.missed, counts.iou, strict=True)
    return {
        name: dict(zip(("tp", "fp", "fn", "iou_sum"), map(float, row), strict=True))
        for name, row in zip(meter.classes, rows, strict=True)
    }


@pytest.mark.parametrize("name", ["random", "nasty"])
def test_scores_are_panopticapi_to_the_last_digit(name):
    meter, images = stored(name)
    scores, expected = meter.compute(images), EXPECTED[name]
    assert counted(meter, images) == expected["counts"]
    for group, suffix in {"All": "", "Things": "_things", "Stuff": "_stuff"}.items():
        for quality in ("pq", "sq", "rq"):
            assert scores[quality.upper() + suffix].value == expected[group][quality]
    for category, row in expected["counts"].items():
        for quality in ("pq", "sq", "rq"):
            ours = scores[quality.upper()].by_class[category]
            nothing = not (row["tp"] or row["fp"] or row["fn"])
            assert np.isnan(ours) if nothing else ours == expected["per_class"][category][quality]


@pytest.mark.parametrize("at", range(len(EXPECTED["nasty_per_image"])))
def test_each_trap_counts_as_in_panopticapi(at):
    meter, images = stored("nasty")
    rows = counted(meter, [images[at]])
    found = {name: row for name, row in rows.items() if row["tp"] or row["fp"] or row["fn"]}
    case = EXPECTED["nasty_per_image"][at]
    assert found == case["counts"], case["note"]


@settings(max_examples=60)
@given(SEEDS)
def test_counts_are_panopticapi_on_random_maps(tmp_path_factory, seeds):
    evaluation = pytest.importorskip(
        "panopticapi.evaluation", reason="panopticapi is in no registry; the fixtures bind"
    )
    folder = tmp_path_factory.mktemp("maps")
    rows = [_written(folder, index, *panoptic(seed)) for index, seed in enumerate(seeds)]
    categories = {label: {"isthing": 0} for label in range(len(CLASSES))}
    with redirect_stdout(io.StringIO()):
        expected = evaluation.pq_compute_single_core(
            0, rows, folder / "true", folder / "said", categories
        )
    counts = METER.counts([METER.measure(*panoptic(seed)) for seed in seeds])
    for label in range(len(CLASSES)):
        theirs = expected[label]
        assert (theirs.tp, theirs.fp, theirs.fn, theirs.iou) == (
            counts.matched[label],
            counts.wrong[label],
            counts.missed[label],
            counts.iou[label],
        )


@settings(max_examples=25)
@given(SEEDS)
def test_counts_are_hotcoco_on_random_maps(tmp_path_factory, seeds):
    folder = tmp_path_factory.mktemp("maps")
    rows = [_written(folder, index, *panoptic(seed)) for index, seed in enumerate(seeds)]
    truth = {
        "images": [{"id": index, "file_name": f"{index}.png"} for index in range(len(seeds))],
        "annotations": [true for true, _ in rows],
        "categories": [{"id": k, "name": name, "isthing": 0} for k, name in enumerate(CLASSES)],
    }
    said = {"annotations": [row for _, row in rows]}
    evaluation = PanopticEval(truth, said, gt_folder=folder / "true", pred_folder=folder / "said")
    evaluation.evaluate()
    per_class = {int(id): row for id, row in evaluation.results()["per_class"].items()}
    counts = METER.counts([METER.measure(*panoptic(seed)) for seed in seeds])
    for label in range(len(CLASSES)):
        theirs = per_class.get(label, {"tp": 0, "fp": 0, "fn": 0, "iou": 0.0})
        assert counts.matched[label] == theirs["tp"]
        assert counts.wrong[label] == theirs["fp"]
        assert counts.missed[label] == theirs["fn"]
        assert counts.iou[label] == pytest.approx(theirs["iou"], abs=1e-12)


def _written(folder, index, said, true):
    """Both maps as panopticapi reads them: two rows of annotations, two PNG files."""
    rows = []
    for side, map_ in (("true", true), ("said", said)):
        (folder / side).mkdir(exist_ok=True)
        colours = np.stack([map_.ids >> shift & 255 for shift in (0, 8, 16)], axis=-1)
        Image.fromarray(colours.astype(np.uint8)).save(folder / side / f"{index}.png")
        segments = [
            {"id": s.id, "category_id": s.label, "iscrowd": int(s.crowd), "area": s.area}
            for s in map_.segments
        ]
        rows.append({"image_id": index, "file_name": f"{index}.png", "segments_info": segments})
    return tuple(rows)


@given(SEEDS, st.data())
def test_halves_merge_and_weights_count_images(seeds, data):
    images = [METER.measure(*panoptic(seed)) for seed in seeds]
    check_merging(METER, images, data.draw(st.integers(0, len(seeds))))
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(seeds), max_size=len(seeds)))
    check_weights(METER, images, weights)


@given(st.integers(0, 10_000))
def test_a_perfect_prediction_scores_one(seed):
    _, true = panoptic(seed)
    listed = tuple(s for s in true.segments if (true.ids == s.id).any())
    ids = np.where(np.isin(true.ids, [s.id for s in listed]), true.ids, 0)
    plain = Panoptic(ids, tuple(Segment(s.id, s.label) for s in listed))
    score = METER.compute([METER.measure(plain, plain)])["PQ"]
    assert score.value == 1.0 or (not listed and np.isnan(score.value))
    assert score.n == len(listed)


@given(st.integers(0, 10_000))
def test_qualities_are_bounded_and_multiply(seed):
    said, true = panoptic(seed)
    meter = PanopticQuality(CLASSES, {0, 2}, PanopticMetric(area=AreaSource.MASK))
    scores = meter.compute([meter.measure(said, true)])
    for name in CLASSES:
        pq, sq, rq = (scores[quality].by_class[name] for quality in ("PQ", "SQ", "RQ"))
        if not np.isnan(pq):
            assert 0 <= pq <= min(sq, rq) + 1e-12
            assert 0 <= sq <= 1
            assert pq == pytest.approx(sq * rq)


TRUE = Panoptic(np.array([[1, 1, 1, 0, 0, 2]]), (Segment(1, 0), Segment(2, 1, crowd=True)))
SAID = Panoptic(np.array([[5, 5, 5, 5, 6, 6]]), (Segment(5, 0), Segment(6, 0)))


def iou_and_errors(rule):
    meter = PanopticQuality(CLASSES, metric=PanopticMetric(void=rule))
    counts = meter.counts([meter.measure(SAID, TRUE)])
    return counts.iou[0], counts.wrong[0]


def test_void_leaves_the_union_and_only_a_crowd_of_the_class_excuses():
    assert iou_and_errors(VoidRule.COCO) == (1.0, 1.0)
    assert iou_and_errors(VoidRule.OF_FORMAT) == (1.0, 1.0)


def test_in_bdd100k_void_stays_in_the_union_and_every_crowd_excuses():
    assert iou_and_errors(VoidRule.BDD100K) == (0.75, 0.0)


def test_a_stated_area_counts_unless_the_protocol_counts_pixels():
    ids = np.array([[1, 1, 1, 1]])
    true = Panoptic(ids, (Segment(1, 0, area=5),))
    said = Panoptic(ids, (Segment(1, 0),))
    for source, iou in ((AreaSource.FIELD, 0.8), (AreaSource.MASK, 1.0)):
        meter = PanopticQuality(CLASSES, metric=PanopticMetric(area=source))
        assert meter.compute([meter.measure(said, true)])["SQ"].value == iou


def test_a_stated_area_that_cannot_be_is_refused():
    ids = np.array([[1, 1, 1, 1]])
    true = Panoptic(ids, (Segment(1, 0, area=2),))
    with pytest.raises(ValueError, match="stated to have 2 pixels"):
        METER.measure(Panoptic(ids, (Segment(1, 0),)), true)


@pytest.mark.parametrize(
    ("ids", "segments", "reason"),
    [
        ([[7, 8]], (Segment(7, 0),), "shows segment 8, which is not listed"),
        ([[7, 7]], (Segment(7, 0), Segment(8, 0)), "segment 8 has no pixel"),
        ([[7, 7]], (Segment(7, 0), Segment(7, 1)), "ids of their own"),
        ([[0, 7]], (Segment(7, 0), Segment(0, 1)), "other than 0"),
        ([[7, 7]], (Segment(7, 3),), r"labels must be in 0\.\.2"),
        ([[7, 7, 7]], (Segment(7, 0),), "different sizes"),
    ],
)
def test_predictions_that_the_reference_rejects_are_refused(ids, segments, reason):
    true = Panoptic(np.array([[1, 1]]), (Segment(1, 0),))
    with pytest.raises(ValueError, match=reason):
        METER.measure(Panoptic(np.array(ids), segments), true)


def test_no_image_at_all_has_no_score():
    assert all(np.isnan(score.value) for score in METER.compute([]).values())
