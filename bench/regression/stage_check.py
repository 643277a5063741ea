"""Which stages are what they were: bit for bit, within rounding, or not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property

from bench.errors import DataError
from bench.evaluation import score
from bench.regression.reference import Part
from bench.regression.rounding import FLOOR, Images, distances, tolerated, typical
from bench.regression.stages import IMAGE, STAGES, Shown
from bench.stats import meters_of

RECOMPUTED = 1e-9
"""How far a score may be from the recorded one when it is computed anew from kept statistics."""


AFTER_ANSWER = "post-processing"
LEAP = 100.0
LEAST_LEAP = 0.01
"""Predictions leap when they move by so many envelopes, and by so much."""


class Agreement(StrEnum):
    """How a stage is to what it was."""

    EQUAL = "bit-equal"
    ROUNDED = "within rounding"
    DIVERGED = "diverged"
    FOLLOWS = "diverged, after another"
    """It is computed from a stage that diverged: what it does of itself cannot be told."""
    UNJUDGED = "not judged"
    """Nothing can be said: rounding alone may change it, or it follows from new weights."""


@dataclass(frozen=True, slots=True)
class StageCheck:
    """One stage, then and now."""

    dataset: str
    stage: str
    agreement: Agreement
    array: str = ""
    """The array that tells most; of a stage that diverged the first that did."""
    distance: float = 0.0
    """Of that array, over the images: the largest that is not left out."""
    envelope: float | None = None
    """How far that array may be; `None`: it is not judged."""
    outside: int = 0
    """Images that lie outside of it."""
    images: int = 0
    """Images that were looked at."""
    settings: tuple[str, ...] = ()
    """What is set otherwise than it was, a clause each."""

    @property
    def name(self) -> str:
        """`shapes: backbone`."""
        return f"{self.dataset}: {self.stage}"

    @property
    def sentence(self) -> str:
        """What is wrong with it, as the end of a sentence that names it."""
        if self.settings:
            return f"{self.stage} ({self.dataset}): {'; '.join(self.settings)}."
        if self.distance == math.inf:
            return (
                f"{self.stage} ({self.dataset}): '{self.array}' has another shape, or is there "
                f"on one side alone, on {self.outside} of {self.images} images."
            )
        return (
            f"{self.stage} ({self.dataset}): '{self.array}' is {self.distance:.2g} away from what "
            f"it was, where rounding allows {self.envelope:.2g}, on {self.outside} of "
            f"{self.images} images."
        )


def blamed(checks: Sequence[StageCheck]) -> StageCheck | None:
    """The first stage that diverged, in the order of the data."""
    diverged = [check for check in checks if check.agreement is Agreement.DIVERGED]
    return min(diverged, key=lambda check: STAGES.index(check.stage), default=None)


def check_stages(
    part: Part,
    shown: Images,
    settings: Mapping[str, Sequence[str]],
    precision: str,
    *,
    new_weights: bool = False,
) -> list[StageCheck]:
    """Every stage that the reference or the model shows, in order.

    Args:
        part: what was.
        shown: what the same images show now.
        settings: by stage, what is set otherwise.
        precision: the number format now.
        new_weights: the weights are meant to be others, so nothing that follows from them is
            compared: settings, the image that is shown, and the metric alone.
    """
    compared = Comparison(part, shown, precision)
    found: list[StageCheck] = []
    for stage in compared.stages:
        if stage == "metric":
            check = check_metric(part, shown)
        elif not new_weights:
            check = compared.check(stage)
        elif stage == "preprocessing":  # what a model makes of the image is its own business
            check = compared.check(stage, only=IMAGE)
        else:
            check = StageCheck(compared.dataset, stage, Agreement.UNJUDGED)
        if stage in settings:
            check = replace(check, agreement=Agreement.DIVERGED, settings=tuple(settings[stage]))
        if check.agreement is Agreement.DIVERGED and blamed(found) is not None:
            check = replace(check, agreement=Agreement.FOLLOWS)
        found.append(check)
    return found


def settings_alone(dataset: str, settings: Mapping[str, Sequence[str]]) -> list[StageCheck]:
    """The stages whose settings changed, where it makes no sense to ask the model."""
    first, *rest = [stage for stage in STAGES if stage in settings]
    agreements = {first: Agreement.DIVERGED, **dict.fromkeys(rest, Agreement.FOLLOWS)}
    return [
        StageCheck(dataset, stage, agreement, settings=tuple(settings[stage]))
        for stage, agreement in agreements.items()
    ]


# --- by arrays -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Comparison:
    """What some images show now, beside what they showed."""

    part: Part
    now: Images
    precision: str

    @property
    def dataset(self) -> str:
        """What they are images of."""
        return self.part.record.dataset.name

    @property
    def stages(self) -> list[str]:
        """The stages that either side shows, in order."""
        both = (self.part.stages, self.now)
        there = {stage for images in both for image in images.values() for stage in image}
        return [stage for stage in STAGES if stage in there]

    def check(self, stage: str, *, only: str | None = None) -> StageCheck:
        """A stage by its arrays: the first that diverged, or else the one nearest to its bound."""
        names = arrays(stage, self.part.stages, self.now)
        checks = [self._array(stage, n) for n in names if only in (None, n.split(": ")[-1])]
        known = self.precision in self.part.envelopes or self.precision == "float32"
        for check in checks:
            if check.agreement is Agreement.DIVERGED and known:
                return check
        if all(check.agreement is Agreement.EQUAL for check in checks):
            return checks[0]
        judged = [check for check in checks if check.envelope is not None]
        if not known or not judged:
            return StageCheck(self.dataset, stage, Agreement.UNJUDGED)
        return max(judged, key=lambda check: check.distance / (check.envelope or FLOOR))

    def _array(self, stage: str, name: str) -> StageCheck:
        moved = distances(self.now, self.part.stages, stage, name)
        far, bound = typical(moved.values()), self._bound(stage, name)
        outside = sum(not each <= bound for each in moved.values()) if bound is not None else 0
        agreement = Agreement.ROUNDED
        if not any(moved.values()):
            agreement = Agreement.EQUAL
        elif outside > tolerated(len(moved)):
            agreement = Agreement.DIVERGED
        elif bound is not None and stage == AFTER_ANSWER and (leaps := self._leaps(moved, bound)):
            agreement, far = Agreement.DIVERGED, max(leaps)
        found = (agreement, name, far, bound, outside, len(moved))
        return StageCheck(self.dataset, stage, *found)

    def _bound(self, stage: str, name: str) -> float | None:
        """An array's envelope; the smallest where none was measured."""
        return self.part.envelopes.get(self.precision, {}).get(stage, {}).get(name, FLOOR)

    def _leaps(self, moved: Mapping[str, float], bound: float) -> list[float]:
        """How far predictions leapt where the answer did not: rounding has no part in that.

        Few images are left out of a verdict because networks have thresholds inside, which rounding
        may cross. That shows in the answer; where it stayed, so must what is made of it.
        """
        least = max(LEAP * bound, LEAST_LEAP)
        return [far for id, far in moved.items() if not far <= least and id in self._settled]

    @cached_property
    def _settled(self) -> frozenset[str]:
        """The images whose answer is within rounding."""
        settled = set(self.part.stages)
        for name in arrays("answer", self.part.stages, self.now):
            bound = self._bound("answer", name)
            for id, far in distances(self.now, self.part.stages, "answer", name).items():
                if bound is None or not far <= bound:
                    settled.discard(id)
        return frozenset(settled)


def arrays(stage: str, then: Images, now: Images) -> list[str]:
    """The arrays of a stage in the order they are made in."""
    images = (*then.values(), *now.values())
    return list(dict.fromkeys(name for image in images for name in image.get(stage, {})))


# --- the metric ----------------------------------------------------------------------------------


def check_metric(part: Part, shown: Images) -> StageCheck:
    """Whether equal predictions give equal statistics, and kept statistics the recorded scores."""
    dataset, images = part.record.dataset.name, len(part.stages)
    if changed := _recomputed(part):
        return StageCheck(dataset, "metric", Agreement.DIVERGED, settings=(changed,))
    alike = 0
    for task in part.record.scores:
        same = {id: then for id, then in part.stages.items() if _alike(then, shown[id], task)}
        alike += len(same)
        for name in (n for n in arrays("metric", part.stages, shown) if _is_of(n, task)):
            moved = distances(shown, same, "metric", name)
            if outside := sum(not far <= FLOOR for far in moved.values()):
                found = (name, max(moved.values()), FLOOR, outside, len(moved))
                return StageCheck(dataset, "metric", Agreement.DIVERGED, *found)
    if alike == len(part.stages) * len(part.record.scores):
        return StageCheck(dataset, "metric", Agreement.EQUAL, images=images)
    return StageCheck(dataset, "metric", Agreement.ROUNDED if alike else Agreement.UNJUDGED)


def _alike(then: Shown, now: Shown, task: str) -> bool:
    """Whether the predictions for a task are bit-equal: only then must its statistics be."""
    old, new = (
        {name: found.digest for name, found in image["post-processing"].items()}
        for image in (then, now)
    )
    return all(old.get(name) == new.get(name) for name in old | new if _is_of(name, task))


def _is_of(name: str, task: str) -> bool:
    return name.startswith(f"{task}.")


def _recomputed(part: Part) -> str | None:
    """Which score is computed otherwise from the same statistics, as a clause."""
    try:
        scores = score(meters_of(part.record), [*part.outcomes.values()])
    except DataError as error:
        return str(error)
    for task, of_task in part.record.scores.items():
        for name, recorded in of_task.items():
            now = scores[task][name].value if name in scores[task] else math.nan
            then = math.nan if recorded.value is None else recorded.value
            if not (abs(now - then) <= RECOMPUTED or (math.isnan(now) and math.isnan(then))):
                return f"the kept statistics give {task} {name} {now:.4f}, and gave {then:.4f}"
    return None
