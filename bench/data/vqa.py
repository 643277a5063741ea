"""Questions about images and people's answers, as VQA's authors ship them: two JSON files."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydantic import Field

from bench.data.images import ImageFiles, require_some
from bench.data.pattern import Pattern
from bench.data.source import Home, Opening, Reader, contents
from bench.errors import DataError
from bench.metrics.vqa import HumanAnswers
from bench.protocol import Strict


class VqaOptions(Strict):
    """Options of the reader `vqa`."""

    questions: str
    """Such as `v2_OpenEnded_mscoco_val2014_questions.json`."""
    answers: str
    """Such as `v2_mscoco_val2014_annotations.json`."""
    images: str
    """Where the images are, with {id} in place of the image's number."""
    digits: int = Field(12, gt=0)
    """How many digits the number has there, zeros in front."""


@dataclass(frozen=True)
class Asked:
    """A question and its answers."""

    text: str
    answers: HumanAnswers


@dataclass(frozen=True)
class AskedAbout:
    """All questions of one pair of files, by image number, in the order of the file."""

    questions: Path
    answers: Path
    by_image: Mapping[int, tuple[Asked, ...]]


def read_vqa(questions: Path, answers: Path) -> AskedAbout:
    """Join questions and answers; `DataError` for a question that nobody answered."""
    answered: dict[Any, HumanAnswers] = {}
    for row in _rows(answers, "annotations", ("question_id", "answers")):
        said = tuple(str(answer["answer"]) for answer in row["answers"])
        kinds = (str(row.get("answer_type", "")), str(row.get("question_type", "")))
        answered[row["question_id"]] = HumanAnswers(said, *kinds)
    by_image: dict[int, list[Asked]] = {}
    for row in _rows(questions, "questions", ("question_id", "image_id", "question")):
        if row["question_id"] not in answered:
            raise DataError(f"{questions}: question {row['question_id']} is not in {answers}.")
        asked = Asked(str(row["question"]), answered[row["question_id"]])
        by_image.setdefault(int(row["image_id"]), []).append(asked)
    frozen = {image: tuple(asked) for image, asked in sorted(by_image.items())}
    return AskedAbout(questions, answers, MappingProxyType(frozen))


def _rows(path: Path, key: str, needed: tuple[str, ...]) -> Iterator[dict[str, Any]]:
    try:
        rows = json.loads(path.read_bytes())[key]
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except (ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is no file of VQA's: it has no list of '{key}'.") from error
    for row in rows:
        if not isinstance(row, dict) or not set(needed) <= row.keys():
            raise DataError(f"{path}: a row needs {', '.join(needed)}, found {str(row)[:80]}.")
        yield row


@dataclass(frozen=True)
class Answers:
    """People's answers to every question about an image."""

    asked: AskedAbout

    def read(self, id: str, size: tuple[int, int]) -> tuple[HumanAnswers, ...]:
        """The answers, question by question."""
        return tuple(asked.answers for asked in self.asked.by_image[int(id)])

    def count(self, truth: tuple[HumanAnswers, ...]) -> int:
        """How many questions there are about an image."""
        return len(truth)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the file of answers."""
        return contents([self.asked.answers])


@dataclass(frozen=True)
class Questions:
    """The questions about an image."""

    asked: AskedAbout

    def read(self, id: str) -> tuple[str, ...]:
        """The questions, as written."""
        return tuple(asked.text for asked in self.asked.by_image[int(id)])

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the file of questions."""
        return contents([self.asked.questions])


def _opened(options: VqaOptions, home: Home) -> AskedAbout:
    return home.once(read_vqa, home.file(options.questions), home.file(options.answers))


def _images(options: VqaOptions, home: Home) -> ImageFiles:
    pattern = Pattern(options.images)
    ids = [f"{image:0{options.digits}d}" for image in _opened(options, home).by_image]
    paths = {id: home.path / pattern.fill(id) for id in ids}
    return ImageFiles(MappingProxyType(require_some(paths, home)))


def _answers(options: VqaOptions, opening: Opening) -> Answers:
    return Answers(_opened(options, opening.home))


def _questions(options: VqaOptions, opening: Opening) -> Questions:
    return Questions(_opened(options, opening.home))


VQA_FILES = Reader(
    "questions and answers, as VQA's authors ship them",
    VqaOptions,
    images=_images,
    truths={"vqa": _answers},
    prompts=_questions,
)
