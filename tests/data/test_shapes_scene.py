"""Scenes of `shapes`: the same everywhere, and what their world says."""

import hashlib
import json
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.shapes import (
    EASY,
    HARD,
    STANDARD,
    Domain,
    Split,
    captions,
    draw,
    phrases,
    questions,
    scene,
)
from bench.data.shapes.draw import occupancy
from bench.data.shapes.figure import HALF, OUTLINES, REACH, depth_table
from bench.data.shapes.scene import CANVAS, silhouette
from bench.data.shapes.stream import Stream, scatter

GOLDEN = Path(__file__).parents[1] / "golden" / "shapes.json"

WORLDS = {
    "easy": EASY,
    "standard": STANDARD,
    "standard-256": replace(STANDARD, size=256),
    "hard": replace(HARD, domains=tuple(Domain)),
    "odd-size": replace(HARD, size=101, seed=3, tilt=100, radius=(5, 40)),
}

numbers = st.integers(0, 10_000)
splits = st.sampled_from(Split)


def digest(name: str, split: Split, index: int) -> str:
    """Everything about a scene: pixels, segments, sentences."""
    found = scene(WORLDS[name], split, index)
    drawing = draw(found)
    content = hashlib.sha256(drawing.image.tobytes())
    content.update(drawing.ids.astype("<i4").tobytes())
    said = [captions(found), [p.text for p in phrases(found)], [q.text for q in questions(found)]]
    content.update(json.dumps(said).encode())
    return content.hexdigest()


def test_scenes_are_those_of_every_other_machine():
    """Written by `python tests/data/test_shapes_scene.py`; a change means other data."""
    golden = json.loads(GOLDEN.read_text())
    assert len(golden) == 4 * len(WORLDS)
    for key, expected in golden.items():
        name, split, index = key.split("/")
        assert digest(name, Split(split), int(index)) == expected, key


@given(numbers, splits)
@settings(max_examples=20, deadline=None)
def test_a_scene_does_not_depend_on_what_was_drawn_before(index, split):
    first = draw(scene(STANDARD, split, index))
    draw(scene(STANDARD, split, index + 1))
    draw(scene(HARD, Split.VAL, index))
    again = draw(scene(STANDARD, split, index))
    assert np.array_equal(first.image, again.image)
    assert np.array_equal(first.ids, again.ids)


def test_scenes_of_other_splits_seeds_and_numbers_differ():
    drawn = [
        draw(scene(replace(STANDARD, seed=seed), split, index)).image.tobytes()
        for seed in range(3)
        for split in Split
        for index in range(5)
    ]
    assert len(set(drawn)) == 45


def test_a_scene_is_the_same_at_every_size():
    for index in range(10):
        small, large = (scene(replace(STANDARD, size=size), Split.VAL, index) for size in (64, 512))
        assert small.things == large.things
        assert small.grounds == large.grounds
        reduced = draw(large).ids[4::8, 4::8]
        assert (draw(small).ids == reduced).mean() > 0.97


@pytest.mark.parametrize("world", [EASY, STANDARD, HARD], ids=["easy", "standard", "hard"])
def test_training_never_shows_an_unseen_pair(world):
    shown = {(t.colour, t.shape) for i in range(400) for t in scene(world, Split.TRAIN, i).things}
    assert not shown & set(world.unseen_pairs)
    assert len(shown) > 0.9 * len(world.seen_pairs)


@pytest.mark.parametrize("world", [EASY, STANDARD, HARD], ids=["easy", "standard", "hard"])
def test_unseen_pairs_leave_each_word_in_most_of_its_pairs(world):
    lost = Counter(word for pair in world.unseen_pairs for word in pair)
    assert max(lost.values()) <= 2
    assert len(world.unseen_pairs) == len(world.pairs) * world.unseen_percent // 100
    assert set(world.seen_pairs) | set(world.unseen_pairs) == set(world.pairs)


def test_the_unseen_split_holds_many_unseen_pairs_and_validation_its_share():
    share = {}
    for split in (Split.VAL, Split.UNSEEN):
        things = [t for i in range(400) for t in scene(STANDARD, split, i).things]
        unseen = [t for t in things if (t.colour, t.shape) in STANDARD.unseen_pairs]
        share[split] = len(unseen) / len(things)
    assert 0.10 < share[Split.VAL] < 0.19
    assert 0.50 < share[Split.UNSEEN] < 0.65


@given(numbers, splits, st.sampled_from([EASY, STANDARD, HARD]))
@settings(max_examples=60, deadline=None)
def test_enough_of_every_thing_can_be_seen(index, split, world):
    found = scene(world, split, index)
    seen = np.bincount(occupancy(found, CANVAS).ravel(), minlength=len(found.things) + 1)[1:]
    for thing, area in zip(found.things, seen, strict=True):
        whole = silhouette(thing, CANVAS).sum()
        assert area >= world.visible_area
        assert 100 * area >= world.visible_share * whole - 100


@given(numbers)
@settings(max_examples=30, deadline=None)
def test_things_hide_what_is_drawn_before_them(index):
    found = scene(HARD, Split.VAL, index)
    expected = np.zeros((128, 128), int)
    for number, thing in enumerate(found.things, start=1):
        expected[silhouette(thing, 128)] = number
    ids = draw(found).ids
    assert np.array_equal(np.where(ids <= len(found.things), ids, 0), expected)


def test_every_pixel_belongs_to_a_thing_or_to_stuff():
    for index in range(50):
        found = scene(STANDARD, Split.TRAIN, index)
        segments = set(range(1, len(found.things) + len(found.grounds) + 1))
        assert set(np.unique(draw(found).ids).tolist()) == segments


@pytest.mark.parametrize("domain", Domain)
def test_a_domain_changes_pixels_and_never_the_truth(domain):
    plain, other = (
        draw(scene(replace(STANDARD, domains=(d,)), Split.VAL, 6))
        for d in (Domain.DAYLIGHT, domain)
    )
    assert np.array_equal(plain.ids, other.ids)
    assert np.array_equal(plain.image, other.image) == (domain is Domain.DAYLIGHT)


@pytest.mark.parametrize("shape", OUTLINES)
def test_no_figure_reaches_beyond_its_bound(shape):
    """`cells` takes its boxes from this bound, so a figure beyond it would be cut off."""
    depth = depth_table(shape).reshape(2 * HALF, 2 * HALF)
    y, x = np.nonzero(depth > 0)
    assert 0.8 * 112 < np.hypot(x - HALF + 0.5, y - HALF + 0.5).max() <= REACH


def test_no_two_figures_are_nearly_alike():
    """The outlines that look most alike still differ by a sixth of their area."""
    tables = {s: depth_table(s).reshape(2 * HALF, 2 * HALF) > 0 for s in OUTLINES if s != "hexagon"}
    for one, a in tables.items():
        for other, b in tables.items():
            if one < other:
                assert (a & b).sum() / (a | b).sum() < 0.83, (one, other)


def test_a_wrong_world_says_what_is_wrong():
    with pytest.raises(ValueError, match="shape must be one of"):
        replace(STANDARD, shapes=("blob",))
    with pytest.raises(ValueError, match="things must be"):
        replace(STANDARD, things=(4, 2))
    with pytest.raises(ValueError, match="radius must be"):
        replace(STANDARD, radius=(1, 9))
    with pytest.raises(ValueError, match="size must be"):
        replace(STANDARD, size=8)
    with pytest.raises(ValueError, match="besides 'sky'"):
        replace(STANDARD, stuff=("sky",))


def test_a_world_may_be_crowded_or_empty():
    assert scene(replace(STANDARD, things=(0, 0)), Split.VAL, 0).things == ()
    crowded = replace(STANDARD, things=(12, 12), radius=(30, 40))
    assert 1 <= len(scene(crowded, Split.VAL, 0).things) <= 12


def test_streams_are_even_and_their_keys_matter():
    draws = Counter(Stream("even", 1).below(7) for _ in range(1)) + Counter(
        Stream("even", key).below(7) for key in range(7000)
    )
    assert max(draws.values()) - min(draws.values()) < 200
    assert Stream("a", 1).bits() != Stream("a", "1").bits()
    assert abs(scatter(0, 100, 100).mean() - 127.5) < 2


if __name__ == "__main__":
    keys = [
        (name, split, index)
        for name in WORLDS
        for split, index in (
            (Split.TRAIN, 0), (Split.TRAIN, 123_456), (Split.VAL, 7), (Split.UNSEEN, 42),
        )
    ]  # fmt: skip
    golden = {f"{name}/{split.value}/{i}": digest(name, split, i) for name, split, i in keys}
    GOLDEN.write_text(json.dumps(golden, indent=1) + "\n")
