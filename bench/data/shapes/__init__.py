"""The embedded world `shapes`: scenes drawn from a seed, with every kind of truth.

Nothing can be assumed to be downloadable, so here is a world that needs no files. A scene is a
value, a pure function of (world, split, number); picture, segments, captions, phrases and questions
all follow from it:

>>> found = scene(STANDARD, Split.VAL, 4)
>>> draw(found).image.shape
(128, 128, 3)
>>> captions(found)[1]
'a blue heart, a purple square and an orange triangle on wood'
"""

from bench.data.shapes.caption import captions
from bench.data.shapes.dataset import shapes_dataset
from bench.data.shapes.domain import Domain
from bench.data.shapes.draw import Drawing, draw
from bench.data.shapes.naming import Category, Naming, by_colour, by_pair, by_shape
from bench.data.shapes.phrase import Kind, Phrase, phrases
from bench.data.shapes.question import SceneQuestion, Topic, questions
from bench.data.shapes.scene import Scene, Thing, scene
from bench.data.shapes.words import Description, words
from bench.data.shapes.world import (
    DISTRACTORS,
    EASY,
    HARD,
    HELD_OUT_DISTRACTORS,
    STANDARD,
    Split,
    World,
)

__all__ = [
    "World",
    "Split",
    "Domain",
    "EASY",
    "STANDARD",
    "HARD",
    "scene",
    "Scene",
    "Thing",
    "draw",
    "Drawing",
    "captions",
    "phrases",
    "Phrase",
    "Kind",
    "questions",
    "SceneQuestion",
    "Topic",
    "Description",
    "Category",
    "Naming",
    "by_shape",
    "by_pair",
    "by_colour",
    "words",
    "DISTRACTORS",
    "HELD_OUT_DISTRACTORS",
    "shapes_dataset",
]
