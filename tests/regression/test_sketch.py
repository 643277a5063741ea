"""A sketch tells equal bits exactly, and from others how far they are."""

import base64
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.regression.sketch import Sketch, distance, sketch

seeds = st.integers(0, 2**32 - 1)


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


@given(seeds, st.integers(50, 2000), st.floats(1e-5, 1.0))
def test_the_distance_of_sketches_is_that_of_the_arrays_within_a_factor_of_two(seed, size, far):
    then = normal(seed, size)
    now = (then + far * normal(seed + 1, size)).astype(np.float32)
    true = float(np.linalg.norm(now - then) / np.linalg.norm(then))
    assert 0.5 * true < distance(sketch(now), sketch(then)) < 2 * true


def test_the_squared_distance_is_right_on_average():
    ratios = []
    for seed in range(200):
        then, now = normal(seed, 500), normal(seed + 1000, 500)
        true = np.linalg.norm(now - then) / np.linalg.norm(then)
        ratios.append((distance(sketch(now), sketch(then)) / true) ** 2)
    assert np.mean(ratios) == pytest.approx(1, abs=0.06)


@given(seeds, st.floats(0.02, 1.0))
def test_labels_are_as_far_as_the_share_that_differs(seed, share):
    generator = np.random.default_rng(seed)
    then = generator.integers(-1, 20, (64, 64))
    changed = generator.random(then.shape) < share
    now = np.where(changed, then + 1 + generator.integers(0, 19, then.shape), then)
    true = float((now != then).mean())
    assert 0.25 * true < distance(sketch(now), sketch(then)) < 3 * true


@given(st.permutations(range(6)))
def test_another_order_of_labels_is_far_off(order):
    then = np.random.default_rng(0).integers(0, 6, (40, 40))
    now = np.array(order)[then]
    moved = float((now != then).mean())
    # So near over all 720 orders.
    assert distance(sketch(now), sketch(then)) == pytest.approx(moved, rel=0.6)


def test_equal_bits_are_no_distance_apart_however_integers_are_stored():
    labels = np.arange(12).reshape(3, 4)
    assert distance(sketch(labels.astype(np.int16)), sketch(labels.astype(np.int64))) == 0
    assert sketch(labels.T.copy().T).digest == sketch(labels).digest


def test_one_bit_changes_the_digest_and_hardly_the_distance():
    then = normal(0, 50, 50)
    now = then.copy()
    now[3, 4] = np.nextafter(now[3, 4], np.float32(9))
    assert sketch(now).digest != sketch(then).digest
    assert 0 <= distance(sketch(now), sketch(then)) < 1e-7


@pytest.mark.parametrize(
    ("now", "then"),
    [
        (np.zeros((2, 3)), np.zeros((3, 2))),
        (np.zeros(4), np.zeros(4, bool)),
        (np.full(4, np.nan), np.ones(4)),
        (np.ones(4), np.full(4, np.inf)),
        (np.ones(4), np.zeros(4)),
    ],
)
def test_another_shape_kind_or_no_number_at_all_is_infinitely_far(now, then):
    assert distance(sketch(now), sketch(then)) == math.inf


def test_a_sketch_survives_being_written_down():
    kept = sketch(normal(1, 10, 3))
    assert Sketch.model_validate_json(kept.model_dump_json()) == kept


def test_sketches_are_the_same_on_every_machine():
    numbers = sketch(np.arange(6, dtype=np.float32).reshape(2, 3))
    labels = sketch(np.arange(6).reshape(2, 3))
    assert (numbers.digest, labels.digest) == ("3378efc20f15f0e8", "3b4f22b72ad15097")
    assert entries(numbers) == {3: -4.0, 11: -2.0, 12: 3.0, 16: -5.0, 19: -1.0}
    assert entries(labels) == {0: 1.0, 12: -1.0, 15: 1.0, 23: 1.0, 24: 1.0, 28: -1.0}


def entries(found: Sketch) -> dict[int, float]:
    """The sums that are not zero, by place."""
    sums = np.frombuffer(base64.b64decode(found.sums), "<f4")
    return {int(place): float(sums[place]) for place in np.flatnonzero(sums)}
