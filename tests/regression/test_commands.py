"""`bench baseline`, `bench regress` and `pytest --bench-regress` as a person meets them."""

import csv
import io
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from xml.etree import ElementTree as Xml

import pytest
from small import run
from typer.testing import CliRunner, Result

from bench.cli import build_app, spread_lists
from bench.protocol import Protocol
from bench.regression.reference import SCHEMA, Reference, place_of
from bench.regression.settings import RULED_BY
from bench.regression.stages import STAGES
from bench.workplace import Workplace

ROOT = Path(__file__).parents[2]
SEEN = ["preprocessing", "answer", "post-processing", "metric"]
"""The stages of a model that shows none itself."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A folder in which a baseline was run and kept."""
    folder = tmp_path_factory.mktemp("work")
    place = Workplace(folder / "bench-results")
    run(place, model="colour", dataset="shapes-colours", limit=12)
    return folder


@pytest.fixture
def bench(folder, monkeypatch):
    """Run `bench` there."""
    monkeypatch.chdir(folder)
    for name in ("BENCH_DATA", "BENCH_RESULTS", "BENCH_SPECS"):
        monkeypatch.delenv(name, raising=False)

    def invoke(*words: str) -> Result:
        result = CliRunner().invoke(build_app(), spread_lists(list(words)))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


@pytest.fixture
def kept(bench, folder) -> Path:
    """The reference `plain`, made once."""
    path = place_of("plain", folder / "bench-results")
    if not path.exists():
        made = bench("baseline", "colour", "--name", "plain", "--dataset", "shapes-colours")
        assert made.exit_code == 0, made.stderr
        assert "Check against it: bench regress" in made.stderr
    return path


def altered(kept: Path, to: Path, old: str, new: str) -> str:
    """A reference whose text was changed; its path."""
    text = kept.read_text()
    assert old in text
    to.write_text(text.replace(old, new))
    return str(to)


# --- baseline ------------------------------------------------------------------------------------


def test_a_reference_is_one_small_file_that_can_be_read_back(kept):
    assert kept.stat().st_size < 200_000
    reference = Reference.read(kept)
    (part,) = reference.parts
    assert len(part.outcomes) == 12
    assert len(part.stages) == 8
    assert all(score.interval for score in [part.record.scores["semantic"]["mIoU"]])
    again = Reference.model_validate_json(reference.model_dump_json())
    assert again == reference


def test_it_can_be_kept_under_a_path_of_ones_own(bench, tmp_path):
    out = tmp_path / "gate" / "mine.json"
    assert bench("baseline", "colour", "--name", "mine", "--out", str(out)).exit_code == 0
    assert Reference.read(out).name == "mine"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("baseline", "color", "--name", "x"), 2, "Did you mean 'colour'?"),
        (("baseline", "colour", "--name", "x", "--allow", "bfloat16"), 2, "float32 only"),
        (("regress", "--against", "plane"), 2, "Did you mean 'plain'?"),
        (("regress", "--against", "./gone.json"), 3, "no reference at gone.json"),
        (("regress", "--against", "plain", "--score", "PQQ"), 2, "Did you mean 'PQ'"),
        (("regress", "--against", "plain", "--model", "color"), 2, "Did you mean 'colour'?"),
    ],
)
def test_what_a_user_can_mend_is_a_sentence_and_a_code(bench, kept, words, code, said):
    result = bench(*words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr


def test_a_file_of_another_version_says_so(bench, kept, tmp_path):
    old = f'"schema_version":{SCHEMA},"name":"plain"'
    path = altered(kept, tmp_path / "old.json", old, old.replace(str(SCHEMA), "7", 1))
    result = bench("regress", "--against", path)
    assert result.exit_code == 3
    assert "Make it again with `bench baseline`" in result.stderr


# --- regress -------------------------------------------------------------------------------------


def test_what_did_not_change_passes_with_0(bench, kept):
    result = bench("regress", "--model", "colour", "--against", "plain")
    assert result.exit_code == 0, result.stderr
    assert "colour does what the reference 'plain' says." in result.stdout
    assert result.stdout.count("bit-equal") == len(SEEN)
    assert result.stdout.count("pass") == 3


def test_a_changed_card_fails_with_5_and_is_named(bench, kept, tmp_path):
    threshold = '"object_mask_threshold":'
    before = re.search(rf"{threshold}[0-9.]+", kept.read_text())
    assert before is not None
    path = altered(kept, tmp_path / "card.json", before[0], f"{threshold}0.123")
    result = bench("regress", "--against", path)
    assert result.exit_code == 5
    said = "The first stage that diverged is post-processing (shapes-colours): the card's"
    assert said in result.stderr
    assert "object_mask_threshold was 0.123 and is" in result.stderr


def test_a_folder_of_ones_own_that_is_not_here_is_said_with_where_here_is(bench, kept, tmp_path):
    path = altered(
        kept,
        tmp_path / "own.json",
        '"dataset":{"value":"shapes-colours"',
        '"dataset":{"value":"my-export"',
    )
    result = bench("regress", "--against", path)
    assert result.exit_code == 3
    assert "asks about 'my-export'" in result.stderr
    assert str(Path.cwd()) in result.stderr


@pytest.mark.parametrize("name", ["a/b", "../evil", "", ".hidden"])
def test_a_reference_is_called_by_what_a_file_can_be_called_by(bench, folder, name):
    result = bench("baseline", "colour", "--dataset", "shapes-colours", "--name", name)
    assert result.exit_code == 2
    assert "A reference is called by letters" in result.stderr
    assert not (folder / "evil.json").exists()


def test_too_few_images_leave_it_undecided_with_6(bench, folder, monkeypatch):
    run(Workplace(folder / "bench-results"), model="colour", dataset="shapes", limit=4)
    bench("baseline", "colour", "--dataset", "shapes", "--name", "few")
    words = ("regress", "--against", "few", "--model", "xdecoder-nano", "--weights", "random")
    result = bench(*words, "--new-weights")
    assert result.exit_code == 6, result.stderr
    assert "4 images are too few" in result.stderr


def test_junit_has_a_case_for_every_stage_and_score(bench, kept, tmp_path):
    junit = tmp_path / "out" / "gate.xml"
    assert bench("regress", "--against", "plain", "--junit", str(junit)).exit_code == 0
    (suite,) = Xml.parse(junit).getroot()
    names = [case.get("name") for case in suite.iter("testcase")]
    assert names == [*SEEN, "panoptic PQ", "instance AP", "semantic mIoU"]
    assert (suite.get("tests"), suite.get("failures")) == ("7", "0")


@pytest.mark.parametrize("format", ["csv", "json"])
def test_for_programs_it_is_one_table(bench, kept, format):
    result = bench("regress", "--against", "plain", "--format", format)
    read = csv.DictReader(io.StringIO(result.stdout))
    rows = json.loads(result.stdout)["rows"] if format == "json" else list(read)
    assert [row["check"] for row in rows] == ["stages"] * len(SEEN) + ["scores"] * 3
    assert {row["score"] for row in rows[-3:]} == {"PQ", "AP", "mIoU"}


@pytest.mark.parametrize(
    ("command", "option"),
    [
        (("regress", "--against", "plain"), "--junit"),
        (("baseline", "colour", "--name", "x"), "--out"),
    ],
)
def test_where_nothing_can_be_written_the_option_is_named(bench, kept, tmp_path, command, option):
    (tmp_path / "file").touch()
    result = bench(*command, option, str(tmp_path / "file" / "written"))
    assert result.exit_code == 3
    assert f"Choose another place with {option}." in result.stderr


def test_junit_says_what_failed(bench, kept, tmp_path):
    path = altered(kept, tmp_path / "top.json", '"top_k":100', '"top_k":50')
    junit = tmp_path / "gate.xml"
    bench("regress", "--against", path, "--junit", str(junit))
    (suite,) = Xml.parse(junit).getroot()
    (failure,) = suite.iter("failure")
    assert "instance.top_k was 50 and is 100" in (failure.get("message") or "")


def test_json_has_the_verdict_and_the_numbers(bench, kept):
    found = json.loads(bench("regress", "--against", "plain", "--json", "-q").stdout)
    assert (found["verdict"], found["first_diverged"]) == ("pass", None)
    assert [stage["stage"] for stage in found["stages"]] == SEEN
    assert {score["difference"] for score in found["scores"]} == {0}


# --- pytest --------------------------------------------------------------------------------------


def plugged(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A test suite of someone else's, with the plugin."""
    suite = folder / "suite"
    suite.mkdir(exist_ok=True)
    (suite / "test_theirs.py").write_text("def test_theirs(): pass\n")
    command = [sys.executable, "-m", "pytest", "-p", "bench.pytest_plugin", "-v", str(suite)]
    return subprocess.run([*command, *words], cwd=folder, capture_output=True, text=True)


def test_pytest_runs_a_gate_beside_the_suites_own_tests(folder, kept):
    found = plugged(folder, "--bench-regress", str(kept), "--bench-model", "colour")
    assert found.returncode == 0, found.stdout
    assert "8 passed" in found.stdout
    for stage in SEEN:
        assert f"stage shapes-colours: {stage} PASSED" in found.stdout
    assert "score shapes-colours: panoptic PQ PASSED" in found.stdout


def test_pytest_fails_the_stage_that_diverged_and_says_why(folder, kept, tmp_path):
    path = altered(kept, tmp_path / "top.json", '"top_k":100', '"top_k":50')
    found = plugged(folder, "--bench-regress", path)
    assert found.returncode == 1
    assert "1 failed, 7 passed" in found.stdout
    assert "diverged at post-processing (shapes-colours): the card's instance.top_k" in found.stdout
    assert "Traceback" not in found.stdout


def test_pytest_without_the_option_is_left_alone_and_an_unknown_reference_is_said(folder, kept):
    assert "1 passed" in plugged(folder).stdout
    unknown = plugged(folder, "--bench-regress", "plane")
    assert unknown.returncode == 4
    assert "Did you mean 'plain'?" in unknown.stderr


def test_the_plugin_is_found_by_pytest_and_loads_nothing_heavy():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    (module,) = project["entry-points"]["pytest11"].values()
    code = f"import {module}, sys; print([m for m in ('torch', 'numpy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "[]"


# --- settings ------------------------------------------------------------------------------------


def test_every_field_of_a_card_rules_a_stage():
    assert set(Protocol(name="any").definition()) == set(RULED_BY)
    assert set(RULED_BY.values()) <= set(STAGES)
