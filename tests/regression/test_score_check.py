"""What an interval comes to: passed, failed to either side, or undecided."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.regression.score_check import DEFAULT, FEWEST, Rules, Verdict, judged
from bench.stats import Difference, Interval


def difference(low: float, high: float, *, images: int = 100, value: float | None = None):
    middle = (low + high) / 2 if value is None else value
    return Difference(middle, 0.5 + middle, 0.5, Interval(low, high), 0.5, images)


@pytest.mark.parametrize(
    ("low", "high", "verdict", "said"),
    [
        (-0.004, 0.003, Verdict.PASSED, "not lower by 0.5"),
        (0.001, 0.049, Verdict.PASSED, "not lower"),
        (-0.004, 0.08, Verdict.PASSED, "not lower"),
        (-0.03, -0.006, Verdict.FAILED, "lower by more than 0.5"),
        (0.06, 0.09, Verdict.FAILED, "higher by more than 5, which wants a reason"),
        (-0.02, 0.01, Verdict.UNDECIDED, "100 images are too few to rule out a loss of 0.5"),
        (-0.02, 0.2, Verdict.UNDECIDED, "too few to rule out"),
        (0.0, 0.0, Verdict.PASSED, "no image scores otherwise"),
    ],
)
def test_the_interval_decides(low, high, verdict, said):
    found, reason = judged(difference(low, high), DEFAULT)
    assert (found, said in reason) == (verdict, True), reason


def test_few_images_decide_nothing_unless_nothing_changed():
    few = FEWEST - 1
    assert judged(difference(-0.2, -0.1, images=few), DEFAULT)[0] is Verdict.UNDECIDED
    assert judged(difference(0.0, 0.0, images=few), DEFAULT)[0] is Verdict.PASSED


def test_nothing_to_score_on_both_sides_is_no_change_and_on_one_side_is():
    nan = math.nan
    nothing = Difference(nan, nan, nan, Interval(nan, nan), nan, 50)
    one_side = Difference(nan, nan, 0.4, Interval(nan, nan), nan, 50)
    assert judged(nothing, DEFAULT)[0] is Verdict.PASSED
    assert judged(one_side, DEFAULT)[0] is Verdict.FAILED


bounds = st.floats(-0.3, 0.3)


@given(bounds, bounds, st.floats(0, 0.2), st.floats(0, 0.1))
def test_a_wider_margin_never_turns_a_pass_into_anything_else(one, other, margin, more):
    found = difference(min(one, other), max(one, other))
    strict, lenient = (judged(found, Rules(m, 0.3))[0] for m in (margin, margin + more))
    order = [Verdict.FAILED, Verdict.UNDECIDED, Verdict.PASSED]
    assert order.index(lenient) >= order.index(strict)


@given(bounds, bounds, st.floats(0, 0.1))
def test_the_reach_of_a_number_format_widens_both_margins(one, other, reach):
    found = difference(min(one, other), max(one, other))
    wider = Rules(DEFAULT.margin + reach, DEFAULT.upper + reach)
    assert judged(found, DEFAULT, reach) == judged(found, wider)
