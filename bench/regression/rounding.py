"""How far rounding alone moves each stage of a model: the envelope that a gate allows.

It is measured, not guessed. The model is asked about the fixed images once more with its weights
and activations in float64, which shows how far float32 is from what it rounds, and so how far
another processor may be. The same for a shorter format that checkpoints may be run in. A network
with thresholds inside, as the attention masks of mask classifiers, now and then jumps where
rounding decides one: what jumps for few images is left out of the envelope (`tolerated`), as it is
left out of the verdict.
"""

from collections.abc import Collection, Mapping, Sequence
from copy import deepcopy
from dataclasses import replace
from typing import Any

from bench.errors import AnswerFailed
from bench.evaluation import Examination
from bench.regression.sketch import distance
from bench.regression.stages import STAGES, Shown, show

FACTOR = 4.0
"""The envelope in terms of what was measured: two machines err to both sides, and otherwise."""
FLOOR = 1e-4
"""No envelope is smaller: other kernels of one convolution differ by as much in float32."""
TELLING = 1.0
"""Beyond this an envelope tells nothing: a stage of nothing but zeros would be as near."""

Envelope = dict[str, dict[str, float | None]]
"""By stage and array, how far it may be from what it was. `None`: rounding alone may change it
out of recognition, so it is not judged."""

Images = Mapping[str, Shown]


def tolerated(images: int) -> int:
    """Of so many images, how many may lie outside of an envelope: a quarter.

    >>> tolerated(8), tolerated(3)
    (2, 0)
    """
    return images // 4


def of_machines(examination: Examination, ids: Sequence[str], shown: Images) -> Envelope | None:
    """The envelope of other machines that compute in the same number format.

    `None` for a model that is no torch module, or that makes tensors of one format only.
    """
    exact = _exact(examination.model)
    if exact is None:
        return None
    try:
        _, moved = show(replace(examination, model=exact), ids)
    except AnswerFailed:
        return None
    return envelope(moved, shown)


def envelope(moved: Images, shown: Images) -> Envelope:
    """The envelope of every array, from how far one change of the number format moved it."""
    judged = STAGES[:-1]  # statistics that rounding changed say nothing about the metric
    names = {
        (stage, name)
        for image in shown.values()
        for stage in judged
        for name in image.get(stage, {})
    }
    found: Envelope = {}
    for stage, name in sorted(names):
        found.setdefault(stage, {})[name] = _wide_enough(
            distances(moved, shown, stage, name).values()
        )
    return found


def distances(now: Images, then: Images, stage: str, name: str) -> dict[str, float]:
    """How far an array is from what it was, by image; infinite where one side lacks it."""
    found = {}
    for id, image in then.items():
        old = image.get(stage, {}).get(name)
        new = now[id].get(stage, {}).get(name)
        if old is not None or new is not None:
            found[id] = float("inf") if old is None or new is None else distance(new, old)
    return found


def typical(moved: Collection[float]) -> float:
    """The largest of some distances, but for those that are left out."""
    return sorted(moved)[len(moved) - 1 - tolerated(len(moved))]


def _wide_enough(moved: Collection[float]) -> float | None:
    allowed = max(FACTOR * typical(moved), FLOOR)
    return allowed if allowed <= TELLING else None


def _exact(model: Any) -> Any:
    """A copy of a torch model in float64; `None` for what is no such model."""
    if not (hasattr(model, "state_dict") and hasattr(model, "to")):
        return None
    import torch  # here: what has a `state_dict` has loaded it already

    return deepcopy(model).to(torch.float64)
