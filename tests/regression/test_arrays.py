"""What has no order changes nothing by being ordered otherwise, and what has a meaning shows."""

from dataclasses import dataclass

import numpy as np
import pytest
import torch

from bench.errors import CannotDo
from bench.regression.arrays import arrays_of, plain
from bench.types import Instances, Mask, Panoptic, ReferredMask, Segment


def mask(*rows: str) -> Mask:
    return Mask.encode(np.array([[cell == "#" for cell in row] for row in rows]))


LEFT, RIGHT = mask("##..", "##.."), mask("..##", "..##")


def instances(*found: tuple[Mask, int, float]) -> Instances:
    masks, labels, scores = zip(*found, strict=True)
    return Instances(masks, np.array(labels), np.array(scores, np.float32))


def same(one: object, other: object) -> bool:
    left, right = arrays_of(one), arrays_of(other)
    return left.keys() == right.keys() and all(np.allclose(left[n], right[n]) for n in left)


def test_detections_that_trade_ranks_are_the_same_evidence():
    one, other = (LEFT, 3, 0.5), (RIGHT, 4, 0.5)
    assert same(instances(one, other), instances(other, one))


def test_detections_that_trade_labels_are_not():
    assert not same(
        instances((LEFT, 3, 0.5), (RIGHT, 4, 0.5)), instances((LEFT, 4, 0.5), (RIGHT, 3, 0.5))
    )


def test_the_ids_of_segments_mean_nothing_but_their_borders_and_labels_do():
    def panoptic(rows: list[list[int]], labels: dict[int, int]) -> Panoptic:
        return Panoptic(np.array(rows), tuple(Segment(id, label) for id, label in labels.items()))

    then = panoptic([[1, 1, 2], [0, 1, 2]], {1: 5, 2: 5})
    assert same(then, panoptic([[7, 7, 3], [0, 7, 3]], {3: 5, 7: 5}))
    assert not same(then, panoptic([[1, 1, 1], [0, 1, 1]], {1: 5}))
    assert not same(then, panoptic([[1, 1, 2], [0, 1, 2]], {1: 5, 2: 6}))


def test_no_instances_and_no_segments_are_arrays_too():
    empty = Instances((), np.zeros(0, int), np.zeros(0, np.float32))
    assert arrays_of(empty)["evidence"].shape == (0, 0)
    assert (arrays_of(Panoptic(np.zeros((2, 3), int), ()))["labels"] == -1).all()


def test_answers_in_lists_are_named_by_their_place():
    asked = [ReferredMask(torch.ones(2, 2), 0.5, (8, 8), (8, 8)) for _ in range(2)]
    names = arrays_of(asked)
    assert {"0.mask_logits", "1.mask_logits", "1.score"} <= names.keys()


def test_texts_are_equal_or_not():
    assert same("a red star", "a red star")
    assert not same("a red star", "a blue star")


def test_a_tensor_of_a_short_format_becomes_float32():
    assert plain(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert plain(torch.ones(2, dtype=torch.float64)).dtype == np.float64


def test_what_is_no_array_is_said():
    @dataclass
    class Strange:
        thing: object

    with pytest.raises(CannotDo, match="set cannot be compared"):
        arrays_of(Strange({1, 2}))
