"""`run --keep-raw`, `compare`, `rescore` and `explain` as a person meets them."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bench.cli import build_app, spread_lists
from bench.cli.progress import raw_budget


class Bench:
    """`bench` in an empty folder; nothing of the environment decides."""

    def __call__(self, *words: str) -> Result:
        result = CliRunner().invoke(build_app(), spread_lists(list(words)))
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *words: str) -> Any:
        result = self(*words, "--json", "--quiet")
        assert result.exit_code == 0, result.stderr
        return json.loads(result.stdout)

    def run(self, *words: str, dataset: str = "shapes", limit: int = 6) -> Any:
        common = ("run", dataset, "--model", "colour", "--limit", str(limit))
        (record,) = self.json(*common, *words)
        return record


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "160")
    for name in ("BENCH_DATA", "BENCH_RESULTS", "BENCH_SPECS"):
        monkeypatch.delenv(name, raising=False)
    return Bench()


def records(folder: Path) -> list[Any]:
    lines = (folder / "bench-results" / "records.jsonl").read_text().splitlines()
    return [json.loads(line) for line in lines]


# --- run --keep-raw ------------------------------------------------------------------------------


def test_a_run_says_what_its_raw_answers_take(bench: Bench, tmp_path: Path) -> None:
    words = ("run", "shapes", "--model", "colour", "--limit", "3", "--keep-raw")
    said = bench(*words).stderr
    assert re.search(r"raw answers take [\d.]+ kB an image, about [\d.]+ kB in all; .* free", said)
    assert len(list(tmp_path.glob("bench-results/runs/*/raw.blocks"))) == 1
    assert "raw answers" not in bench(*words).stderr, "nothing is written a second time"


def test_how_to_keep_answers_is_refused_where_none_are_kept(bench: Bench) -> None:
    result = bench("run", "shapes", "--model", "colour", "--raw-numbers", "float16")
    assert result.exit_code == 2
    assert "--raw-numbers says how --keep-raw keeps answers" in result.stderr


def test_too_little_room_is_said_before_it_is_used_up(tmp_path: Path) -> None:
    assert "which is not enough" in raw_budget(10**15, 1000, tmp_path)
    assert "which is not enough" not in raw_budget(1, 1, tmp_path)


# --- rescore -------------------------------------------------------------------------------------


def test_rescoring_under_the_same_card_gives_the_same_scores(bench: Bench, tmp_path: Path) -> None:
    run = bench.run("--keep-raw")
    found = bench.json("rescore", run["key"][:6], "--protocol", "bench")
    assert found["scores"] == run["scores"]
    assert found["provenance"]["rescored_from"] == run["key"]
    assert found["settings"]["protocol"] == {"value": "bench", "origin": "command line"}
    assert [record["key"] for record in records(tmp_path)] == [run["key"], found["key"]]
    assert bench.json("rescore", "colour", "--protocol", "bench") == found


def test_a_field_set_by_hand_is_in_the_cards_name(bench: Bench) -> None:
    run = bench.run("--keep-raw")
    change = "panoptic.object_mask_threshold=0.9"
    found = bench.json("rescore", "colour", "--set", change)
    assert found["protocol"]["name"] == f"bench, {change}"
    assert found["protocol"]["definition"]["panoptic"]["object_mask_threshold"] == 0.9
    assert found["scores"]["panoptic"] != run["scores"]["panoptic"]
    assert found["scores"]["semantic"] == run["scores"]["semantic"]


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (("colour",), 2, "--protocol CARD, or --set field=value"),
        (("colour", "--protocol", "benhc"), 2, "Did you mean 'bench'"),
        (("colour", "--set", "panoptic.treshold=1"), 2, "Unknown field of a protocol card"),
        (
            ("colour", "--set", "resize={short: 64}"),
            2,
            "otherwise: resize. Write these values",
        ),
        (("colour", "--protocol", "xdecoder-v2"), 2, "otherwise: templates"),
        (("nobody", "--protocol", "bench"), 2, "Unknown run 'nobody'"),
    ],
)
def test_what_cannot_be_rescored_is_said_in_a_sentence(
    bench: Bench, words: tuple[str, ...], code: int, said: str
) -> None:
    bench.run("--keep-raw", limit=2)
    result = bench("rescore", *words)
    assert result.exit_code == code
    assert said in result.stderr


def test_a_run_without_raw_answers_says_how_to_get_them(bench: Bench) -> None:
    bench.run(limit=2)
    result = bench("rescore", "colour", "--protocol", "native")
    assert result.exit_code == 2
    assert "bench run shapes --model colour --limit 2 --keep-raw" in result.stderr


# --- explain -------------------------------------------------------------------------------------


def test_an_explanation_is_a_table_that_adds_up(bench: Bench) -> None:
    bench.run("--keep-raw")
    result = bench("explain", "colour", "--to", "xdecoder-v2")
    assert result.exit_code == 0
    rows = [
        [cell.strip() for cell in line.strip("│").split("│")]
        for line in result.stdout.splitlines()
        if line.startswith("│")
    ]
    start, *steps, total, end = rows
    assert (start[0], total[0], end[0]) == ("score at the start", "all of it", "score at the end")
    assert steps[-1] == ["templates", "none", "clip-81", *["needs a run"] * 3]
    assert float(start[3]) + float(total[3]) == pytest.approx(float(end[3]), abs=0.011)
    assert "The end is the other card but for templates." in result.stdout


def test_an_explanation_for_programs_and_no_record_of_it(bench: Bench, tmp_path: Path) -> None:
    run = bench.run("--keep-raw")
    found = bench.json("explain", run["key"], "--from", "bench", "--to", "native")
    assert found["run"] == run["key"]
    assert found["to"]["name"] == "native"
    for task, name in (("panoptic", "PQ"), ("instance", "AP"), ("semantic", "mIoU")):
        moved = sum(step["points"][task][name] for step in found["steps"])
        assert moved == pytest.approx(found["points"][task][name], abs=1e-9)
    assert found["needs_a_run"] == []
    assert len(records(tmp_path)) == 1, "steps between cards are on no leaderboard"


def test_a_start_that_needs_a_run_is_refused(bench: Bench) -> None:
    bench.run("--keep-raw", limit=2)
    result = bench("explain", "colour", "--from", "xdecoder-v2", "--to", "bench")
    assert result.exit_code == 2
    assert "otherwise: templates" in result.stderr


# --- compare -------------------------------------------------------------------------------------


def test_runs_are_compared_score_by_score(bench: Bench) -> None:
    ours, theirs = bench.run(), bench.run("--protocol", "native")
    result = bench("compare", ours["key"][:8], theirs["key"][:8], "--resamples", "100")
    assert result.exit_code == 0
    assert "The protocols differ (bench, native)" in result.stderr
    (row,) = [line for line in result.stdout.splitlines() if re.match(r"│ panoptic │ PQ  ", line)]
    _, _, a, b, difference, interval, p = (cell.strip() for cell in row.strip("│").split("│"))
    assert float(a) - float(b) == pytest.approx(float(difference), abs=0.011)
    low, high = map(float, interval.strip("[]").split(", "))
    assert low <= float(difference) <= high
    assert 0 < float(p.strip("< ")) <= 1


def test_a_comparison_for_programs_says_who_and_how_sure(bench: Bench) -> None:
    ours, theirs = bench.run(), bench.run("--protocol", "native")
    found = bench.json("compare", ours["key"], theirs["key"], "--resamples", "100")
    assert (found["a"]["run"], found["b"]["run"]) == (ours["key"], theirs["key"])
    score = found["scores"]["panoptic"]["PQ"]
    assert score["a"] == ours["scores"]["panoptic"]["PQ"]["value"]
    assert score["difference"] == score["a"] - score["b"]
    assert (score["images"], score["level"]) == (6, 0.95)
    assert 0 < score["p"] <= 1
    assert found["scores"]["instance"].keys() == ours["scores"]["instance"].keys()


def test_images_of_one_run_only_are_left_out_and_counted(bench: Bench) -> None:
    few, more = bench.run(limit=3), bench.run(limit=5)
    result = bench("compare", few["key"], more["key"], "--resamples", "100", "--score", "PQ")
    assert "over the 3 images that both scored" in result.stdout
    assert "2 images of colour" in result.stderr
    rows = [line for line in result.stdout.splitlines() if line.startswith("│")]
    assert len(rows) == 1


def test_scores_may_be_named_with_commas_between_them(bench: Bench) -> None:
    ours, theirs = bench.run(), bench.run("--protocol", "native")
    asked = ("--resamples", "100", "--score", "PQ, mIoU", "--score", "AP")
    result = bench("compare", ours["key"], theirs["key"], *asked)
    rows = [line.split("│")[2].strip() for line in result.stdout.splitlines() if line[:1] == "│"]
    assert sorted(rows) == ["AP", "PQ", "mIoU"]


def test_runs_that_cannot_be_compared_say_why(bench: Bench) -> None:
    a, b = bench.run(limit=2), bench.run(limit=2, dataset="shapes-colours")
    result = bench("compare", a["key"], b["key"])
    assert result.exit_code == 2
    assert "their datasets differ (shapes and shapes-colours)" in result.stderr
    strict = bench.run("--protocol", "xdecoder-v2", limit=2)
    result = bench("compare", a["key"], strict["key"])
    assert "their metric definitions differ (ap.annotation_zero)" in result.stderr


def test_rules_of_a_metric_that_neither_was_scored_by_are_no_obstacle(bench: Bench) -> None:
    ours = bench.run("--task", "panoptic", limit=2)
    theirs = bench.run("--task", "panoptic", "--protocol", "xdecoder-v2", limit=2)
    found = bench.json("compare", ours["key"], theirs["key"], "--resamples", "100")
    assert list(found["scores"]) == ["panoptic"]


def test_a_run_is_not_compared_with_itself(bench: Bench) -> None:
    run = bench.run(limit=2)
    result = bench("compare", "colour", run["key"])
    assert result.exit_code == 2
    assert f"are one run, {run['key']}: name two" in result.stderr


def test_a_name_that_means_several_runs_is_not_guessed(bench: Bench) -> None:
    runs = [bench.run(limit=2), bench.run("--protocol", "native", limit=2)]
    runs.append(bench.run("--protocol", "xdecoder-v2", limit=2))
    result = bench("compare", "colour", "colour")
    assert result.exit_code == 2
    for run in runs:
        assert f"{run['key'][:8]} (colour on shapes" in result.stderr
    assert bench("compare", "colour", "nobody").exit_code == 2
