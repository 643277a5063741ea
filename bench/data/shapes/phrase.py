"""Phrases that point at exactly one segment of a scene, by what it is or by where it is."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np

from bench.data.shapes.draw import occupancy
from bench.data.shapes.scene import CANVAS, Scene
from bench.data.shapes.words import Description, Direction, descriptions

CLEAR = 28
"""Half pixels (on a canvas of 128) by which a relation must hold to be said."""


class Kind(StrEnum):
    """What has to be understood to follow a phrase."""

    ATTRIBUTE = "attribute"
    """What the thing is: its shape, colour, texture."""
    RELATION = "relation"
    """Where it is among others, or how large."""
    STUFF = "stuff"
    """What kind of stuff it is."""


@dataclass(frozen=True)
class Phrase:
    """A phrase and the one segment it can mean."""

    text: str
    kind: Kind
    segment: int
    """Its number in the scene from 0: things first, then grounds."""

    @property
    def id(self) -> int:
        """What the segment is in a drawing of the scene."""
        return self.segment + 1


@dataclass(frozen=True)
class Sight:
    """The visible part of a thing on 128 pixels: the middle of its box in half pixels, its area."""

    x: int
    y: int
    area: int


def sights(scene: Scene) -> tuple[Sight, ...]:
    """What can be seen of each thing. Phrases go by this, as people do, not by hidden centres."""
    ids = occupancy(scene, CANVAS)
    found = []
    for number in range(1, len(scene.things) + 1):
        rows, columns = np.nonzero(ids == number)
        y, x = (int(i.min()) + int(i.max()) for i in (rows, columns))
        found.append(Sight(x, y, len(rows)))
    return tuple(found)


def phrases(scene: Scene, *, attributes: int = 2, relations: int = 2) -> tuple[Phrase, ...]:
    """Up to so many phrases of each kind for each thing, and one for each kind of stuff.

    They are the same ones whenever asked. A thing that nothing can tell apart from its twins gets
    none.
    """
    stream, seen = scene.stream("phrases"), sights(scene)
    unique = [unique_descriptions(scene, i) for i in range(len(scene.things))]
    chosen: list[Phrase] = []
    for i in range(len(scene.things)):
        for kind, texts, most in (
            (Kind.ATTRIBUTE, [f"the {d}" for d in unique[i]], attributes),
            (Kind.RELATION, list(_relations(scene, seen, unique, i)), relations),
        ):
            texts = list(dict.fromkeys(texts))
            chosen += [Phrase(t, kind, i) for t in stream.sample(texts, min(most, len(texts)))]
    grounds = enumerate(scene.grounds, start=len(scene.things))
    chosen += [Phrase(f"the {ground.kind}", Kind.STUFF, i) for i, ground in grounds]
    return tuple(chosen)


Unique = Sequence[tuple[Description, ...]]
"""For each thing of a scene, the descriptions that fit it alone."""


def unique_descriptions(scene: Scene, thing: int) -> tuple[Description, ...]:
    """The descriptions that fit this thing of the scene and no other."""
    others = [other for i, other in enumerate(scene.things) if i != thing]
    return tuple(
        description
        for description in descriptions(scene.things[thing])
        if description.specific and not any(map(description.fits, others))
    )


def _relations(scene: Scene, seen: tuple[Sight, ...], unique: Unique, i: int) -> Iterator[str]:
    """Phrases that fit thing `i` by its place or size among things that fit the same words."""
    for words in descriptions(scene.things[i]):
        rivals = [k for k, thing in enumerate(scene.things) if k != i and words.fits(thing)]
        if not rivals:
            continue  # the words alone are enough: no relation is needed
        for direction in Direction:
            if all(_leads(seen[i], seen[k], direction) >= CLEAR for k in rivals):
                yield f"the {direction.superlative} {words}"
        if all(is_larger(scene, seen, i, k) for k in rivals):
            yield f"the largest {words}"
        if all(is_larger(scene, seen, k, i) for k in rivals):
            yield f"the smallest {words}"
        yield from _beside(seen, unique, i, words, rivals)


def _beside(
    seen: tuple[Sight, ...], unique: Unique, i: int, words: Description, rivals: list[int]
) -> Iterator[str]:
    """Phrases that fit thing `i` by its direction from a thing that is known by its own words."""
    for j in range(len(seen)):
        anchors = unique[j] if j != i else ()
        for direction in Direction if anchors else ():
            if _leads(seen[i], seen[j], direction) < CLEAR:
                continue
            if all(_leads(seen[k], seen[j], direction) <= 0 for k in rivals if k != j):
                yield from (f"the {words} {direction.relation} the {anchor}" for anchor in anchors)


def _leads(a: Sight, b: Sight, direction: Direction) -> int:
    """How many half pixels farther in a direction `a` is than `b`."""
    return direction.along(a.x - b.x, a.y - b.y)


def is_larger(scene: Scene, seen: tuple[Sight, ...], i: int, k: int) -> bool:
    """Whether thing `i` is clearly larger than `k`, in outline and in what is seen of it."""
    by_outline = 4 * scene.things[i].radius >= 5 * scene.things[k].radius
    return by_outline and 4 * seen[i].area >= 5 * seen[k].area
