"""Scoring label maps of other systems."""

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from bench.errors import DataError, DataMissing, UsageError
from bench.protocol import Protocol
from bench.scoring.semantic import score

STORED = Path(__file__).parent.parent / "fixtures" / "metrics" / "semantic"
EXPECTED = json.loads((STORED / "expected.json").read_text())
CARD = Protocol(name="test")


def written(folder, maps, suffixes=(".png",)):
    folder.mkdir()
    for index, pixels in enumerate(maps):
        Image.fromarray(pixels).save(folder / f"{index:03}{suffixes[index % len(suffixes)]}")
    return folder


@pytest.mark.parametrize("said", [True, False])
@pytest.mark.parametrize("name", EXPECTED)
def test_label_maps_score_as_detectron2_scores_them(name, said, tmp_path):
    case = EXPECTED[name]
    with np.load(STORED / f"{name}.npz") as file:
        truth = written(tmp_path / "true", file["gt"], (".png", ".tif"))
        predictions = written(tmp_path / "said", file["pred"])
    options = {"class_count": case["num_classes"], "ignore_label": case["ignore_index"]}
    scores = score(truth, predictions, CARD, **(options if said else {}))
    expected = case["detectron2_xdecoder"]
    for ours, theirs in {"mIoU": "mIoU", "fwIoU": "fwIoU", "pAcc": "pACC", "mAcc": "mACC"}.items():
        assert 100 * scores[ours].value == pytest.approx(expected[theirs], abs=1e-12)
    scored = [n for _, gt, n in case["confusion_nonzero_pred_gt_count"] if gt < case["num_classes"]]
    assert scores["mIoU"].n == sum(scored)


@pytest.fixture
def folders(tmp_path):
    """A map with classes 0 and 1, 255 ignored, and a prediction that is half right."""
    truth = written(tmp_path / "true", [np.array([[0, 0, 1, 255]], np.uint8)])
    said = written(tmp_path / "said", [np.array([[0, 1, 1, 1]], np.uint8)])
    return truth, said


def test_names_come_from_a_file_of_lines_or_of_json(folders, tmp_path):
    lines, coco, plain = (tmp_path / name for name in ("n.txt", "coco.json", "plain.json"))
    lines.write_text("wall\nsky\n")
    plain.write_text('["wall", "sky"]')
    coco.write_text('{"categories": [{"id": 2, "name": "sky"}, {"id": 1, "name": "wall"}]}')
    for path in (lines, coco, plain):
        assert score(*folders, CARD, categories=path)["mIoU"].by_class == {"wall": 0.5, "sky": 0.5}
    with pytest.raises(UsageError, match="names 2 classes, but --class-count says 3"):
        score(*folders, CARD, 3, categories=lines)
    plain.write_text("{}")
    with pytest.raises(DataError, match="a list of names"):
        score(*folders, CARD, categories=plain)
    with pytest.raises(DataMissing, match="no file"):
        score(*folders, CARD, categories=tmp_path / "none.txt")


def test_the_ignored_value_can_be_chosen(folders):
    scores = score(*folders, CARD, ignore_label=0)
    assert scores["mIoU"].n == 2
    assert scores["pAcc"].value == 0.5


def test_predicting_the_ignored_value_is_a_miss(tmp_path):
    truth = written(tmp_path / "true", [np.array([[0, 0]], np.uint8)])
    said = written(tmp_path / "said", [np.array([[0, 255]], np.uint8)])
    assert score(truth, said, CARD)["mIoU"].value == 0.5


def test_a_palette_is_read_by_index(folders, tmp_path):
    truth, _ = folders
    image = Image.fromarray(np.array([[0, 1, 1, 1]], np.uint8), "L").convert("P")
    image.putdata([0, 1, 1, 1])
    image.putpalette([9, 9, 9] * 256)
    (tmp_path / "palette").mkdir()
    image.save(tmp_path / "palette" / "000.png")
    assert score(truth, tmp_path / "palette", CARD)["mIoU"].value == 0.5


def test_maps_that_are_no_class_maps_are_refused_before_they_take_the_memory(folders):
    truth, said = folders
    for folder in (truth, said):
        values = np.array([[0, 1, 1, 65535]], np.uint16)
        Image.fromarray(values).save(folder / "000.png")
        assert score(truth, said, CARD)["mIoU"].n > 0
        values[0, 2] = 60002
        Image.fromarray(values).save(folder / "000.png")
        with pytest.raises(DataError, match=r"000\.png has the value 60002, and 10000 classes"):
            score(truth, said, CARD)
        Image.fromarray(values % 60000).save(folder / "000.png")
    with pytest.raises(UsageError, match="10001 classes are more than the 10000"):
        score(truth, said, CARD, class_count=10_001)


def test_maps_that_cannot_be_scored_say_why(folders, tmp_path):
    truth, said = folders
    with pytest.raises(DataError, match=r"value 1, which is neither one of 1 classes .* 255"):
        score(truth, said, CARD, class_count=1)
    (said / "001.png").write_bytes((said / "000.png").read_bytes())
    with pytest.raises(DataError, match="1 of 2 image ids are not in the truth: 001"):
        score(truth, said, CARD)
    (said / "001.png").unlink()
    (said / "000.tif").write_bytes(b"")
    with pytest.raises(DataError, match="two label maps of one image"):
        score(truth, said, CARD)
    (said / "000.tif").unlink()
    Image.fromarray(np.zeros((2, 2), np.uint8)).save(said / "000.png")
    with pytest.raises(DataError, match="is 2×2, but its truth is 4×1"):
        score(truth, said, CARD)
    (said / "000.png").unlink()
    with pytest.raises(DataMissing, match="holds no label maps"):
        score(truth, said, CARD)
    with pytest.raises(DataMissing, match="There is no folder"):
        score(truth, tmp_path / "nowhere", CARD)
