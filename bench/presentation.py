"""What is written and drawn of a model's answer to one image: a value for each task.

A `Presentation` says what a task is asked with, out of what a person typed, and turns its
prediction into JSON, a map, and the regions of a picture.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import UInt8

from bench.errors import UsageError
from bench.metrics.rle import boxes, compress
from bench.report.overlay import Region
from bench.types import VOID, Image, Instances, LabelMap, Mask, Panoptic, Vocabulary


@dataclass(frozen=True)
class Asked:
    """What a person asks about an image, besides the task."""

    vocabulary: Vocabulary | None = None
    """As the protocol card has it asked."""
    phrases: tuple[str, ...] = ()
    questions: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    min_score: float = 0.5
    """Instances below this score are in the JSON, but not in the picture."""

    def classes(self) -> Vocabulary:
        """The vocabulary, which segmentation needs."""
        if self.vocabulary is None:
            raise UsageError(
                "Say which classes to look for: --classes 'cat, dog', --vocabulary NAME or "
                "--like DATASET. `bench list vocabularies` has the names."
            )
        return self.vocabulary


@dataclass(frozen=True)
class Answer:
    """What there is to write and to show of one answer."""

    task: str
    content: Mapping[str, Any]
    """Fit for JSON."""
    said: tuple[str, ...] = ()
    """In words, a line each."""
    regions: tuple[Region, ...] = ()
    map: np.ndarray | None = field(default=None, repr=False)
    """For a PNG: labels, or ids as COCO spells them in colours."""
    image: Image | None = field(default=None, repr=False)
    """To be shown in place of the one asked about."""


@dataclass(frozen=True)
class Presentation:
    """How a task is asked and shown."""

    prompt: Callable[[Asked], Any]
    """What the task hands to the model besides the image."""
    show: Callable[[str, Any, Asked], Answer]
    """(task, prediction, what was asked) -> what to write and draw."""


# --- generic segmentation ------------------------------------------------------------------------


def _panoptic(task: str, prediction: Panoptic, asked: Asked) -> Answer:
    vocabulary = asked.classes()
    masks = [Mask.encode(prediction.ids == segment.id) for segment in prediction.segments]
    rows = [
        {
            "id": segment.id,
            **_class(segment.label, vocabulary),
            "score": round(segment.score, 4),
            **_place(mask),
        }
        for segment, mask in zip(prediction.segments, masks, strict=True)
    ]
    regions = tuple(
        Region(mask, _name(segment.label, vocabulary), segment.label, segment.score)
        for segment, mask in zip(prediction.segments, masks, strict=True)
    )
    said = _counted([region.name for region in regions]) or "no segment"
    return Answer(task, {"segments": rows}, (said,), regions, map=_as_colours(prediction.ids))


def _semantic(task: str, prediction: LabelMap, asked: Asked) -> Answer:
    vocabulary = asked.classes()
    labels, counts = np.unique(prediction[prediction != VOID], return_counts=True)
    order = np.argsort(-counts)
    rows, regions = [], []
    for label, count in zip(labels[order].tolist(), counts[order].tolist(), strict=True):
        share = count / prediction.size
        rows.append({**_class(label, vocabulary), "pixels": count, "share": round(share, 6)})
        mask = Mask.encode(prediction == label)
        regions.append(Region(mask, _name(label, vocabulary), label))
    kind = np.uint8 if len(vocabulary) < np.iinfo(np.uint8).max else np.uint16
    void = int(np.iinfo(kind).max)
    said = ", ".join(f"{row['name']} {row['share']:.0%}" for row in rows[:8]) or "nothing"
    stored = np.where(prediction == VOID, void, prediction).astype(kind)
    return Answer(task, {"classes": rows, "void": void}, (said,), tuple(regions), map=stored)


def _instance(task: str, prediction: Instances, asked: Asked) -> Answer:
    vocabulary = asked.classes()
    order = np.argsort(-prediction.scores, kind="stable").tolist()
    rows = [
        {
            **_class(int(prediction.labels[index]), vocabulary),
            "score": round(float(prediction.scores[index]), 4),
            **_place(prediction.masks[index]),
            "segmentation": _rle(prediction.masks[index]),
        }
        for index in order
    ]
    seen = [index for index in order if prediction.scores[index] >= asked.min_score]
    regions = tuple(
        Region(
            prediction.masks[index],
            _name(int(prediction.labels[index]), vocabulary),
            int(prediction.labels[index]),
            float(prediction.scores[index]),
        )
        for index in reversed(seen)  # the surest on top
    )
    shown = _counted([region.name for region in reversed(regions)]) or "no instance"
    said = f"{shown}; {len(rows) - len(seen)} more below a score of {asked.min_score:g}"
    return Answer(task, {"instances": rows}, (said,), regions)


# --- phrases, texts, questions -------------------------------------------------------------------


def _phrases(asked: Asked) -> tuple[str, ...]:
    return _given(asked.phrases, "--phrase 'the dog on the left'")


def _questions(asked: Asked) -> tuple[str, ...]:
    return _given(asked.questions, "--question 'How many dogs are there?'")


def _given(words: tuple[str, ...], option: str) -> tuple[str, ...]:
    if not words:
        raise UsageError(f"This task needs words: {option}. The option can be repeated.")
    return words


def _referring(task: str, prediction: Sequence[Mask], asked: Asked) -> Answer:
    pairs = tuple(zip(asked.phrases, prediction, strict=True))
    return Answer(task, {"phrases": [referred(*pair) for pair in pairs]}, (), shown_phrases(pairs))


def referred(phrase: str, mask: Mask) -> dict[str, Any]:
    """A phrase and its mask, for JSON."""
    return {"phrase": phrase, **_place(mask), "segmentation": _rle(mask)}


def shown_phrases(pairs: Sequence[tuple[str, Mask]]) -> tuple[Region, ...]:
    """A region for each phrase."""
    return tuple(Region(mask, phrase, phrase) for phrase, mask in pairs)


def _caption(task: str, prediction: str, asked: Asked) -> Answer:
    return Answer(task, {"caption": prediction}, (prediction,))


def _answers(task: str, prediction: Sequence[str], asked: Asked) -> Answer:
    pairs = tuple(zip(asked.questions, prediction, strict=True))
    rows = [{"question": question, "answer": answer} for question, answer in pairs]
    return Answer(task, {"answers": rows}, tuple(f"{q} — {a}" for q, a in pairs))


PRESENTATIONS: Mapping[str, Presentation] = {
    "panoptic": Presentation(Asked.classes, _panoptic),
    "semantic": Presentation(Asked.classes, _semantic),
    "instance": Presentation(Asked.classes, _instance),
    "referring": Presentation(_phrases, _referring),
    "caption": Presentation(lambda asked: None, _caption),
    "vqa": Presentation(_questions, _answers),
}
"""By task of `bench.tasks`."""


# --- parts ---------------------------------------------------------------------------------------


def _class(label: int, vocabulary: Vocabulary) -> dict[str, Any]:
    return {"label": label, "name": vocabulary.names[label], "thing": label in vocabulary.things}


def _name(label: int, vocabulary: Vocabulary) -> str:
    """A class's name in pictures: the first word that is asked for it, which is how it is read."""
    return vocabulary.prompts[label][0]


def _place(mask: Mask) -> dict[str, Any]:
    """Area in pixels, and the box as x, y, x, y, right and bottom exclusive."""
    return {"area": mask.area, "box": boxes([mask])[0].astype(int).tolist()}


def _rle(mask: Mask) -> dict[str, Any]:
    """As COCO's result files have it."""
    return {"size": [mask.height, mask.width], "counts": compress(mask).decode()}


def _counted(names: Sequence[str]) -> str:
    """«2 dog, cat»: each name once, the most frequent first."""
    counts = {name: list(names).count(name) for name in dict.fromkeys(names)}
    ordered = sorted(counts.items(), key=lambda item: -item[1])
    return ", ".join(name if count == 1 else f"{count} {name}" for name, count in ordered[:12])


def _as_colours(ids: np.ndarray) -> UInt8[np.ndarray, "height width 3"]:
    """Ids as COCO's panoptic PNGs spell them: red + 256 green + 65536 blue."""
    return np.stack([ids >> shift & 255 for shift in (0, 8, 16)], axis=-1).astype(np.uint8)
