"""Marks and ranks say no more than the images do."""

import json
import math
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_table import measured, record, tuning

from bench.report.frame import KEPT, leaderboard, scores
from bench.report.leaderboard import leaderboard_table
from bench.report.standing import Draw, Standings, standings
from bench.report.table import BEST, SIGNS, Format, Level, Number, Rank, Table, stacked
from bench.shelf import Drawn, mean_of

AP = ("instance", "AP")


def draws(spread: float = 0.02, images: str = "same", **values: float) -> Draw:
    """Draws of runs by key, moved by the same luck."""
    luck = np.random.default_rng(0).normal(0, spread, 1000)

    def drawn(run: str, task: str, score: str) -> Drawn | None:
        name = run.partition(" ")[0]
        return Drawn(values[name] + luck, images) if name in values else None

    return drawn


def bounded(model: str, value: float, low: float, high: float, **changes: Any) -> Any:
    score = {"instance": {"AP": {"value": value, "interval": [low, high]}}}
    return measured(model, "a", key=f"{model} a", scores=score, **changes)


def marks(found: Standings) -> list[str]:
    """What is marked in the only column, by row."""
    return [
        "best" if place.best else str(place.level)
        for row in range(len(found.board.values))
        if (place := found.places.get((row, 0)))
    ]


# --- marks ---------------------------------------------------------------------------------------


def test_luck_that_moves_both_alike_makes_no_difference_less_sure() -> None:
    board = leaderboard(scores([bounded("x", 0.52, 0.4, 0.6), bounded("y", 0.5, 0.4, 0.6)]))
    assert marks(standings(board)) == ["best", "overlap"]
    assert marks(standings(board, draws(x=0.52, y=0.5))) == ["best"]


def test_what_the_images_cannot_tell_from_the_best_is_level_with_it() -> None:
    luck = np.random.default_rng(1)
    board = leaderboard(scores([bounded("x", 0.52, 0.5, 0.54), bounded("y", 0.5, 0.49, 0.51)]))
    each = {name: value + luck.normal(0, 0.05, 1000) for name, value in (("x", 0.52), ("y", 0.5))}
    found = standings(board, lambda run, *_: Drawn(each[run[0]], "same"))
    assert marks(found) == ["best", "paired"]


def test_other_images_are_not_paired() -> None:
    board = leaderboard(scores([bounded("x", 0.6, 0.59, 0.61), bounded("y", 0.5, 0.4, 0.595)]))
    images = {"x": "some", "y": "others"}
    found = standings(board, lambda run, *_: Drawn(np.full(1000, 0.5), images[run[0]]))
    assert marks(found) == ["best", "overlap"]


def test_a_number_without_an_interval_is_compared_by_value_alone() -> None:
    board = leaderboard(scores([record("theirs", "a", 0.55), bounded("ours", 0.54, 0.4, 0.6)]))
    assert marks(standings(board)) == ["best"]
    notes = leaderboard_table(board).notes
    assert "Numbers without an interval are compared by their value alone." in notes


def test_equal_numbers_are_both_best() -> None:
    board = leaderboard(scores([record("x", "a", 0.5), record("y", "a", 0.5)]))
    assert marks(standings(board)) == ["best", "best"]


def test_only_systems_with_as_many_shots_compete() -> None:
    tuned = [measured("m", "a", 0.8, **tuning(0)), measured("n", "a", 0.7, **tuning(0))]
    board = leaderboard(scores([record("x", "a", 0.5), record("y", "a", 0.4), *tuned]))
    best = [row.cells[0] for row in leaderboard_table(board).rows if row.cells[-1].best]  # type: ignore[union-attr]
    assert best == ["m", "x"]


def test_a_fully_supervised_system_is_not_marked() -> None:
    marked = {"table": "t", "row": "r", "page": "p", "fully_supervised": True}
    full = record("full", "a", 0.9, publication=marked)
    table = leaderboard_table(leaderboard(scores([full, record("x", "a"), record("y", "a", 0.4)])))
    assert [row.cells[0] for row in table.rows if row.cells[-1].best] == ["x"]  # type: ignore[union-attr]
    assert any("full" in note for note in table.notes)


# --- ranks ---------------------------------------------------------------------------------------


def test_ranks_are_sure_where_every_draw_agrees_and_not_where_none_does() -> None:
    board = leaderboard(scores([bounded(m, v, 0, 1) for m, v in (("x", 0.6), ("y", 0.5))]))
    assert standings(board, draws(x=0.6, y=0.5)).ranks == (Rank(1, 1, 1, 2), Rank(2, 2, 2, 2))
    luck = np.random.default_rng(2)
    loose = {name: value + luck.normal(0, 1, 1000) for name, value in (("x", 0.6), ("y", 0.5))}
    found = standings(board, lambda run, *_: Drawn(loose[run[0]], "same"))
    assert found.ranks == (Rank(1, 1, 2, 2), Rank(2, 1, 2, 2))


def test_systems_whose_images_are_unknown_have_no_rank() -> None:
    board = leaderboard(
        scores([record("z", "a", 0.9), bounded("x", 0.6, 0, 1), bounded("y", 0.5, 0, 1)])
    )
    assert standings(board, draws(x=0.6, y=0.5)).ranks == (
        None,
        Rank(1, 1, 1, 2),
        Rank(2, 2, 2, 2),
    )
    assert standings(board, draws(x=0.6)).ranks == (None, None, None)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=6, unique=True), st.integers(0, 9))
def test_a_rank_is_within_its_range(values: list[float], seed: int) -> None:
    luck = np.random.default_rng(seed)
    board = leaderboard(scores([bounded(f"m{i}", v, 0, 1) for i, v in enumerate(values)]))
    found = standings(board, lambda run, *_: Drawn(luck.normal(0.5, 0.2, 50), "same"))
    for rank in found.ranks:
        assert rank is not None
        assert 1 <= rank.low <= rank.high <= rank.of == len(values)


def test_a_mean_has_the_interval_of_independent_datasets() -> None:
    luck = np.random.default_rng(3).normal(0, 0.1, 4000)
    parts = {name: Drawn(0.5 + luck, name) for name in ("a", "b", "c", "d")}
    assert mean_of(parts).values.std() == pytest.approx(0.05, rel=0.1)
    board = leaderboard(
        scores([measured("m", d, 0.5, key=f"m {d}") for d in parts]),
        datasets=[*parts],
        mean_of=["AP"],
    )
    found = standings(board, lambda run, *_: parts[run[-1]]).board
    low, high = (float(frame.iloc[0, -1]) for frame in (found.low, found.high))
    assert high - low == pytest.approx(2 * 1.96 * 0.05, rel=0.1)


# --- what is printed -----------------------------------------------------------------------------


def marked() -> Table:
    luck = np.random.default_rng(1)
    each = {n: v + luck.normal(0, 0.05, 1000) for n, v in (("x", 0.52), ("y", 0.5))}
    runs = [bounded("x", 0.52, 0.5, 0.54), bounded("y", 0.5, 0.49, 0.51), record("z", "a", 0.2)]

    def draw(run: str, task: str, score: str) -> Drawn | None:
        return Drawn(each[run[0]], "same") if run[0] in each else None

    return leaderboard_table(leaderboard(scores(runs)), draw=draw, ranks=True)


@pytest.mark.parametrize("to", [Format.TERMINAL, Format.MARKDOWN])
def test_marks_are_signs_that_the_notes_explain(to: Format) -> None:
    text = marked().render(to)
    for sign in (BEST, SIGNS[Level.PAIRED], "°"):
        assert text.count(sign) == 2
    assert "1 [1–2]" in text


def test_marks_survive_latex_and_programs() -> None:
    table = marked()
    assert r"$\star$" in table.render(Format.LATEX)
    assert r"$\approx$" in table.render(Format.LATEX)
    rows = {row["model"]: row for row in json.loads(table.render(Format.JSON))["rows"]}
    assert (rows["x"]["AP mark"], rows["y"]["AP mark"]) == ("best", "level (paired)")
    assert (rows["x"]["rank"], rows["x"]["rank low"], rows["x"]["rank high"]) == (1, 1, 2)
    assert rows["z"]["rank"] is None
    assert "AP mark" in table.render(Format.CSV).splitlines()[0]


def test_stacked_tables_keep_every_number() -> None:
    one, two = marked(), leaderboard_table(leaderboard(scores([record("q", "b", 0.7)])))
    rows = json.loads(stacked([("first", one), ("second", two)], "task").render(Format.JSON))[
        "rows"
    ]
    assert [row["task"] for row in rows] == ["first"] * 3 + ["second"]
    assert rows[-1]["AP"] == 0.7


# --- rescored runs -------------------------------------------------------------------------------


def rescored(model: str, value: float) -> Any:
    run = measured(model, "a", value, key=f"{model} again")
    made = run.provenance.model_copy(update={"rescored_from": "another"})  # type: ignore[union-attr]
    return run.model_copy(update={"provenance": made})


def test_a_rescored_run_is_a_row_of_its_own() -> None:
    table = leaderboard_table(leaderboard(scores([measured("n", "a", 0.4), rescored("m", 0.5)])))
    assert KEPT in [row.cells[table.columns.index("answers")] for row in table.rows]


@pytest.mark.parametrize(("value", "said"), [(0.5, "with the same scores"), (0.45, "5 points")])
def test_a_rescored_run_gives_way_to_one_that_was_asked(value: float, said: str) -> None:
    board = leaderboard(scores([measured("m", "a", 0.5), rescored("m", value)]))
    assert board.values.to_numpy().tolist() == [[0.5]]
    assert [said in note for note in board.notes] == [True]


def test_other_seeds_never_meet_a_rescored_run() -> None:
    frame = scores([measured("m", "a", 0.5, **tuning(0)), rescored("m", 0.4)])
    assert len(leaderboard(frame).values) == 2


def test_numbers_have_no_sign_unless_they_are_marked() -> None:
    assert Number(0.5).sign == ""
    assert not math.isnan(Number(0.5).value)
