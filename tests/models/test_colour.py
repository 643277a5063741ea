"""The baseline `colour`: it finds colours, and claims nothing else."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL.ImageColor import getrgb

from bench.data.shapes import (
    STANDARD,
    Kind,
    Split,
    by_colour,
    by_shape,
    draw,
    phrases,
    scene,
    shapes_dataset,
)
from bench.errors import UsageError
from bench.postprocess.classes import class_scores, pick_instances, pick_segments
from bench.postprocess.plain import instances, label_map, panoptic, resize_masks
from bench.protocol import InstanceRule, PanopticRule, Protocol, ThingFilter
from bench.types import Proposer, ReferringSegmenter, Vocabulary
from models.baselines.colour import CARDS, Colour, build
from models.baselines.colour_words import BASIC, colours_in, place_of

CARD = Protocol(
    name="test",
    panoptic=PanopticRule(object_mask_threshold=0.4),
    instance=InstanceRule(thing_filter=ThingFilter.BEFORE_TOP_K),
)


def picture(*patches, size=(60, 80), ground="white"):
    """Rectangles (colour, top, left, bottom, right) on a ground."""
    image = np.empty((*size, 3), np.uint8)
    image[:] = getrgb(ground)
    for colour, top, left, bottom, right in patches:
        image[top:bottom, left:right] = getrgb(colour)
    return image


def answered(image, vocabulary):
    """Class scores, and masks at the size of the picture."""
    (found,) = Colour().propose([image], vocabulary)
    scores = class_scores(found.class_logits, vocabulary, CARD.background)
    masks = resize_masks(
        found.mask_logits, found.padded_size, found.input_size, image.shape[:2], CARD.mask_resize
    )
    return scores, masks


def predictions(image, vocabulary):
    """Semantic, instance and panoptic answers, each from the one set of proposals."""
    scores, masks = answered(image, vocabulary)
    picks = pick_instances(scores, vocabulary.things, CARD.instance)
    segments = pick_segments(scores, CARD.panoptic)
    return (
        label_map(scores, masks),
        instances(picks, masks),
        panoptic(segments, masks, vocabulary.things, CARD.panoptic),
    )


BALLS = Vocabulary(("red ball", "blue ball", "snow"), things=frozenset({0, 1}))
SCENE = picture(("red", 10, 10, 30, 30), ("red", 35, 50, 55, 75), ("blue", 5, 45, 25, 70))


def test_it_is_what_its_card_says():
    model = build(CARDS["colour"])
    assert isinstance(model, Proposer)
    assert isinstance(model, ReferringSegmenter)
    with pytest.raises(UsageError, match="no weights"):
        build(CARDS["colour"], weights="some.pt")


def test_flat_colours_are_segmented_nearly_exactly():
    truth = np.full((60, 80), 2)
    truth[10:30, 10:30] = truth[35:55, 50:75] = 0
    truth[5:25, 45:70] = 1
    semantic, found, segments = predictions(SCENE, BALLS)
    assert (semantic == truth).mean() > 0.98
    assert sorted(s.label for s in segments.segments) == [0, 0, 1, 2]
    sure = found.scores > 0.5
    assert sorted(found.labels[sure].tolist()) == [0, 0, 1]


def test_patches_of_one_colour_are_things_apart_and_stuff_together():
    stuff = Vocabulary(("red ground", "snow"))
    (found,) = Colour().propose([SCENE], stuff)
    assert found.class_logits.shape == (2, 3)
    (found,) = Colour().propose([SCENE], BALLS)
    assert found.class_logits.shape == (4, 4)


def test_background_has_its_column_only_where_it_is_asked_for():
    for vocabulary in (BALLS, Vocabulary(BALLS.names, things=BALLS.things, background=None)):
        (found,) = Colour().propose([SCENE], vocabulary)
        assert found.class_logits.shape[1] == vocabulary.columns
        assert bool(torch.isfinite(found.class_logits).all())


def test_a_name_without_colour_gets_what_no_colour_is_named_for():
    vocabulary = Vocabulary(("red ball", "car"), things=frozenset({0, 1}))
    _, found, _ = predictions(picture(("blue", 10, 10, 30, 30)), vocabulary)
    best = found.labels[found.scores.argmax()]
    assert vocabulary.names[best] == "car"


def test_only_what_is_asked_about_is_found():
    """A vocabulary of stuff whose colour is nowhere in the picture gets no segment."""
    _, _, segments = predictions(SCENE, Vocabulary(("grass",)))
    assert segments.segments == ()


@given(st.integers(1, 150), st.integers(1, 150))
def test_masks_lie_on_a_grid_over_the_whole_picture(height, width):
    image = picture(("red", 0, 0, height // 2, width), size=(height, width))
    model = Colour(side=32)
    (found,) = model.propose([image], BALLS)
    assert found.input_size == (height, width)
    grid = found.mask_logits.shape[1:]
    stride = found.padded_size[0] // grid[0]
    assert (grid[0] * stride, grid[1] * stride) == found.padded_size
    assert all(0 <= p - i < stride for p, i in zip(found.padded_size, (height, width), strict=True))
    assert max(grid) <= model.side


def test_there_are_never_more_patches_than_asked_for():
    (found,) = Colour(most=2).propose([SCENE], BALLS)
    assert len(found.class_logits) == len(found.mask_logits) == 2


@pytest.mark.parametrize(
    ("text", "colours"),
    [
        ("the red circle", ("red",)),
        ("Red and blue flag", ("red", "blue")),
        ("a dark green bottle", ("darkgreen",)),
        ("light-grey wall", ("lightgray",)),
        ("grass", ("#649640",)),
        ("the green grass", ("green",)),
        ("bicycle", ()),
        ("", ()),
    ],
)
def test_colour_words_are_read_before_everyday_things(text, colours):
    assert colours_in(text) == colours


@given(st.sampled_from([c for c in BASIC if c not in ("black", "white", "gray")]))
def test_a_colour_in_shadow_keeps_its_name(colour):
    """At 60% brightness every hue is still nearest to itself, but orange, which turns brown."""
    shadow = tuple(int(0.6 * part) for part in getrgb(BASIC[colour]))
    place = place_of("#{:02x}{:02x}{:02x}".format(*shadow))
    nearest = min(BASIC, key=lambda other: float(np.linalg.norm(place - place_of(other))))
    assert nearest == {"orange": "brown"}.get(colour, colour)


def test_a_phrase_points_at_the_largest_patch_of_its_first_colour():
    ((red, blue),) = Colour().refer([SCENE], [["the red one left of the blue one", "a blue box"]])
    inside = red.mask_logits > 0
    assert inside[40:50, 55:70].all()
    assert not inside[10:30, 10:30].any()
    assert (blue.mask_logits > 0)[8:20, 48:68].all()
    assert 0.5 < blue.score <= 1


def test_a_phrase_without_colour_points_at_what_stands_out_and_is_not_sure():
    (((found,),)) = Colour().refer([SCENE], [["the ball"]])
    assert found.score == 0
    assert (found.mask_logits > 0)[12:28, 12:28].all()
    assert not (found.mask_logits > 0)[58:].any()


@pytest.fixture(scope="module")
def scores():
    """Pixel accuracy on things, by vocabulary, over some scenes."""
    found = {}
    for name, naming in (("colours", by_colour(STANDARD)), ("shapes", by_shape(STANDARD))):
        dataset = shapes_dataset(name, STANDARD, Split.VAL, 12, naming)
        right = total = 0
        for sample in dataset:
            semantic = label_map(*answered(sample.image, dataset.vocabulary))
            truth = sample.truths["semantic"]
            things = np.isin(truth, list(dataset.vocabulary.things))
            right += (semantic == truth)[things].sum()
            total += things.sum()
        found[name] = right / total
    return found


def test_on_shapes_it_knows_colours_far_above_chance_and_shapes_not(scores):
    assert scores["colours"] > 0.6
    assert scores["shapes"] < 0.25


def test_on_shapes_it_follows_phrases_that_name_the_colour():
    inside = union = 0
    for index in range(12):
        found = scene(STANDARD, Split.VAL, index)
        drawing = draw(found)
        asked = [p for p in phrases(found) if p.kind is Kind.ATTRIBUTE and colours_in(p.text)]
        (answers,) = Colour().refer([drawing.image], [[p.text for p in asked]])
        for phrase, answer in zip(asked, answers, strict=True):
            mask, truth = answer.mask_logits.numpy() > 0, drawing.ids == phrase.id
            inside, union = inside + (mask & truth).sum(), union + (mask | truth).sum()
    assert inside / union > 0.4
