"""Scoring referring, retrieval, caption, VQA and Cityscapes instance files of other systems."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import DataError, DataMissing, UsageError
from bench.protocol import Protocol, ReferringIoU, ReferringMetric
from bench.scoring import caption, cityscapes_instance, referring, retrieval, vqa

FIXTURES = Path(__file__).parent.parent / "fixtures" / "metrics"
CARD = Protocol(name="test")
MASKS = FIXTURES / "referring" / "masks.npz"
VECTORS = FIXTURES / "retrieval" / "uneven_captions.npz"
ANSWERS = FIXTURES / "vqa" / "results.json"
QUESTIONS = FIXTURES / "vqa" / "annotations.json"


def expected(name):
    return json.loads((FIXTURES / name).read_text())


def write(path, content):
    path.write_text(json.dumps(content))
    return path


# --- referring -----------------------------------------------------------------------------------


def test_referring_masks_score_as_the_reference_says():
    scores = referring.score(MASKS, MASKS, CARD)
    true = expected("referring/expected.json")["all"]["xdecoder_seem"]
    assert 100 * scores["cIoU"].value == pytest.approx(true["cIoU"], abs=1e-4)
    assert 100 * scores["P@0.5"].value == pytest.approx(true["precision@0.5"], abs=1e-4)
    assert scores["cIoU"].n == 29


def test_the_card_says_which_iou_holds():
    card = Protocol(name="test", ciou=ReferringMetric(iou=ReferringIoU.LAVT))
    scores = referring.score(MASKS, MASKS, card)
    true = expected("referring/expected.json")["all"]["lavt_cris_style"]
    assert 100 * scores["P@0.5"].value == pytest.approx(true["precision@0.5"], abs=1e-4)


def test_masks_may_be_plain_and_grouped_by_image(tmp_path):
    masks = np.zeros((4, 5, 6), bool)
    masks[:, :3] = True
    np.savez(tmp_path / "gt.npz", masks=masks, image_ids=[7, 8, 7, 7])
    np.savez(tmp_path / "pred.npz", masks=masks)
    paths = tmp_path / "gt.npz", tmp_path / "pred.npz"
    images = referring.statistics(referring.ReferringSegmentation(), *paths)
    assert [len(image["union"]) for image in images] == [3, 1]
    assert referring.score(*paths, CARD)["mIoU"].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"other": np.zeros(3)}, "no array 'pred'; it holds 'other'"),
        ({"pred": np.zeros((2, 3, 4), bool)}, r"2 masks of 3×4, where .* has 29 masks of"),
        ({"pred": np.zeros((4, 5))}, "2 dimensions"),
        ({"pred": np.zeros((4, 5), np.uint8), "shape": [4, 9, 9]}, "do not hold masks of 'shape'"),
    ],
)
def test_wrong_masks_are_said_to_be_wrong(tmp_path, arrays, message):
    np.savez(tmp_path / "pred.npz", **arrays)
    with pytest.raises(DataError, match=message):
        referring.score(MASKS, tmp_path / "pred.npz", CARD)


@pytest.mark.parametrize("kind", [np.uint8, np.int64, np.float32, np.float16])
def test_masks_of_numbers_that_are_0_and_1_are_masks(tmp_path, kind):
    masks = np.zeros((4, 5, 6), bool)
    masks[:, :3] = True
    np.savez(tmp_path / "gt.npz", masks=masks)
    np.savez(tmp_path / "pred.npz", masks=masks.astype(kind))
    said = referring.score(tmp_path / "gt.npz", tmp_path / "pred.npz", CARD)
    assert said == referring.score(tmp_path / "gt.npz", tmp_path / "gt.npz", CARD)
    assert said["mIoU"].value == pytest.approx(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"masks": np.full((2, 3, 4), np.nan)}, "holds nan, where masks are 0 and 1"),
        ({"masks": np.full((2, 3, 4), 0.25)}, "holds 0.25, where masks are 0 and 1"),
        ({"masks": np.full((2, 3, 4), -7.5)}, "holds -7.5, where masks are 0 and 1"),
        ({"masks": np.full((2, 3, 4), "x")}, "is <U1 and should be boolean"),
        ({"masks": np.full((2, 3, 4), 1j)}, "is complex128 and should be boolean"),
        ({"masks": np.zeros((2, 2), np.uint8), "shape": 5}, "three whole numbers"),
        ({"masks": np.zeros((2, 2), np.uint8), "shape": ["2", "3", "4"]}, "three whole numbers"),
        ({"masks": np.zeros((2, 2), np.uint8), "shape": [2.5, 3, 4]}, "three whole numbers"),
        ({"masks": np.zeros((2, 2), np.uint8), "shape": [2, -3, -4]}, "three whole numbers"),
        ({"masks": np.zeros((2, 2), np.uint8), "shape": [2, 12]}, "do not hold masks of 'shape'"),
        ({"image_ids": [[1, 2]]}, "'image_ids' has 2 dimensions"),
        ({"image_ids": 1}, "'image_ids' has 0 dimensions"),
        ({"image_ids": [1, 2, 3]}, "3 'image_ids' for 2 expressions"),
    ],
)
def test_arrays_that_are_no_masks_are_said_so_on_both_sides(tmp_path, change, message):
    np.savez(tmp_path / "plain.npz", masks=np.ones((2, 3, 4), bool))
    np.savez(tmp_path / "odd.npz", **{"masks": np.ones((2, 3, 4), bool), **change})
    with pytest.raises(DataError, match=message):
        referring.score(tmp_path / "odd.npz", tmp_path / "plain.npz", CARD)
    if "masks" in change:
        with pytest.raises(DataError, match=message):
            referring.score(tmp_path / "plain.npz", tmp_path / "odd.npz", CARD)


def test_a_missing_or_broken_npz_is_said_so(tmp_path):
    with pytest.raises(DataMissing, match=r"There is no file .*none\.npz with predicted masks"):
        referring.score(MASKS, tmp_path / "none.npz", CARD)
    (tmp_path / "broken.npz").write_bytes(b"PK\x03\x04 and nothing")
    with pytest.raises(DataError, match=r"predicted masks as \.npz, and cannot be read"):
        referring.score(MASKS, tmp_path / "broken.npz", CARD)
    np.save(tmp_path / "one.npy", np.zeros(3))
    with pytest.raises(DataError, match="one array, without a name"):
        referring.score(MASKS, tmp_path / "one.npy", CARD)


# --- retrieval -----------------------------------------------------------------------------------


def test_vectors_score_as_the_reference_says():
    scores = retrieval.score(VECTORS, VECTORS, CARD)
    for key, value in expected("retrieval/expected.json")["uneven_captions"]["reference"].items():
        score = scores[f"{key[:2].upper()}@{key[2:]}"]
        assert 100 * score.value == pytest.approx(value, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"text_embeds": np.ones((3, 24), np.float32)}, "3 rows in 'text_embeds'"),
        ({"image_embeds": np.ones((25, 7), np.float32)}, "must share one space"),
        ({"image_embeds": np.ones((25, 24), int)}, "should be floating point"),
        ({"image_embeds": np.full((25, 24), np.nan)}, "25 rows of 'image_embeds'"),
        ({"image_ids": np.arange(25)}, "'image_ids' is not that of"),
    ],
)
def test_wrong_vectors_are_said_to_be_wrong(tmp_path, change, message):
    np.savez(tmp_path / "said.npz", **{**np.load(VECTORS), **change})
    with pytest.raises(DataError, match=message):
        retrieval.score(VECTORS, tmp_path / "said.npz", CARD)


@pytest.mark.parametrize("name", ["image_ids", "text_image_ids"])
@pytest.mark.parametrize("ids", [1, [[1, 2]]])
def test_ids_that_are_no_list_are_said_to_be_wrong(tmp_path, name, ids):
    path = tmp_path / "truth.npz"
    np.savez(path, **{"image_ids": [1, 2], "text_image_ids": [1, 2], name: ids})
    with pytest.raises(DataError, match=f"'{name}' has {np.ndim(ids)} dimensions"):
        retrieval.score(path, VECTORS, CARD)


def test_texts_of_unknown_images_are_said_to_be_wrong(tmp_path):
    path = tmp_path / "truth.npz"
    np.savez(path, image_ids=[1, 2], text_image_ids=[1, 3])
    said = tmp_path / "said.npz"
    np.savez(said, image_embeds=np.ones((2, 4)), text_embeds=np.ones((2, 4)))
    with pytest.raises(DataError, match="1 ids in 'text_image_ids' are not in 'image_ids': 3"):
        retrieval.score(path, said, CARD)


# --- captions ------------------------------------------------------------------------------------

CAPTIONS = FIXTURES / "captions" / "captions.json"
SETS = expected("captions/captions.json")


def as_coco(folder, name):
    """A set of the fixture as COCO annotations and results."""
    truth = {
        "images": [{"id": image} for image in SETS[name]["refs"]],
        "annotations": [
            {"id": n, "image_id": image, "caption": text}
            for image, texts in SETS[name]["refs"].items()
            for n, text in enumerate(texts)
        ],
    }
    said = [
        {"image_id": image, "caption": text[0] if isinstance(text, list) else text}
        for image, text in SETS[name]["hyps"].items()
    ]
    return write(folder / "truth.json", truth), write(folder / "said.json", said)


@pytest.mark.parametrize("name", SETS)
def test_coco_captions_score_as_pycocoevalcap_says(tmp_path, name):
    scores = caption.score(*as_coco(tmp_path, name), CARD)
    true = expected("captions/expected_pycocoevalcap.json")[name]["corpus"]
    for ours, theirs in {"CIDEr": "CIDEr", "BLEU-4": "Bleu_4", "ROUGE-L": "ROUGE_L"}.items():
        assert scores[ours].value == pytest.approx(true[theirs], abs=1e-9)


def test_captions_by_image_and_sets_by_name_are_read_too(tmp_path):
    coco = caption.score(*as_coco(tmp_path, "nasty"), CARD)
    assert caption.score(CAPTIONS, CAPTIONS, CARD, layout="nasty") == coco
    truth = write(tmp_path / "refs.json", {"refs": SETS["nasty"]["refs"]})
    said = write(tmp_path / "hyps.json", SETS["nasty"]["hyps"])
    assert caption.score(truth, said, CARD) == coco


def test_several_sets_without_a_name_are_an_error():
    with pytest.raises(DataError, match=r"3 sets of captions: .*--layout"):
        caption.score(CAPTIONS, CAPTIONS, CARD)


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ([{"image_id": 1, "caption": "a"}], "1 of 2 images have no caption: 2"),
        ({"hyps": {"1": "a", "2": "b", "9": "c"}}, "1 of 3 image ids are not in the truth: 9"),
        ([{"image_id": 1, "caption": "a"}] * 2, "image 1 has several captions"),
        ([{"image_id": 1}], "has no 'caption'"),
        ({"1": "a", "2": 5}, "is 5, not text"),
        ("captions", "captions are COCO's JSON"),
    ],
)
def test_wrong_captions_are_said_to_be_wrong(tmp_path, said, message):
    truth = write(tmp_path / "truth.json", {"refs": {"1": ["a dog"], "2": ["a cat"]}})
    with pytest.raises(DataError, match=message):
        caption.score(truth, write(tmp_path / "said.json", said), CARD)


def test_an_image_without_references_is_said_so(tmp_path):
    truth = {"images": [{"id": 1}, {"id": 2}], "annotations": [{"image_id": 1, "caption": "a"}]}
    with pytest.raises(DataError, match="1 images have no reference caption: 2"):
        caption.score(write(tmp_path / "truth.json", truth), CAPTIONS, CARD)


def test_text_that_is_no_json_is_said_so(tmp_path):
    (tmp_path / "said.json").write_text("{'image_id': 1}")
    with pytest.raises(DataError, match="is no JSON"):
        caption.score(CAPTIONS, tmp_path / "said.json", CARD, layout="nasty")


def test_an_unknown_engine_is_an_error():
    with pytest.raises(UsageError, match="No engine 'java'"):
        caption.score(CAPTIONS, CAPTIONS, CARD, engine="java")


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="the reference programs need Java")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::ResourceWarning")
def test_the_reference_programs_give_the_same_scores():
    ours = caption.score(CAPTIONS, CAPTIONS, CARD, layout="nasty")
    theirs = caption.score(CAPTIONS, CAPTIONS, CARD, layout="nasty", engine="pycocoevalcap")
    for name, score in ours.items():
        assert theirs[name].value == pytest.approx(score.value, abs=1e-9)
    assert theirs["METEOR"].value > 0


# --- VQA -----------------------------------------------------------------------------------------


def test_answers_score_as_the_official_evaluator_says():
    scores = vqa.score(QUESTIONS, ANSWERS, CARD)
    true = expected("vqa/expected_vqa_eval.json")["accuracy"]
    assert round(100 * scores["accuracy"].value, 4) == true["overall"]
    for kind, value in true["perAnswerType"].items():
        assert round(100 * scores[f"accuracy {kind}"].value, 4) == value


def test_questions_about_one_image_are_one_draw(tmp_path):
    rows = expected("vqa/annotations.json")["annotations"]
    truth = {"annotations": [{**row, "image_id": row["question_id"] % 7} for row in rows]}
    path = write(tmp_path / "truth.json", truth)
    assert len(vqa.statistics(vqa.AnswerAccuracy(), path, ANSWERS)) == 7
    assert vqa.score(path, ANSWERS, CARD)["accuracy"].n == 40


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows[1:], "1 of 40 questions have no answer: 1"),
        (lambda rows: [*rows, {"question_id": 99, "answer": "x"}], "not in the truth: 99"),
        (lambda rows: [*rows, rows[0]], "question 1 is answered twice"),
        (lambda rows: [{"question_id": 1, "answer": 3}], "is 3, not text"),
        (lambda rows: {"answers": rows}, "answers are a list"),
        (lambda rows: [{"id": 1}], "has no 'question_id'"),
    ],
)
def test_wrong_answers_are_said_to_be_wrong(tmp_path, change, message):
    said = write(tmp_path / "said.json", change(expected("vqa/results.json")))
    with pytest.raises(DataError, match=message):
        vqa.score(QUESTIONS, said, CARD)


def test_ids_of_questions_that_are_lists_are_said_to_be_wrong(tmp_path):
    truth, said = expected("vqa/annotations.json"), expected("vqa/results.json")
    rows = truth["annotations"]
    for name in ("question_id", "image_id"):
        spoilt = {"annotations": [{**rows[0], name: [1]}, *rows[1:]]}
        path = write(tmp_path / "truth.json", spoilt)
        with pytest.raises(DataError, match=rf"truth\.json: a '{name}' must be .* found \[1\]"):
            vqa.score(path, ANSWERS, CARD)
    path = write(tmp_path / "said.json", [{**said[0], "question_id": [1]}, *said[1:]])
    with pytest.raises(DataError, match=r"said\.json: a 'question_id' must be .* found \[1\]"):
        vqa.score(QUESTIONS, path, CARD)


def test_questions_without_answers_of_people_are_said_so(tmp_path):
    path = write(tmp_path / "questions.json", {"questions": []})
    with pytest.raises(DataError, match="questions alone"):
        vqa.score(path, ANSWERS, CARD)


# --- Cityscapes instances ------------------------------------------------------------------------


@pytest.fixture
def city(tmp_path):
    """One image with a car, and a prediction that finds it."""
    (tmp_path / "gt" / "town").mkdir(parents=True)
    (tmp_path / "said").mkdir()
    ids = np.full((30, 40), 7, np.uint16)
    ids[5:20, 5:25] = 26000
    Image.fromarray(ids).save(tmp_path / "gt/town/town_000000_000019_gtFine_instanceIds.png")
    Image.fromarray((ids == 26000).astype(np.uint8) * 255).save(tmp_path / "said/car.png")
    said = tmp_path / "said" / "town_000000_000019_pred.txt"
    said.write_text("car.png 26 0.9\ncar.png 7 0.5\n")
    return tmp_path


def test_cityscapes_folders_are_scored(city):
    scores = cityscapes_instance.score(city / "gt", city / "said", CARD)
    assert (scores["AP"].value, scores["AP"].n) == (1, 1)
    assert scores["AP50"].by_class["car"] == 1
    assert np.isnan(scores["AP50"].by_class["bus"])


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("car.png 26", "txt:1: a line is"),
        ("../gt/x.png 26 0.5", "is outside of"),
        ("none.png 26 0.5", "There is no mask"),
        (". 26 0.5", "There is no mask"),
        ("car.png inf 0.5", "txt:1: a line is"),
        ("car.png nan 0.5", "txt:1: a line is"),
        ("car.png 26 nan", "txt:1: a line is"),
        ("car.png 26 inf", "txt:1: a line is"),
        ("small.png 26 0.5", r"txt:1: the mask .*small\.png is 10×20, but its truth is 40×30"),
    ],
)
def test_wrong_lines_are_said_to_be_wrong(city, line, message):
    Image.fromarray(np.ones((20, 10), np.uint8)).save(city / "said" / "small.png")
    (city / "said" / "town_000000_000019_pred.txt").write_text(line)
    with pytest.raises((DataError, DataMissing), match=message):
        cityscapes_instance.score(city / "gt", city / "said", CARD)


def test_a_list_that_is_not_utf_8_is_named(city):
    (city / "said" / "town_000000_000019_pred.txt").write_bytes(b"car\xff.png 26 0.5\n")
    with pytest.raises(DataError, match=r"pred\.txt: this should be a list .* as UTF-8"):
        cityscapes_instance.score(city / "gt", city / "said", CARD)


def test_a_truth_of_colours_is_named(city):
    path = city / "gt/town/town_000000_000019_gtFine_instanceIds.png"
    Image.open(path).convert("RGB").save(path)
    with pytest.raises(DataError, match=r"Ids\.png: a map of ids has one channel, this has 3"):
        cityscapes_instance.score(city / "gt", city / "said", CARD)


def test_an_image_without_a_list_is_counted_and_named(city):
    (city / "said" / "town_000000_000019_pred.txt").unlink()
    with pytest.raises(DataError, match="1 of 1 images have no text file: town_000000_000019"):
        cityscapes_instance.score(city / "gt", city / "said", CARD)


def test_an_image_with_two_lists_is_an_error(city):
    (city / "said" / "town_000000_000019_more.txt").write_text("")
    with pytest.raises(DataError, match="several lists"):
        cityscapes_instance.score(city / "gt", city / "said", CARD)


def test_a_folder_without_truth_is_said_so(city):
    with pytest.raises(DataMissing, match=r"gtFine_instanceIds\.png under"):
        cityscapes_instance.score(city / "said", city / "said", CARD)
    with pytest.raises(DataMissing, match="no folder"):
        cityscapes_instance.score(city / "gt", city / "none", CARD)


SAMPLE = Path(__file__).parents[3] / "shared/reference/samples/cityscapes_small/gtFine"


@pytest.mark.skipif(not SAMPLE.is_dir(), reason="no real Cityscapes sample beside the repository")
def test_a_real_cityscapes_map_is_read_and_its_own_masks_score_one(tmp_path):
    ids = np.array(Image.open(next(SAMPLE.glob("*_instanceIds.png"))))
    lines = []
    for id_ in np.unique(ids[ids >= 1000]):
        Image.fromarray((ids == id_).astype(np.uint8)).save(tmp_path / f"{id_}.png")
        lines.append(f"{id_}.png {id_ // 1000} 0.5")
    (tmp_path / "frankfurt_000000_000294.txt").write_text("\n".join(lines))
    scores = cityscapes_instance.score(SAMPLE, tmp_path, CARD)
    assert scores["AP"].value == 1
    assert scores["AP"].n > 0
