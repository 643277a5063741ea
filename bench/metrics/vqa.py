"""Visual question answering: the official accuracy of VQA v2.

An answer is right in the measure that people gave it: with ten answers of people, the mean, over
leaving out one of them, of min(1, how many of the others agree / 3). Where all people said the
same, answers are compared as written, else after normalisation (`bench.metrics.vqa_answers`).
Equal to the evaluation code of VQA's authors.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float, Int

from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.metrics.vqa_answers import normalised, stripped

ANSWER_TYPES = ("yes/no", "number", "other")
_ENOUGH = 3
"""So many people must agree for full accuracy."""


@dataclass(frozen=True)
class HumanAnswers:
    """What people answered to one question (ten of them in VQA), and of what kind it is."""

    answers: tuple[str, ...]
    answer_type: str = ""
    """`yes/no`, `number` or `other`; empty where the dataset does not say."""
    question_type: str = ""
    """The words a question begins with: `how many`, `is the`, …"""


class AnswerAccuracy:
    """Scores one answer a question. `n` counts questions.

    `accuracy` has the accuracy of each question type in `by_class`.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The accuracy over all questions, and by answer type."""
        return ("accuracy", *(f"accuracy {kind}" for kind in ANSWER_TYPES))

    def measure(self, prediction: Sequence[str], truth: Sequence[HumanAnswers]) -> Statistics:
        """The accuracy and the types of each question about an image."""
        if len(prediction) != len(truth):
            raise ValueError(f"{len(truth)} questions but {len(prediction)} answers")
        return {
            "accuracy": np.array(
                [accuracy(said, t.answers) for said, t in zip(prediction, truth, strict=True)]
            ),
            "answer_type": np.array([t.answer_type for t in truth], np.str_),
            "question_type": np.array([t.question_type for t in truth], np.str_),
        }

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Mean accuracy; the questions about image `i` count `weights[i]` times."""
        table = _Questions(statistics)
        counts = repeats(statistics, weights)[None]
        by_type = {
            str(kind): float(table.mean(counts, table.question_type == kind)[0])
            for kind in np.unique(table.question_type)
            if kind
        }
        values = self.resample(statistics, counts)
        return {
            name: Score(
                float(values[name][0]),
                int(table.total(counts, chosen * 1.0)[0]),
                (by_type or None) if name == "accuracy" else None,
            )
            for name, chosen in table.chosen(self.names)
        }

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Every score under each row of weights."""
        table = _Questions(statistics)
        return {name: table.mean(weights, chosen) for name, chosen in table.chosen(self.names)}


class _Questions:
    """The questions of many images, end to end."""

    def __init__(self, statistics: Sequence[Statistics]) -> None:
        self._images = len(statistics)
        self._image = np.repeat(
            np.arange(len(statistics)), [len(image["accuracy"]) for image in statistics]
        )
        self.accuracy = _joined(statistics, "accuracy")
        self.answer_type = _joined(statistics, "answer_type")
        self.question_type = _joined(statistics, "question_type")

    def chosen(self, names: Sequence[str]) -> Iterator[tuple[str, Bool[np.ndarray, " question"]]]:
        """The questions that each score is over."""
        for name in names:
            kind = name.removeprefix("accuracy").strip()
            yield name, (self.answer_type == kind) | (not kind)

    def total(
        self, weights: Int[np.ndarray, "draw image"], values: Float[np.ndarray, " question"]
    ) -> Float[np.ndarray, " draw"]:
        """The weighted sum over questions."""
        per_image = np.bincount(self._image, values, self._images).astype(np.float64)
        total: Float[np.ndarray, " draw"] = weights @ per_image
        return total

    def mean(
        self, weights: Int[np.ndarray, "draw image"], chosen: Bool[np.ndarray, " question"]
    ) -> Float[np.ndarray, " draw"]:
        """The mean accuracy of the chosen questions."""
        with np.errstate(invalid="ignore"):
            mean: Float[np.ndarray, " draw"] = self.total(
                weights, self.accuracy * chosen
            ) / self.total(weights, chosen * 1.0)
        return mean


def accuracy(said: str, answers: Sequence[str]) -> float:
    """How far people agree with an answer, from 0 to 1.

    >>> accuracy("Two", ["2"] * 3 + ["3"] * 7)
    0.9
    """
    said, answers = stripped(said), [stripped(answer) for answer in answers]
    if not answers:
        raise ValueError("a question needs at least one human answer")
    if len(set(answers)) > 1:
        said, answers = normalised(said), [normalised(answer) for answer in answers]
    agree = answers.count(said)
    seen_by_agreeing = min(1.0, (agree - 1) / _ENOUGH)
    seen_by_others = min(1.0, agree / _ENOUGH)
    return (agree * seen_by_agreeing + (len(answers) - agree) * seen_by_others) / len(answers)


def _joined(statistics: Sequence[Statistics], name: str) -> np.ndarray:
    return np.concatenate([image[name] for image in statistics]) if statistics else np.zeros(0)
