"""Five captions of a scene, as five people would write them."""

from bench.data.shapes.phrase import Sight, is_larger, sights
from bench.data.shapes.scene import Scene, Thing
from bench.data.shapes.stream import Stream
from bench.data.shapes.words import NUMBERS, Description, Direction, article, listing

MENTIONED = 3
"""How many things a caption names at most: the largest ones."""


def captions(scene: Scene) -> tuple[str, ...]:
    """Five references: all are true of the scene, and each leaves out something else."""
    stream, seen = scene.stream("captions"), sights(scene)
    if not scene.things:
        return (f"nothing {_place(scene)}",) * 5
    order = sorted(range(len(scene.things)), key=lambda i: -seen[i].area)[:MENTIONED]
    things = [scene.things[i] for i in order]
    everything = [Description(t.shape, t.colour, t.texture) for t in things]
    colours = [Description(t.shape, t.colour) for t in things]
    return (
        f"{_listed(everything)} {_place(scene)}",
        f"{_listed(colours)} {_ground(scene)}",
        _related(scene, seen, order, stream),
        _counted(scene, seen, order[0]),
        f"{_place(scene)} there {'is' if len(things) == 1 else 'are'} "
        f"{_listed(_shuffled(everything, stream))}",
    )


def _ground(scene: Scene) -> str:
    return f"on {scene.grounds[-1].kind}"


def _place(scene: Scene) -> str:
    """Where it all is: `on sand under sky`."""
    behind = f" under {scene.grounds[0].kind}" if len(scene.grounds) == 2 else ""
    return _ground(scene) + behind


def _listed(things: list[Description]) -> str:
    """`two red stars and a blue ring`; equals are counted together."""
    counts = {d: things.count(d) for d in things}
    return listing(
        [article(str(d)) if n == 1 else f"{NUMBERS[n]} {d.plural}" for d, n in counts.items()]
    )


def _related(scene: Scene, seen: tuple[Sight, ...], order: list[int], stream: Stream) -> str:
    """How the two largest things lie to each other; a single thing is only placed."""
    if len(order) == 1:
        return f"{article(_named(scene.things[0], stream))} {_place(scene)}"
    i, j = stream.sample(order[:2], 2)
    dx, dy = seen[i].x - seen[j].x, seen[i].y - seen[j].y
    direction = max(Direction, key=lambda d: d.along(dx, dy))
    one, other = (article(_named(scene.things[k], stream)) for k in (i, j))
    return f"{one} {direction.relation} {other} {_ground(scene)}"


def _named(thing: Thing, stream: Stream) -> str:
    """A thing by its colour and shape, and sometimes its texture."""
    texture = thing.texture if stream.chance(50) else None
    return str(Description(thing.shape, thing.colour, texture))


def _counted(scene: Scene, seen: tuple[Sight, ...], first: int) -> str:
    """How many things there are and what one of them is: the largest, if it clearly is."""
    n, thing = len(scene.things), scene.things[first]
    named = article(str(Description(thing.shape, thing.colour, thing.texture)))
    if n == 1:
        return f"one thing {_place(scene)}, {named}"
    rest = (k for k in range(n) if k != first)
    which = "the largest" if all(is_larger(scene, seen, first, k) for k in rest) else "one"
    return f"{NUMBERS[n]} things {_place(scene)}, {which} is {named}"


def _shuffled(things: list[Description], stream: Stream) -> list[Description]:
    return stream.sample(things, len(things))
