"""Which stages are what they were: bit for bit, within rounding, or not."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from bench.errors import DataError
from bench.evaluation import score
from bench.regression.reference import Part
from bench.regression.rounding import FLOOR, Images, distances, tolerated
from bench.regression.stages import IMAGE, STAGES, Shown
from bench.stats import meters_of

RECOMPUTED = 1e-9
"""How far a score may be from the recorded one when it is computed anew from kept statistics."""


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
    dataset = part.record.dataset.name
    found = []
    for stage in _stages(part.stages, shown):
        if stage == "metric":
            check = _metric(part, shown)
        elif new_weights and stage != "preprocessing":
            check = StageCheck(dataset, stage, Agreement.UNJUDGED)
        else:
            envelope = part.envelopes.get(precision, {}).get(stage, {})
            names = _arrays(stage, part.stages, shown)
            if new_weights:  # what a model makes of the image is its own business
                names = [name for name in names if name.split(": ")[-1] == IMAGE]
            known = precision in part.envelopes or precision == "float32"
            check = _compared(dataset, stage, names, shown, part.stages, envelope, known=known)
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


def _stages(then: Images, now: Images) -> list[str]:
    there = {stage for images in (then, now) for image in images.values() for stage in image}
    return [stage for stage in STAGES if stage in there]


def _arrays(stage: str, then: Images, now: Images) -> list[str]:
    """The arrays of a stage in the order they are made in."""
    return list(
        dict.fromkeys(
            name
            for images in (then, now)
            for image in images.values()
            for name in image.get(stage, {})
        )
    )


def _compared(
    dataset: str,
    stage: str,
    names: Sequence[str],
    now: Images,
    then: Images,
    envelope: Mapping[str, float | None],
    *,
    known: bool,
) -> StageCheck:
    """A stage by its arrays: the first that diverged, or the one nearest to its bound."""
    checks = [
        _array(dataset, stage, name, distances(now, then, stage, name), _bound(envelope, name))
        for name in names
    ]
    for check in checks:
        if check.agreement is Agreement.DIVERGED and known:
            return check
    if all(check.agreement is Agreement.EQUAL for check in checks):
        return checks[0]
    judged = [check for check in checks if check.envelope is not None]
    if not known or not judged:
        return StageCheck(dataset, stage, Agreement.UNJUDGED)
    return max(judged, key=lambda check: check.distance / (check.envelope or FLOOR))


def _bound(envelope: Mapping[str, float | None], name: str) -> float | None:
    """An array's envelope; the smallest where none was measured."""
    return envelope.get(name, FLOOR)


def _array(
    dataset: str, stage: str, name: str, moved: Sequence[float], bound: float | None
) -> StageCheck:
    outside = 0 if bound is None else sum(not far <= bound for far in moved)
    left_out = tolerated(len(moved))
    typical = sorted(moved)[len(moved) - 1 - left_out]
    if not any(moved):
        agreement = Agreement.EQUAL
    elif outside > left_out:
        agreement = Agreement.DIVERGED
    else:
        agreement = Agreement.ROUNDED
    return StageCheck(dataset, stage, agreement, name, typical, bound, outside, len(moved))


# --- the metric ----------------------------------------------------------------------------------


def _metric(part: Part, shown: Images) -> StageCheck:
    """Whether equal predictions give equal statistics, and kept statistics the recorded scores."""
    dataset, images = part.record.dataset.name, len(part.stages)
    if changed := _recomputed(part):
        return StageCheck(dataset, "metric", Agreement.DIVERGED, settings=(changed,))
    alike = 0
    for task in part.record.scores:
        same = {id: then for id, then in part.stages.items() if _alike(then, shown[id], task)}
        alike += len(same)
        for name in (n for n in _arrays("metric", part.stages, shown) if _is_of(n, task)):
            moved = distances(shown, same, "metric", name)
            if outside := sum(not far <= FLOOR for far in moved):
                found = (name, max(moved), FLOOR, outside, len(moved))
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
