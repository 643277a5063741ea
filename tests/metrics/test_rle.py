import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from pycocotools import mask as pycocotools_mask

from bench.metrics import rle
from bench.types import Mask

STORED = json.loads(
    (Path(__file__).parent.parent / "fixtures" / "metrics" / "rle" / "rle.json").read_text()
)
BITS = arrays.arrays(bool, st.tuples(st.integers(1, 12), st.integers(1, 12)))


def bits(case):
    height, width = case["size"]
    packed = np.frombuffer(bytes.fromhex(case["bits"]), np.uint8)
    return np.unpackbits(packed, count=height * width).reshape(height, width).astype(bool)


def reference(mask):
    """What pycocotools makes of a boolean array."""
    return pycocotools_mask.encode(np.asfortranarray(mask.view(np.uint8)))


def stored(row):
    return rle.decompress(row["counts"], *row["size"])


@pytest.mark.parametrize("case", STORED["masks"], ids=lambda case: case["note"])
def test_stored_masks_have_the_reference_string_area_and_box(case):
    mask = Mask.encode(bits(case))
    assert rle.compress(mask).decode() == case["counts"]
    assert stored(case) == mask
    assert mask.area == case["area"]
    x, y, right, bottom = rle.boxes([mask])[0].tolist()
    assert [x, y, right - x, bottom - y] == case["bbox"]


def test_stored_overlaps_are_exact_with_crowds():
    case = STORED["iou"]
    predicted, true = ([stored(row) for row in case[side]] for side in ("dt", "gt"))
    overlap = rle.iou(predicted, true, np.array(case["iscrowd"], bool))
    assert overlap.tolist() == case["iou"]


@pytest.mark.parametrize("case", STORED["polygons"])
def test_stored_polygons_are_rasterised_as_by_the_reference(case):
    mask = rle.from_polygons(case["polygons"], case["height"], case["width"])
    assert rle.compress(mask).decode() == case["counts"]
    assert mask.area == case["area"]


@pytest.mark.parametrize("case", STORED["uncompressed"])
def test_stored_run_lengths_compress_to_the_reference_string(case):
    mask = rle.from_counts(case["counts"], *case["size"])
    assert mask == rle.decompress(case["compressed"], *case["size"])


@given(BITS)
@example(np.ones((1, 1), bool))
@example(np.zeros((3, 2), bool))
def test_encoding_and_compressing_agree_with_pycocotools_and_come_back(bits):
    mask = Mask.encode(bits)
    assert np.array_equal(mask.decode(), bits)
    text = reference(bits)["counts"]
    assert rle.compress(mask) == text
    assert rle.decompress(text, *bits.shape) == mask


@given(BITS)
def test_encoding_does_not_depend_on_how_the_array_lies_in_memory(bits):
    mask = Mask.encode(bits)
    assert Mask.encode(np.asfortranarray(bits)) == mask
    assert Mask.encode(bits.repeat(2, axis=0)[::2]) == mask
    assert Mask.encode(bits[::-1].copy()) == Mask.encode(bits[::-1])


@given(st.lists(BITS, min_size=1, max_size=6), st.data())
def test_overlap_area_and_box_agree_with_pycocotools(arrays_, data):
    size = arrays_[0].shape
    masks = [np.resize(array, size) for array in arrays_]
    crowd = data.draw(st.lists(st.booleans(), min_size=len(masks), max_size=len(masks)))
    encoded, theirs = [Mask.encode(m) for m in masks], [reference(m) for m in masks]
    overlap = rle.iou(encoded, encoded, np.array(crowd))
    assert np.array_equal(overlap, pycocotools_mask.iou(theirs, theirs, crowd))
    assert rle.areas(encoded).tolist() == [m.area for m in encoded]
    assert [m.area for m in encoded] == pycocotools_mask.area(theirs).tolist()
    boxes = rle.boxes(encoded)
    boxes[:, 2:] -= boxes[:, :2]
    assert np.array_equal(boxes, pycocotools_mask.toBbox(theirs))


COORDINATE = st.floats(-2, 60) | st.integers(-2, 60)


@given(
    st.lists(
        st.lists(COORDINATE, min_size=6, max_size=14).filter(lambda p: len(p) % 2 == 0),
        min_size=1,
        max_size=3,
    )
)
def test_polygons_agree_with_pycocotools(polygons):
    theirs = pycocotools_mask.merge(pycocotools_mask.frPyObjects(polygons, 40, 50))
    assert rle.compress(rle.from_polygons(polygons, 40, 50)) == theirs["counts"]


BOX = st.tuples(*[st.integers(0, 20)] * 4)


@given(st.lists(BOX, min_size=1, max_size=5), st.lists(BOX, min_size=1, max_size=5), st.booleans())
def test_box_overlap_agrees_with_pycocotools(predicted, true, crowd):
    predicted, true = np.array(predicted, float), np.array(true, float)
    expected = pycocotools_mask.iou(predicted, true, [crowd] * len(true))
    for boxes in (predicted, true):
        boxes[:, 2:] += boxes[:, :2]
    rows, columns = np.divmod(np.arange(expected.size), len(true))
    crowds = np.full(len(true), crowd)
    overlap = rle.box_pair_iou(predicted, true, crowds, rows, columns)
    assert np.array_equal(overlap.reshape(expected.shape), expected)


def test_empty_runs_in_the_middle_are_merged_away():
    assert rle.from_counts([1, 2, 0, 1], 2, 2) == rle.from_counts([1, 3], 2, 2)
    assert rle.from_counts([0, 0, 4], 2, 2).counts.tolist() == [4]
    assert rle.from_counts([0, 4, 0], 2, 2).counts.tolist() == [0, 4]


def test_run_lengths_that_do_not_fill_the_mask_are_refused():
    with pytest.raises(ValueError, match="add up to 3, and a mask of 2×2 has 4 pixels"):
        rle.from_counts([1, 2], 2, 2)
    with pytest.raises(ValueError, match="add up to"):
        rle.decompress("13", 5, 5)


@pytest.mark.parametrize("text", ["a", "\x7f", "1 3", "é", "o" * 20])
def test_strings_that_are_no_run_lengths_are_refused(text):
    with pytest.raises(ValueError, match="run lengths"):
        rle.decompress(text, 2, 2)


@pytest.mark.parametrize(
    ("runs", "reason"),
    [
        ([5, -1], "hold -1"),
        ([1.5, 2.5], "whole numbers"),
        ([float("nan")], "whole numbers"),
        (["4"], "whole numbers"),
        ([[4]], "whole numbers"),
        ([2**62] * 4 + [4], "add up to"),
    ],
)
def test_run_lengths_that_are_none_are_refused(runs, reason):
    with pytest.raises(ValueError, match=reason):
        rle.from_counts(runs, 2, 2)
    assert not rle.lists_fill([[4], runs], [4, 4])


@given(st.lists(BITS, max_size=5), st.data())
def test_checking_many_masks_at_once_agrees_with_decoding_each(arrays_, data):
    masks = [Mask.encode(array) for array in arrays_]
    pixels = [array.size for array in arrays_]
    strings = [rle.compress(mask).decode() for mask in masks]
    lists = [mask.counts.tolist() for mask in masks]
    assert rle.strings_fill(strings, pixels)
    assert rle.lists_fill(lists, pixels)
    if not masks:
        return
    spoilt = data.draw(st.integers(0, len(masks) - 1))
    text = data.draw(st.text("0123456789:PQRSTUVWXYZ`amno", min_size=1, max_size=6))
    strings[spoilt] = data.draw(st.sampled_from([text, strings[spoilt] + text]))
    try:
        rle.decompress(strings[spoilt], pixels[spoilt], 1)
    except ValueError:
        assert not rle.strings_fill(strings, pixels)
    else:
        assert rle.strings_fill(strings, pixels)


@pytest.mark.parametrize("far", [1e9, -1e7, float("inf"), float("nan"), 1e6 + 20, -(2**63)])
def test_polygons_far_outside_of_the_image_are_refused_without_rasterising(far):
    with pytest.raises(ValueError, match="far outside of an image of 10×10"):
        rle.from_polygons([[0, 0, 5, 0, 5, 5], [0, 0, far, 0, 5, 5]], 10, 10)
    assert not rle.polygons_near([[0, 0, 5, 0, 5, 5], [0, 0, far, 0, 5, 5]])


def test_masks_of_different_sizes_do_not_overlap():
    small, large = (Mask.encode(np.ones((n, n), bool)) for n in (2, 3))
    with pytest.raises(ValueError, match="size"):
        rle.iou([small], [large], np.array([False]))
    with pytest.raises(ValueError, match="one size"):
        rle.areas([small, large])


def test_a_mask_without_pixels_is_empty():
    assert Mask.encode(np.zeros((0, 5), bool)).area == 0
    assert rle.areas([]).tolist() == []
