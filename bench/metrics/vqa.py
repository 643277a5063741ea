"""Visual question answering: the official accuracy of VQA v2.

An answer is right in the measure that people gave it: with ten answers of people, the mean, over
leaving out one of them, of min(1, how many of the others agree / 3). Where all people said the
same, answers are compared as written, else after normalisation (`bench.metrics.vqa_answers`).
Equal to the evaluation code of VQA's authors.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

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
        counts = np.repeat(
            repeats(statistics, weights), [len(image["accuracy"]) for image in statistics]
        )
        accuracies = _joined(statistics, "accuracy")
        answer_types = _joined(statistics, "answer_type")
        question_types = _joined(statistics, "question_type")
        by_type = {
            str(kind): _mean(accuracies, counts * (question_types == kind)).value
            for kind in np.unique(question_types)
            if kind
        }
        total = _mean(accuracies, counts)
        scores = {"accuracy": Score(total.value, total.n, by_type or None)}
        for kind in ANSWER_TYPES:
            scores[f"accuracy {kind}"] = _mean(accuracies, counts * (answer_types == kind))
        return scores


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


def _mean(values: np.ndarray, counts: np.ndarray) -> Score:
    n = int(counts.sum())
    return Score(float(values @ counts) / n if n else np.nan, n)
