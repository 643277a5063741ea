"""A submission to the SegInW challenge: what is written, what is refused, the server's numbers."""

import contextlib
import io
import json
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner, Result

from bench import catalog
from bench.cli import build_app
from bench.errors import DataError, DataMissing
from bench.metrics import rle
from bench.store import Store
from bench.submission import Absent, Part, check, parts
from bench.types import Mask

SUITE = catalog.suite("seginw")
LABELS = [member.dataset.removeprefix("seginw-") for member in SUITE.members]
SIZE = (12, 10)
IMAGES = 2


def boxed(row: int, column: int, side: int = 4) -> Mask:
    mask = np.zeros(SIZE, bool)
    mask[row : row + side, column : column + side] = True
    return Mask.encode(mask)


def written(mask: Mask) -> dict[str, object]:
    return {"size": list(SIZE), "counts": rle.compress(mask).decode()}


def release(root: Path, first_id: int = 0) -> None:
    """The validation parts of the release in small: two images each, an object of each class."""
    for member in SUITE.members:
        names = catalog.dataset(member.dataset)
        vocabulary = catalog.vocabulary(str(names.vocabulary)).vocabulary()
        folder = root / names.home / "valid"
        folder.mkdir(parents=True)
        images, annotations = [], []
        for number in range(IMAGES):
            pixels = np.full((*SIZE, 3), 40 + 90 * number, np.uint8)
            pixels[2:6, 2:6] = (200, 30, 30)
            Image.fromarray(pixels).save(folder / f"{number}.png")
            image = {"id": 10 + number, "file_name": f"{number}.png"}
            images.append({**image, "height": SIZE[0], "width": SIZE[1]})
            for label in range(len(vocabulary)):
                mask = boxed(2 * number, label % 6)
                annotations.append(
                    {
                        "id": first_id + len(annotations),
                        "image_id": 10 + number,
                        "category_id": label,
                        "segmentation": written(mask),
                        "area": float(mask.area),
                        "bbox": [label % 6, 2 * number, 4, 4],
                        "iscrowd": 0,
                    }
                )
        content = {
            "images": images,
            "annotations": annotations,
            "categories": [{"id": n, "name": name} for n, name in enumerate(vocabulary.names)],
        }
        (folder / "_annotations_min1cat.coco.json").write_text(json.dumps(content))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("seginw")
    release(root)
    return root


@pytest.fixture(scope="module")
def asked(data: Path) -> tuple[Part | Absent, ...]:
    return parts(SUITE, data)


@pytest.fixture(scope="module")
def few(asked: tuple[Part | Absent, ...]) -> tuple[Part | Absent, ...]:
    """Enough of them where the number does not matter."""
    return tuple(part for part in asked if part.label in ("Cows", "Hand-Metal"))


def perfect(asked: tuple[Part | Absent, ...], **changes: list[dict[str, object]]):
    """Results that say the truth, less certain from image to image and class to class."""
    files = {}
    for part in asked:
        assert isinstance(part, Part)
        rows = []
        for id, image in part.images.items():
            for n, one in enumerate(part.truth.read(id, SIZE).instances):
                score = 0.9 - 0.01 * n
                row = {"image_id": image.id, "category_id": one.label, "score": score}
                rows.append({**row, "segmentation": written(one.mask)})
        files[part.file] = rows
    return files


def zipped(path: Path, files: dict[str, object], suffix: str = ".json", folder: str = "") -> Path:
    with zipfile.ZipFile(path, "w") as file:
        for name, rows in files.items():
            file.writestr(f"{folder}{name}{suffix}", json.dumps(rows))
    return path


# --- what is asked for ---------------------------------------------------------------------------


def test_the_25_files_are_called_as_the_server_calls_its_datasets(asked):
    assert [part.file for part in asked] == [f"seginw_{label}_val" for label in LABELS]
    assert LABELS[:3] == ["Elephants", "Hand-Metal", "Watermelon"]
    assert len(set(LABELS)) == 25


def test_annotations_that_do_not_count_classes_from_zero_are_not_the_releases(tmp_path):
    release(tmp_path)
    path = tmp_path / "seginw" / "Cows" / "valid" / "_annotations_min1cat.coco.json"
    content = json.loads(path.read_text())
    content["categories"][0]["id"] = 1
    for row in content["annotations"]:
        row["category_id"] = 1
    path.write_text(json.dumps(content))
    with pytest.raises(DataError, match="counts its classes from 0"):
        parts(SUITE, tmp_path)


# --- scores --------------------------------------------------------------------------------------


def of_the_server(data: Path, files) -> list[float]:
    """AP by pycocotools, called as the server calls it."""
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    found = []
    for label, rows in zip(LABELS, files.values(), strict=True):
        path = data / "seginw" / label / "valid" / "_annotations_min1cat.coco.json"
        with contextlib.redirect_stdout(io.StringIO()):
            coco = COCO(str(path))
            evaluation = COCOeval(coco, coco.loadRes([dict(row) for row in rows]), "segm")
            evaluation.evaluate()
            evaluation.accumulate()
            evaluation.summarize()
        found.append(float(evaluation.stats[0]))
    return found


def test_scores_average_and_median_are_the_servers(asked, data, tmp_path):
    files = perfect(asked)
    generator = np.random.default_rng(0)
    for rows in files.values():  # some wrong, some worse, some twice
        for row in rows:
            row["score"] = float(generator.uniform())
            if generator.uniform() < 0.4:
                row["segmentation"] = written(boxed(*generator.integers(0, 6, 2), 5))
        rows += rows[:1]
    verdict = check(zipped(tmp_path / "a.zip", files), asked)
    assert verdict.problems == ()
    server = of_the_server(data, files)
    assert [one.score for one in verdict.datasets] == server
    assert verdict.average == pytest.approx(np.mean(server), abs=1e-15)
    assert verdict.median == np.median(server)


def test_perfect_results_score_below_one_where_annotations_count_from_zero(asked, tmp_path):
    verdict = check(zipped(tmp_path / "a.zip", perfect(asked)), asked)
    assert all(one.score < 1 for one in verdict.datasets)
    assert all(one.corrected == 1 for one in verdict.datasets)


def test_perfect_results_score_one_where_they_count_from_one(tmp_path):
    release(tmp_path, first_id=1)
    known = parts(SUITE, tmp_path)
    verdict = check(zipped(tmp_path / "a.zip", perfect(known)), known)
    assert verdict.average == verdict.median == 1


# --- what is refused -----------------------------------------------------------------------------


def problems(asked, tmp_path, files, **options) -> tuple[str, ...]:
    return check(zipped(tmp_path / "a.zip", files, **options), asked).problems


def test_an_incomplete_set_has_no_average(asked, tmp_path):
    files = perfect(asked)
    del files["seginw_Cows_val"]
    verdict = check(zipped(tmp_path / "a.zip", files), asked)
    assert (verdict.average, verdict.median, verdict.complete) == (None, None, False)
    assert verdict.problems == ("Cows: there is no seginw_Cows_val.json.",)
    assert sum(one.score == one.score for one in verdict.datasets) == 24


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"category_id": 1}, "category 1 is not in 0 to 0"),
        ({"category_id": -1}, "category -1 is not"),
        ({"category_id": 0.0}, "category 0.0 is not"),
        ({"image_id": 99}, "image 99 is not in the annotations"),
        ({"image_id": None}, "image None is not"),
        ({"score": float("nan")}, "score nan is no finite number"),
        ({"score": "high"}, "score 'high' is no finite number"),
        ({"segmentation": [[0, 0, 1, 0, 1, 1]]}, "no compressed run lengths"),
        ({"segmentation": {"size": [10, 12], "counts": "0"}}, "height and width are [12, 10]"),
        ({"segmentation": {"size": [12, 10], "counts": "13"}}, "run lengths are broken"),
    ],
)
def test_a_wrong_result_is_found_and_named(few, tmp_path, change, message):
    files = perfect(few)
    files["seginw_Cows_val"][1].update(change)
    (found,) = problems(few, tmp_path, files)
    assert found.startswith("Cows: result 1: ")
    assert message in found


def test_a_result_without_a_field_is_found(few, tmp_path):
    files = perfect(few)
    del files["seginw_Cows_val"][0]["score"]
    assert problems(few, tmp_path, files) == ("Cows: result 0: has no 'score'.",)


def test_many_faults_of_one_kind_are_counted(few, tmp_path):
    files = perfect(few)
    files["seginw_Cows_val"] = [{}] * 50
    found = problems(few, tmp_path, files)
    assert len(found) == 3
    assert found[-1].endswith("(47 more)")


def test_a_list_without_results_has_no_score_on_the_server(few, tmp_path):
    files = {**perfect(few), "seginw_Cows_val": []}
    assert "no result" in problems(few, tmp_path, files)[0]
    assert "no list" in problems(few, tmp_path, {**files, "seginw_Cows_val": {}})[0]


def test_names_that_the_server_does_not_know_are_found(few, tmp_path):
    files = perfect(few)
    files["seginw_Cow_val"] = files.pop("seginw_Cows_val")
    zip_fault, missing = problems(few, tmp_path, files)
    assert "did you mean seginw_Cows_val.json?" in zip_fault
    assert missing == "Cows: there is no seginw_Cows_val.json."


def test_folders_are_taken_as_the_server_takes_them(few, tmp_path):
    assert problems(few, tmp_path, perfect(few), folder="results/") == ()
    found = problems(few, tmp_path, perfect(few), folder="shade/")
    assert "takes it for numbers on ADE20K" in found[0]


def test_other_files_make_the_server_fail(few, tmp_path):
    found = problems(few, tmp_path, perfect(few), suffix=".txt")
    assert "no JSON file, which makes the server fail" in found[0]


def test_numbers_on_ade_may_be_there_and_must_be_numbers(few, tmp_path):
    files = perfect(few)
    assert problems(few, tmp_path, {**files, "ade": {"ADE150-PQ": 21.8}}) == ()
    for wrong in ({"ADE150-PQ": "21.8"}, {"ADE-PQ": 21.8}, [21.8]):
        assert (
            "must be an object with numbers" in problems(few, tmp_path, {**files, "ade": wrong})[0]
        )


def test_what_is_no_zip_is_said(few, tmp_path):
    with pytest.raises(DataMissing, match="no file"):
        check(tmp_path / "nothing.zip", few)
    (tmp_path / "text.zip").write_text("{}")
    with pytest.raises(DataError, match="no zip file"):
        check(tmp_path / "text.zip", few)
    verdict = check(zipped(tmp_path / "results.cbz", perfect(few)), few)
    assert verdict.problems == ("The server takes files that end with .zip only.",)


def test_without_annotations_nothing_is_called_checked(few, tmp_path):
    known = [part for part in parts(SUITE, tmp_path) if part.label in ("Cows", "Hand-Metal")]
    assert all(isinstance(part, Absent) for part in known)
    verdict = check(zipped(tmp_path / "a.zip", perfect(few)), known)
    assert verdict.average is None
    assert all(one.faults[0].startswith("not checked:") for one in verdict.datasets)


# --- from runs -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def place(data: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Options that say where two of the datasets, as a suite, were run with answers kept."""
    root = tmp_path_factory.mktemp("place")
    (root / "specs" / "suites").mkdir(parents=True)
    suite = "title: Two\nmembers: [seginw-Cows, seginw-Hand-Metal]\nmean_of: [AP]\n"
    (root / "specs" / "suites" / "two.yaml").write_text(suite)
    where = ["--data", str(data), "--results", str(root / "runs"), "--specs", str(root / "specs")]
    result = command("run", "two", "--model", "colour", "--keep-raw", "-q", *where)
    assert result.exit_code == 0, result.output
    return where


def command(*words: str) -> Result:
    return CliRunner().invoke(build_app(), words)


def submit(*words: str, place: list[str]) -> Result:
    return command("submit", "two", *words, *place)


def test_a_submission_scores_what_its_runs_scored_and_is_the_same_each_time(place, tmp_path):
    outs = [tmp_path / "a.zip", tmp_path / "b.zip"]
    for out in outs:
        result = submit("colour", "--out", str(out), "--json", "-q", place=place)
        assert result.exit_code == 0, result.output
    verdict = json.loads(result.stdout)
    assert verdict["complete"]
    aps = {
        r.dataset.name: r.scores["instance"]["AP"].value for r in Store(Path(place[3])).records()
    }
    assert {name: one["AP_with_id_0"] for name, one in verdict["datasets"].items()} == aps
    again = json.loads(submit("--check", str(outs[1]), "--json", place=place).stdout)
    assert again == verdict
    assert outs[0].read_bytes() == outs[1].read_bytes()


def test_runs_that_are_not_all_there_are_not_written(place, tmp_path):
    first = Store(Path(place[3])).records()[0]
    result = submit(first.key, "--out", str(tmp_path / "a.zip"), place=place)
    assert result.exit_code == 3
    assert "1 of 2 datasets have a whole run" in result.stderr
    assert not (tmp_path / "a.zip").exists()
    assert submit("colour", "--shots", "5", place=place).exit_code == 3


def test_a_check_that_fails_says_so_in_its_exit_code(place, tmp_path):
    path = zipped(tmp_path / "a.zip", {"two_seginw-Cows_val": []})
    result = submit("--check", str(path), place=place)
    assert result.exit_code == 3
    assert "Average Score" not in result.stdout
    assert "No average and no median: 0 of 2" in result.stderr


def test_writing_and_checking_are_told_apart(place, tmp_path):
    assert submit("colour", "--check", str(tmp_path / "a.zip"), place=place).exit_code == 2
    assert submit(place=place).exit_code == 2
