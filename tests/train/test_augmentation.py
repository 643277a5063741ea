"""Pictures, segments and masks are shown alike."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.data.augmentation import GREY, shown
from bench.recipe import Exact, Example, Jitter, Pointed
from bench.types import Segment

SIDES = st.integers(16, 60)


def blocks(height, width):
    """A picture of two by two grey blocks, whose brightness is ten times the block's id."""
    rows, columns = np.indices((height, width))
    ids = (1 + 2 * (rows >= height // 2) + (columns >= width // 2)).astype(np.int32)
    image = np.repeat((ids * 50).astype(np.uint8)[..., None], 3, axis=2)
    return Example(image, ids, (Segment(1, 0),), (Pointed(("first",), ids == 1),), ("four blocks",))


@given(SIDES, SIDES, st.sampled_from([16, 33]), st.integers(0, 2**32))
def test_picture_ids_and_masks_stay_together(height, width, size, seed):
    view = Jitter(size, (0.5, 2.0))
    found = shown(blocks(height, width), view, np.random.default_rng(seed))
    assert found.image.shape == (size, size, 3)
    assert found.ids.shape == found.phrases[0].mask.shape == (size, size)
    assert found.phrases[0].mask.dtype == bool
    np.testing.assert_array_equal(found.phrases[0].mask, found.ids == 1)
    # Where neighbours agree, so do picture and ids; at edges the picture is smoothed.
    ids = np.pad(found.ids, 3, constant_values=-1)
    around = np.stack([np.roll(ids, (y, x), (0, 1)) for y in range(-3, 4) for x in range(-3, 4)])
    inside = (around == around[0]).all(axis=0)[3:-3, 3:-3] & (found.ids > 0)
    assert (
        np.abs(found.image[inside].astype(int) - 50 * found.ids[inside][:, None]).max(initial=0)
        <= 2
    )


@given(st.integers(0, 2**32))
def test_what_lies_beyond_is_grey_and_void(seed):
    found = shown(blocks(20, 20), Jitter(40, (0.5, 0.5), flip=0), np.random.default_rng(seed))
    assert (found.ids[20:] == 0).all()
    assert (found.ids[:20, :20] > 0).all()
    assert (found.image[20:] == GREY).all()


def test_a_flip_exchanges_left_and_right():
    found = shown(blocks(16, 16), Jitter(16, (1, 1), flip=1), np.random.default_rng(0))
    assert found.ids[0].tolist() == [2] * 8 + [1] * 8


def test_no_scale_and_no_flip_is_the_image_itself():
    example = blocks(16, 16)
    found = shown(example, Jitter(16, (1, 1), flip=0), np.random.default_rng(0))
    np.testing.assert_array_equal(found.image, example.image)
    np.testing.assert_array_equal(found.ids, example.ids)
    assert (found.segments, found.captions) == (example.segments, example.captions)


@given(st.integers(0, 2**32), st.floats(0.3, 2.0))
def test_a_crop_has_the_scale_it_drew(seed, scale):
    found = shown(blocks(32, 64), Jitter(64, (scale, scale), flip=0), np.random.default_rng(seed))
    rows = (found.ids > 0).any(axis=1).sum()
    assert rows == pytest.approx(min(64, 32 * scale), abs=1)


def test_a_square_is_filled_whatever_the_shape():
    found = shown(blocks(10, 30), Exact(8), np.random.default_rng(0))
    assert found.image.shape == (8, 8, 3)
    assert found.ids.tolist() == [[1] * 4 + [2] * 4] * 4 + [[3] * 4 + [4] * 4] * 4
