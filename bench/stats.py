"""How sure a number is: bootstrap over images, from what runs keep of each image.

The images of a dataset are taken as a draw from all images of their kind. Drawing as many anew,
with replacement, many times over, and scoring each draw, shows how far the score moves by the luck
of the draw alone (Efron and Tibshirani, An Introduction to the Bootstrap, chapters 6, 13 and 15).
Nothing is inferred again: a draw is a set of weights over the images' statistics.

Intervals are basic ones: the spread of the draws around the score, turned round it. Percentiles of
the draws would be wrong for average precision, which flatters few images: interpolation takes the
best precision to the right, and the more so the fewer there are. Draws flatter twice, and their
percentiles lie too high. With 100 images of a simulated detector they held the AP over all images
in 70 % of 120 trials, the basic interval in 93 %; for PQ and mIoU both hold it equally often.

What the interval does not cover: other training seeds, other prompts, other annotators.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol as TypingProtocol
from typing import runtime_checkable

import numpy as np
from jaxtyping import Float, Int
from pydantic import ValidationError

from bench import tasks
from bench.errors import DataError, UsageError
from bench.metrics.meter import Meter, Statistics, settled
from bench.outcome import ImageOutcome
from bench.protocol import Protocol
from bench.record import Record, RecordedScore
from bench.store import Store
from bench.types import Vocabulary

RESAMPLES = 1000
LEVEL = 0.95
SEED = 0
CHUNK = 2_000_000
"""Weights drawn at a time: what a chunk of draws may hold in memory."""

Draws = Float[np.ndarray, " draw"]


@runtime_checkable
class Resampling(TypingProtocol):
    """A meter that scores many draws at once."""

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> Mapping[str, Draws]:
        """For each score, its value under each row of weights: what `compute` would give."""
        ...


@dataclass(frozen=True, slots=True)
class Interval:
    """Where a score lies, by the luck of the draw of images."""

    low: float
    high: float
    level: float = LEVEL


@dataclass(frozen=True, slots=True)
class Difference:
    """How much better one run scores than another on the same images."""

    value: float
    """Ours minus theirs."""
    ours: float
    """Our score on the images that both scored."""
    theirs: float
    """Theirs."""
    interval: Interval
    p: float
    """Two-sided: how often a draw moves the difference by as much as it is away from zero."""
    images: int
    """How many images both runs scored."""


# --- from statistics -----------------------------------------------------------------------------


def intervals(
    meter: Meter,
    statistics: Sequence[Statistics],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Interval]:
    """An interval for every score of `meter`; NaN where there is nothing to score.

    And NaN of a single image, whose draws are all the same: it does not tell how images differ.
    """
    if len(statistics) == 1:
        unknown = Interval(float("nan"), float("nan"), level)
        return dict.fromkeys(meter.compute(statistics), unknown)
    drawn = resampled(meter, statistics, resamples=resamples, seed=seed)
    found = meter.compute(statistics)
    return {
        name: _within_range(basic_interval(found[name].value, values, level), values)
        for name, values in drawn.items()
    }


def differences(
    meter: Meter,
    ours: Sequence[Statistics],
    theirs: Sequence[Statistics],
    *,
    resamples: int = RESAMPLES,
    level: float = LEVEL,
    seed: int = SEED,
) -> dict[str, Difference]:
    """For every score, ours minus theirs, image by image the same: a paired bootstrap.

    Both are drawn together, so what makes an image hard for both cancels.
    """
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} images against {len(theirs)}: they must be the same")
    left, right = meter.compute(ours), meter.compute(theirs)
    ours_drawn = resampled(meter, ours, resamples=resamples, seed=seed)
    theirs_drawn = resampled(meter, theirs, resamples=resamples, seed=seed)
    found = {}
    for name, values in ours_drawn.items():
        both = left[name].value, right[name].value
        value, drawn = both[0] - both[1], values - theirs_drawn[name]
        interval = basic_interval(value, drawn, level)
        found[name] = Difference(value, *both, interval, two_sided(value, drawn), len(ours))
    return found


def resampled(
    meter: Meter, statistics: Sequence[Statistics], *, resamples: int, seed: int
) -> dict[str, Draws]:
    """Every score under `resamples` draws of images."""
    fixed = settled(meter, statistics)
    parts: dict[str, list[Draws]] = {}
    for weights in draws(len(fixed), resamples, seed):
        for name, values in _scored(meter, fixed, weights).items():
            parts.setdefault(name, []).append(np.asarray(values, np.float64))
    return {name: np.concatenate(values) for name, values in parts.items()}


def draws(images: int, resamples: int, seed: int) -> Iterator[Int[np.ndarray, "draw image"]]:
    """How often each image is drawn, draw by draw, some draws at a time.

    A draw depends on its number, `images` and `seed` alone, not on how many come at a time.
    """
    if images < 1 or resamples < 1:
        raise ValueError(f"{resamples} draws of {images} images: there must be one of each")
    generator = np.random.default_rng(seed)
    share = np.full(images, 1 / images)
    step = max(1, CHUNK // images)
    for first in range(0, resamples, step):
        yield generator.multinomial(images, share, size=min(step, resamples - first))


def _scored(
    meter: Meter, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
) -> Mapping[str, Draws]:
    if isinstance(meter, Resampling):
        return meter.resample(statistics, weights)
    scored = [meter.compute(statistics, row.tolist()) for row in weights]
    return {name: np.array([scores[name].value for scores in scored]) for name in scored[0]}


def basic_interval(value: float, drawn: Draws, level: float = LEVEL) -> Interval:
    """The spread of draws around a value, turned round it (Davison and Hinkley 1997, equation 5.6).

    Draws without a score are left out: a rare class may be in none of their images.
    """
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return Interval(float("nan"), float("nan"), level)
    low, high = np.quantile(known, [(1 - level) / 2, (1 + level) / 2])
    return Interval(float(2 * value - high), float(2 * value - low), level)


def _within_range(interval: Interval, drawn: Draws) -> Interval:
    """The part that a score can take: none is negative, and fractions end at 1."""
    largest = 1.0 if np.nanmax(drawn, initial=0.0) <= 1 else np.inf
    low, high = np.clip([interval.low, interval.high], 0.0, largest)
    return Interval(float(low), float(high), interval.level)


def two_sided(value: float, drawn: Draws) -> float:
    """How often a draw lies as far from `value` as zero does; never quite 0, for draws are few."""
    known = drawn[~np.isnan(drawn)]
    if not known.size:
        return float("nan")
    as_far = int((np.abs(known - value) >= abs(value)).sum())
    return float((as_far + 1) / (known.size + 1))


# --- from records --------------------------------------------------------------------------------


METRIC_RULES = {"miou": "semantic", "ap": "instance", "pq": "panoptic", "ciou": "referring"}
"""Parts of a protocol that say what is counted, not how a model is asked; each with its task."""


def meters_of(record: Record) -> dict[str, tuple[Meter, ...]]:
    """The meters that a measured record's scores came from, by task.

    Raises:
        DataError: it was scored by rules that this version of bench does not know.
    """
    used, words = record.protocol, record.vocabulary
    assert used.definition is not None
    assert words is not None
    rules = {rule: used.definition[rule] for rule in METRIC_RULES if rule in used.definition}
    try:
        card = Protocol.model_validate({"name": used.name, **rules})
    except ValidationError as error:
        key = ".".join(str(part) for part in error.errors()[0]["loc"])
        raise DataError(
            f"Run {record.key} was scored by a rule that this version of bench does not know "
            f"({key}). Score it with the version that it names, or run it again."
        ) from None
    vocabulary = Vocabulary(words.names, things=frozenset(words.things))
    return {name: tasks.task(name).meters(vocabulary, card) for name in record.scores}


def record_intervals(
    record: Record, store: Store, *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[tuple[str, str], Interval]:
    """An interval for every score of a record, by task and score.

    They are computed once and kept in the run's folder. There are none for a published number, for
    a record without its statistics, or for one whose rules only another version of bench knows; and
    none of a score that nothing was counted for, or that a single image gave.
    """
    if record.reported:
        return {}
    how = f"basic bootstrap, level {LEVEL}, {resamples} draws, seed {seed}, {_rests_on(record)}"
    kept = store.intervals(record.key, how)
    if kept is None:
        outcomes = store.statistics(record.key)
        if outcomes is None:
            return {}
        try:
            meters = meters_of(record)
        except DataError:
            return {}
        kept = _computed(meters, outcomes, resamples, seed)
        store.keep_intervals(record.key, how, kept)
    return {
        (task, name): Interval(low, high)
        for task, of_task in kept.items()
        for name, (low, high) in of_task.items()
        if low is not None and high is not None
    }


def with_intervals(record: Record, store: Store) -> Record:
    """The record with the intervals of its scores, so that it is whole without its statistics."""
    found = record_intervals(record, store)

    def bounded(task: str, name: str, score: RecordedScore) -> RecordedScore:
        interval = found.get((task, name))
        bounds = (interval.low, interval.high) if interval else None
        return score.model_copy(update={"interval": bounds})

    scores = {
        task: {name: bounded(task, name, score) for name, score in of_task.items()}
        for task, of_task in record.scores.items()
    }
    return record.model_copy(update={"scores": scores})


def _rests_on(record: Record) -> str:
    """The session that ended the run: one that goes on with it has other images."""
    assert record.provenance is not None
    return f"session of {record.provenance.sessions[-1].started.isoformat()}"


def _computed(
    meters: Mapping[str, Sequence[Meter]],
    outcomes: Mapping[str, ImageOutcome],
    resamples: int,
    seed: int,
) -> dict[str, dict[str, tuple[float | None, float | None]]]:
    """Bounds by task and score, as JSON can hold them: `None` where there was nothing to score."""
    scored = [outcome for outcome in outcomes.values() if outcome.failure is None]
    found: dict[str, dict[str, tuple[float | None, float | None]]] = {}
    for task, of_task in meters.items():
        found[task] = {}
        for index, meter in enumerate(of_task):
            statistics = _of_meter(scored, task, index)
            for name, interval in intervals(
                meter, statistics, resamples=resamples, seed=seed
            ).items():
                known = not np.isnan(interval.low)
                found[task][name] = (interval.low, interval.high) if known else (None, None)
    return found


def compare(
    ours: Record, theirs: Record, store: Store, *, resamples: int = RESAMPLES, seed: int = SEED
) -> dict[tuple[str, str], Difference]:
    """For every score that two runs share, how much better `ours` is, on the images both scored.

    Raises:
        UsageError: they are not about the same thing, or a run's statistics are not here.
    """
    _comparable(ours, theirs)
    left, right = _scored_images(ours, store), _scored_images(theirs, store)
    common = [id for id in left if id in right]
    if len(common) < 2:
        have = "only one scored image" if common else "no scored image"
        raise UsageError(
            f"Runs {ours.key} and {theirs.key} have {have} in common: a comparison draws from two "
            "or more."
        )
    return {
        (task, name): difference
        for task, meters in meters_of(ours).items()
        if task in theirs.scores
        for index, meter in enumerate(meters)
        for name, difference in differences(
            meter,
            _of_meter([left[id] for id in common], task, index),
            _of_meter([right[id] for id in common], task, index),
            resamples=resamples,
            seed=seed,
        ).items()
    }


def _comparable(ours: Record, theirs: Record) -> None:
    """Two runs may differ in model, protocol and words, but not in data, classes or metric."""
    for what, mine, other in (
        ("datasets", ours.dataset.name, theirs.dataset.name),
        ("splits", ours.dataset.split, theirs.dataset.split),
        ("classes", _classes(ours), _classes(theirs)),
        ("metric definitions", _metrics(ours, theirs), _metrics(theirs, ours)),
    ):
        if mine != other:
            raise UsageError(
                f"Runs {ours.key} and {theirs.key} cannot be compared: their {what} differ"
                f"{_how(mine, other)}."
            )


def _classes(record: Record) -> object:
    return record.vocabulary and (record.vocabulary.names, record.vocabulary.things)


def _metrics(record: Record, other: Record) -> dict[str, object]:
    """What a record's card says of the metrics of the tasks that both were scored on.

    A rule is another task's business only where each task is known to have a rule of its own.
    """
    definition = record.protocol.definition or {}
    both = record.scores.keys() & other.scores.keys()
    found: dict[str, object] = {}
    for rule, task in METRIC_RULES.items():
        counts = task in both or bool(both - set(METRIC_RULES.values()))
        parts = definition.get(rule) if counts else None
        if isinstance(parts, dict):
            found |= {f"{rule}.{part}": value for part, value in parts.items()}
    return found


def _how(mine: object, other: object) -> str:
    """In what two things differ, where that can be said in a few words."""
    if isinstance(mine, str):
        return f" ({mine} and {other})"
    if isinstance(mine, dict) and isinstance(other, dict):
        parts = [part for part in mine | other if mine.get(part) != other.get(part)]
        return f" ({', '.join(parts)})"
    return ""


def _scored_images(record: Record, store: Store) -> dict[str, ImageOutcome]:
    outcomes = None if record.reported else store.statistics(record.key)
    if outcomes is None:
        raise UsageError(
            f"There are no per-image statistics of run {record.key} in {store.folder}: "
            "a published or copied record cannot be compared image by image."
        )
    return {id: outcome for id, outcome in outcomes.items() if outcome.failure is None}


def _of_meter(outcomes: Sequence[ImageOutcome], task: str, index: int) -> list[Statistics]:
    return [outcome.statistics[task][index] for outcome in outcomes]
