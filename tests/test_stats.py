"""Intervals cover what they claim, and cost no second inference."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import TASKS, ToyDataset, ToyModel, assignment

import bench.tasks
from bench.errors import DataError, UsageError
from bench.execute import Finished, work
from bench.metrics.meter import Score, Statistics
from bench.protocol import Protocol
from bench.record import Record
from bench.stats import (
    METRIC_RULES,
    compare,
    differences,
    draws,
    intervals,
    meters_of,
    record_intervals,
    resampled,
)
from bench.store import Store


class Mean:
    """The plainest meter: the mean of one number an image."""

    names = ("mean",)

    def measure(self, prediction: float, truth: float) -> Statistics:
        return {"x": np.array(prediction)}

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> dict[str, Score]:
        values = np.array([float(s["x"]) for s in statistics])
        times = np.ones(len(values)) if weights is None else np.array(weights, float)
        total = times.sum()
        return {"mean": Score(float((values * times).sum() / total) if total else np.nan, 1)}


class FastMean(Mean):
    def resample(self, statistics: Sequence[Statistics], weights: np.ndarray) -> dict[str, Any]:
        values = np.array([float(s["x"]) for s in statistics])
        return {"mean": weights @ values / weights.sum(1)}


def of(values: Sequence[float]) -> list[Statistics]:
    return [{"x": np.array(value)} for value in values]


def test_an_interval_of_a_mean_agrees_with_the_textbook() -> None:
    values = np.random.default_rng(0).normal(0.5, 0.1, 400)
    found = intervals(FastMean(), of(values), resamples=4000)["mean"]
    error = values.std() / np.sqrt(400)
    assert found.low == pytest.approx(values.mean() - 1.96 * error, abs=0.15 * error)
    assert found.high == pytest.approx(values.mean() + 1.96 * error, abs=0.15 * error)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    generator = np.random.default_rng(1)
    covered = 0
    for _ in range(300):
        found = intervals(FastMean(), of(generator.normal(0, 1, 60)), resamples=200)["mean"]
        covered += found.low <= 0 <= found.high
    assert 0.90 <= covered / 300 <= 0.98


class Length(Mean):
    """The squared length of a mean vector: like AP, it is flattered by few images."""

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> dict[str, Score]:
        times = np.ones((1, len(statistics))) if weights is None else np.array([weights])
        return {"mean": Score(float(self.resample(statistics, times)["mean"][0]), 1)}

    def resample(self, statistics: Sequence[Statistics], weights: np.ndarray) -> dict[str, Any]:
        vectors = np.array([s["x"] for s in statistics])
        return {"mean": ((weights @ vectors / weights.sum(1)[:, None]) ** 2).sum(1)}


def test_intervals_hold_the_truth_of_a_score_that_few_images_flatter() -> None:
    generator, truth = np.random.default_rng(3), 10 * 0.5**2
    basic = percentile = 0
    for _ in range(200):
        vectors = [{"x": x} for x in generator.normal(0.5, 1, (40, 10))]
        found = intervals(Length(), vectors, resamples=200)["mean"]
        basic += found.low <= truth <= found.high
        drawn = resampled(Length(), vectors, resamples=200, seed=0)["mean"]
        low, high = np.quantile(drawn, [0.025, 0.975])
        percentile += bool(low <= truth <= high)
    assert basic / 200 > 0.88
    assert percentile < basic - 10, "the interval that we do not use"


def test_intervals_of_fractions_stay_between_0_and_1() -> None:
    for value in (0.0, 0.02, 0.98, 1.0):
        values = np.random.default_rng(0).random(30) < value
        found = intervals(FastMean(), of(values.astype(float)))["mean"]
        assert 0 <= found.low <= found.high <= 1


def test_intervals_of_unbounded_scores_may_pass_1() -> None:
    found = intervals(FastMean(), of(np.random.default_rng(0).normal(1.0, 0.5, 30)))["mean"]
    assert found.high > 1


def test_a_seed_gives_one_interval() -> None:
    values = of(np.random.default_rng(0).random(50))
    first, again, other = (intervals(FastMean(), values, seed=seed) for seed in (0, 0, 1))
    assert first == again
    assert first != other


@given(st.lists(st.floats(0, 1), min_size=1, max_size=12))
def test_scoring_many_draws_at_once_is_scoring_each(values: list[float]) -> None:
    slow = resampled(Mean(), of(values), resamples=7, seed=3)["mean"]
    fast = resampled(FastMean(), of(values), resamples=7, seed=3)["mean"]
    np.testing.assert_allclose(slow, fast, atol=1e-12)


def test_draws_do_not_depend_on_how_many_come_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = np.concatenate(list(draws(30, 100, 7)))
    monkeypatch.setattr("bench.stats.CHUNK", 70)
    np.testing.assert_array_equal(np.concatenate(list(draws(30, 100, 7))), whole)
    assert (whole.sum(1) == 30).all()


def test_nothing_to_score_is_an_absent_interval() -> None:
    found = intervals(Mean(), of([np.nan, np.nan]), resamples=5)["mean"]
    assert np.isnan(found.low)
    assert np.isnan(found.high)


def test_pairing_finds_a_difference_that_two_intervals_hide() -> None:
    generator = np.random.default_rng(0)
    hardness = generator.normal(0.5, 0.3, 200)
    ours, theirs = hardness + 0.02 + generator.normal(0, 0.02, 200), hardness
    alone = [intervals(FastMean(), of(values))["mean"] for values in (ours, theirs)]
    assert alone[0].low < alone[1].high, "apart, they overlap"
    found = differences(FastMean(), of(ours), of(theirs))["mean"]
    assert found.value == pytest.approx(0.02, abs=0.005)
    assert found.interval.low > 0
    assert found.p < 0.01


def test_two_runs_that_are_one_do_not_differ() -> None:
    values = of(np.random.default_rng(0).random(50))
    found = differences(FastMean(), values, values)["mean"]
    assert (found.value, found.interval.low, found.interval.high, found.p) == (0, 0, 0, 1)


def test_p_is_as_often_small_as_it_says() -> None:
    generator = np.random.default_rng(2)
    small = 0
    for _ in range(300):
        ours, theirs = generator.normal(0, 1, (2, 60))
        small += differences(FastMean(), of(ours), of(theirs), resamples=200)["mean"].p < 0.05
    assert small / 300 < 0.10


# --- from runs -----------------------------------------------------------------------------------


@pytest.fixture(autouse=True)
def toy_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, place in TASKS.items():
        monkeypatch.setitem(bench.tasks.TASKS, name, place)


class Dim(ToyModel):
    def brightness(self, images: Sequence[np.ndarray]) -> list[float]:
        return [value - 0.1 for value in super().brightness(images)]


def run(folder: Path, model: ToyModel, dataset: ToyDataset | None = None) -> Record:
    *_, last = work(assignment(dataset, model), Store(folder))
    assert isinstance(last, Finished)
    return last.record


def test_a_records_intervals_come_from_what_the_run_kept(tmp_path: Path) -> None:
    record, model = run(tmp_path, ToyModel()), ToyModel()
    found = record_intervals(record, Store(tmp_path), resamples=50)
    score = record.scores["brightness"]["closeness"].value
    assert score is not None
    interval = found["brightness", "closeness"]
    assert interval.low <= score <= interval.high
    assert model.calls == []


def test_intervals_are_computed_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record, store = run(tmp_path, ToyModel()), Store(tmp_path)
    found = record_intervals(record, store, resamples=50)
    with monkeypatch.context() as patch:
        patch.setattr("bench.stats.resampled", None)
        assert record_intervals(record, store, resamples=50) == found
    assert record_intervals(record, store, resamples=50, seed=1) != found


def test_intervals_of_a_run_that_went_on_are_computed_anew(tmp_path: Path) -> None:
    broken = ToyDataset(broken=frozenset({"003.png"}))
    first = run(tmp_path, Dim(), broken)
    before = record_intervals(first, Store(tmp_path), resamples=50)
    *_, last = work(assignment(None, Dim()), Store(tmp_path), again=True)
    assert isinstance(last, Finished)
    assert last.record.key == first.key
    assert record_intervals(last.record, Store(tmp_path), resamples=50) != before


def test_a_record_without_statistics_has_no_intervals(tmp_path: Path) -> None:
    record = run(tmp_path / "a", ToyModel())
    assert record_intervals(record, Store(tmp_path / "b")) == {}


def test_a_record_of_another_version_has_its_scores_and_no_intervals(tmp_path: Path) -> None:
    record = run(tmp_path, ToyModel())
    unknown = {**(record.protocol.definition or {}), "pq": {"fuzzy": True}}
    other = record.model_copy(
        update={"protocol": record.protocol.model_copy(update={"definition": unknown})}
    )
    assert record_intervals(other, Store(tmp_path)) == {}
    with pytest.raises(DataError, match=r"a rule that this version.*pq\.fuzzy"):
        meters_of(other)


def test_rules_of_asking_that_are_gone_do_not_matter_for_intervals(tmp_path: Path) -> None:
    record = run(tmp_path, ToyModel())
    more = {**(record.protocol.definition or {}), "dropped_since": 1}
    old = record.model_copy(
        update={"protocol": record.protocol.model_copy(update={"definition": more})}
    )
    assert record_intervals(old, Store(tmp_path), resamples=20)


def test_runs_are_compared_on_the_images_both_scored(tmp_path: Path) -> None:
    store = Store(tmp_path)
    broken = ToyDataset(broken=frozenset({"003.png"}))
    good, dim = run(tmp_path, ToyModel(name="good"), broken), run(tmp_path, Dim(name="dim"))
    found = compare(good, dim, store, resamples=100)["brightness", "closeness"]
    assert found.images == 11
    assert found.interval.low > 0
    assert found.value > 0.02


def test_one_image_tells_nothing_of_how_images_differ(tmp_path: Path) -> None:
    dataset = ToyDataset(broken=frozenset(f"{n:03}.png" for n in range(1, 12)))
    ours, theirs = run(tmp_path, ToyModel(), dataset), run(tmp_path, Dim(name="dim"))
    assert record_intervals(ours, Store(tmp_path)) == {}
    with pytest.raises(UsageError, match="only one scored image in common"):
        compare(ours, theirs, Store(tmp_path))


def test_runs_on_different_data_are_not_compared(tmp_path: Path) -> None:
    ours, theirs = run(tmp_path, ToyModel()), run(tmp_path, ToyModel(), ToyDataset(name="other"))
    with pytest.raises(UsageError, match="cannot be compared: their datasets differ"):
        compare(ours, theirs, Store(tmp_path))


def test_runs_under_different_metrics_are_not_compared(tmp_path: Path) -> None:
    ours = run(tmp_path, ToyModel())
    definition = {**(ours.protocol.definition or {}), "pq": {"iou_threshold": 0.75}}
    theirs = ours.model_copy(
        update={"protocol": ours.protocol.model_copy(update={"definition": definition})}
    )
    with pytest.raises(UsageError, match="metric definitions differ"):
        compare(ours, theirs, Store(tmp_path))


def test_the_metric_rules_are_parts_of_a_card() -> None:
    assert set(METRIC_RULES) <= set(Protocol.model_fields)


def test_a_published_number_is_not_compared_image_by_image(tmp_path: Path) -> None:
    ours = run(tmp_path, ToyModel())
    with pytest.raises(UsageError, match="no per-image statistics of run"):
        compare(ours, replace_key(ours, "elsewhere"), Store(tmp_path))


def replace_key(record: Record, key: str) -> Record:
    return record.model_copy(update={"key": key})
