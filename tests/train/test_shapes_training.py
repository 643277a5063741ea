"""What `shapes` trains on: everything that is said is true, and nothing unseen is ever named."""

import re
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bench.data.questioned import AskedScenes
from bench.data.shapes.training import TrainingCrops, TrainingScenes
from bench.data.shapes.words import words
from bench.data.shapes.world import DISTRACTORS, HARD, HELD_OUT_DISTRACTORS, STANDARD
from bench.data.training import open_source
from bench.recipe import ShapesPool, ShapesScenes
from models.xdecoder.batching import Asked, Crops, Paired, Segmented
from models.xdecoder.config import WORDS
from models.xdecoder.crops import CropLearner, CropSupervision
from models.xdecoder.questions import QuestionLearner
from models.xdecoder.recipes import RECIPES, learner

UNSEEN = re.compile("|".join(rf"\b{colour} {shape}" for colour, shape in STANDARD.unseen_pairs))
"""Whole words: a checkered circle is no red one."""
FEW = settings(max_examples=15)


def chance(seed):
    return np.random.default_rng(seed)


@FEW
@given(st.integers(0, 2**30), st.integers(0, 2**30))
@example(index=1, seed=0)
def test_unseen_pairs_and_held_out_words_are_never_named(index, seed):
    data = TrainingScenes().examples([index], chance(seed))
    (shown,) = data.examples
    said = [*data.vocabulary.names, *shown.captions]
    said += [text for pointed in shown.phrases for text in pointed.texts]
    said += TrainingCrops().examples([index], chance(seed)).vocabularies[3]
    said += AskedScenes().examples([index], chance(seed)).questions
    assert not list(filter(UNSEEN.search, said))
    assert not {word for text in said for word in text.split()} & set(HELD_OUT_DISTRACTORS)


@FEW
@given(st.integers(0, 2**30))
def test_three_names_of_nothing_are_asked_about_and_nothing_has_them(seed):
    data = TrainingScenes().examples([seed, seed + 1], chance(seed))
    absent = {data.vocabulary.names.index(n) for n in data.vocabulary.names if n in DISTRACTORS}
    assert len(absent) == 3
    assert not {s.label for example in data.examples for s in example.segments} & absent


def test_all_three_ways_of_naming_are_drawn():
    names = {TrainingScenes().examples([], chance(seed)).vocabulary.names[0] for seed in range(60)}
    assert names == {"circle", f"{STANDARD.seen_pairs[0][0]} circle", "red thing"}


def test_a_pool_has_so_many_scenes_and_they_come_again():
    pool, scenes = (open_source(data, Path()) for data in (ShapesPool(scenes=5), ShapesScenes()))
    order = pool.order(0)
    assert len(pool) == 5
    assert {order[i] for i in range(5)} == {order[i] for i in range(5, 10)} == set(range(5))
    first, again = (source.examples([3], chance(0)).examples[0] for source in (pool, scenes))
    assert np.array_equal(first.image, again.image)
    assert len({scenes.order(0)[i] for i in range(1000)}) == 1000


def test_segments_are_scarce_and_language_is_without_end():
    annotated, spoken = RECIPES["nano"].parts
    assert isinstance(annotated.data, ShapesPool)
    assert annotated.batched == Segmented(phrases=0)
    assert not isinstance(spoken.data, ShapesPool)
    assert isinstance(spoken.batched, Paired)
    (alone,) = RECIPES["nano-seg"].parts
    assert alone == annotated


def test_pairs_come_with_phrases_where_they_are_wanted():
    data = TrainingScenes().examples([1, 2, 3], chance(0))
    found = Paired(phrases=2)(data, chance(0))
    assert len(found.captions) == len(found.phrases) == 3
    for example_, phrases in zip(data.examples, found.phrases, strict=True):
        assert 1 <= len(phrases.concepts) <= 2
        said = {pointed.texts[0]: pointed.mask for pointed in example_.phrases}
        for concept, mask in zip(phrases.concepts, phrases.masks, strict=True):
            assert np.array_equal(said[concept.text], mask.numpy())
    assert Paired()(data, chance(0)).phrases == ()
    silent = replace(data, examples=(replace(data.examples[0], phrases=()),))
    (none,) = Paired(phrases=2)(silent, chance(0)).phrases
    assert (none.concepts, len(none.masks)) == ((), 0)
    with pytest.raises(ValueError, match="0 phrases or more, not -1"):
        Paired(phrases=-1)


def test_the_small_model_knows_every_word_of_the_world():
    assert set(words(HARD)) <= set(WORDS)


def test_crops_show_the_thing_they_are_named_for():
    found = TrainingCrops().examples(list(range(120)), chance(0))
    assert len(found.images) == 120
    shapes, colours, _, pairs = found.vocabularies
    for shape, colour, pair in found.labels[[0, 1, 3]].T:
        assert pairs[pair] == f"{colours[colour].removesuffix(' thing')} {shapes[shape]}"
    yellow = colours.index("yellow thing")
    which = np.flatnonzero(found.labels[1] == yellow)
    pictures = [found.images[i].astype(int) for i in which]
    assert len(pictures) > 5
    assert all((p[..., 0] > p[..., 2] + 60).sum() >= STANDARD.visible_area for p in pictures)


# --- what is learned from it ---------------------------------------------------------------------


@pytest.fixture(scope="module")
def nano():
    torch.manual_seed(0)
    return learner(RECIPES["nano"], "cpu")


def test_one_step_trains_every_parameter(nano):
    scenes = TrainingScenes().examples([1, 2], chance(0))
    batches = [part.batched(scenes, chance(0)) for part in RECIPES["nano"].parts]
    total, parts = nano(batches, torch.Generator().manual_seed(0))
    total.backward()
    assert not [name for name, p in nano.named_parameters() if p.grad is None]
    assert {name.rpartition("_")[0] for name in parts} == {
        *("mask_class", "mask_bce", "mask_dice", "referred_class", "referred_bce", "referred_dice"),
        *("captioning", "retrieval", "retrieval_pooled"),
    }
    assert torch.isfinite(total)


def test_crops_are_told_apart_after_a_few_steps(nano):
    crops = CropLearner(nano.model, CropSupervision())
    batch = Crops()(TrainingCrops().examples(range(12), chance(0)), chance(0))
    optimiser = torch.optim.AdamW(crops.parameters(), lr=1e-3)
    losses = []
    for _ in range(8):
        total, _ = crops([batch], torch.Generator())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
        losses.append(float(total.detach()))
    assert losses[-1] < 0.8 * losses[0]


def test_answers_are_learned_as_they_are_asked_for():
    source = AskedScenes()
    answering = learner(RECIPES["nano-vqa"], "cpu", None, source.answers)
    assert isinstance(answering, QuestionLearner)
    assert answering.model.config.answers == source.answers
    data = source.examples([4, 5, 6], chance(0))
    batch = Asked()(data, chance(0))
    optimiser = torch.optim.AdamW(answering.parameters(), lr=1e-3)
    for _ in range(40):
        total, logged = answering([batch], torch.Generator())
        optimiser.zero_grad()
        total.backward()
        optimiser.step()
    assert float(logged["right"]) == 1.0
    # What was trained is what answers.
    said = answering.model.eval().answer(list(data.images), [[q] for q in data.questions])
    truth = [source.answers[int(scores.argmax())] for scores in data.scores]
    assert [answers[0] for answers in said] == truth


def test_a_head_of_answers_is_fresh_where_the_checkpoint_has_none(tmp_path):
    plain = learner(RECIPES["nano"], "cpu")
    plain.model.save_pretrained(tmp_path)
    answers = AskedScenes().answers
    grown = learner(RECIPES["nano-vqa"], "cpu", tmp_path, answers)
    again = learner(RECIPES["nano"], "cpu", tmp_path)
    assert grown.model.answering.weight.shape[0] == len(answers)
    assert torch.equal(grown.model.text.projection, plain.model.text.projection)
    assert torch.equal(again.model.text.projection, plain.model.text.projection)
