"""Questions to train on: what was asked about an image, and how right each candidate answer is."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import numpy as np

from bench import catalog
from bench.data.augmentation import shown
from bench.data.dataset import Dataset
from bench.data.joined import opened
from bench.data.order import Order, Source
from bench.data.shapes.draw import draw
from bench.data.shapes.question import SceneQuestion, questions
from bench.data.shapes.scene import scene
from bench.data.shapes.training import SCENES
from bench.data.shapes.world import STANDARD, Split, World
from bench.errors import UsageError
from bench.metrics.vqa import HumanAnswers
from bench.metrics.vqa_answers import normalised
from bench.recipe import Example, Questioned, Questions, View

ENOUGH = 3
"""So many people must give an answer for it to be wholly right, as VQA counts."""


def answers_of(sources: Sequence[Source]) -> tuple[str, ...]:
    """The candidate answers where data are questions, else none."""
    found = [source.answers for source in sources if isinstance(source, AskedImages | AskedScenes)]
    return found[0] if found else ()


@dataclass(frozen=True)
class AskedImages:
    """A source (`bench.data.order`) of the questions of a dataset; each is an example."""

    dataset: Dataset
    view: View
    asked: tuple[tuple[str, str, HumanAnswers], ...] = field(repr=False)
    """Image, question and people's answers."""
    answers: tuple[str, ...] = field(repr=False)
    """The candidates, most frequent first."""
    notes: tuple[str, ...]

    @classmethod
    def open(cls, data: Questions, root: Path) -> "AskedImages":
        """Open what `data` names; `UsageError` where that has no questions."""
        if "vqa" not in catalog.dataset(data.of.dataset).split(data.of.split)[1].truth:
            raise UsageError(f"{data.of} has no questions to train on.")
        dataset = opened(data.of, root, ["vqa"])
        assert dataset.prompts is not None
        asked = tuple(
            (id, question, said)
            for id in dataset.ids
            for question, said in zip(
                dataset.prompts.read(id), dataset.truths_of(id, (0, 0))["vqa"], strict=True
            )
        )
        votes = Counter(normalised(answer) for _, _, said in asked for answer in said.answers)
        answers = tuple(answer for answer, _ in votes.most_common(data.answers))
        known = set(answers)
        kept = tuple(
            one for one in asked if any(normalised(answer) in known for answer in one[2].answers)
        )
        notes = (f"{len(asked) - len(kept)} of {len(asked)} questions have no candidate answer",)
        return cls(dataset, data.view, kept, answers, notes)

    def __len__(self) -> int:
        return len(self.asked)

    def order(self, seed: int) -> Order:
        """See `bench.data.order.Source`."""
        return Order(len(self), seed)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> Questioned:
        """Those questions, each with its image."""
        chosen = [self.asked[place] for place in places]
        images = (Example(self.dataset.images.read(id)) for id, _, _ in chosen)
        return Questioned(
            tuple(shown(example, self.view, chance).image for example in images),
            tuple(question for _, question, _ in chosen),
            np.stack([scores(said.answers, self.answers) for _, _, said in chosen]),
        )


def scores(said: Sequence[str], candidates: Sequence[str]) -> np.ndarray:
    """How right each candidate is: people's votes for it by three, at most 1.

    >>> scores(["yes", "yes", "yes", "no"], ("yes", "no", "2")).round(2)
    array([1.  , 0.33, 0.  ], dtype=float32)
    """
    votes = Counter(map(normalised, said))
    return np.array([min(votes[one] / ENOUGH, 1) for one in candidates], np.float32)


@dataclass(frozen=True)
class AskedScenes:
    """A source of scenes of `shapes` with one of the questions about each."""

    world: World = STANDARD
    notes: ClassVar = ()

    @property
    def answers(self) -> tuple[str, ...]:
        """All that can be answered."""
        numbers = tuple(str(n) for n in range(self.world.things[1] + 1))
        world = self.world
        words = (*world.shapes, *world.colours, *world.textures, *world.stuff)
        return ("yes", "no", *numbers, *words)

    def __len__(self) -> int:
        return SCENES

    def order(self, seed: int) -> Order:
        """See `bench.data.order.Source`."""
        return Order(SCENES, seed)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> Questioned:
        """Those scenes, each with a question drawn for this step."""
        found = [scene(self.world, Split.TRAIN, place) for place in places]
        asked: list[SceneQuestion] = []
        for one in found:
            about = questions(one)
            asked.append(about[int(chance.integers(len(about)))])
        candidates = self.answers
        return Questioned(
            tuple(draw(one).image for one in found),
            tuple(question.text for question in asked),
            np.stack([scores(question.answers, candidates) for question in asked]),
        )
