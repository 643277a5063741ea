"""Scenes as a dataset: truths of all tasks agree, under every vocabulary."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.dataset import Dataset
from bench.data.shapes import (
    DISTRACTORS,
    HELD_OUT_DISTRACTORS,
    STANDARD,
    Category,
    Description,
    Naming,
    Split,
    by_colour,
    by_pair,
    by_shape,
    scene,
    shapes_dataset,
    words,
)
from bench.types import VOID
from bench.workplace import load_dataset

STARS = Naming((Category("star", (Description(shape="star"),)),))

NAMINGS = {
    "shapes": by_shape(STANDARD),
    "shapes-pairs": by_pair(STANDARD),
    "shapes-colours": by_colour(STANDARD),
    "with absent names": by_shape(STANDARD).with_absent(DISTRACTORS[:3]),
    "only stars": STARS,
}


def opened(naming: Naming, n: int = 12) -> Dataset:
    return shapes_dataset("shapes", STANDARD, Split.VAL, n, naming)


@pytest.mark.parametrize("naming", NAMINGS.values(), ids=NAMINGS)
def test_semantic_instance_and_panoptic_truth_are_one_truth(naming):
    for sample in opened(naming):
        panoptic, semantic = sample.truths["panoptic"], sample.truths["semantic"]
        labels = np.full(sample.size, VOID)
        for segment in panoptic.segments:
            assert (panoptic.ids == segment.id).any()
            labels[panoptic.ids == segment.id] = segment.label
        assert np.array_equal(labels, semantic)
        things = naming.vocabulary.things
        expected = {s.id: s.label for s in panoptic.segments if s.label in things}
        found = sample.truths["instance"].instances
        assert {i.id: i.label for i in found} == expected
        for instance in found:
            assert np.array_equal(instance.mask.decode(), panoptic.ids == instance.id)


@pytest.mark.parametrize("naming", list(NAMINGS.values())[:3], ids=list(NAMINGS)[:3])
def test_every_pixel_has_a_label_where_everything_has_a_name(naming):
    assert all((sample.truths["semantic"] != VOID).all() for sample in opened(naming))


def test_labels_are_what_the_scene_says():
    dataset = opened(by_pair(STANDARD))
    for index, sample in enumerate(dataset):
        things = scene(STANDARD, Split.VAL, index).things
        said = [dataset.vocabulary.names[i.label] for i in sample.truths["instance"].instances]
        assert said == [f"{t.colour} {t.shape}" for t in things]


def test_things_without_a_name_are_void():
    dataset = opened(STARS, 40)
    found = [sample.truths["panoptic"] for sample in dataset]
    assert any(truth.segments for truth in found)
    assert all((truth.ids == 0).any() for truth in found)
    shapes = [t.shape for i in range(40) for t in scene(STANDARD, Split.VAL, i).things]
    assert sum(len(truth.segments) for truth in found) == shapes.count("star")


def test_vocabularies_have_the_names_in_their_order():
    shapes, pairs = by_shape(STANDARD).vocabulary, by_pair(STANDARD).vocabulary
    assert shapes.names == (*STANDARD.shapes, *STANDARD.stuff)
    assert len(pairs) == 64 + len(STANDARD.stuff)
    assert shapes.things == frozenset(range(8))
    absent = by_shape(STANDARD).with_absent(["kettle"]).vocabulary
    assert absent.names[-1] == "kettle"
    assert absent.things == shapes.things | {len(shapes)}


def test_seen_and_unseen_pairs_can_be_named_alone():
    seen = by_pair(STANDARD, STANDARD.seen_pairs).vocabulary
    unseen = by_pair(STANDARD, STANDARD.unseen_pairs).vocabulary
    assert not {seen.names[i] for i in seen.things} & {unseen.names[i] for i in unseen.things}


def test_distractors_name_nothing_and_the_held_out_ones_are_others():
    assert not set(DISTRACTORS) & set(HELD_OUT_DISTRACTORS)
    every = {*STANDARD.shapes, *STANDARD.stuff, *STANDARD.colours, *STANDARD.textures}
    assert not every & {*DISTRACTORS, *HELD_OUT_DISTRACTORS}
    assert {*DISTRACTORS, *HELD_OUT_DISTRACTORS} <= set(words(STANDARD))


@given(st.integers(0, 11))
def test_a_sample_can_be_changed_without_changing_the_next_reading(index):
    dataset = opened(by_shape(STANDARD))
    id = dataset.ids[index]
    first = dataset.load(id)
    before = first.image.copy()
    first.image[:] = 0
    first.truths["panoptic"].ids[:] = 0
    first.truths["semantic"][:] = 0
    again = dataset.load(id)
    assert np.array_equal(again.image, before)
    assert again.truths["panoptic"].ids.any()


def test_threads_read_the_same_samples():
    dataset = opened(by_shape(STANDARD), 40)
    alone = [dataset.digest_of(id) for id in dataset.ids]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(dataset.digest_of, dataset.ids)) == alone
    assert len(set(alone)) == 40


def test_the_fingerprint_tells_worlds_lengths_and_vocabularies_apart():
    datasets = [
        opened(by_shape(STANDARD)),
        opened(by_pair(STANDARD)),
        opened(by_shape(STANDARD), 13),
        shapes_dataset("shapes", replace(STANDARD, noise=8), Split.VAL, 12, by_shape(STANDARD)),
        shapes_dataset("shapes", STANDARD, Split.UNSEEN, 12, by_shape(STANDARD)),
    ]
    assert len({d.fingerprint for d in datasets}) == len(datasets)
    assert opened(by_shape(STANDARD)).fingerprint == datasets[0].fingerprint


@pytest.mark.parametrize("id", ["val-000012", "train-000001", "val-x", "nonsense"])
def test_an_unknown_id_is_refused(id):
    with pytest.raises(ValueError, match="no scene"):
        opened(by_shape(STANDARD)).load(id)


@pytest.mark.parametrize(("split", "known"), [("val", True), ("strangers", False)])
def test_unrelated_words_are_asked_about_and_are_in_no_scene(split, known):
    plain, asked = load_dataset("shapes"), load_dataset("shapes-distracted", split)
    names = len(plain.vocabulary.names)
    assert asked.vocabulary.names[:names] == plain.vocabulary.names
    words = asked.vocabulary.names[names:]
    assert len(words) == 12
    assert set(words) <= set(DISTRACTORS if known else HELD_OUT_DISTRACTORS)
    for id in plain.ids[:5]:
        semantic = plain.load(id).truths["semantic"]
        assert np.array_equal(semantic, asked.load(id).truths["semantic"])
