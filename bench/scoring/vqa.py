"""`bench score vqa`: answers to questions, in the files of the VQA challenge.

The truth is `{"annotations": [{"question_id", "image_id", "answers": [{"answer"}, …], …}]}`, the
predictions a list of `{"question_id", "answer"}`.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from bench.errors import DataError
from bench.metrics.meter import Scores, Statistics
from bench.metrics.vqa import AnswerAccuracy, HumanAnswers
from bench.protocol import Protocol
from bench.scoring.files import check_ids, read_json


def score(truth: Path, predictions: Path, protocol: Protocol) -> Scores:
    """The official accuracy. No field of the card changes it."""
    meter = AnswerAccuracy()
    return meter.compute(statistics(meter, truth, predictions))


def statistics(meter: AnswerAccuracy, truth: Path, predictions: Path) -> list[Statistics]:
    """The statistics of each image, over the questions about it."""
    questions, image_of = _questions(truth)
    answers = _answers(predictions)
    check_ids(questions, answers, thing="question", answer="answer", path=predictions)
    of_image: dict[Any, list[Any]] = {}
    for question in questions:
        of_image.setdefault(image_of[question], []).append(question)
    return [
        meter.measure([answers[q] for q in asked], [questions[q] for q in asked])
        for asked in of_image.values()
    ]


def _questions(path: Path) -> tuple[dict[Any, HumanAnswers], dict[Any, Any]]:
    content = read_json(path, "VQA annotations")
    rows = content.get("annotations") if isinstance(content, dict) else None
    if not isinstance(rows, list):
        raise DataError(
            f"{path}: VQA annotations are an object with the list 'annotations'. The file with the "
            f"questions alone does not hold the answers."
        )
    questions, image_of = {}, {}
    for row in rows:
        try:
            question = row["question_id"]
            said = tuple(str(answer["answer"]) for answer in row["answers"])
        except (KeyError, TypeError):
            raise DataError(
                f"{path}: an annotation has no 'question_id' or no list 'answers': {str(row)[:80]}."
            ) from None
        image = row.get("image_id", question)
        _check_id(question, "question_id", path)
        _check_id(image, "image_id", path)
        if question in questions:
            raise DataError(f"{path}: question {question} stands twice.")
        if not said:
            raise DataError(f"{path}: question {question} has no answers of people.")
        questions[question] = HumanAnswers(
            said, str(row.get("answer_type", "")), str(row.get("question_type", ""))
        )
        image_of[question] = image
    return questions, image_of


def _check_id(id: Any, name: str, path: Path) -> None:
    if isinstance(id, list | dict):
        raise DataError(f"{path}: a '{name}' must be a number or text, found {id!r:.80}.")


def _answers(path: Path) -> Mapping[Any, str]:
    content = read_json(path, "answers")
    if not isinstance(content, list):
        raise DataError(f"{path}: answers are a list of {{'question_id', 'answer'}}.")
    answers: dict[Any, str] = {}
    for row in content:
        try:
            question, answer = row["question_id"], row["answer"]
        except (KeyError, TypeError):
            raise DataError(
                f"{path}: an answer has no 'question_id' or no 'answer': {str(row)[:80]}."
            ) from None
        _check_id(question, "question_id", path)
        if not isinstance(answer, str):
            raise DataError(f"{path}: the answer to question {question} is {answer!r}, not text.")
        if question in answers:
            raise DataError(f"{path}: question {question} is answered twice.")
        answers[question] = answer
    return answers
