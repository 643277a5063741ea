"""Tables say no more than the records do."""

import csv
import io
import json
import math
import subprocess
import sys
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics.meter import Score
from bench.record import Record
from bench.report.frame import MEASURED, leaderboard, results, scores
from bench.report.leaderboard import leaderboard_table
from bench.report.table import (
    Format,
    Number,
    Row,
    Table,
    print_scores,
    scores_table,
)
from bench.store import Store


def record(
    model: str, dataset: str, value: float | None = 0.5, *, split: str = "val", **changes: Any
) -> Record:
    """A published number, unless `changes` make it a measured one."""
    content = {
        "key": f"{model} {dataset} {split} {changes}",
        "reported": True,
        "source": "Paper, Table 1",
        "model": {"name": model},
        "dataset": {"name": dataset, "split": split},
        "protocol": {"name": "bench"},
        "scores": {"instance": {"AP": {"value": value}}},
    }
    return Record.parse(json.dumps({**content, **changes}), "here")


SESSION = {
    "started": "2024-05-01T00:00:00Z", "revision": None, "dirty": None, "packages": {},
    "python": "CPython", "platform": "Linux", "device": "cpu", "batch_size": 1,
}  # fmt: skip


def measured(
    model: str, dataset: str, value: float = 0.5, *, limit: int | None = None, **changes: Any
) -> Record:
    content = {
        "reported": False,
        "source": None,
        "images": {"asked": 10, "scored": 10, "limit": limit},
        "partial": limit is not None,
        "provenance": {
            "sessions": [SESSION],
            "precision": "float32",
            "seconds": {"ask": 2.0},
            "peak_memory": 1,
        },
    }
    return record(model, dataset, value, **content, **changes)


def tuning(draw: int, train: int = 0) -> dict[str, Any]:
    asked = {"shots": "5", "strategy": "prompt", "draw_seed": draw, "train_seed": train}
    return {"tuning": asked, "tuned": {"support": ["a"], "parameters": 3, "seconds": 1.0}}


def value_of(frame: pd.DataFrame, model: str, column: str) -> float:
    rows = frame[frame.index.get_level_values("model") == model]
    found = rows[[c for c in frame.columns if c[0] == column]].to_numpy()
    assert found.shape == (1, 1)
    return float(found[0, 0])


# --- frames --------------------------------------------------------------------------------------


def test_a_frame_has_a_row_for_each_score_of_each_run() -> None:
    frame = scores([measured("m", "a"), record("n", "a")])
    assert list(frame["model"]) == ["m", "n"]
    assert list(frame["source"]) == [MEASURED, "Paper, Table 1"]
    assert frame["seconds"].iloc[0] == 2.0
    assert frame["n"].isna().all()


def test_no_records_are_an_empty_frame_with_the_same_columns() -> None:
    assert list(scores([]).columns) == list(scores([record("m", "a")]).columns)
    assert scores([]).dtypes.equals(scores([]).dtypes)


def test_results_merge_what_ships_with_what_was_run(tmp_path: Any) -> None:
    shipped = results(tmp_path)
    sources = set(shipped["source"])
    assert {MEASURED, "X-Decoder (CVPR 2023), Tables 1 and 3"} < sources
    mine = measured("mine", "shapes")
    Store(tmp_path).append(mine)
    assert set(results(tmp_path)["run"]) - set(shipped["run"]) == {mine.key}


def test_intervals_come_from_whoever_knows_them_else_from_the_record() -> None:
    stated = record("m", "a", scores={"instance": {"AP": {"value": 0.5, "interval": [0.4, 0.6]}}})
    assert scores([stated])[["low", "high"]].to_numpy().tolist() == [[0.4, 0.6]]
    known = scores([stated], lambda _: {("instance", "AP"): (0.45, 0.55)})
    assert known[["low", "high"]].to_numpy().tolist() == [[0.45, 0.55]]


# --- leaderboards --------------------------------------------------------------------------------


def test_a_mean_is_printed_only_when_the_suite_is_complete() -> None:
    records = [record("whole", d, v) for d, v in (("a", 0.2), ("b", 0.4))] + [record("half", "a")]
    board = leaderboard(scores(records), datasets=["a", "b"], mean_of=["AP"])
    assert value_of(board.values, "whole", "mean") == pytest.approx(0.3)
    assert math.isnan(value_of(board.values, "half", "mean"))


def test_a_dataset_nobody_ran_leaves_every_mean_out() -> None:
    board = leaderboard(scores([record("m", "a")]), datasets=["a", "gone"], mean_of=["AP"])
    assert "mean" not in board.values.columns.get_level_values("dataset")


def test_an_absent_score_leaves_the_mean_out() -> None:
    frame = scores([record("m", "a"), record("m", "b", None)])
    board = leaderboard(frame, datasets=["a", "b"], mean_of=["AP"])
    assert "mean" not in board.values.columns.get_level_values("dataset")


def test_a_partial_run_is_left_out_and_said_so() -> None:
    frame = scores([measured("m", "a"), measured("m", "b", limit=10), measured("n", "b")])
    board = leaderboard(frame, datasets=["a", "b"], mean_of=["AP"])
    assert board.notes == ("Left out: m on b, of which only 10 images were scored.",)
    assert math.isnan(value_of(board.values, "m", "b"))
    assert "mean" not in board.values.columns.get_level_values("dataset")


def test_seeds_are_averaged_with_their_spread() -> None:
    frame = scores([measured("m", "a", v, **tuning(s)) for s, v in enumerate((0.2, 0.3, 0.4))])
    board = leaderboard(frame)
    assert board.values.to_numpy() == pytest.approx(0.3)
    assert board.spread.to_numpy() == pytest.approx(0.1)
    assert leaderboard_table(board).rows[0].cells[-1].percent() == "30.0 ± 10.0"  # type: ignore[union-attr]


def test_the_spread_of_a_mean_is_that_of_the_seeds_means() -> None:
    values = {("a", 0): 0.2, ("b", 0): 0.6, ("a", 1): 0.4, ("b", 1): 0.4}
    frame = scores([measured("m", d, v, **tuning(s)) for (d, s), v in values.items()])
    board = leaderboard(frame, datasets=["a", "b"], mean_of=["AP"])
    assert value_of(board.values, "m", "mean") == pytest.approx(0.4)
    assert value_of(board.spread, "m", "mean") == pytest.approx(0.0)


def test_a_suite_that_lacks_one_seed_has_no_mean() -> None:
    frame = scores([measured("m", d, 0.5, **tuning(s)) for d, s in (("a", 0), ("b", 0), ("a", 1))])
    board = leaderboard(frame, datasets=["a", "b"], mean_of=["AP"])
    assert "mean" not in board.values.columns.get_level_values("dataset")


def test_measured_and_reported_rows_are_told_apart() -> None:
    table = leaderboard_table(leaderboard(scores([measured("m", "a", 0.4), record("m", "a", 0.6)])))
    assert "source" in table.columns
    assert [row.reported for row in table.rows] == [True, False]


def test_zero_shot_and_tuned_runs_are_different_systems() -> None:
    board = leaderboard(scores([measured("m", "a", 0.2), measured("m", "a", 0.6, **tuning(0))]))
    assert len(board.values) == 2


def test_splits_of_a_dataset_are_different_columns() -> None:
    other = record("m", "a", 0.7, split="test")
    board = leaderboard(scores([record("m", "a"), other]), datasets=["a"])
    assert list(board.values.columns.get_level_values("dataset")) == ["a/val", "a/test"]


def test_only_headlines_are_shown_unless_scores_are_named() -> None:
    both = record("m", "a", scores={"instance": {"AP": {"value": 0.5}, "AP50": {"value": 0.7}}})
    assert leaderboard(scores([both])).values.shape == (1, 1)
    assert leaderboard(scores([both]), names=["AP", "AP50"]).values.shape == (1, 2)


def test_a_later_run_of_a_system_replaces_the_earlier_and_says_so() -> None:
    frame = scores([measured("m", "a", 0.2, key="1"), measured("m", "a", 0.3, key="2")])
    board = leaderboard(frame)
    assert value_of(board.values, "m", "a") == 0.3
    assert board.notes == ("Left out: 1 older run(s) of a system that was run again.",)


def test_rows_are_sorted_by_the_score_asked_for() -> None:
    frame = scores(
        [record(m, d, v) for m, d, v in (("x", "a", 0.1), ("y", "a", 0.9), ("x", "b", 0.8))]
    )
    board = leaderboard(frame, datasets=["a", "b"])
    assert list(board.values.index.get_level_values("model")) == ["x", "y"]
    by_a = leaderboard(frame[frame["dataset"] == "a"], sort_by="AP")
    assert list(by_a.values.index.get_level_values("model")) == ["y", "x"]


def test_a_leaderboard_of_nothing_is_empty() -> None:
    table = leaderboard_table(leaderboard(scores([]), mean_of=["AP"]))
    assert table.rows == ()
    assert all(table.render(to) for to in Format)


# --- tables --------------------------------------------------------------------------------------


def table() -> Table:
    frame = scores(
        [
            record("best_&_new", "a", 0.61234),
            measured("m", "a", 0.5),
            measured("m", "b", 0.25),
        ],
        lambda r: {("instance", "AP"): (0.4, 0.6)} if not r.reported else {},
    )
    return leaderboard_table(leaderboard(frame, datasets=["a", "b"]), title="Two datasets")


def test_the_best_of_a_column_is_marked_and_one_alone_is_not() -> None:
    best = {
        (row.cells[0], column)
        for row in table().rows
        for column, cell in zip(table().columns, row.cells, strict=True)
        if isinstance(cell, Number) and cell.best
    }
    assert best == {("best_&_new", "a")}


def test_a_protocol_is_always_said() -> None:
    assert "Protocol: bench." in table().notes
    two = [record("m", "a"), record("m", "a", protocol={"name": "other"}, key="k")]
    assert "protocol" in leaderboard_table(leaderboard(scores(two))).columns


def test_markdown_lines_have_the_same_number_of_cells() -> None:
    lines = [line for line in table().render(Format.MARKDOWN).splitlines() if line[:1] == "|"]
    assert len({line.count("|") for line in lines}) == 1
    assert "**61.2 ★**" in lines[-2] + lines[-1]
    assert "50.0 [40.0, 60.0]" in lines[-2] + lines[-1]


def test_latex_is_escaped_and_balanced() -> None:
    text = table().render(Format.LATEX)
    assert r"best\_\&\_new" in text
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    assert r"\toprule" in text


def test_csv_and_json_keep_fractions_with_bounds_beside_them() -> None:
    rows = list(csv.DictReader(io.StringIO(table().render(Format.CSV))))
    by_model = {row["model"]: row for row in rows}
    assert by_model["best_&_new"]["a"] == "0.61234"
    assert by_model["m"]["a low"] == "0.4"
    assert by_model["best_&_new"]["b"] == ""
    content = json.loads(table().render(Format.JSON))
    assert {row["model"]: row["b"] for row in content["rows"]} == {"best_&_new": None, "m": 0.25}


def test_a_terminal_table_is_not_cut_in_a_pipe() -> None:
    frame = scores([record("m", f"a-dataset-with-a-long-name-{n}") for n in range(30)])
    text = leaderboard_table(leaderboard(frame)).render(Format.TERMINAL)
    assert all(f"a-dataset-with-a-long-name-{n}" in text for n in range(30))
    assert text.count("50.0") == 30


class Window(io.StringIO):
    """A terminal, as far as a printer can tell."""

    def isatty(self) -> bool:
        return True


def test_a_table_too_wide_for_the_window_is_turned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    frame = scores([record(m, f"set-{n}", n / 20) for n in range(12) for m in ("m", "the-other")])
    wide = leaderboard_table(leaderboard(frame))
    for columns, lines in (("300", 2), ("60", 12)):
        monkeypatch.setenv("COLUMNS", columns)
        window = Window()
        wide.show(file=window)
        rows = [line for line in window.getvalue().splitlines() if line.count("│") > 2]
        assert len(rows) == lines
        assert all(f"set-{n}" in window.getvalue() for n in range(12))


def test_scores_are_printed_with_their_counts_and_classes(
    capsys: pytest.CaptureFixture[str],
) -> None:
    found = {"mIoU": Score(0.5, 12, {"cat": 0.25, "dog": float("nan")})}
    print_scores(found, title="semantic", by_class=True, to="markdown")
    assert capsys.readouterr().out.splitlines()[2:] == [
        "| score | value | n |",
        "|:---|---:|---:|",
        "| mIoU | 50.0 | 12 |",
        "|   cat | 25.0 |  |",
        "|   dog | – |  |",
    ]
    assert len(scores_table(found).rows) == 1


@given(st.floats(0, 1), st.floats(0, 1))
def test_print_rounds_and_the_frame_does_not(value: float, other: float) -> None:
    cell = Number(value)
    assert abs(float(cell.percent()) - 100 * value) <= 0.05 + 1e-9
    text = Table(("x",), (Row((cell,)),)).render(Format.JSON)
    assert json.loads(text)["rows"][0]["x"] == value


def test_reports_import_no_torch() -> None:
    code = (
        "import sys, bench, bench.report.table, bench.report.frame, bench.store;"
        "bench.results(); print('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_importing_bench_imports_neither_torch_nor_pandas() -> None:
    code = "import sys, bench; print({'torch', 'pandas', 'numpy'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
