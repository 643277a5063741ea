"""Roboflow's own client, run against a server on this machine that answers as Roboflow does."""

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from exports import write_export, zipped
from loopback import KEY, offer_export, serving

needs_client = pytest.mark.skipif(
    importlib.util.find_spec("roboflow") is None,
    reason="Roboflow's client is not installed (the extra 'roboflow')",
)
POLES = "ohsee/pole2"


@pytest.fixture
def site():
    with serving() as site:
        yield site


def bench(site, tmp_path: Path, *words: str, **settings: str) -> subprocess.CompletedProcess:
    """`bench data get` as a user runs it, with Roboflow at another address."""
    known = {k: v for k, v in os.environ.items() if not k.startswith(("ROBOFLOW", "RF_"))}
    environment = {
        **known, "API_URL": site.url, "HOME": str(tmp_path), "TQDM_DISABLE": "1",
        "BENCH_DATA": str(tmp_path / "data"), **settings,
    }  # fmt: skip
    command = "from bench.cli import main; main()"
    return subprocess.run(
        [sys.executable, "-c", command, "data", "get", *words],
        capture_output=True, text=True, env=environment, cwd=tmp_path, timeout=120,
    )  # fmt: skip


def publish(site, tmp_path, *, name="Poles", project=POLES, versions=None) -> Path:
    folder = write_export(tmp_path / "made", name)
    offer_export(site, project, zipped(folder), versions or {1: {}, 2: {"train": 11, "valid": 3}})
    return folder


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@needs_client
def test_the_pinned_version_is_exported_downloaded_counted_and_pinned(site, tmp_path):
    made = publish(site, tmp_path)
    done = bench(site, tmp_path, "seginw/Poles", "--json", ROBOFLOW_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    (row,) = json.loads(done.stdout)
    assert (row["result"], row["samples"]) == ("fetched", "3 val, 11 train")
    assert row["from"] == "roboflow:ohsee/pole2/2"
    assert files_of(tmp_path / "data/seginw/Poles") == files_of(made)
    assert f"GET /{POLES}/2/coco-segmentation" in site.asked
    kept = "".join(p.read_text() for p in (tmp_path / "data").rglob("*.*son")) + done.stdout
    assert KEY not in kept + done.stderr
    assert "signature" not in kept + done.stderr

    asked = len(site.asked)
    again = bench(site, tmp_path, "seginw/Poles", "--json")  # no key: nothing is asked
    assert json.loads(again.stdout)[0]["result"] == "verified"
    assert len(site.asked) == asked


@needs_client
def test_a_download_that_breaks_is_gone_on_with_by_the_next_command(site, tmp_path):
    made = publish(site, tmp_path)
    for _ in range(2):  # each try of the first command breaks, but for the last
        site.breaks_after = 4_000
        done = bench(site, tmp_path, "seginw/Poles", ROBOFLOW_API_KEY=KEY)
    assert done.returncode == 0, done.stderr
    assert files_of(tmp_path / "data/seginw/Poles") == files_of(made)
    assert any(asked and asked != "bytes=0-" for asked in site.ranges)


@needs_client
def test_where_the_paper_fixes_no_version_the_one_with_its_counts_is_taken(site, tmp_path):
    counts = {1: {"train": 900, "valid": 1}, 3: {"train": 1991, "valid": 64}}
    folder = write_export(tmp_path / "made", "Poles")  # of another size, so that it is refused
    offer_export(site, "rishik-mishra-rljwe/f1225", zipped(folder), counts)
    done = bench(site, tmp_path, "seginw/Salmon-Fillet", ROBOFLOW_API_KEY=KEY)
    assert "GET /rishik-mishra-rljwe/f1225/3/coco-segmentation" in site.asked
    assert done.returncode == 3


@needs_client
def test_versions_that_do_not_fit_are_listed_with_their_counts(site, tmp_path):
    offer_export(site, "rishik-mishra-rljwe/f1225", b"", {1: {"train": 900, "valid": 1}})
    offer_export(site, POLES, b"", {1: {"train": 5}})
    done = bench(site, tmp_path, "seginw/Salmon-Fillet", ROBOFLOW_API_KEY=KEY)
    assert done.returncode == 3
    assert "1 with 900 train, 1 valid; none has 1991 train, 64 valid" in done.stderr
    assert "--from roboflow:rishik-mishra-rljwe/f1225/N --other-counts" in done.stderr
    done = bench(site, tmp_path, "seginw/Poles", ROBOFLOW_API_KEY=KEY)
    assert "has the versions 1 with 5 train; not 2" in done.stderr


@needs_client
@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "There is no key for Roboflow: set ROBOFLOW_API_KEY"),
        ({"ROBOFLOW_API_KEY": "aWrongKey"}, "This API key does not exist"),
        ({"ROBOFLOW_API_KEY": KEY}, "Roboflow does not give ohsee/pole2: "),
        ({"ROBOFLOW_API_KEY": KEY, "API_URL": "http://127.0.0.1:9"}, "Roboflow does not give"),
    ],
)
def test_what_roboflow_refuses_is_a_sentence_with_exit_code_3(site, tmp_path, settings, said):
    offer_export(site, "another/project", b"", {1: {}})
    done = bench(site, tmp_path, "seginw/Poles", **settings)
    assert done.returncode == 3
    assert said in done.stderr
    assert "--from official" in done.stderr
    assert "Traceback" not in done.stderr
    assert "KEY" not in done.stderr.replace("ROBOFLOW_API_KEY", "")
    assert all(key not in done.stderr for key in (KEY, "aWrongKey"))


@needs_client
def test_the_key_is_found_where_the_client_keeps_it(site, tmp_path):
    publish(site, tmp_path)
    config = {"RF_WORKSPACE": "mine", "workspaces": {"1": {"url": "mine", "apiKey": KEY}}}
    (tmp_path / ".config/roboflow").mkdir(parents=True)
    (tmp_path / ".config/roboflow/config.json").write_text(json.dumps(config))
    assert bench(site, tmp_path, "seginw/Poles").returncode == 0


@needs_client
def test_a_project_that_the_user_names_is_taken_in_its_place(site, tmp_path):
    publish(site, tmp_path, project="someone/copy", versions={7: {"train": 11, "valid": 3}})
    words = ("seginw/Poles", "--from", "roboflow:someone/copy/7", "--json")
    done = bench(site, tmp_path, *words, ROBOFLOW_API_KEY=KEY)
    assert json.loads(done.stdout)[0]["from"] == "roboflow:someone/copy/7"


@pytest.mark.skipif(
    importlib.util.find_spec("roboflow") is not None, reason="Roboflow's client is installed"
)
def test_without_the_client_its_extra_and_the_other_ways_are_named(site, tmp_path):
    done = bench(site, tmp_path, "seginw")
    assert done.returncode == 3
    assert done.stderr.count("pip install 'bench-openvocab[roboflow]'") == 1
    assert "--from official" in done.stderr
