"""What tests of the text metrics share: stored outputs of references, and laws of meters."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.metrics.meter import Accumulator, Meter, Score, Scores, Statistics, settled

FIXTURES = Path(__file__).parent.parent / "fixtures" / "metrics"


def stored(name: str) -> Any:
    return json.loads((FIXTURES / name).read_text())


def same(left: Scores, right: Scores) -> bool:
    """Equal to rounding, NaN equal to NaN, names in the same order."""

    def close(a: float, b: float) -> bool:
        return bool(np.isclose(a, b, rtol=1e-9, atol=1e-12, equal_nan=True))

    def equal(a: Score, b: Score) -> bool:
        classes = (a.by_class or {}).keys() | (b.by_class or {}).keys()
        return (
            close(a.value, b.value)
            and a.n == b.n
            and all(
                close((a.by_class or {}).get(c, np.nan), (b.by_class or {}).get(c, np.nan))
                for c in classes
            )
        )

    return list(left) == list(right) and all(equal(left[n], right[n]) for n in left)


def check_merging(meter: Meter, statistics: Sequence[Statistics], cut: int) -> None:
    """Merging the meters of two halves equals the meter of the whole."""
    left = Accumulator(meter, list(statistics[:cut]))
    left.merge(Accumulator(meter, list(statistics[cut:])))
    assert same(left.compute(), meter.compute(statistics))


def check_weights(meter: Meter, statistics: Sequence[Statistics], weights: list[int]) -> None:
    """A weight of k counts as k images, on statistics that no longer depend on the set."""
    fixed = settled(meter, statistics)
    repeated = [image for image, k in zip(fixed, weights, strict=True) for _ in range(k)]
    assert same(meter.compute(settled(meter, fixed)), meter.compute(statistics))
    weighted = meter.compute(fixed, weights)
    assert same(weighted, meter.compute(repeated))
    draws = meter.resample(fixed, np.array([weights, [1] * len(fixed)]))  # type: ignore[attr-defined]
    for name, values in draws.items():
        np.testing.assert_allclose(values[0], weighted[name].value, rtol=1e-9)
        np.testing.assert_allclose(values[1], meter.compute(fixed)[name].value, rtol=1e-9)
