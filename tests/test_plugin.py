"""The worked example of a plug-in package: installed, it is found and does its work."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint, EntryPoints
from pathlib import Path

import pytest

from bench.errors import UsageError
from bench.protocol import Protocol
from bench.tasks import added, task
from bench.types import Vocabulary

ROOT = Path(__file__).parent.parent
EXAMPLE = ROOT / "examples" / "plugin"


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    """The package installed into a folder of its own."""
    place = tmp_path_factory.mktemp("plugin")
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    command = [*pip, "--no-build-isolation", "--target", str(place / "site"), str(EXAMPLE)]
    subprocess.run(command, check=True, capture_output=True, cwd=place)
    return place / "site"


@pytest.fixture(scope="module")
def data(site, tmp_path_factory) -> Path:
    """The data folder with the package's dataset in it."""
    folder = tmp_path_factory.mktemp("data")
    run(site, folder, "-m", "bench_stripes.draw", str(folder))
    return folder


def run(site: Path, cwd: Path, *words: str) -> str:
    environment = {**os.environ, "PYTHONPATH": f"{site}{os.pathsep}{ROOT}", "PYTHONSAFEPATH": "1"}
    done = subprocess.run(
        [sys.executable, *words], capture_output=True, text=True, cwd=cwd, env=environment
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def bench(site: Path, cwd: Path, *words: str) -> str:
    return run(site, cwd, "-c", "import bench.cli; bench.cli.main()", *words)


def test_its_model_keeps_what_it_promises(site, tmp_path):
    out = json.loads(bench(site, tmp_path, "models", "check", "stripes", "--json"))
    assert out["sound"], out
    assert len(out["checks"]) == 8


def test_its_dataset_is_sound_as_drawn(site, data, tmp_path):
    assert "two-tone" in bench(site, tmp_path, "check", "two-tone", "--data", str(data))


def test_its_model_is_scored_on_its_dataset_with_its_metric(site, data, tmp_path):
    words = ("run", "two-tone", "--model", "stripes", "--data", str(data), "--results", "out")
    bench(site, tmp_path, *words)
    (line,) = (tmp_path / "out" / "records.jsonl").read_text().splitlines()
    scores = json.loads(line)["scores"]["semantic"]
    iou, dice = scores["mIoU"]["value"], scores["Dice"]["value"]
    assert 0.95 < iou < dice < 1
    assert scores["Dice"]["n"] == 8 * 59 * 80


def test_without_the_package_there_is_no_such_score():
    meters = task("semantic").meters(Vocabulary(("a", "b")), Protocol(name="test"))
    names = [meter.names for meter in meters]
    assert "Dice" not in {name for of_meter in names for name in of_meter}


@pytest.mark.parametrize(
    ("value", "said"), [("no_such_module:X", "does not import"), ("math:pi", "is a float")]
)
def test_a_metric_that_cannot_be_had_stops_the_run_and_names_the_package(monkeypatch, value, said):
    points = EntryPoints([EntryPoint("broken", value, added.GROUP)])
    monkeypatch.setattr(added, "entry_points", lambda group: points)
    with pytest.raises(UsageError, match=said):
        task("semantic")
