"""Questions about a scene with answers that the scene's description settles."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum

from bench.data.shapes.phrase import CLEAR, sights, unique_descriptions
from bench.data.shapes.scene import Scene
from bench.data.shapes.stream import Stream
from bench.data.shapes.words import Description, Direction, article
from bench.data.shapes.world import Split

ANNOTATORS = 10
"""How many answers VQA has to each question; here all agree."""


class Topic(Enum):
    """What a question asks for."""

    COLOUR = "color"
    SHAPE = "shape"
    PATTERN = "pattern"
    COUNT = "count"
    PRESENCE = "presence"
    RELATION = "relation"
    STUFF = "stuff"


@dataclass(frozen=True)
class SceneQuestion:
    """A question and its answer."""

    text: str
    answer: str
    topic: Topic

    @property
    def answers(self) -> tuple[str, ...]:
        """As VQA has them, one an annotator."""
        return (self.answer,) * ANNOTATORS


def questions(scene: Scene) -> tuple[SceneQuestion, ...]:
    """One question on every topic that this scene allows; the same ones whenever asked."""
    stream = scene.stream("questions")
    asked = ((topic, ask(scene, stream)) for topic, ask in _ASK.items())
    return tuple(SceneQuestion(*found, topic) for topic, found in asked if found is not None)


Asked = tuple[str, str] | None
"""Question and answer; `None` where the scene has nothing to ask about."""


def _unique(scene: Scene, stream: Stream, *, without: str) -> tuple[int, Description] | None:
    """A thing, and words for it alone that leave out one attribute."""
    found = [
        (i, description)
        for i in range(len(scene.things))
        for description in unique_descriptions(scene, i)
        if getattr(description, without) is None
    ]
    return stream.choose(found) if found else None


def _colour(scene: Scene, stream: Stream) -> Asked:
    if found := _unique(scene, stream, without="colour"):
        return f"what color is the {found[1]}?", scene.things[found[0]].colour
    return None


def _shape(scene: Scene, stream: Stream) -> Asked:
    if found := _unique(scene, stream, without="shape"):
        return f"what shape is the {found[1]}?", scene.things[found[0]].shape
    return None


def _pattern(scene: Scene, stream: Stream) -> Asked:
    if found := _unique(scene, stream, without="texture"):
        return f"what pattern is on the {found[1]}?", scene.things[found[0]].texture
    return None


def _count(scene: Scene, stream: Stream) -> Asked:
    """One time in five about any shape of the world, which is often absent; else what is there."""
    if not scene.things or stream.chance(20):
        words = Description(shape=stream.choose(scene.world.shapes))
    else:
        thing = stream.choose(scene.things)
        words = stream.choose(
            (Description(), Description(shape=thing.shape), Description(colour=thing.colour))
        )
    return f"how many {words.plural} are there?", str(sum(map(words.fits, scene.things)))


def _presence(scene: Scene, stream: Stream) -> Asked:
    """Yes as often as no. What is absent shares a word with what is there.

    Training never asks about an unseen pair, not even to hear that it is absent: names that only
    ever mean «no» would be learned as that.
    """
    if not scene.things:
        return None
    thing = stream.choose(scene.things)
    if stream.chance(50):
        return f"is there {article(f'{thing.colour} {thing.shape}')}?", "yes"
    pairs = scene.world.seen_pairs if scene.split is Split.TRAIN else scene.world.pairs
    present = {(t.colour, t.shape) for t in scene.things}
    absent = [p for p in pairs if p not in present and (thing.colour in p or thing.shape in p)]
    return f"is there {article(' '.join(stream.choose(absent)))}?", "no"


def _relation(scene: Scene, stream: Stream) -> Asked:
    seen = sights(scene)
    known = [(i, d) for i in range(len(seen)) for d in unique_descriptions(scene, i)]
    if len({i for i, _ in known}) < 2:
        return None
    i, one = stream.choose(known)
    j, other = stream.choose([(j, d) for j, d in known if j != i])
    clear = [
        (direction, lead > 0)
        for direction in Direction
        if abs(lead := direction.along(seen[i].x - seen[j].x, seen[i].y - seen[j].y)) >= CLEAR
    ]
    if not clear:
        return None
    direction, holds = stream.choose(clear)
    return f"is the {one} {direction.relation} the {other}?", "yes" if holds else "no"


def _stuff(scene: Scene, stream: Stream) -> Asked:
    place, ground = stream.choose((("top", scene.grounds[0]), ("bottom", scene.grounds[-1])))
    return f"what is at the {place}?", ground.kind


_ASK: dict[Topic, Callable[[Scene, Stream], Asked]] = {
    Topic.COLOUR: _colour,
    Topic.SHAPE: _shape,
    Topic.PATTERN: _pattern,
    Topic.COUNT: _count,
    Topic.PRESENCE: _presence,
    Topic.RELATION: _relation,
    Topic.STUFF: _stuff,
}
