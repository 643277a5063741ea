"""Asking a model about images that nobody annotated, and keeping what it says as files.

Tasks and compositions are steps: each is shown every image, and says what it has to say then or
when all images were seen. Tasks that share a question share its answer, as in an evaluation.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from PIL import Image as Pillow

from bench import tasks
from bench.compose import (
    Inpainter,
    ReferringCaptioner,
    RegionRetriever,
    describe_region,
    edit_region,
    find_region,
    similarity,
)
from bench.data.opening import asked as as_asked
from bench.durable import explained
from bench.errors import AnswerFailed, BenchError, CannotDo, UnknownName, UsageError
from bench.evaluation import following
from bench.frames import Frame
from bench.preprocess import resize
from bench.presentation import PRESENTATIONS, Answer, Asked, referred, shown_phrases
from bench.protocol import Protocol as Card
from bench.report.overlay import Colours, draw
from bench.tasks import Question, Task
from bench.types import Image, ImageTextEncoder, ReferringSegmenter, Sample, Vocabulary


@dataclass(frozen=True)
class Request:
    """What a person wants to know, and under which rules."""

    tasks: tuple[str, ...]
    card: Card
    """Not yet resolved for a dataset."""
    asked: Asked = field(default_factory=Asked)
    classes: Vocabulary | None = None
    """As named: the card's templates and background come to it for each task."""
    like: str | None = None
    """Show images as this dataset's are shown; otherwise as those of `images-TASK` would be, so a
    card can have rules for `*-caption`."""
    inpaint: Inpainter | None = None
    instruction: str = ""
    specs: tuple[Path, ...] = ()

    def rules(self, task: str) -> Card:
        """The card as it applies to a task."""
        return self.card.for_dataset(self.like or f"images-{task}")

    def words(self, card: Card) -> Asked:
        """What is asked, with the vocabulary as the card has it asked."""
        if self.classes is None:
            return self.asked
        return replace(self.asked, vocabulary=as_asked(self.classes, card, self.specs))


class Step(Protocol):
    """Something to find out about images."""

    def see(self, frame: Frame) -> Iterable[Answer]:
        """What there is to say about an image as soon as it is seen."""
        ...

    def end(self) -> Iterable[tuple[Frame, Answer]]:
        """What there is to say when all images were seen, and about which one."""
        ...


def predictions(
    model: object, frames: Iterable[Frame], request: Request, *, name: str
) -> Iterator[tuple[Frame, Answer]]:
    """Ask everything about every image; `name` is what messages call the model.

    Raises:
        CannotDo: the model cannot do a task; before any image is read.
        UsageError: a task lacks the words it needs, likewise.
        AnswerFailed: the model failed on an image, which the message names.
    """
    chosen = steps(model, request)

    def answers() -> Iterator[tuple[Frame, Answer]]:
        for frame in frames:
            for step in chosen:
                with _Blame(name, frame.name):
                    found = list(step.see(frame))
                yield from ((frame, answer) for answer in found)
        for step in chosen:
            with _Blame(name, "the images together"):
                last = list(step.end())
            yield from last

    return answers()


@dataclass
class _Blame:
    """Names the image that a model failed on."""

    model: str
    about: str

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if isinstance(error, Exception) and not isinstance(error, BenchError):
            said = f"{type(error).__name__}: {error}".strip().rstrip(".")
            message = f"Model '{self.model}' failed on {self.about}: {said}."
            raise AnswerFailed(message) from error


def steps(model: object, request: Request) -> list[Step]:
    """The steps of a request, each checked: the model can do it, and the words it needs are there.

    Raises:
        CannotDo, UsageError, UnknownName: see `predictions`.
    """
    questions: dict[tuple[Question, str], list[Task]] = {}
    chosen: list[Step] = []
    for wanted in dict.fromkeys(request.tasks):
        if wanted in PRESENTATIONS:
            task = tasks.task(wanted)
            key = task.question_for(model), request.rules(wanted).digest()
            questions.setdefault(key, []).append(task)
        elif wanted in COMPOSITIONS:
            chosen.append(COMPOSITIONS[wanted](model, request))
        else:
            raise UnknownName("task", wanted, TASKS)
    return [
        *(_Questioned.of(model, question, of, request) for (question, _), of in questions.items()),
        *chosen,
    ]


# --- tasks ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Questioned:
    """One question to the model, and the tasks that its answer serves."""

    model: object
    question: Question
    served: tuple[Task, ...]
    card: Card
    asked: Asked
    prompt: Any

    @classmethod
    def of(
        cls, model: object, question: Question, served: Sequence[Task], request: Request
    ) -> "_Questioned":
        card = request.rules(served[0].name)
        asked = request.words(card)
        if card.referring.lower_case:
            asked = replace(asked, phrases=tuple(map(str.lower, asked.phrases)))
        prompts = [PRESENTATIONS[task.name].prompt(asked) for task in served]
        return cls(following(model, card), question, tuple(served), card, asked, prompts[0])

    def see(self, frame: Frame) -> Iterator[Answer]:
        shown = resize(frame.image, self.card.resize) if self.question.resized else frame.image
        (raw,) = self.question.ask(self.model, [shown], [self.prompt])
        sample = Sample(frame.name, frame.image, self.prompt)
        wanted = frozenset(task.name for task in self.served)
        found = self.question.finish(raw, sample, self.card, wanted)
        for task in self.served:
            yield PRESENTATIONS[task.name].show(task.name, found[task.name], self.asked)

    def end(self) -> Iterator[tuple[Frame, Answer]]:
        return iter(())


# --- compositions --------------------------------------------------------------------------------


def _needs(model: object, protocol: type, task: str, needed: str) -> Any:
    if not isinstance(model, protocol):
        raise CannotDo(f"Task '{task}' needs a model that is a {needed}.")
    return model


@dataclass(frozen=True)
class _RegionCaptions:
    """Referring captioning: what is at the place each phrase points at."""

    model: ReferringCaptioner
    finding: Card
    captioning: Card
    phrases: tuple[str, ...]

    @classmethod
    def of(cls, model: object, request: Request) -> "_RegionCaptions":
        finding, captioning = request.rules("referring"), request.rules("caption")
        needed = "ReferringSegmenter and a RegionCaptioner"
        able = _needs(model, ReferringCaptioner, "region-caption", needed)
        phrases = PRESENTATIONS["referring"].prompt(request.asked)
        return cls(following(able, finding), finding, captioning, phrases)  # type: ignore[arg-type]

    def see(self, frame: Frame) -> Iterator[Answer]:
        pairs, rows = [], []
        for phrase in self.phrases:
            mask, caption = describe_region(
                self.model, frame.image, phrase, finding=self.finding, captioning=self.captioning
            )
            pairs.append((phrase, mask))
            rows.append({**referred(phrase, mask), "caption": caption})
        said = tuple(f"{row['phrase']}: {row['caption']}" for row in rows)
        yield Answer("region-caption", {"regions": rows}, said, shown_phrases(pairs))

    def end(self) -> Iterator[tuple[Frame, Answer]]:
        return iter(())


@dataclass(frozen=True)
class _Edits:
    """Referring editing: what each phrase points at, painted over, one after the other."""

    model: ReferringSegmenter
    card: Card
    phrases: tuple[str, ...]
    inpaint: Inpainter
    instruction: str

    @classmethod
    def of(cls, model: object, request: Request) -> "_Edits":
        if request.inpaint is None:
            raise UsageError(
                "Editing needs a program that paints: --inpaint module:attribute, a function of "
                "an image (uint8 RGB), a mask (bool) and an instruction that returns the image."
            )
        card = request.rules("referring")
        able = _needs(model, ReferringSegmenter, "edit", "ReferringSegmenter")
        phrases = PRESENTATIONS["referring"].prompt(request.asked)
        followed: Any = following(able, card)
        return cls(followed, card, phrases, request.inpaint, request.instruction)

    def see(self, frame: Frame) -> Iterator[Answer]:
        image, rows = frame.image, []
        for phrase in self.phrases:
            mask, image = edit_region(
                self.model, image, phrase, self.inpaint, self.instruction, self.card
            )
            rows.append(referred(phrase, mask))
        content = {"instruction": self.instruction, "regions": rows}
        yield Answer("edit", content, (self.instruction,), map=image, image=image)

    def end(self) -> Iterator[tuple[Frame, Answer]]:
        return iter(())


@dataclass
class _Ranking:
    """Which image each text fits best; with `finding`, and where in it."""

    task: str
    model: ImageTextEncoder
    card: Card
    texts: tuple[str, ...]
    finding: Card | None = None
    finder: ReferringSegmenter | None = None
    written: np.ndarray | None = None
    """The texts' embeddings, made when the first image is seen."""
    seen: list[tuple[str, np.ndarray]] = field(default_factory=list)
    best: dict[str, tuple[float, Frame]] = field(default_factory=dict)

    @classmethod
    def of_images(cls, model: object, request: Request) -> "_Ranking":
        able = _needs(model, ImageTextEncoder, "retrieval", "ImageTextEncoder")
        return cls._of("retrieval", able, request)

    @classmethod
    def of_regions(cls, model: object, request: Request) -> "_Ranking":
        needed = "ImageTextEncoder and a ReferringSegmenter"
        able = _needs(model, RegionRetriever, "region-retrieval", needed)
        ranking = cls._of("region-retrieval", able, request)
        ranking.finding = request.rules("referring")
        ranking.finder = following(able, ranking.finding)  # type: ignore[assignment]
        return ranking

    @classmethod
    def _of(cls, task: str, model: Any, request: Request) -> "_Ranking":
        if not request.asked.texts:
            raise UsageError(f"Task '{task}' needs texts: --text 'two dogs on a beach'.")
        card = request.rules("retrieval")
        followed: Any = following(model, card)
        return cls(task, followed, card, request.asked.texts)

    def see(self, frame: Frame) -> Iterator[Answer]:
        if self.written is None:
            self.written = np.asarray(self.model.embed_texts(self.texts))
        scores = similarity(self.model, frame.image, self.written, self.card)
        self.seen.append((frame.name, scores))
        for text, score in zip(self.texts, scores.tolist(), strict=True):
            if text not in self.best or score > self.best[text][0]:
                self.best[text] = score, frame
        return iter(())

    def end(self) -> Iterator[tuple[Frame, Answer]]:
        for column, text in enumerate(self.texts if self.seen else ()):
            ranked = sorted(self.seen, key=lambda item: -item[1][column])
            rows = [{"image": name, "score": round(float(s[column]), 6)} for name, s in ranked]
            score, frame = self.best[text]
            content: dict[str, Any] = {"text": text, "ranking": rows}
            answer = Answer(
                f"{self.task}-{column + 1}", content, (f"{text}: {frame.name} ({score:.3f})",)
            )
            if self.finder is not None and self.finding is not None:
                mask, _ = find_region(self.finder, frame.image, text, self.finding)
                content["region"] = referred(text, mask)
                answer = replace(answer, regions=shown_phrases([(text, mask)]))
            yield frame, answer


COMPOSITIONS: Mapping[str, Callable[[object, Request], Step]] = {
    "retrieval": _Ranking.of_images,
    "region-retrieval": _Ranking.of_regions,
    "region-caption": _RegionCaptions.of,
    "edit": _Edits.of,
}
"""Tasks that are no single question about a single image."""

TASKS = (*PRESENTATIONS, *COMPOSITIONS)


# --- files ---------------------------------------------------------------------------------------


@dataclass
class Desk:
    """Writes answers to a folder: JSON, a map where there is one, and a picture."""

    folder: Path
    about: Mapping[str, Any]
    """What every JSON file begins with: the model, its weights, the protocol."""
    warnings: Sequence[str] = ()
    """Written onto every picture."""
    pictures: bool = True
    colours: Colours = field(default_factory=Colours)

    def write(self, frame: Frame, answer: Answer) -> list[Path]:
        """Write an answer; the files, the JSON first. `CannotWrite` where that cannot be done."""
        with explained(self.folder, "--out"):
            return self._written(frame, answer)

    def _written(self, frame: Frame, answer: Answer) -> list[Path]:
        self.folder.mkdir(parents=True, exist_ok=True)
        stem = f"{frame.name}-{answer.task}"
        written = [self.folder / f"{stem}.json"]
        extra: dict[str, Any] = {}
        if answer.map is not None:
            written.append(self.folder / f"{stem}-map.png")
            Pillow.fromarray(answer.map).save(written[-1])
            extra["map"] = written[-1].name
        if self.pictures:
            written.append(self.folder / f"{stem}.png")
            self.picture(frame, answer).save(written[-1])
            extra["picture"] = written[-1].name
        height, width = frame.image.shape[:2]
        content = {
            "image": frame.source.name,
            **({"frame": frame.index} if frame.index is not None else {}),
            "height": height,
            "width": width,
            "task": answer.task,
            **self.about,
            **extra,
            **answer.content,
        }
        text = json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False)
        written[0].write_text(text + "\n", encoding="utf-8")
        return written

    def picture(self, frame: Frame, answer: Answer) -> Pillow.Image:
        """The image with the answer drawn over it."""
        shown: Image = frame.image if answer.image is None else answer.image
        return draw(
            shown,
            answer.regions,
            colours=self.colours,
            title=f"{frame.name} · {answer.task} · {self.about.get('model', '')}",
            lines=answer.said,
            warnings=self.warnings,
        )
