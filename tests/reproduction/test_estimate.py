"""Intervals over few seeds hold what they promise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.reproduction.estimate import Change, change, noise

effects = st.lists(st.floats(-1, 1), min_size=2, max_size=6)


@given(effects, effects)
def test_what_rows_and_seeds_explain_is_no_noise(rows, seeds):
    table = [{n: row + seed for n, seed in enumerate(seeds)} for row in rows]
    found = noise(table)
    assert found.sd == pytest.approx(0, abs=1e-9)
    assert found.degrees == (len(rows) - 1) * (len(seeds) - 1)


@pytest.mark.parametrize(("rows", "seeds"), [(4, 2), (3, 3), (6, 2)])
def test_the_interval_of_a_change_holds_the_true_one_in_95_of_100_tables(rows, seeds):
    generator = np.random.default_rng(0)
    held = 0
    for _ in range(1000):
        effect, luck = generator.normal(size=(rows, 1)), generator.normal(size=(1, seeds))
        scores = effect + luck + 0.3 * generator.normal(size=(rows, seeds))
        table = [dict(enumerate(row)) for row in scores.tolist()]
        low, high = change(table[1], table[0], noise(table)).bounds
        held += low <= (effect[1] - effect[0]).item() <= high
    assert 930 <= held <= 970


def test_one_seed_gives_a_change_without_an_interval():
    found = change({0: 0.4}, {0: 0.5}, noise([{0: 0.4}, {0: 0.5}]))
    assert found.value == pytest.approx(-0.1)
    assert found.bounds is None
    assert found.verdict(-1) == "one seed: undecided"


def test_rows_without_a_common_seed_cannot_be_compared():
    assert change({0: 0.4}, {1: 0.5}, None) is None


def test_a_row_that_lacks_a_seed_does_not_count_for_the_noise():
    whole = [{0: 0.1, 1: 0.3}, {0: 0.2, 1: 0.35}]
    assert noise([*whole, {0: 0.9}]) == noise(whole)


@pytest.mark.parametrize(
    ("bounds", "sign", "verdict"),
    [
        ((-0.3, -0.1), -1, "found"),
        ((-0.3, -0.1), +1, "the opposite"),
        ((0.1, 0.3), -1, "the opposite"),
        ((-0.1, 0.1), -1, "undecided"),
        ((0.0, 0.0), -1, "undecided"),
    ],
)
def test_a_verdict_needs_an_interval_on_one_side_of_zero(bounds, sign, verdict):
    assert Change(sum(bounds) / 2, bounds, 2).verdict(sign) == verdict
