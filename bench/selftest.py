"""The self-test of a model, ours or a plug-in's: does it keep what its protocols promise?

It needs no data and about a minute: drawn images go in, and what comes out is examined, compared
with itself, and tried at the edges where models break: no classes, one pixel, one image at a time.
It says nothing about how good a model is.
"""

import gc
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from pathlib import Path
from statistics import median
from time import monotonic

import numpy as np

from bench.promises import PROMISES, Broken, Promise, difference, require
from bench.provenance import peak_memory
from bench.types import Image

SECONDS = 60.0
"""What has not begun by then is skipped, and said to be."""
ALIKE = 1e-5
"""Two answers to one question differ by no more than this share of their largest number."""
NEAR = 1e-2
"""The same for an image asked alone and with others: kernels round differently by batch size."""
GROWTH = 21 * 2**20
"""Bytes by which memory may grow each time the same question is asked."""
ROUNDS = 3


class Verdict(StrEnum):
    """How a check ended."""

    KEPT = "kept"
    BROKEN = "broken"
    SKIPPED = "skipped"


@dataclass(frozen=True)
class Check:
    """One thing that was tried."""

    protocol: str
    claim: str
    verdict: Verdict
    found: str = ""
    seconds: float = 0.0


def self_test(
    model: object, claimed: Sequence[str] = (), *, seconds: float = SECONDS
) -> Iterator[Check]:
    """Try a model, one check at a time.

    Args:
        model: what was built.
        claimed: the protocols that its card says it satisfies; empty: it has no card.
        seconds: the time there is; a check that has begun is finished.
    """
    end = monotonic() + seconds
    kept = [promise for promise in PROMISES if isinstance(model, promise.protocol)]
    yield _tried("model", "answers what its card says", lambda: _as_claimed(kept, claimed))
    for promise in kept:
        if claimed and promise.protocol.__name__ not in claimed:
            continue  # it has the method and does not claim to answer: its card was shown above
        for claim, attempt in _attempts(model, promise):
            name = promise.protocol.__name__
            if monotonic() > end:
                yield Check(name, claim, Verdict.SKIPPED, f"{seconds:g} seconds were over")
            else:
                yield _tried(name, claim, attempt)


def _tried(protocol: str, claim: str, attempt: Callable[[], str]) -> Check:
    """What came of an attempt; whatever a stranger's model raises is a broken promise."""
    start = monotonic()
    try:
        found, verdict = attempt(), Verdict.KEPT
    except Broken as error:
        found, verdict = str(error), Verdict.BROKEN
    except Exception as error:  # a plug-in may raise anything, and the other checks go on
        found, verdict = f"{type(error).__name__}: {error}".strip(), Verdict.BROKEN
    return Check(protocol, claim, verdict, found, monotonic() - start)


def _as_claimed(kept: Sequence[Promise], claimed: Sequence[str]) -> str:
    names = [promise.protocol.__name__ for promise in kept]
    require(bool(names), "it satisfies no protocol of bench.types")
    missing = set(claimed) - set(names)
    require(not missing, f"the card claims {', '.join(sorted(missing))}, which it is not")
    unclaimed = set(names) - set(claimed) if claimed else set()
    beside = f"; not on its card: {', '.join(sorted(unclaimed))}" if unclaimed else ""
    return ", ".join(names) + beside


def _attempts(model: object, promise: Promise) -> Iterator[tuple[str, Callable[[], str]]]:
    """The checks of one promise, from the ordinary to the edges."""
    two = pictures(2, (61, 83))
    yield "answers have the promised shapes", lambda: _shapes(model, promise, two)
    yield "the same question has the same answer", lambda: _repeats(model, promise, two)
    yield "a batch is answered as its images alone", lambda: _alone(model, promise, two)
    yield "a single pixel is an image", lambda: _shapes(model, promise, pictures(1, (1, 1)))
    for nothing, (ask, examine) in promise.ask_nothing.items():
        unasked = Promise(promise.protocol, ask, examine, {})
        yield nothing, lambda unasked=unasked: _shapes(model, unasked, two)  # type: ignore[misc]
    yield "memory stays what it is", lambda: _memory(model, promise)


def _shapes(model: object, promise: Promise, images: Sequence[Image]) -> str:
    answers = promise.ask(model, images)
    require(len(answers) == len(images), f"{len(answers)} answers to {len(images)} images")
    for answer, image in zip(answers, images, strict=True):
        promise.examine(answer, image)
    return ""


def _repeats(model: object, promise: Promise, images: Sequence[Image]) -> str:
    apart = difference(list(promise.ask(model, images)), list(promise.ask(model, images)))
    require(apart <= ALIKE, f"two answers differ by {apart:.2g} of their largest number")
    return ""


def _alone(model: object, promise: Promise, images: Sequence[Image]) -> str:
    together = promise.ask(model, images)
    alone = [promise.ask(model, [image])[0] for image in images]
    apart = difference(list(together), alone)
    require(apart <= NEAR, f"alone, answers differ by {apart:.2g} of their largest number")
    return f"differs by {apart:.1g} of the largest number" if apart else ""


def _memory(model: object, promise: Promise) -> str:
    images = pictures(1, (480, 640))
    promise.ask(model, images)
    gc.collect()  # what waits to be freed would hide growth
    resident = [_resident()]
    for _ in range(ROUNDS):
        promise.ask(model, images)
        resident.append(_resident())
    # The median, as others in this process may let go of memory in one of the rounds.
    grown = median(after - before for before, after in pairwise(resident))
    require(
        grown <= GROWTH,
        f"each time it is asked about one image, it needs {grown / 2**20:.0f} MiB more",
    )
    return f"peak {peak_memory().host / 2**20:.0f} MiB at 480 x 640"


def _resident() -> int:
    """Bytes of this process in memory now; where the system does not tell, the most there were."""
    statistics = Path("/proc/self/statm")
    if not statistics.is_file():
        return peak_memory().host
    return int(statistics.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def pictures(n: int, size: tuple[int, int]) -> list[Image]:
    """Images with shapes in them, the same every time: discs and boxes on a gradient."""
    generator = np.random.default_rng(20240613)
    height, width = size
    rows, columns = np.mgrid[:height, :width]
    found = []
    for _ in range(n):
        image = np.stack([rows * 255 // height, columns * 255 // width, rows * 0 + 96], axis=-1)
        for _ in range(4):
            top, left = generator.uniform(0, height), generator.uniform(0, width)
            reach = generator.uniform(0.1, 0.4) * min(size)
            inside = np.hypot(rows - top, columns - left) < reach
            image[inside] = generator.integers(0, 256, 3)
        found.append(image.astype(np.uint8))
    return found


def sound(checks: Sequence[Check]) -> bool:
    """Whether no promise was broken."""
    return all(check.verdict is not Verdict.BROKEN for check in checks)
