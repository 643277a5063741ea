"""Draws and trainings told apart: the textbook's numbers, and intervals that hold the truth."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweeps import columns, measured, sweep

from bench.report.sweep import AVERAGE, entries
from bench.report.table import Number
from bench.report.variance import (
    ONE_DATASET,
    Squares,
    components,
    of_entry,
    pooled,
    squares,
    variance_table,
)

TWO = columns("Cows", "Hand")


def test_components_of_a_small_table_worked_out_by_hand():
    # means 1, 5, 6 around 4: between 2 * (9 + 1 + 4) / 2 = 14; within (2 + 2 + 2) / 3 = 2
    found = components(squares([[0, 2], [4, 6], [5, 7]]))
    assert found.training is not None
    assert found.draw is not None
    assert found.training.variance == pytest.approx(2)
    assert found.draw.variance == pytest.approx((14 - 2) / 2)
    assert (found.draws, found.runs) == (3, 6)


def test_unequal_numbers_of_trainings_weigh_as_the_analysis_of_variance_says():
    of = squares([[1.0, 2.0, 3.0], [5.0]])
    assert of.trainings == pytest.approx((4 - (9 + 1) / 4) / 1)
    assert of.within == pytest.approx(2 / 2)
    assert of.between == pytest.approx(3 * (2 - 2.75) ** 2 + (5 - 2.75) ** 2)


@given(st.lists(st.lists(st.floats(0, 1), min_size=2, max_size=4), min_size=2, max_size=5))
def test_estimates_lie_in_their_intervals_and_none_is_negative(groups):
    found = components(squares(groups))
    for one in (found.draw, found.training):
        assert one is not None
        assert 0 <= one.low <= one.variance + 1e-12
        assert one.variance <= one.high + 1e-12


@pytest.mark.parametrize(("draw", "training"), [(2.0, 1.0), (0.0, 1.0), (1.0, 3.0)])
def test_intervals_hold_the_truth_about_as_often_as_they_promise(draw, training):
    generator = np.random.default_rng(0)
    held = np.zeros(2)
    trials = 300
    for _ in range(trials):
        scores = generator.normal(0, draw, 3)[:, None] + generator.normal(0, training, (3, 3))
        found = components(squares(scores.tolist()))
        for place, (one, truth) in enumerate(((found.draw, draw), (found.training, training))):
            assert one is not None
            held[place] += one.low <= truth**2 <= one.high
    assert (held / trials > 0.91).all()
    assert (held / trials < 0.995).all()


def test_what_cannot_be_told_apart_is_not_told():
    once = components(squares([[0.1], [0.2], [0.3]]))
    assert (once.draw, once.training) == (None, None)
    one_draw = components(squares([[0.1, 0.2, 0.3]]))
    assert one_draw.draw is None
    assert one_draw.training is not None
    assert one_draw.training.variance == pytest.approx(0.01)


def test_pooling_equal_datasets_keeps_the_estimates_and_narrows_the_intervals():
    one = squares([[0.0, 0.2], [0.4, 0.6], [0.5, 0.7]])
    alone, together = components(one), components(pooled([one] * 8))
    for a, b in ((alone.draw, together.draw), (alone.training, together.training)):
        assert a is not None
        assert b is not None
        assert b.variance == pytest.approx(a.variance)
        assert b.high - b.low < a.high - a.low
    assert isinstance(pooled([one] * 8), Squares)
    assert pooled([one] * 8).within_freedom == pytest.approx(8 * 3)


def runs(support=None):
    generator = np.random.default_rng(1)
    return [
        measured(
            "m",
            column.dataset,
            float(0.5 + generator.normal(0, 0.01)),
            shots=5,
            draw=draw,
            train=train,
            support=support,
        )
        for column in TWO
        for draw in range(3)
        for train in range(2)
    ]


def test_runs_on_the_same_images_are_of_one_draw_whatever_their_seeds():
    (entry,), _ = entries(runs(support="released"), TWO, "AP")
    of = of_entry(entry, TWO)
    assert [of[name].draws for name in ("Cows", AVERAGE, ONE_DATASET)] == [1, 1, 1]
    assert of[AVERAGE].runs == 6
    assert not math.isnan(of[AVERAGE].within)


def test_the_average_varies_less_than_its_datasets():
    names = [f"wild-{n}" for n in range(6)]
    of = columns(*map(str, range(6)))
    found, _ = entries(sweep(names, ["m"], ["prompt"], [5], draws=4, trainings=4), of, "AP")
    parts = of_entry(found[-1], of)
    average, one = components(parts[AVERAGE]), components(parts[ONE_DATASET])
    assert average.training is not None
    assert one.training is not None
    assert average.training.sd < one.training.sd
    assert one.training.sd == pytest.approx(0.01, rel=0.3)  # as `sweep` draws them
    assert one.draw is not None
    assert one.draw.sd == pytest.approx(0.02, rel=0.5)


def test_the_table_has_a_row_a_setting_and_says_how_to_tell_apart_what_is_not():
    found, _ = entries([*runs(), measured("m", "wild-Cows", 0.4)], TWO, "AP")
    table = variance_table(found, TWO, title="Wild")
    assert len(table.rows) == 1
    assert all(isinstance(cell, Number) for cell in table.rows[0].cells[-4:])
    assert not any("--trainings" in note for note in table.notes)
    once, _ = entries(sweep(["wild-Cows"], ["m"], ["prompt"], [5]), TWO, "AP")
    table = variance_table(once, TWO, title="Wild")
    assert [str(c.percent()) for c in table.rows[0].cells if isinstance(c, Number)] == ["–"] * 4
    assert any("--trainings" in note for note in table.notes)
