"""The images that a run did best and worst on, with what is true and what was said about them.

Images are ranked by their own score: the task's headline computed from that image's statistics
alone. It is no dataset score, and a mean of it is none: it only tells easy images from hard ones.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from bench import tasks
from bench.errors import BenchError, DataError
from bench.metrics.meter import settled
from bench.presentation import PRESENTATIONS, Answer, Asked
from bench.report.overlay import Region
from bench.report.page.material import Material
from bench.report.page.pictures import Painter, Picture
from bench.report.page.scores import title_of
from bench.stats import meters_of
from bench.types import Instances, Mask, Sample, TrueInstances, Vocabulary

PICTURES = 360
"""A page has about so many pictures at most; with many runs each shows fewer images."""
PHRASES = 3
"""So many phrases of an image are drawn."""
EACH = 3
"""An image, its truth, and what was said."""


@dataclass(frozen=True)
class Exhibit:
    """An image with its truth, and what was said about it."""

    id: str
    score: float
    image: Picture
    truth: Picture
    truth_words: tuple[str, ...]
    prediction: Picture | None
    """`None` where no answer was kept."""
    words: tuple[str, ...]


@dataclass(frozen=True)
class Gallery:
    """The best and the worst images of a run."""

    run: str
    task: str
    score: str
    best: tuple[Exhibit, ...]
    worst: tuple[Exhibit, ...]
    images: int
    """How many images were ranked."""
    missing: tuple[str, ...]
    """What is not shown and how to get it."""


def room(runs: int, asked: int) -> int:
    """How many best and how many worst images each of so many runs may show.

    >>> room(2, 4), room(40, 4), room(500, 4), room(2, 0)
    (4, 1, 1, 0)
    """
    return min(asked, max(1, PICTURES // (2 * EACH * max(runs, 1))))


def gallery_of(run: str, material: Material, count: int, painter: Painter) -> Gallery | None:
    """The `count` best and worst images of a run; `None` where it has no task to picture."""
    task = next((name for name in material.record.scores if name in _PICTURED), None)
    if task is None or not count:
        return None
    score = tasks.task(task).headline
    missing = list(material.missing)
    ranked = _ranked(material, task, missing)
    best = ranked[: min(count, math.ceil(len(ranked) / 2))]
    worst = ranked[len(best) :][-count:][::-1]
    shown: dict[str, Exhibit] = {}
    if material.dataset is not None:
        for id, value in (*best, *worst):
            try:
                shown[id] = _exhibit(id, value, task, material, painter)
            except BenchError as error:
                missing.append(f"Image {id} cannot be shown: {error}")
    return Gallery(
        run,
        title_of(task),
        score,
        tuple(shown[id] for id, _ in best if id in shown),
        tuple(shown[id] for id, _ in worst if id in shown),
        len(ranked),
        tuple(missing),
    )


def _ranked(material: Material, task: str, missing: list[str]) -> list[tuple[str, float]]:
    """Images with their own scores, the best first; without those that have nothing to score."""
    outcomes = list(material.outcomes.values())
    try:
        meter = meters_of(material.record)[task][0]
    except DataError as error:
        missing.append(str(error))
        return []
    headline = meter.names[0]
    statistics = settled(meter, [outcome.statistics[task][0] for outcome in outcomes])
    found = [
        (outcome.id, meter.compute([own])[headline].value)
        for outcome, own in zip(outcomes, statistics, strict=True)
    ]
    known = [(id, value) for id, value in found if not math.isnan(value)]
    return sorted(known, key=lambda pair: -pair[1])


def _exhibit(id: str, score: float, task: str, material: Material, painter: Painter) -> Exhibit:
    (pair,) = material.samples([id])
    sample, predictions = pair
    asked = _asked(sample)
    shown = _PICTURED[task]
    truth = shown.truth(task, sample.truths[task], asked)
    answer = shown.said(task, predictions[task], asked) if predictions else None
    return Exhibit(
        id,
        score,
        painter.shared(id, "image", sample.image, ()),
        painter.shared(id, task, sample.image, _unscored(truth)),
        truth.said,
        painter.picture(sample.image, _unscored(answer)) if answer else None,
        answer.said if answer else (),
    )


def _asked(sample: Sample) -> Asked:
    """What a model was asked about an image, as presentations want it."""
    if isinstance(sample.prompt, Vocabulary):
        return Asked(sample.prompt)
    words = tuple(sample.prompt) if isinstance(sample.prompt, Sequence) else ()
    return Asked(phrases=words, questions=words)


# --- truths, as answers that are right, beside answers -------------------------------------------


def _as_prediction(task: str, truth: Any, asked: Asked) -> Answer:
    """A prediction, or a truth of its type."""
    return PRESENTATIONS[task].show(task, truth, asked)


def _true_instances(task: str, truth: TrueInstances, asked: Asked) -> Answer:
    instances = Instances(
        tuple(instance.mask for instance in truth.instances),
        np.array([instance.label for instance in truth.instances], np.int64),
        np.ones(len(truth.instances)),
    )
    answer = PRESENTATIONS[task].show(task, instances, asked)
    return replace(answer, said=tuple(said.partition(";")[0] for said in answer.said))


def _phrases(task: str, masks: Sequence[Mask], asked: Asked) -> Answer:
    """The first phrases, and where they point: more would hide each other."""
    phrases = asked.phrases[:PHRASES]
    answer = PRESENTATIONS[task].show(task, masks[:PHRASES], replace(asked, phrases=phrases))
    more = len(masks) - len(phrases)
    return replace(answer, said=(*phrases, *([f"and {more} more"] if more > 0 else [])))


def _captions(task: str, truth: Sequence[str], asked: Asked) -> Answer:
    return Answer(task, {}, tuple(truth))


def _human_answers(task: str, truth: Sequence[Any], asked: Asked) -> Answer:
    lines = []
    for question, people in zip(asked.questions, truth, strict=True):
        counts = {a: people.answers.count(a) for a in dict.fromkeys(people.answers)}
        most = sorted(counts, key=lambda answer: -counts[answer])[:3]
        lines.append(f"{question} — {', '.join(most)}")
    return Answer(task, {}, tuple(lines))


def _unscored(answer: Answer) -> tuple[Region, ...]:
    """Regions with their names alone: small pictures have no room for scores."""
    return tuple(replace(region, score=None) for region in answer.regions)


Show = Callable[[str, Any, Asked], Answer]
"""(task, truth or prediction, what was asked) -> what to draw and say."""


@dataclass(frozen=True, slots=True)
class _Pictured:
    """How a truth and a prediction of a task are shown."""

    truth: Show
    said: Show = _as_prediction


_PICTURED: Mapping[str, _Pictured] = {
    "panoptic": _Pictured(_as_prediction),
    "semantic": _Pictured(_as_prediction),
    "instance": _Pictured(_true_instances),
    "referring": _Pictured(_phrases, _phrases),
    "caption": _Pictured(_captions),
    "vqa": _Pictured(_human_answers),
}
"""The tasks of which a single image has an answer of its own."""
