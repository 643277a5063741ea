"""Scoring panoptic files of other systems."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import DataError, DataMissing, UnknownName, UsageError
from bench.protocol import PanopticMetric, Protocol, VoidRule
from bench.scoring.panoptic import score

STORED = Path(__file__).parent.parent / "fixtures" / "metrics" / "panoptic"
EXPECTED = json.loads((STORED / "expected_panopticapi.json").read_text())
SAMPLES = Path(__file__).parents[2].parent / "shared" / "reference" / "samples"
CARD = Protocol(name="test")
GROUPS = {"All": "", "Things": "_things", "Stuff": "_stuff"}


@pytest.mark.parametrize("engine", [None, "hotcoco", "bench"])
@pytest.mark.parametrize("name", ["random", "nasty"])
def test_every_engine_gives_panopticapi_numbers(engine, name):
    scores = score(STORED / f"{name}_gt.json", STORED / f"{name}_pred.json", CARD, engine)
    for group, suffix in GROUPS.items():
        for quality in ("pq", "sq", "rq"):
            expected = EXPECTED[name][group][quality]
            ours = scores[quality.upper() + suffix].value
            assert ours == expected if engine == "bench" else ours == pytest.approx(expected, 1e-13)
    counts = EXPECTED[name]["counts"].values()
    assert scores["PQ"].n == sum(row["tp"] + row["fn"] for row in counts)


@pytest.fixture
def nasty(tmp_path):
    """A copy of the hard images, to be spoilt: the two JSON contents, and how to score them."""
    for side in ("gt", "pred"):
        shutil.copytree(STORED / f"nasty_{side}", tmp_path / side)
    truth, said = (json.loads((STORED / f"nasty_{s}.json").read_text()) for s in ("gt", "pred"))

    def run(engine=None):
        (tmp_path / "gt.json").write_text(json.dumps(truth))
        (tmp_path / "pred.json").write_text(json.dumps(said))
        return score(tmp_path / "gt.json", tmp_path / "pred.json", CARD, engine)

    return truth, said, run, tmp_path


ENGINES = pytest.mark.parametrize("engine", ["hotcoco", "bench"])


@ENGINES
def test_a_segment_in_the_map_that_is_not_listed_is_refused(nasty, engine):
    _, said, run, _ = nasty
    said["annotations"][0]["segments_info"] = []
    with pytest.raises(
        DataError, match=r"001\.png: .* shows segment 16777215, which is not listed"
    ):
        run(engine)


@ENGINES
def test_a_listed_segment_that_is_not_in_the_map_is_refused(nasty, engine):
    _, said, run, _ = nasty
    said["annotations"][1]["segments_info"].append({"id": 99, "category_id": 1})
    with pytest.raises(DataError, match=r"002\.png: predicted segment 99 has no pixel"):
        run(engine)


@ENGINES
def test_an_unknown_category_is_refused(nasty, engine):
    _, said, run, _ = nasty
    said["annotations"][1]["segments_info"][0]["category_id"] = 5
    with pytest.raises(DataError, match=r"image 26 has segments of category 5"):
        run(engine)


@ENGINES
def test_an_image_without_prediction_is_refused(nasty, engine):
    _, said, run, _ = nasty
    del said["annotations"][2]
    with pytest.raises(DataError, match="1 of 10 images have no prediction: 39"):
        run(engine)


@ENGINES
def test_a_map_of_another_size_is_refused(nasty, engine):
    _, _, run, folder = nasty
    path = folder / "pred" / "003.png"
    Image.open(path).crop((0, 0, 60, 48)).save(path)
    with pytest.raises(DataError, match=r"003\.png is 60×48, but its truth is 64×48"):
        run(engine)


@ENGINES
def test_a_missing_and_a_broken_map_are_named(nasty, engine):
    _, _, run, folder = nasty
    path = folder / "pred" / "004.png"
    path.write_bytes(path.read_bytes()[:60])
    with pytest.raises(DataError, match=r"004\.png is a broken image"):
        run(engine)
    path.unlink()
    with pytest.raises(DataError, match=r"004\.png is missing"):
        run(engine)


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda gt, pred: pred["annotations"].append(pred["annotations"][0]), "image 13 twice"),
        (lambda gt, pred: pred["annotations"][0].pop("file_name"), "'file_name' is missing"),
        (
            lambda gt, pred: pred["annotations"][0].update(file_name=5),
            "'file_name' 5, which must be text",
        ),
        (
            lambda gt, pred: pred["annotations"][0].update(image_id=[1]),
            r"'image_id' \[1\], which must be a number or text",
        ),
        (
            lambda gt, pred: gt["annotations"][0].update(image_id=[1]),
            r"gt\.json.*'image_id' \[1\], which must be a number or text",
        ),
        (
            lambda gt, pred: pred["annotations"][0].update(segments_info=None),
            "'segments_info' None, which must be a list",
        ),
        (lambda gt, pred: pred["annotations"].append(None), "must be an object, found None"),
        (
            lambda gt, pred: pred["annotations"][0]["segments_info"].append([1]),
            r"a segment of image 13 must be an object, found \[1\]",
        ),
        *(
            (
                lambda gt, pred, change=change: pred["annotations"][0]["segments_info"][0].update(
                    change
                ),
                rf"a segment of image 13 .*{reason}",
            )
            for change, reason in [
                ({"id": "x"}, "'id' 'x', which must be a whole number"),
                ({"id": -1}, "'id' -1, which must be a whole number"),
                ({"id": 1.5}, "'id' 1.5, which must be a whole number"),
                ({"id": 10**400}, "'id' 1000.*, which must be a whole number"),
                ({"category_id": [1]}, r"'category_id' \[1\], which must be"),
                ({"area": 2**63}, "'area' 9223372036854775808, which must be a number"),
                ({"area": "x"}, "'area' 'x', which must be a number"),
                ({"iscrowd": "0"}, "'iscrowd' is '0' and must be 0 or 1"),
            ]
        ),
        (lambda gt, pred: pred["annotations"][0].update(image_id=1), "ids are not in the truth: 1"),
        (lambda gt, pred: gt["categories"][0].pop("isthing"), "need 'id', 'name' and 'isthing'"),
        (lambda gt, pred: gt["categories"][0].update(id=2), "two categories have the same id"),
        (lambda gt, pred: pred.pop("annotations"), "a list of 'annotations'"),
        (
            lambda gt, pred: pred["annotations"][0]["segments_info"][0].update(id=0),
            "ids of their own other than 0",
        ),
    ],
)
def test_files_that_cannot_be_scored_say_why(nasty, spoil, reason):
    truth, said, run, _ = nasty
    spoil(truth, said)
    with pytest.raises(DataError, match=reason):
        run()


def test_a_missing_folder_of_maps_is_named(nasty):
    _, _, run, folder = nasty
    shutil.rmtree(folder / "gt")
    with pytest.raises(DataMissing, match=r"should be in .*gt, which is no folder"):
        run()


def test_options_that_do_not_fit_say_so():
    files = STORED / "random_gt.json", STORED / "random_pred.json"
    with pytest.raises(UnknownName, match=r"layout 'bdd-bitmasks'\. Did you mean 'bdd-bitmask'"):
        score(*files, CARD, layout="bdd-bitmasks")
    with pytest.raises(UnknownName, match="Unknown engine"):
        score(*files, CARD, engine="panopticapi")
    with pytest.raises(UsageError, match="leave --categories out"):
        score(*files, CARD, categories=files[0])
    strict = Protocol(name="test", pq=PanopticMetric(iou_threshold=0.7))
    with pytest.raises(UsageError, match="default 'pq' only"):
        score(*files, strict, engine="hotcoco")
    assert score(*files, strict)["PQ"].value < score(*files, CARD)["PQ"].value


# --- BDD100K -------------------------------------------------------------------------------------


def bitmask(path, rows):
    """Write rows of (class, attributes, id) as BDD100K does."""
    pixels = np.array([[(c, a, id >> 8, id & 255) for c, a, id in row] for row in rows], np.uint8)
    path.parent.mkdir(exist_ok=True)
    Image.fromarray(pixels).save(path)


def test_bitmasks_score_by_the_rule_of_their_tool_unless_the_card_has_another(tmp_path):
    road, car, void = (7, 0, 300), (35, 0, 4), (0, 0, 0)
    bitmask(tmp_path / "true" / "a.png", [[road, road, road, void], [car, car, car, car]])
    bitmask(tmp_path / "said" / "a.png", [[road, road, road, road], [car, car, car, car]])
    files = tmp_path / "true", tmp_path / "said"
    scores = score(*files, CARD, layout="bdd-bitmask")
    assert scores["PQ_things"].value == 1.0
    assert scores["PQ_stuff"].value == scores["PQ"].by_class["road"] == 0.75
    coco = Protocol(name="test", pq=PanopticMetric(void=VoidRule.COCO))
    assert score(*files, coco, layout="bdd-bitmask")["PQ"].value == 1.0
    with pytest.raises(UsageError, match="layout 'coco' only"):
        score(*files, CARD, "hotcoco", "bdd-bitmask")


def test_segments_that_a_bitmask_marks_as_ignored_do_not_count(tmp_path):
    car, ignored, void = (35, 0, 4), (35, 1, 5), (0, 0, 0)
    bitmask(tmp_path / "true" / "a.png", [[car, car, ignored, ignored, void, void]])
    bitmask(tmp_path / "said" / "a.png", [[car, car, (35, 0, 5), (35, 0, 5), ignored, ignored]])
    scores = score(tmp_path / "true", tmp_path / "said", CARD, layout="bdd-bitmask")
    assert scores["PQ"].value == 1.0
    assert scores["PQ"].n == 1


def test_bitmasks_of_other_classes_are_named_by_a_file(tmp_path):
    bitmask(tmp_path / "true" / "a.png", [[(200, 0, 1)]])
    names = tmp_path / "classes.json"
    names.write_text(json.dumps([{"id": 200, "name": "door", "isthing": 1}]))
    files = tmp_path / "true", tmp_path / "true"
    scores = score(*files, CARD, layout="bdd-bitmask", categories=names)
    assert scores["PQ"].by_class == {"door": 1.0}
    with pytest.raises(DataError, match="has the value 200"):
        score(*files, CARD, layout="bdd-bitmask")


def test_the_bdd100k_sample_has_the_expected_quality():
    folder = SAMPLES / "bdd100k_panoptic"
    if not folder.is_dir():
        pytest.skip("the shared samples are not here")
    expected = json.loads((folder / "expected_pq.json").read_text())
    files = folder / "bitmask" / "gt", folder / "bitmask" / "pred"
    scores = score(*files, CARD, layout="bdd-bitmask")
    for quality in ("PQ", "SQ", "RQ"):
        for theirs, ours in {"": "", "/STUFF": "_stuff", "/THING": "_things"}.items():
            value = 100 * scores[quality + ours].value
            assert value == pytest.approx(expected[quality + theirs], abs=1e-12)


@pytest.mark.parametrize("engine", ["hotcoco", "bench"])
def test_the_coco_sample_against_itself_is_perfect(engine):
    path = SAMPLES / "coco_panoptic" / "panoptic_examples.json"
    if not path.is_file():
        pytest.skip("the shared samples are not here")
    scores = score(path, path, CARD, engine)
    assert all(value.value == 1.0 for value in scores.values())
