"""From what data say of images to the batches of a step: which texts enter, how many, which words.

Each class here is a setting of a recipe and a function of the data. What is random is drawn anew
for each step: the phrases that enter, the caption of several, the template of each class name.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench.recipe import Example, Examples, Named, Questioned
from bench.types import Vocabulary
from models.xdecoder.batch import (
    Concept,
    Objects,
    PairBatch,
    Phrases,
    PhraseSource,
    SegmentationBatch,
)
from models.xdecoder.crops import CropBatch
from models.xdecoder.questions import QuestionBatch


@dataclass(frozen=True)
class Segmented:
    """Images with segments, and phrases about them."""

    phrases: int = 4
    """At most so many phrases an image, a random number from 1; 0: referring is not trained."""
    nouns: bool = False
    """Whether the nouns of a caption, and the caption, enrich the vocabulary (appendix C.3)."""

    def __post_init__(self) -> None:
        if self.phrases < 0:
            raise ValueError(f"an image has 0 phrases or more, not {self.phrases}")

    def __call__(self, data: Examples, chance: np.random.Generator) -> SegmentationBatch:
        """See `bench.recipe.Batching`."""
        if data.vocabulary is None:
            raise ValueError("segments need a vocabulary")
        classes = _classes(data.vocabulary, chance)
        objects = tuple(map(_objects, data.examples))
        phrases = (
            self._phrases(example, of, classes, chance)
            for example, of in zip(data.examples, objects, strict=True)
        )
        return SegmentationBatch(
            _stacked(data),
            classes,
            objects,
            tuple(phrases) if self.phrases else (),
            tuple(_nouns(e, data.vocabulary, chance) for e in data.examples) if self.nouns else (),
        )

    def _phrases(
        self,
        example: Example,
        objects: Objects,
        classes: tuple[Concept, ...],
        chance: np.random.Generator,
    ) -> Phrases:
        """Some phrases about an image; where nobody wrote any, names of some of its classes.

        A class's name then stands for each of its segments.
        """
        most = int(chance.integers(1, self.phrases + 1))
        if example.phrases:
            return _written(example, most, chance)
        present = np.unique(objects.labels.numpy())
        which = np.isin(objects.labels.numpy(), present[_some(len(present), most, chance)])
        return Phrases(
            tuple(classes[label] for label in objects.labels[which].tolist()),
            objects.masks[which],
            PhraseSource.CLASS_NAMES,
        )


@dataclass(frozen=True)
class Paired:
    """Images with a caption each, one of those they have; and phrases about them, if wanted."""

    phrases: int = 0
    """At most so many phrases an image, a random number from 1; 0: captions alone."""

    def __post_init__(self) -> None:
        if self.phrases < 0:
            raise ValueError(f"an image has 0 phrases or more, not {self.phrases}")

    def __call__(self, data: Examples, chance: np.random.Generator) -> PairBatch:
        """See `bench.recipe.Batching`."""
        spoken = (
            _written(example, int(chance.integers(1, self.phrases + 1)), chance)
            for example in (data.examples if self.phrases else ())
        )
        return PairBatch(_stacked(data), _captions(data, chance), tuple(spoken))


@dataclass(frozen=True)
class Crops:
    """Pictures of one thing each, with its names."""

    def __call__(self, data: Named, chance: np.random.Generator) -> CropBatch:
        """See `bench.recipe.Batching`."""
        return CropBatch(
            torch.from_numpy(np.stack(data.images)),
            data.vocabularies,
            torch.from_numpy(data.labels),
        )


def _written(example: Example, most: int, chance: np.random.Generator) -> Phrases:
    """Some of the phrases that were written about an image, and what each points at."""
    chosen = [example.phrases[i] for i in _some(len(example.phrases), most, chance)]
    texts = [_one(pointed.texts, chance).lower() for pointed in chosen]
    nothing = np.zeros((0, *example.image.shape[:2]), bool)
    masks = np.stack([pointed.mask for pointed in chosen]) if chosen else nothing
    return Phrases(tuple(Concept(text, text) for text in texts), torch.from_numpy(masks))


def _nouns(
    example: Example, vocabulary: Vocabulary, chance: np.random.Generator
) -> tuple[Concept, ...]:
    """The nouns of one of the captions that are no class names, each in a template, and all of it.

    The released code leaves out nouns that are near to a class name by a table of similarities
    that comes with it; here, those that are one.
    """
    if len(example.nouns) != len(example.captions):
        raise ValueError("nouns are wanted, and nobody looked for them: see `Annotated.nouns`")
    if not example.captions:
        return ()
    which = int(chance.integers(len(example.captions)))
    known = {word for words in (vocabulary.names, *vocabulary.prompts) for word in words}
    nouns = [noun for noun in dict.fromkeys(example.nouns[which]) if noun not in known]
    named = (Concept(_one(vocabulary.templates, chance).format(noun), noun) for noun in nouns)
    caption = example.captions[which]
    return (*named, Concept(caption, caption))


def _classes(vocabulary: Vocabulary, chance: np.random.Generator) -> tuple[Concept, ...]:
    """Each class in one of the vocabulary's templates, background last."""
    if vocabulary.background is None:
        raise ValueError("training needs a word for background")
    names = (*vocabulary.names, vocabulary.background)
    prompts = (*vocabulary.prompts, (vocabulary.background,))
    # Without the marks that class names have and sentences do not, as released.
    words = (_one(of, chance).replace(",", "").replace("+", " ") for of in prompts)
    return tuple(
        Concept(_one(vocabulary.templates, chance).format(word), name)
        for word, name in zip(words, names, strict=True)
    )


@dataclass(frozen=True)
class Asked:
    """Images with a question each."""

    def __call__(self, data: Questioned, chance: np.random.Generator) -> QuestionBatch:
        """See `bench.recipe.Batching`."""
        return QuestionBatch(
            torch.from_numpy(np.stack(data.images)), data.questions, torch.from_numpy(data.scores)
        )


def _stacked(data: Examples) -> Tensor:
    return torch.from_numpy(np.stack([example.image for example in data.examples]))


def _captions(data: Examples, chance: np.random.Generator) -> tuple[str, ...]:
    return tuple(_one(example.captions, chance) for example in data.examples)


def _objects(example: Example) -> Objects:
    """The segments of an image that have a label and a pixel; crowds are void."""
    height, width = example.image.shape[:2]
    if example.ids is None:
        raise ValueError("segmentation needs the ids of segments")
    there = np.unique(example.ids)
    segments = [s for s in example.segments if not s.crowd and s.id in there]
    ids = np.array([s.id for s in segments], example.ids.dtype)
    masks = example.ids == ids[:, None, None] if segments else np.zeros((0, height, width), bool)
    labels = torch.tensor([s.label for s in segments], dtype=torch.long)
    return Objects(torch.from_numpy(masks), labels)


def _one(of: tuple[str, ...], chance: np.random.Generator) -> str:
    return of[int(chance.integers(len(of)))] if len(of) > 1 else of[0]


def _some(n: int, most: int, chance: np.random.Generator) -> list[int]:
    """At most so many different numbers below `n`, in random order."""
    chosen: list[int] = chance.permutation(n)[:most].tolist()
    return chosen
