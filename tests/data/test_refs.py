"""Expressions and objects: what is asked under which protocol, and what a pickle may not do."""

import contextlib
import pickle

import numpy as np
import pytest
from distributions import EXPRESSIONS, refs_of, write_refs
from hypothesis import given
from hypothesis import strategies as st

from bench import catalog
from bench.data.opening import open_dataset
from bench.data.refs import read_pickle
from bench.errors import DataError
from bench.protocol import Protocol, ReferringRule

FIRST = {"expressions": "first", "lower_case": True}
ALL = {"expressions": "all", "lower_case": False}
TOGETHER = {"expressions": "concatenated", "lower_case": True}


def opened(root, rule=ALL, split="val"):
    card = Protocol(name="card", referring=ReferringRule.model_validate(rule))
    return open_dataset(catalog.dataset("refcocog"), root=root, protocol=card, split=split)


@pytest.mark.parametrize(
    ("rule", "phrases"),
    [
        (ALL, ("the Cat on the left", "left cat", "a cat, asleep", "Big dog")),
        # Of two references to one object the later one counts, as X-Decoder's conversion has it.
        (FIRST, ("a cat, asleep", "big dog")),
        (TOGETHER, ("the cat on the left left cat a cat, asleep", "big dog")),
    ],
)
def test_the_protocol_says_which_expressions_are_asked(tmp_path, rule, phrases):
    write_refs(tmp_path)
    (sample,) = opened(tmp_path, rule)
    assert sample.prompt == phrases
    assert len(sample.truths["referring"]) == len(phrases)


def test_a_phrase_means_all_polygons_of_its_object(tmp_path):
    write_refs(tmp_path)
    (sample,) = opened(tmp_path)
    cat, *_, dog = sample.truths["referring"]
    assert cat.area == 3 * 3 + 2 * 2
    assert dog.area == 36
    assert cat.decode()[2, 9]


def test_parts_hold_their_own_images(tmp_path):
    write_refs(tmp_path)
    assert opened(tmp_path, split="val").ids == ("COCO_train2014_000000000007",)
    assert opened(tmp_path, split="test").ids == ("COCO_train2014_000000000008",)


def test_two_protocols_are_two_datasets_in_what_they_count(tmp_path):
    write_refs(tmp_path)
    assert opened(tmp_path).notes == ("2 objects are referred to, 4 phrases are asked",)
    assert opened(tmp_path, FIRST).notes == ("2 objects are referred to, 2 phrases are asked",)


@pytest.mark.parametrize("protocol", [0, 1, 2, 3, 4, 5])
def test_every_pickle_protocol_is_read(tmp_path, protocol):
    path = write_refs(tmp_path)
    rows = refs_of(EXPRESSIONS)
    path.write_bytes(pickle.dumps(rows, protocol=protocol))
    assert read_pickle(path) == rows


def test_a_pickle_of_python_2_is_read(tmp_path):
    """As REFER's own are: byte strings for names, unicode for text, an old protocol."""
    path = tmp_path / "refs(umd).p"
    old = b"(lp0\n(dp1\nS'raw'\np2\nVcaf\\u00e9 table\np3\nsS'ann_id'\np4\nI7\nsa."
    path.write_bytes(old)
    assert read_pickle(path) == [{"raw": "café table", "ann_id": 7}]


class Trap:
    """What a pickle must not get to do."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (open, (str(self.path), "w"))


@pytest.mark.parametrize("protocol", [0, 2, 5])
def test_a_pickle_that_would_run_code_is_refused_and_runs_none(tmp_path, protocol):
    path, sprung = write_refs(tmp_path), tmp_path / "sprung"
    rows = [*refs_of(EXPRESSIONS), Trap(sprung)]
    path.write_bytes(pickle.dumps(rows, protocol=protocol))
    with pytest.raises(DataError, match=r"names .*open, and only containers, text and numbers"):
        opened(tmp_path)
    assert not sprung.exists()


@pytest.mark.parametrize(
    "content",
    [
        b"cos\nsystem\n(S'true'\ntR.",
        b"cbuiltins\neval\n(S'1'\ntR.",
        b"cbuiltins\ngetattr\n.",
        b"cbench.types\nMask\n.",
        b"c__builtin__\nexec\n.",
        b"\x80\x04\x8c\x08builtins\x8c\rstr.maketrans\x93.",
    ],
)
def test_whatever_is_no_plain_data_is_refused(tmp_path, content):
    path = tmp_path / "refs.p"
    path.write_bytes(content)
    with pytest.raises(DataError, match="a pickle may run any code"):
        read_pickle(path)


@given(st.binary(max_size=80))
def test_any_bytes_are_plain_data_or_a_data_error(tmp_path_factory, content):
    path = tmp_path_factory.mktemp("any") / "refs.p"
    path.write_bytes(content)
    with contextlib.suppress(DataError):
        read_pickle(path)


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ({"not": "a list"}, "is not a list of references but a dict"),
        ([{"image_id": 7, "ann_id": 1, "split": "val"}], "a reference needs image_id, ann_id"),
        ([{"image_id": 7, "ann_id": 1, "split": "val", "sentences": []}], "a reference needs"),
        (
            [{"image_id": 99, "ann_id": 1, "split": "val", "sentences": [{"raw": "x"}]}],
            "a reference is to image 99",
        ),
        (
            [{"image_id": 7, "ann_id": 1, "split": "test", "sentences": [{"raw": "x"}]}],
            "has no part 'val': it has test",
        ),
    ],
)
def test_what_is_wrong_with_references_is_said(tmp_path, rows, sentence):
    path = write_refs(tmp_path)
    path.write_bytes(pickle.dumps(rows))
    with pytest.raises(DataError, match=sentence):
        opened(tmp_path)


def test_a_reference_to_an_object_that_is_not_there_is_said(tmp_path):
    path = write_refs(tmp_path)
    path.write_bytes(pickle.dumps(refs_of({"val": {55: [["nothing"]]}})))
    with pytest.raises(DataError, match="annotation 55, which an expression refers to"):
        opened(tmp_path).load("COCO_train2014_000000000007")


def test_masks_are_those_of_the_annotations(tmp_path):
    write_refs(tmp_path)
    (sample,) = opened(tmp_path, FIRST)
    expected = np.zeros((12, 16), bool)
    expected[5:11, 5:11] = True
    assert np.array_equal(sample.truths["referring"][1].decode(), expected)
