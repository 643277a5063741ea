"""Phrases, captions and questions about scenes as a dataset's prompts and truths."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from bench.data.shapes.caption import captions
from bench.data.shapes.dataset import Scenes
from bench.data.shapes.phrase import Kind, Phrase, phrases
from bench.data.shapes.question import questions
from bench.metrics.vqa import HumanAnswers
from bench.protocol import Expressions, ReferringRule
from bench.types import Mask


@dataclass(frozen=True)
class _Said:
    """What these sources have in common: the scenes they speak of."""

    scenes: Scenes

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """What is said of the first scene: what the code makes of it."""
        first = self.scenes.drawn(self.scenes.ids[0])[0]
        yield repr(
            (type(self).__name__, phrases(first), captions(first), questions(first))
        ).encode()


def asked_phrases(
    found: tuple[Phrase, ...], rule: ReferringRule, kinds: Sequence[Kind] = tuple(Kind)
) -> tuple[Phrase, ...]:
    """The phrases of a scene that a protocol asks: every one, or one for each segment.

    Args:
        found: all phrases of the scene.
        rule: which of several phrases for one segment are asked.
        kinds: only phrases of these kinds.
    """
    found = tuple(p for p in found if p.kind in kinds)
    if rule.expressions is Expressions.ALL:
        return found
    by_segment: dict[int, list[Phrase]] = {}
    for phrase in found:
        by_segment.setdefault(phrase.segment, []).append(phrase)
    if rule.expressions is Expressions.FIRST:
        return tuple(said[0] for said in by_segment.values())
    return tuple(
        Phrase(" ".join(p.text for p in said), said[0].kind, segment)
        for segment, said in by_segment.items()
    )


@dataclass(frozen=True)
class ScenePhrases(_Said):
    """What is asked of a model that points: phrases for single segments."""

    rule: ReferringRule
    kinds: tuple[Kind, ...] = tuple(Kind)

    def read(self, id: str) -> tuple[str, ...]:
        """The phrases of one scene."""
        found = phrases(self.scenes.drawn(id)[0])
        return tuple(p.text for p in asked_phrases(found, self.rule, self.kinds))


@dataclass(frozen=True)
class ScenePointers(_Said):
    """The visible part of the segment that each phrase means."""

    rule: ReferringRule
    kinds: tuple[Kind, ...] = tuple(Kind)

    def read(self, id: str, size: tuple[int, int]) -> tuple[Mask, ...]:
        """One mask a phrase, in the order of `ScenePhrases`."""
        scene, drawing = self.scenes.drawn(id)
        return tuple(
            Mask.encode(np.asarray(drawing.ids == phrase.id))
            for phrase in asked_phrases(phrases(scene), self.rule, self.kinds)
        )

    def count(self, truth: tuple[Mask, ...]) -> int:
        """How many phrases there are."""
        return len(truth)


@dataclass(frozen=True)
class SceneCaptions(_Said):
    """Five captions a scene: what captioning is held against, and what retrieval asks."""

    def read(self, id: str, size: tuple[int, int] | None = None) -> tuple[str, ...]:
        """The captions of one scene."""
        return captions(self.scenes.drawn(id)[0])

    def count(self, truth: tuple[str, ...]) -> int:
        """How many captions there are."""
        return len(truth)


@dataclass(frozen=True)
class SceneQuestions(_Said):
    """Questions about a scene."""

    def read(self, id: str) -> tuple[str, ...]:
        """The questions of one scene."""
        return tuple(question.text for question in questions(self.scenes.drawn(id)[0]))


@dataclass(frozen=True)
class SceneAnswers(_Said):
    """What the scene's description answers."""

    def read(self, id: str, size: tuple[int, int]) -> tuple[HumanAnswers, ...]:
        """The answers, question by question; what a question is about stands as its type."""
        return tuple(
            HumanAnswers(question.answers, _kind(question.answer), question.topic.value)
            for question in questions(self.scenes.drawn(id)[0])
        )

    def count(self, truth: tuple[HumanAnswers, ...]) -> int:
        """How many questions there are."""
        return len(truth)


def _kind(answer: str) -> str:
    """The answer type of VQA.

    >>> _kind("no"), _kind("3"), _kind("red")
    ('yes/no', 'number', 'other')
    """
    if answer in ("yes", "no"):
        return "yes/no"
    return "number" if answer.isdecimal() else "other"
