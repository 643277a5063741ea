"""`bench table --layout` and `bench plot` over a results folder."""

import csv
import io
import re
import shlex
from pathlib import Path

import pandas as pd
import pytest
from sweeps import measured, sweep
from typer.testing import CliRunner, Result

from bench import catalog
from bench.cli import build_app

ROOT = Path(__file__).parent.parent.parent
DOCUMENT = ROOT / "docs" / "seginw.md"
FIGURES = ROOT / "results" / "figures"
WILD = "shapes-in-the-wild"
DATASETS = [member.dataset for member in catalog.suite(WILD).members]


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    records = sweep(DATASETS, ["small"], ["prompt"], [1, 5], draws=2, trainings=2)
    (folder / "records.jsonl").write_text("".join(record.line() + "\n" for record in records))
    return folder


def bench(*words: str, results: Path) -> Result:
    return CliRunner().invoke(build_app(), [*words, "--results", str(results)])


def own(*words: str, results: Path) -> Result:
    """What was run there alone."""
    return bench(*words, "--no-published", "--no-shipped", results=results)


def test_a_suite_is_laid_out_as_the_paper_does(results):
    found = own("table", WILD, "--layout", "paper", "--format", "csv", results=results)
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert [(row["strategy"], row["shots"]) for row in rows] == [
        ("zero-shot", "0"),
        ("prompt", "1"),
        ("prompt", "5"),
    ]
    assert rows[1]["parameters"] == "1150000"
    assert all(row["average"] for row in rows)
    assert "night-watch" in rows[0]


def test_the_paper_stands_beside_what_was_measured_of_its_model(tmp_path):
    members = [member.dataset for member in catalog.suite("seginw").members]
    records = [measured("xdecoder-L", dataset, 0.4) for dataset in members]
    (tmp_path / "records.jsonl").write_text("".join(r.line() + "\n" for r in records))
    words = ("table", "seginw", "--layout", "paper", "--format", "csv")
    found = bench(*words, "--model", "xdecoder-L", results=tmp_path)
    rows = list(csv.DictReader(io.StringIO(found.stdout)))
    assert [row["source"] for row in rows[:3]] == [
        "measured",
        "X-Decoder (CVPR 2023), Tables 13, 14 and 15",
        "difference",
    ]
    assert float(rows[1]["average"]) == pytest.approx(0.323)
    assert float(rows[2]["average"]) == pytest.approx(0.4 - 0.323)
    assert len(rows) == 3 + 5 * 3  # zero-shot, then five numbers of shots in each of three tables
    alone = own(*words, results=tmp_path)
    assert len(alone.stdout.splitlines()) == 2


def test_variance_is_told_apart(results):
    words = ("table", WILD, "--layout", "variance", "--format", "csv")
    rows = list(csv.DictReader(io.StringIO(own(*words, results=results).stdout)))
    assert [(row["shots"], row["draws"], row["runs"]) for row in rows] == [
        ("1", "2", "4"),
        ("5", "2", "4"),
    ]
    assert all(float(row["one dataset: training"]) > 0 for row in rows)


def test_a_layout_is_of_one_suite_that_has_a_mean(results):
    for targets in ([], ["shapes"], [WILD, "seginw"], ["table2"]):
        found = own("table", *targets, "--layout", "paper", results=results)
        assert found.exit_code == 2
        assert "mean" in found.stderr
    found = own("table", WILD, "--layout", "paper", "--score", "PQ", results=results)
    assert "no whole run" in found.stderr


@pytest.mark.parametrize("what", ["figure8", "figure9", "bars"])
def test_figures_are_written_as_png_and_svg(results, tmp_path, what):
    found = own("plot", what, WILD, "--out", str(tmp_path), results=results)
    assert found.exit_code == 0, found.output
    paths = found.stdout.split()
    assert paths == [f"{tmp_path}/{what}-{WILD}.{kind}" for kind in ("png", "svg")]
    assert Path(paths[0]).read_bytes().startswith(b"\x89PNG")
    assert "</svg>" in Path(paths[1]).read_text()


def test_runs_are_drawn_in_the_suite_they_belong_to(results, tmp_path):
    found = own("plot", "figure8", "small", "--out", str(tmp_path), results=results)
    assert f"figure8-{WILD}.png" in found.stdout


def test_nothing_to_draw_is_said(tmp_path):
    for words in (["figure8"], ["bars", WILD]):
        found = own("plot", *words, "--out", str(tmp_path), results=tmp_path / "none")
        assert found.exit_code == 2, words
    found = bench("plot", "training", str(tmp_path), results=tmp_path)
    assert found.exit_code == 3
    assert "no journal" in found.stderr
    assert not [*tmp_path.iterdir()]


def test_the_document_says_what_the_commands_understand():
    text = DOCUMENT.read_text()
    lines = [
        line
        for block in re.findall(r"```console\n(.*?)```", text, re.S)
        for line in block.splitlines()
    ]
    commands = [shlex.split(line.removeprefix("$ "), comments=True)[1:] for line in lines]
    assert len(commands) > 10
    for name, *words in commands:
        known = CliRunner().invoke(build_app(), [name, "--help"]).stdout
        assert [w for w in words if w.startswith("--") and w not in known] == []


def test_the_documents_python_runs():
    (code,) = re.findall(r"```python\n(.*?)```", DOCUMENT.read_text(), re.S)
    names: dict[str, pd.DataFrame] = {}
    exec(code, names)
    assert len(names["long"]) > 1000


# --- what ships ----------------------------------------------------------------------------------


@pytest.mark.parametrize("svg", sorted(FIGURES.glob("figure[89]-*.svg")), ids=lambda p: p.stem)
def test_shipped_figures_are_those_of_the_shipped_records(svg, tmp_path):
    what, suite = svg.stem.split("-", 1)
    words = ("plot", what, suite, "--no-own", "--no-published", "--out", str(tmp_path))
    assert CliRunner().invoke(build_app(), words).exit_code == 0
    shipped, made = (path.read_text() for path in (svg, tmp_path / svg.name))
    assert re.findall(r">([^<\n]+)</text>", made) == re.findall(r">([^<\n]+)</text>", shipped)
    assert numbers(made) == pytest.approx(numbers(shipped), abs=1.0)


def numbers(svg: str) -> list[float]:
    """The coordinates of a figure, in points: another matplotlib sets letters otherwise."""
    paths = re.findall(r' d="([^"]+)"', svg)
    return [float(n) for path in paths for n in re.findall(r"-?\d+\.?\d*", path)]
