"""What is said about scenes of `shapes`, checked by reading it back against the picture."""

import re
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench.data.shapes import (
    HARD,
    STANDARD,
    Kind,
    Split,
    Topic,
    captions,
    draw,
    phrases,
    questions,
    scene,
    words,
)
from bench.data.shapes.words import NUMBERS, plural
from bench.data.shapes.world import COLOURS, SHAPES, TEXTURES

numbers = st.integers(0, 100_000)
worlds = st.sampled_from([STANDARD, HARD])

RELATIONS = {
    " left of the ": lambda a, b: a[0] < b[0],
    " right of the ": lambda a, b: a[0] > b[0],
    " above the ": lambda a, b: a[1] < b[1],
    " below the ": lambda a, b: a[1] > b[1],
}
SUPERLATIVES = {
    "leftmost": lambda a, b: a[0] < b[0],
    "rightmost": lambda a, b: a[0] > b[0],
    "highest": lambda a, b: a[1] < b[1],
    "lowest": lambda a, b: a[1] > b[1],
    "largest": lambda a, b: a[2] > b[2],
    "smallest": lambda a, b: a[2] < b[2],
}


def fitting(found, text):
    """The things that a noun phrase fits, word by word."""
    fit = set(range(len(found.things)))
    for word in text.removeprefix("the ").split():
        singular = next((s for s in SHAPES if word in (s, plural(s))), word)
        known = {"thing", "things", *SHAPES, *COLOURS, *TEXTURES}
        assert singular in known, f"{word!r} in {text!r}"
        if word not in ("thing", "things"):
            fit &= {
                i for i, t in enumerate(found.things) if singular in (t.shape, t.colour, t.texture)
            }
    return fit


def places(found):
    """(x, y, area) of what can be seen of each thing on a canvas of 128."""
    ids = draw(replace(found, world=replace(found.world, size=128))).ids
    seen = []
    for number in range(1, len(found.things) + 1):
        rows, columns = np.nonzero(ids == number)
        seen.append((columns.min() + columns.max(), rows.min() + rows.max(), len(rows)))
    return seen


def meant(found, text):
    """The segments a phrase can mean, by its words and the picture alone."""
    seen = places(found)
    text = text.removeprefix("the ")
    if text in found.world.stuff:
        return {i for i, g in enumerate(found.grounds, len(found.things)) if g.kind == text}
    for words_, holds in RELATIONS.items():
        if words_ in text:
            subject, anchor = text.split(words_)
            (other,) = fitting(found, anchor)
            return {i for i in fitting(found, subject) - {other} if holds(seen[i], seen[other])}
    first, _, rest = text.partition(" ")
    if first in SUPERLATIVES:
        rivals = fitting(found, rest)
        holds = SUPERLATIVES[first]
        return {i for i in rivals if all(holds(seen[i], seen[k]) for k in rivals - {i})}
    return fitting(found, text)


@given(numbers, worlds)
@settings(max_examples=60, deadline=None)
def test_every_phrase_means_exactly_its_segment(index, world):
    found = scene(world, Split.VAL, index)
    for phrase in phrases(found):
        assert meant(found, phrase.text) == {phrase.segment}, phrase


@given(numbers)
@settings(max_examples=40, deadline=None)
def test_a_relation_is_said_only_where_words_alone_are_not_enough(index):
    found = scene(STANDARD, Split.VAL, index)
    for phrase in phrases(found):
        if phrase.kind is Kind.RELATION:
            subject = re.split(r" (?:left of|right of|above|below) the ", phrase.text)[0]
            subject = re.sub("|".join(SUPERLATIVES), "", subject).removeprefix("the ")
            assert len(fitting(found, subject)) > 1
        else:
            assert not any(word in phrase.text for word in (*SUPERLATIVES, *RELATIONS))


def test_phrases_of_every_kind_are_plentiful_and_repeatable():
    every = [phrases(scene(STANDARD, Split.VAL, i)) for i in range(100)]
    things = sum(len(scene(STANDARD, Split.VAL, i).things) for i in range(100))
    assert every == [phrases(scene(STANDARD, Split.VAL, i)) for i in range(100)]
    for kind in (Kind.ATTRIBUTE, Kind.RELATION):
        assert sum(p.kind is kind for found in every for p in found) > 1.5 * things
    assert sum(p.kind is Kind.STUFF for found in every for p in found) >= 100


def test_how_many_phrases_is_a_choice():
    found = scene(STANDARD, Split.VAL, 3)
    chosen = phrases(found, attributes=1, relations=0)
    assert {p.kind for p in chosen} == {Kind.ATTRIBUTE, Kind.STUFF}
    assert len({p.segment for p in chosen}) == len(chosen)


def test_everything_said_is_in_the_list_of_words():
    for world in (STANDARD, HARD):
        known = set(words(world))
        for split in Split:
            for index in range(60):
                found = scene(world, split, index)
                said = [*captions(found), *(p.text for p in phrases(found))]
                for question in questions(found):
                    said += [question.text, question.answer]
                used = set(re.findall(r"[a-z0-9]+|[,?]", " ".join(said)))
                assert used <= known, used - known


@given(numbers, worlds)
@settings(max_examples=60, deadline=None)
def test_captions_are_five_and_true(index, world):
    found = scene(world, Split.VAL, index)
    texts = captions(found)
    assert len(texts) == 5
    for text in texts:
        for noun in re.findall(rf"\b(?:an?) ((?:\w+ )*?(?:{'|'.join(SHAPES)}))\b", text):
            assert fitting(found, noun), (noun, text)
        for count, noun in re.findall(rf"\b({'|'.join(NUMBERS[1:])}) ([a-z ]*?things?) ", text):
            assert len(fitting(found, noun)) == NUMBERS.index(count), text
        assert f"on {found.grounds[-1].kind}" in text
        assert not re.search(r"\ba [aeiou]|\ban [^aeiou]", text), text


def test_captions_have_at_most_twenty_tokens():
    """The length a small text encoder is built for."""
    longest = max(
        len(re.findall(r"\w+|,", text))
        for index in range(300)
        for text in captions(scene(STANDARD, Split.TRAIN, index))
    )
    assert longest <= 20


def answer(found, question):
    """The answer read off the picture's description, without the code that asked."""
    text = question.text.removesuffix("?")
    match question.topic:
        case Topic.COLOUR:
            return found.things[min(fitting(found, text.split(" is the ")[1]))].colour
        case Topic.SHAPE:
            return found.things[min(fitting(found, text.split(" is the ")[1]))].shape
        case Topic.PATTERN:
            return found.things[min(fitting(found, text.split(" on the ")[1]))].texture
        case Topic.COUNT:
            noun = text.removeprefix("how many ").removesuffix(" are there")
            return str(len(fitting(found, noun)))
        case Topic.PRESENCE:
            noun = re.sub(r"is there an? ", "", text)
            return "yes" if fitting(found, noun) else "no"
        case Topic.RELATION:
            (one,) = fitting(found, re.split(r" (?:left|right|above|below)", text)[0][3:])
            return "yes" if one in meant_by_relation(found, text) else "no"
        case Topic.STUFF:
            return found.grounds[0 if text.endswith("top") else -1].kind


def meant_by_relation(found, text):
    seen = places(found)
    for words_, holds in RELATIONS.items():
        if words_ in text:
            (other,) = fitting(found, text.split(words_)[1])
            return {i for i in range(len(seen)) if i != other and holds(seen[i], seen[other])}
    raise AssertionError(text)


@given(numbers, worlds)
@settings(max_examples=80, deadline=None)
def test_every_answer_is_right_and_every_question_has_one(index, world):
    found = scene(world, Split.VAL, index)
    for question in questions(found):
        if question.topic in (Topic.COLOUR, Topic.SHAPE, Topic.PATTERN):
            noun = question.text.removesuffix("?").split(" the ")[1]
            assert len(fitting(found, noun)) == 1, question
        assert answer(found, question) == question.answer, question
        assert question.answers == (question.answer,) * 10


@pytest.mark.parametrize("topic", [Topic.PRESENCE, Topic.RELATION])
def test_yes_is_as_frequent_as_no(topic):
    asked = [
        q.answer
        for i in range(500)
        for q in questions(scene(STANDARD, Split.VAL, i))
        if q.topic is topic
    ]
    assert len(asked) > 300
    assert 0.42 < asked.count("yes") / len(asked) < 0.58


def test_training_never_names_an_unseen_pair():
    """A name that training only ever meets as «no» would be learned as that."""
    unseen = [f"{colour} {shape}" for colour, shape in STANDARD.unseen_pairs]
    for index in range(300):
        found = scene(STANDARD, Split.TRAIN, index)
        said = [*captions(found), *(p.text for p in phrases(found))]
        said += [q.text for q in questions(found)]
        assert not [text for text in said for pair in unseen if re.search(rf"\b{pair}", text)]


def test_an_empty_scene_can_be_talked_about():
    found = scene(replace(STANDARD, things=(0, 0)), Split.VAL, 1)
    assert len(captions(found)) == 5
    assert {p.kind for p in phrases(found)} == {Kind.STUFF}
    assert {q.topic for q in questions(found)} <= {Topic.COUNT, Topic.STUFF}
