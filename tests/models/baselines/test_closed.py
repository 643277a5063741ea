"""A closed list of classes read as answers about another vocabulary; needs no transformers."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bench.catalog import vocabulary
from bench.types import Vocabulary
from models.baselines.closed import assign, recolumned

COCO = vocabulary("coco-133").vocabulary()
ADE = vocabulary("ade20k-150").vocabulary()


def test_a_list_stands_for_itself():
    for own in (COCO, ADE):
        assert assign(own.names, own) == tuple(range(len(own)))


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("person", "person"),
        ("couch", "sofa"),
        ("wall-other-merged", "wall"),
        ("wall-brick", "wall"),
        ("pavement-merged", "sidewalk, pavement"),
        ("tv", "tv"),
        ("boat", "boat"),
        ("light", "light"),
        ("giraffe", None),
    ],
)
def test_classes_of_coco_are_read_as_those_of_ade20k(name, meant):
    (label,) = assign([name], ADE)
    assert (None if label is None else ADE.names[label]) == meant


def test_prompts_are_names_too():
    asked = Vocabulary(("n02123045",), prompts=(("tabby", "cat"),), background=None)
    assert assign(["cat", "dog"], asked) == (0, None)


def test_a_class_called_background_is_what_none_of_its_classes_is():
    asked = Vocabulary(("background", "cat"), background=None)
    found = recolumned(torch.zeros(1, 3), assign(["cat", "zebra"], asked), asked)
    torch.testing.assert_close(found.exp(), torch.tensor([[2 / 3, 1 / 3]]))


@given(st.lists(st.none() | st.integers(0, 2), min_size=1, max_size=6), st.booleans())
def test_no_probability_is_lost_or_made(stands_for, prompted):
    asked = Vocabulary(("a", "b", "c"), background="background" if prompted else None)
    logits = torch.randn(4, len(stands_for) + 1, generator=torch.Generator().manual_seed(0))
    own, found = logits.softmax(-1), recolumned(logits, stands_for, asked)
    for label in range(3):
        columns = [i for i, meant in enumerate(stands_for) if meant == label]
        expected = own[:, columns].sum(-1)
        torch.testing.assert_close(found[:, label].exp(), expected, atol=1e-6, rtol=1e-4)
    if prompted:
        torch.testing.assert_close(found.exp().sum(-1), torch.ones(4), atol=1e-5, rtol=0)
    assert bool(torch.isfinite(found).all())
