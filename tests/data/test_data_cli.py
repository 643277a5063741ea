"""`bench data`, as a person runs it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from exports import write_export, zipped
from loopback import COMMIT, serving
from typer.testing import CliRunner

from bench.cli import build_app

OFFERED = """\
title: Streets
home: streets
vocabulary: [road, sky]
splits:
  val:
    images: {reader: files, files: "images/{id}.png"}
    size: 2
source:
  page: https://example.org/streets
  licence: CC BY 4.0
  obtain:
    - {file: images.zip, urls: ["URL"], into: images, gives: [images]}
"""


@pytest.fixture
def site():
    with serving() as site:
        yield site


@pytest.fixture
def data(tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA", str(tmp_path / "data"))
    monkeypatch.setenv("COLUMNS", "200")
    return tmp_path / "data"


def bench(*words: str):
    return CliRunner().invoke(build_app(), ["data", *words])


def own_spec(tmp_path: Path, url: str) -> str:
    path = tmp_path / "specs/datasets/streets.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(OFFERED.replace("URL", url))
    return str(tmp_path / "specs")


def test_a_get_that_is_killed_leaves_nothing_and_the_same_command_goes_on(site, tmp_path, data):
    site.files["/Poles.zip"] = zipped(write_export(tmp_path / "made", "Poles"))
    site.hangs_after = 6_000
    words = ["data", "get", "seginw/Poles", "--from", f"{site.url}/Poles.zip"]
    command = [sys.executable, "-c", "from bench.cli import main; main()", *words]
    killed = subprocess.Popen(command, stderr=subprocess.PIPE)
    assert site.hanging.wait(60)
    part = data / ".bench/downloads"
    while not any(file.stat().st_size >= 6_000 for file in part.glob("*.part")):
        assert killed.poll() is None
    killed.send_signal(signal.SIGKILL)
    killed.communicate()
    assert not (data / "seginw").exists()
    assert bench("check", "seginw/Poles").exit_code == 3

    done = subprocess.run(command, capture_output=True, text=True, env={**os.environ})
    assert done.returncode == 0, done.stderr
    assert site.ranges == [None, "bytes=6000-"]
    assert "fetched" in done.stdout
    assert "3 val, 11 train" in done.stdout
    assert [p.name for p in (data / ".bench").iterdir() if p.name == "downloads"] == []
    assert bench("check", "seginw/Poles").exit_code == 0


def test_check_counts_against_table_12_and_tells_where_the_licence_is(tmp_path, data):
    write_export(data / "seginw/Poles", "Poles")
    found = bench("check", "seginw/Poles", "seginw/Phones", "--json")
    assert found.exit_code == 3
    said = json.loads(found.stdout)
    rows = {(row["dataset"], row["split"]): row for row in said["splits"]}
    assert rows["seginw-Poles", "val (scored)"] == {
        "dataset": "seginw-Poles", "split": "val (scored)", "state": "present",
        "samples": 3, "spec": 3, "published": 3, "table": "Table 12",
    }  # fmt: skip
    assert rows["seginw-Poles", "train"]["samples"] == 11
    assert rows["seginw-Phones", "val (scored)"]["state"] == "missing"
    (missing,) = said["to get"]
    assert missing["get it"] == "bench data get seginw-Phones"
    assert missing["page"].startswith("https://universe.roboflow.com/workspace-c4esq/")
    assert "CC BY 4.0" in missing["licence"]


def test_check_tells_what_is_incomplete_and_what_changed(tmp_path, data):
    write_export(tmp_path / "made", "Poles")
    assert bench("get", "seginw/Poles", "--from", str(tmp_path / "made")).exit_code == 0
    assert "verified" in bench("check", "seginw/Poles").stdout
    image = data / "seginw/Poles/valid/valid-0_jpg.rf.0.png"
    content = image.read_bytes()
    image.write_bytes(content[:-1] + b"?")
    assert bench("check", "seginw/Poles", "--quick").exit_code == 0
    found = bench("check", "seginw/Poles")
    assert found.exit_code == 3
    assert "1 changed, such as valid/valid-0_jpg.rf.0.png" in found.stdout
    image.unlink()
    found = bench("check", "seginw/Poles")
    assert "1 missing, such as valid/valid-0_jpg.rf.0.png" in found.stdout
    assert "val: 3 samples, 1 files are not there" in found.stdout


def test_check_says_where_the_papers_table_is_wrong(data):
    said = json.loads(bench("check", "seginw", "openvocab", "context-59-derived", "--json").stdout)
    assert said["remarks"] == [
        "seginw-House-Parts: Table 12 says 22 classes, and there are 12",
        "seginw-Trash: Table 12 says 12 classes, and there are 22",
        "scannet-41: Table 8 says 41 classes, and there are 40",
    ]
    (split,) = [row for row in said["splits"] if row["dataset"] == "context-59-derived"]
    assert (split["spec"], split["published"]) == (5104, 5105)


def test_check_without_names_looks_at_what_is_here(tmp_path, data):
    assert "No dataset is in" in bench("check").stderr
    write_export(data / "seginw/Poles", "Poles")
    found = bench("check", "--json")
    assert found.exit_code == 0
    assert {row["dataset"] for row in json.loads(found.stdout)["splits"]} == {"seginw-Poles"}


def test_list_says_the_state_of_every_dataset(tmp_path, data):
    write_export(tmp_path / "made", "Poles")
    bench("get", "seginw/Poles", "--from", str(tmp_path / "made"))
    write_export(data / "seginw/Puppies", "Puppies")
    write_export(data / "seginw/Chicken", "Chicken")
    (data / "seginw/Chicken/valid/valid-0_jpg.rf.0.png").unlink()
    rows = {row["dataset"]: row for row in json.loads(bench("list", "--json").stdout)}
    assert rows["seginw-Poles"]["state"] == "verified"
    assert rows["seginw-Puppies"]["state"] == "present"
    assert rows["seginw-Chicken"]["state"] == "incomplete"
    assert rows["seginw-Rail"]["state"] == "missing"
    assert rows["shapes"]["state"] == "drawn"
    assert rows["cityscapes"]["get it"].startswith("by hand")
    assert len(json.loads(bench("list", "seginw", "--json").stdout)) == 25


def test_a_suite_goes_on_after_a_dataset_that_fails(tmp_path, data):
    for name in ("Poles", "Puppies"):
        write_export(tmp_path / "made" / name, name)
    got = bench("get", "seginw", "--from", str(tmp_path / "made"), "--json")
    assert got.exit_code == 3
    rows = json.loads(got.stdout)
    done = {row["dataset"] for row in rows if row.get("result") == "fetched"}
    assert done == {"seginw-Poles", "seginw-Puppies"}
    failed = [row for row in rows if "error" in row]
    assert len(failed) == 23
    assert got.stderr.count("Traceback") == 0


def test_a_dry_run_says_what_would_come_from_where_and_gets_nothing(data):
    rows = json.loads(bench("get", "coco", "seginw/Rail", "--dry-run", "--json").stdout)
    assert rows[0]["file"] == "val2017.zip"
    assert rows[0]["from"] == "http://images.cocodataset.org/zips/val2017.zip"
    assert "train2017.zip" not in {row["file"] for row in rows}
    assert rows[-1]["from"] == "roboflow:wzk789wzk-gmail-com/rail_dataset/4"
    every = bench("get", "coco", "--split", "val", "--split", "train", "--dry-run", "--json")
    assert "train2017.zip" in {row["file"] for row in json.loads(every.stdout)}
    assert not data.exists()


def test_what_may_not_be_fetched_exits_with_3_and_the_page(data):
    got = bench("get", "cityscapes")
    assert got.exit_code == 3
    assert "https://www.cityscapes-dataset.com" in got.stderr
    assert "gtFine_trainvaltest.zip" in got.stderr


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("get", "seginw/Rael"), "Did you mean 'Rail'"),
        (("get", "segin"), "Did you mean 'seginw'"),
        (("get", "voc-20", "--split", "tset"), "Did you mean 'test'?|Known: train, val"),
        (("get", "seginw/Poles", "--from", "oficial"), "Did you mean 'official'"),
        (("get", "seginw/Poles", "--from", "no/such.zip"), "there is no such file or folder"),
        (("get", "seginw/Poles", "--from", "roboflow:a/b"), "roboflow:workspace/project/3"),
        (("get", "seginw/Poles", "--from", "hf://a"), "hf://datasets/owner/name@revision/path"),
    ],
)
def test_a_mistake_is_a_sentence_with_exit_code_2(data, words, said):
    got = bench(*words)
    assert got.exit_code == 2
    assert any(part in got.stderr for part in said.split("|"))


def test_the_licence_is_said_before_anything_is_fetched(site, tmp_path, data):
    specs = own_spec(tmp_path, f"{site.url}/images.zip")
    got = bench("get", "streets", "--specs", specs)
    assert got.stderr.index("CC BY 4.0") < got.stderr.index("getting images.zip")
    assert f"{site.url}/images.zip cannot be had: it is not there (HTTP 404)" in got.stderr
    assert "see https://example.org/streets" in got.stderr
    assert got.exit_code == 3


def test_a_file_of_the_hub_is_pinned_at_its_commit(site, tmp_path, data):
    """In a process of its own: the hub's client reads its address when it is imported."""
    write_export(tmp_path / "made", "Poles")
    path = "datasets/someone/streets/resolve/{}/images.zip"
    for revision in ("main", COMMIT):
        site.files[f"/{path.format(revision)}"] = zipped(tmp_path / "made/valid")
    (tmp_path / "made/valid/_annotations.coco.json").unlink()
    images = zipped(tmp_path / "made/valid")
    for revision in ("main", COMMIT):
        site.files[f"/{path.format(revision)}"] = images
    specs = own_spec(tmp_path, "hf://datasets/someone/streets@main/images.zip")
    command = [sys.executable, "-c", "from bench.cli import main; main()", "data", "get", "streets"]
    command += ["--specs", specs, "--json"]
    environment = {**os.environ, "HF_ENDPOINT": site.url, "HF_HOME": str(tmp_path / "hf")}
    sizes = Path(specs, "datasets/streets.yaml")
    sizes.write_text(sizes.read_text().replace("size: 2", "size: 3"))
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert row["from"] == f"hf://datasets/someone/streets@{COMMIT}/images.zip"

    site.asked.clear()
    next((data / "streets/images").glob("*.png")).unlink()
    done = subprocess.run(command, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    assert all(COMMIT in asked for asked in site.asked if "resolve" in asked)


def test_commands_have_help_that_tells_check_from_check():
    for words in (["data", "get"], ["data", "check"], ["data", "list"]):
        assert CliRunner().invoke(build_app(), [*words, "--help"]).exit_code == 0
    runner = CliRunner(env={"COLUMNS": "200"})
    assert "bench check" in runner.invoke(build_app(), ["data", "check", "--help"]).stdout
    assert "bench data check" in runner.invoke(build_app(), ["check", "--help"]).stdout
