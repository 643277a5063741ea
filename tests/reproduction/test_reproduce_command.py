"""`bench reproduce` as a person meets it."""

import json

import pytest
from typer.testing import CliRunner

from bench.cli import build_app, spread_lists
from bench.record import Record


@pytest.fixture
def bench(tmp_path, monkeypatch):
    """Run `bench reproduce` in an empty folder; nothing of the environment decides."""
    monkeypatch.chdir(tmp_path)
    for name in ("BENCH_DATA", "BENCH_RESULTS", "BENCH_SPECS"):
        monkeypatch.delenv(name, raising=False)

    def run(*words):
        result = CliRunner().invoke(build_app(), spread_lists(["reproduce", *words]))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return run


def test_without_any_run_the_papers_numbers_stand_and_what_is_missing(bench):
    result = bench("table2")
    assert result.exit_code == 0
    assert "18.8" in result.stdout
    assert "bench models fetch xdecoder-T" in result.stdout
    assert "http://sceneparsing.csail.mit.edu" in result.stdout


def test_trainings_that_are_not_done_are_named(bench):
    result = bench("table6", "--model", "xdecoder-nano", "--no-shipped")
    assert result.exit_code == 0
    assert "retrieval helps captioning" in result.stdout
    assert "not measured" in result.stdout
    assert "Not measured yet: nano (seed 0), nano (seed 1), nano-no-retrieval" in result.stderr


@pytest.mark.parametrize("table", ["table6", "table11"])
def test_the_trials_that_ship_fill_the_tables(bench, table):
    result = bench(table, "--model", "xdecoder-nano")
    assert result.exit_code == 0
    assert "Not measured yet" not in result.stderr
    assert "here" in result.stdout
    assert "not measured" not in result.stdout


def test_for_programs_numbers_stay_fractions(bench):
    result = bench("table3", "--format", "json")
    first, _ = result.stdout.split("\n}\n", 1)
    rows = json.loads(first + "\n}")["rows"]
    assert rows[0]["ADE PQ"] == 0.397
    assert rows[1]["ADE mAP"] is None


def test_a_table_that_the_paper_does_not_have_is_an_error(bench):
    result = bench("table16")
    assert result.exit_code == 2
    assert "table16" in result.stderr
    assert "table1" in result.stderr


def test_tables_about_datasets_are_held_against_the_specs(bench):
    result = bench("table8", "table12")
    assert result.exit_code == 0
    assert "ScanNet-41" in result.stdout
    assert "House-Parts" in result.stdout


def test_nothing_is_written_where_nothing_was_measured(bench, tmp_path):
    words = ("--no-shipped", "--records", str(tmp_path / "kept.jsonl"))
    result = bench("table9", "--model", "xdecoder-nano", *words)
    assert result.exit_code == 2
    assert not (tmp_path / "kept.jsonl").exists()


@pytest.mark.slow
def test_figure_8_is_drawn_from_what_was_published(bench, tmp_path):
    assert bench("figure8", "--figures", "drawn").exit_code == 0
    assert (tmp_path / "drawn" / "figure8-seginw.png").stat().st_size > 10_000


@pytest.mark.slow
def test_a_table_is_trained_measured_and_then_only_read(bench, tmp_path):
    words = ("table9", "--model", "xdecoder-nano", "--no-shipped", "--quiet")
    tiny = ("--steps", "2", "--before", "2", "--seeds", "2", "--limit", "3", "--jobs", "1")
    done = bench(*words, *tiny, "--run", "--records", "kept.jsonl")
    assert done.exit_code == 0
    lines = (tmp_path / "kept.jsonl").read_text().splitlines()
    records = [Record.parse(line, "kept.jsonl") for line in lines]
    assert {record.model.name for record in records} == {"nano", "nano-vl"}
    assert {record.model.trained.steps for record in records} == {2}
    assert str(tmp_path) not in "".join(lines)
    assert all(score.interval for r in records for of in r.scores.values() for score in of.values())
    assert bench(*words, *tiny).stdout == done.stdout
    planned = bench(*words, *tiny, "--dry-run").stdout
    assert planned.startswith("4 of 4 trials are done.")
