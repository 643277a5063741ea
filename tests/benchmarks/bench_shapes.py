"""How fast `shapes` is drawn: `python tests/benchmarks/bench_shapes.py`.

One core, everything a training step or a run needs of a scene: layout, picture, all three truths.
The bar is 100 scenes of 256 x 256 a second.
"""

import time
from dataclasses import replace

from bench.data.shapes import (
    HARD,
    STANDARD,
    Split,
    World,
    by_shape,
    captions,
    draw,
    phrases,
    questions,
    scene,
    shapes_dataset,
)

WORLDS = {
    "standard 128": STANDARD,
    "standard 256": replace(STANDARD, size=256),
    "hard 128": HARD,
    "hard 256": replace(HARD, size=256),
}


def seconds_a_scene(world: World, n: int) -> dict[str, float]:
    """Wall seconds a scene for each stage, over `n` scenes no stage has seen before."""
    dataset = shapes_dataset("shapes", world, Split.VAL, n + 10, by_shape(world))
    for id in dataset.ids[:10]:  # tables, patterns and noise are made once
        dataset.load(id)
    spent = {}
    start = time.perf_counter()
    for i in range(n):
        draw(scene(world, Split.TRAIN, i))
    spent["picture and segments"] = time.perf_counter() - start
    start = time.perf_counter()
    for id in dataset.ids[10:]:
        dataset.load(id)
    spent["with all truths"] = time.perf_counter() - start
    start = time.perf_counter()
    for i in range(n):
        found = scene(world, Split.UNSEEN, i)
        captions(found), phrases(found), questions(found)
    spent["layout and sentences"] = time.perf_counter() - start
    return {stage: total / n for stage, total in spent.items()}


def main() -> None:
    """Print scenes a second, the best of three rounds."""
    for name, world in WORLDS.items():
        rounds = [seconds_a_scene(world, 200) for _ in range(3)]
        best = {stage: min(r[stage] for r in rounds) for stage in rounds[0]}
        print(f"{name:14}", "  ".join(f"{stage}: {1 / s:6.0f}/s" for stage, s in best.items()))


if __name__ == "__main__":
    main()
