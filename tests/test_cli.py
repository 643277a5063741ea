"""The command line as a person meets it: what it prints, and the exit codes it promises."""

import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from io import StringIO
from pathlib import Path

import pytest
from data.layouts import write_roboflow
from PIL import Image
from typer.testing import CliRunner, Result

from bench.cli import COMMANDS, build_app, spread_lists
from bench.cli.progress import PlainLines
from bench.errors import BenchError, GateFailed, GateUndecided, JobsFailed, Missing, UsageError

ROOT = Path(__file__).parent.parent


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run `bench` in an empty folder; nothing of the environment decides."""
    monkeypatch.chdir(tmp_path)
    for name in ("BENCH_DATA", "BENCH_RESULTS", "BENCH_SPECS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words: str) -> Result:
        result = CliRunner().invoke(build_app(), spread_lists(list(words)))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def blocks(language: str) -> list[str]:
    """The README's code of one language."""
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)


def run_shapes(bench, *words: str) -> Result:
    return bench("run", "shapes-colours", "--model", "colour", "--limit", "3", *words)


# --- help and docs -------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name, _ in COMMANDS])
def test_every_command_has_help_and_is_in_the_readme(bench, name):
    result = bench(name, "--help")
    assert result.exit_code == 0
    assert len(result.stdout.strip().splitlines()[2]) > 20
    assert f"bench {name}" in (ROOT / "README.md").read_text()


def test_the_readmes_python_runs(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (code,) = blocks("python")
    names: dict[str, object] = {}
    exec(code, names)
    assert 0 < names["record"].scores["panoptic"]["PQ"].value < 1
    assert names["sample"].image.shape == (128, 128, 3)


def commands(page: Path) -> Iterator[list[str]]:
    """Every command of bench on a page, in its words: in a block, or between backticks."""
    text = page.read_text()
    for words in (
        *re.findall(r"`(bench [^`\n]+)`", text),
        *re.findall(r"^(?:\$ |    (?:\$ )?)(bench .+)$", text, re.MULTILINE),
    ):
        yield shlex.split(words.rstrip("\\"), comments=True)[1:]


def test_every_command_in_the_docs_has_the_options_that_stand_there(bench):
    pages = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]
    found = [(page, words) for page in pages for words in commands(page)]
    assert len(found) > 100
    groups = ("data", "models")
    help_of: dict[tuple[str, ...], str] = {}
    for page, words in found:
        name = tuple(words[: 2 if words[0] in groups else 1])
        if name not in help_of:
            help_of[name] = bench(*name, "--help").stdout
        options = [word for word in words if word.startswith("--") and word != "--help"]
        assert [o for o in options if o not in help_of[name]] == [], (page.name, words)


def test_exit_codes_are_as_documented():
    import bench.cli

    documented = bench.cli.__doc__ or ""
    for error, code in [(UsageError, 2), (Missing, 3), (JobsFailed, 4), (GateFailed, 5)]:
        assert error.exit_code == code
        assert f"    {code}    " in documented
    assert GateUndecided.exit_code == 6
    assert issubclass(Missing, BenchError)


# --- run -----------------------------------------------------------------------------------------


def test_one_pass_scores_three_tasks_into_a_table_and_a_record(bench, tmp_path):
    result = run_shapes(bench)
    assert result.exit_code == 0
    for score in ("PQ", "AP", "mIoU"):
        assert score in result.stdout
    (line,) = (tmp_path / "bench-results" / "records.jsonl").read_text().splitlines()
    record = json.loads(line)
    assert set(record["scores"]) == {"panoptic", "instance", "semantic"}
    assert record["partial"]


def test_the_same_command_again_only_reads(bench, tmp_path):
    first = run_shapes(bench, "--json")
    before = (tmp_path / "bench-results" / "records.jsonl").read_bytes()
    second = run_shapes(bench, "--json")
    assert json.loads(first.stdout) == json.loads(second.stdout)
    assert (tmp_path / "bench-results" / "records.jsonl").read_bytes() == before


def test_what_is_only_read_is_said_and_anew_does_it_again(bench, tmp_path):
    (first,) = json.loads(run_shapes(bench, "--json").stdout)
    assert "1 job, 3 images; 1 done before and only read (--anew" in run_shapes(bench).stderr
    more = bench("run", "shapes", "shapes-colours", "--model", "colour", "--limit", "3")
    assert "2 jobs, 6 images; 1 done before and only read" in more.stderr
    again = run_shapes(bench, "--json", "--anew")
    assert "done before" not in again.stderr
    (second,) = json.loads(again.stdout)
    assert second["scores"] == first["scores"]
    ((old,), (new,)) = (record["provenance"]["sessions"] for record in (first, second))
    assert new["started"] > old["started"]
    assert json.loads(run_shapes(bench, "--json").stdout) == [second]
    lines = (tmp_path / "bench-results" / "records.jsonl").read_text().splitlines()
    assert [json.loads(line)["key"] for line in lines].count(first["key"]) == 2  # the last counts


def test_weights_under_two_names_are_one_run_and_that_is_said(bench, tmp_path):
    shutil.copy(ROOT / "models" / "xdecoder" / "nano.safetensors", tmp_path / "copy.safetensors")
    words = ("--task", "semantic", "--limit", "1")
    both = bench("run", "shapes", "--model", "xdecoder-nano", "copy.safetensors", *words)
    assert "1 job, 1 images" in both.stderr
    assert "copy.safetensors has the weights of xdecoder-nano: one run" in both.stderr
    alone = bench("run", "shapes", "--model", "copy.safetensors", *words)
    assert "copy.safetensors has the weights of xdecoder-nano, which was run" in alone.stderr
    own = bench("run", "shapes", "--model", "copy.safetensors", *words, "--anew", "--json")
    assert [record["model"]["name"] for record in json.loads(own.stdout)] == ["copy.safetensors"]


def test_two_folders_of_one_name_are_not_taken_for_one_that_was_run_again(bench, tmp_path):
    folders = [labelled_folder(tmp_path / name) for name in ("a", "b")]
    labels = folders[1] / "valid" / "_annotations.coco.json"
    labels.write_text(labels.read_text().replace('"red thing"', '"blue thing"'))
    result = bench("run", *map(str, folders), "--model", "colour", "--task", "instance")
    assert "on other files called mine (val): of one name the last run counts" in result.stdout
    assert "that was run again" not in result.stdout


def test_several_models_may_follow_one_option_and_targets_may_come_last():
    words = ["run", "shapes", "--model", "A", "B", "--shots", "5"]
    assert spread_lists(words) == [
        *("run", "shapes", "--model", "A", "--model", "B", "--shots", "5"),
    ]


def test_a_target_after_the_model_is_a_target(bench):
    result = bench("run", "--model", "colour", "shapes-colours", "--limit", "2", "--quiet")
    assert result.exit_code == 0, result.stderr


def test_what_holds_of_several_datasets_is_said_once(bench):
    names = ("shapes", "shapes-colours", "shapes-pairs", "shapes-distracted")
    result = bench("run", *names, "--model", "colour", "--task", "semantic", "--limit", "1")
    assert "colour on shapes, shapes-colours, shapes-pairs and 1 more: partial" in result.stderr
    assert result.stderr.count("partial, --limit 1; kept off leaderboards") == 1


def test_a_partial_run_says_so_where_its_scores_stand(bench):
    assert "Partial: not all images were scored." in run_shapes(bench, "--quiet").stdout


def test_a_reader_who_leaves_is_no_bug_of_ours():
    command = "from bench.cli import main; main()"
    with subprocess.Popen(
        [sys.executable, "-c", command, "list", "datasets"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.wait(60) == 0
        assert process.stderr is not None
        assert b"Traceback" not in process.stderr.read()


def test_a_dry_run_prints_the_plan_and_runs_nothing(bench, tmp_path):
    result = run_shapes(bench, "--dry-run", "--format", "csv")
    assert "to do" in result.stdout
    assert not (tmp_path / "bench-results").exists()


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("run", "shaps", "--model", "colour"), 2, "Did you mean 'shapes"),
        (("run", "shapes", "--model", "color"), 2, "Did you mean 'colour'?"),
        (("run", "shapes"), 2, "--model NAME"),
        (("run", "--model", "colour"), 2, "Say what to run on"),
        (("run", "shapes", "--model", "colour", "--shots", "few"), 2, "whole numbers"),
        (("run", "shapes", "--model", "colour", "--shots", "5"), 2, "cannot be tuned"),
        (("run", "shapes", "--model", "colour", "--tune", "prompt"), 2, "--shots 5"),
        (("run", "shapes", "--model", "colour", "--shots", "0", "--seeds", "3"), 2, "--seeds says"),
        (("run", "shapes", "--model", "colour", "--task", "panoptc"), 2, "'panoptic'"),
        (("run", "shapes", "--model", "colour", "--protocol", "benc"), 2, "'bench'"),
        (("run", "coco", "--model", "colour"), 3, "is not at data/coco"),
        (("run", "shapes", "--model", "gone.pt"), 3, "no checkpoint at gone.pt"),
        (("run", "./gone", "--model", "colour"), 3, "no dataset spec or folder at ./gone"),
        (("show", "shaps"), 2, "'shapes'"),
        (("list", "dataset"), 2, "'datasets'"),
        (("table", "--no-shipped"), 2, "no such record"),
        (("table", "shaps"), 2, "'shapes"),
        (("score", "panoptc", "--truth", "a", "--predictions", "b"), 2, "'panoptic'"),
        (("score", "panoptic", "--truth", "a.json", "--predictions", "b.json"), 3, "a.json"),
    ],
)
def test_what_a_user_can_mend_is_a_sentence_and_a_code(bench, words, code, said):
    result = bench(*words)
    assert (result.exit_code, said in result.stderr) == (code, True), result.stderr
    assert "Traceback" not in result.stderr


def test_a_failed_job_leaves_the_others_and_exits_with_4(bench, tmp_path):
    result = bench("run", "coco", "shapes-colours", "--model", "colour", "--limit", "2")
    assert result.exit_code == 4
    assert "1 of 2 jobs failed" in result.stderr
    assert len((tmp_path / "bench-results" / "records.jsonl").read_text().splitlines()) == 1


def test_a_corrupt_image_is_left_out_and_said(bench, tmp_path):
    folder = labelled_folder(tmp_path, broken="b.png")
    result = bench("run", str(folder), "--model", "colour")
    assert result.exit_code == 0
    assert "partial, 1 of 2 images could not be scored" in result.stderr
    failing = bench("run", str(folder), "--model", "colour", "--fail-fast", "--results", "other")
    assert failing.exit_code in (3, 4)


def test_interrupted_it_keeps_what_is_finished_and_says_130(tmp_path):
    command = [sys.executable, "-c", "from bench.cli import main; main()", "run", "shapes"]
    run = subprocess.Popen(
        [*command, "--model", "colour"], cwd=tmp_path, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:  # until an image is finished
        if any(log.read_bytes().count(b"\n") > 1 for log in tmp_path.rglob("log.jsonl")):
            break
        time.sleep(0.05)
    run.send_signal(signal.SIGINT)
    _, said = run.communicate(timeout=60)
    assert run.returncode == 130, said
    assert "what was finished is kept" in said
    assert "Traceback" not in said
    (log,) = tmp_path.rglob("log.jsonl")
    assert log.read_bytes().endswith(b"\n")


def labelled_folder(tmp_path: Path, broken: str = "") -> Path:
    """Two red squares, as a COCO export."""
    folder = tmp_path / "mine" / "valid"
    folder.mkdir(parents=True)
    for name in ("a.png", "b.png"):
        picture = Image.new("RGB", (20, 20), "white")
        picture.paste("red", (5, 5, 15, 15))
        picture.save(folder / name)
    if broken:
        (folder / broken).write_bytes((folder / broken).read_bytes()[:40])
    square = [5, 5, 15, 5, 15, 15, 5, 15]
    content = {
        "images": [
            {"id": i, "file_name": name, "width": 20, "height": 20}
            for i, name in enumerate(("a.png", "b.png"))
        ],
        "categories": [{"id": 1, "name": "red thing"}],
        "annotations": [
            {"id": i, "image_id": i, "category_id": 1, "segmentation": [square]}
            | {"bbox": [5, 5, 10, 10], "area": 100, "iscrowd": 0}
            for i in range(2)
        ],
    }
    (folder / "_annotations.coco.json").write_text(json.dumps(content))
    return folder.parent


def test_a_dataset_is_one_yaml_file_and_no_code(bench, tmp_path):
    labelled_folder(tmp_path)
    (tmp_path / "specs" / "datasets").mkdir(parents=True)
    (spec,) = blocks("yaml")
    (tmp_path / "specs" / "datasets" / "mine.yaml").write_text(spec)
    place = ("--specs", "specs", "--data", ".")
    result = bench("run", "mine", "--model", "colour", *place, "--json")
    (record,) = json.loads(result.stdout)
    assert record["scores"]["instance"]["AP"]["value"] > 0.5
    assert record["dataset"]["name"] == "mine"


# --- the others ----------------------------------------------------------------------------------


def test_a_table_has_what_was_run_and_leaves_partial_runs_out(bench):
    run_shapes(bench)
    assert "Left out" in bench("table", "--no-intervals").stdout
    bench("run", "shapes-in-the-wild-orchard", "--model", "colour", "--quiet")
    shown = bench("table", "shapes-in-the-wild-orchard", "--format", "markdown").stdout
    assert "| colour |" in shown


def test_a_results_folder_that_is_not_there_is_said(bench):
    result = bench("table", "shapes", "--results", "typo")
    assert result.exit_code == 0
    assert "There is no results folder at typo." in result.stderr
    assert "no results folder" not in bench("table", "shapes").stderr


def test_lists_hold_the_shipped_things(bench):
    names = {row["name"] for row in json.loads(bench("list", "datasets", "--json").stdout)}
    assert {"shapes", "coco", "ade20k-150"} <= names
    assert "colour" in bench("list", "models", "--format", "csv").stdout


def test_show_prints_a_schema_and_a_resolved_card(bench):
    schema = json.loads(bench("show", "--schema", "dataset").stdout)
    assert "splits" in schema["properties"]
    resolved = bench("show", "xdecoder-v2", "--dataset", "cityscapes").stdout
    assert "short: 1024" in resolved


def test_check_reads_every_shipped_spec(bench):
    result = bench("check")
    assert result.exit_code == 0, result.stdout


def test_check_says_what_it_found_in_a_folder(bench, tmp_path):
    folder = labelled_folder(tmp_path, broken="b.png")
    result = bench("check", str(folder), "--json")
    assert result.exit_code == 3
    (report,) = json.loads(result.stdout)
    assert not report["sound"]
    assert any("id is 0" in finding["what"] for finding in report["findings"])


def test_the_doctor_reports_this_installation(bench):
    found = {f["subject"]: f for f in json.loads(bench("doctor", "--json").stdout)}
    assert found["torch"]["verdict"] == "ok"
    assert "datasets" in found["catalogue"]["found"]


def test_the_time_left_goes_by_the_images_after_the_first():
    """Before it a model is loaded and tuned."""
    out, now = StringIO(), iter([0.0, 100.0, 112.0, 124.0, 124.0])
    lines = PlainLines("job", 10, file=out, clock=lambda: next(now))
    for _ in range(3):
        lines.advance()
    assert out.getvalue().splitlines()[1:] == [
        "job: 2/10, 12.0 s each, 1 min 36 s left",
        "job: 3/10, 12.0 s each, 1 min 24 s left",
    ]


def test_plain_progress_tells_rate_and_time_left():
    now, out = iter([0.0, 11.0, 11.0, 11.0, 12.0, 12.0]), StringIO()
    lines = PlainLines("job", total=4, done=1, file=out, clock=lambda: next(now))
    lines.advance()
    lines.close()
    assert out.getvalue().splitlines()[0] == "job: 2/4, 11.0 s each, 22 s left"


def test_the_time_left_goes_by_the_last_minutes():
    out, now = StringIO(), [0.0]
    lines = PlainLines("job", 1000, file=out, clock=lambda: now[0])
    for seconds in (20.0,) * 100 + (1.0,) * 400:  # something else took the machine, then did not
        now[0] += seconds
        lines.advance()
    assert out.getvalue().splitlines()[-1] == "job: 500/1000, 1.0/s, 8 min 20 s left"


def test_a_dry_run_is_json_where_it_is_asked_for(bench):
    planned = json.loads(run_shapes(bench, "--dry-run", "--json").stdout)
    assert [row["status"] for row in planned] == ["to do"]


def test_a_checkpoint_after_a_model_is_a_model(bench, tmp_path):
    checkpoint = tmp_path / "mine"
    checkpoint.mkdir()
    (checkpoint / "model.safetensors").touch()
    result = bench("run", "--model", "colour", str(checkpoint), "shapes", "--dry-run")
    assert "is not recognised as a dataset" not in result.stderr + result.stdout
    assert "colour on shapes" in result.stdout


def test_a_partial_run_stands_below_the_table_of_whole_ones(bench, tmp_path):
    export = write_roboflow(tmp_path / "mine")
    result = bench("run", str(export), "shapes", "--model", "colour", "--limit", "9", "--quiet")
    whole, partial = result.stdout.split("colour on shapes, val")
    assert "mine" in whole
    assert "Partial: not all images were scored." in partial
