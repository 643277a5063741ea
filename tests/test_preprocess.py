"""The card's resize rule, against what the two tools it comes from compute."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image as Pillow

from bench.preprocess import resize, resized_size
from bench.protocol import Interpolation, Resize, Rounding

sides = st.integers(1, 3000)


def picture(height: int, width: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), np.uint8)


@pytest.mark.parametrize(
    ("size", "rule", "expected"),
    [
        # COCO's common sizes under detectron2's rule.
        ((427, 640), Resize(short=800, long=1333), (800, 1199)),
        ((480, 640), Resize(short=800, long=1333), (800, 1067)),
        ((640, 425), Resize(short=800, long=1333), (1205, 800)),
        # The longer side binds, and the shorter shrinks with it.
        ((300, 640), Resize(short=800, long=1333), (625, 1333)),
        ((1024, 2048), Resize(short=1024, long=2048), (1024, 2048)),
        # 512 * 640 / 427 = 767.4, 512 * 500 / 333 = 768.8: torchvision cuts the fraction off.
        ((427, 640), Resize(short=512, rounding=Rounding.DOWN), (512, 767)),
        ((333, 500), Resize(short=512, rounding=Rounding.DOWN), (512, 768)),
        ((333, 500), Resize(short=512), (512, 769)),
        # Without a long side nothing binds.
        ((100, 4000), Resize(short=512, rounding=Rounding.DOWN), (512, 20480)),
        ((480, 640), Resize(exact=(224, 224)), (224, 224)),
        ((480, 641), Resize(), (480, 641)),
    ],
)
def test_sizes_are_those_of_the_tools(
    size: tuple[int, int], rule: Resize, expected: tuple[int, int]
) -> None:
    assert resized_size(size, rule) == expected


@given(sides, sides, st.integers(1, 1500), st.sampled_from(Rounding))
def test_without_a_bound_the_shorter_side_is_the_wanted_one(
    height: int, width: int, short: int, rounding: Rounding
) -> None:
    assert min(resized_size((height, width), Resize(short=short, rounding=rounding))) == short


@given(sides, sides, st.integers(1, 1500), st.integers(0, 1500), st.sampled_from(Rounding))
def test_a_bound_holds_and_no_side_vanishes(
    height: int, width: int, short: int, more: int, rounding: Rounding
) -> None:
    rule = Resize(short=short, long=short + more, rounding=rounding)
    size = resized_size((height, width), rule)
    assert 1 <= min(size) <= short
    assert max(size) <= short + more
    assert (height <= width) == (size[0] <= size[1]) or size[0] == size[1]


@given(sides, sides, st.integers(1, 1500), st.sampled_from(Rounding))
def test_turning_the_image_turns_the_size(
    height: int, width: int, short: int, rounding: Rounding
) -> None:
    rule = Resize(short=short, long=2 * short, rounding=rounding)
    assert resized_size((width, height), rule) == resized_size((height, width), rule)[::-1]


@pytest.mark.parametrize("interpolation", Interpolation)
def test_pixels_are_pillows(interpolation: Interpolation) -> None:
    image = picture(40, 60)
    found = resize(image, Resize(short=24, interpolation=interpolation))
    filters = {"bilinear": Pillow.Resampling.BILINEAR, "bicubic": Pillow.Resampling.BICUBIC}
    right = Pillow.fromarray(image).resize((36, 24), filters[interpolation.value])
    np.testing.assert_array_equal(found, np.asarray(right))
    assert found.dtype == np.uint8


@pytest.mark.parametrize("rule", [Resize(), Resize(short=40), Resize(exact=(40, 60))])
def test_an_image_of_the_right_size_is_not_touched(rule: Resize) -> None:
    image = picture(40, 60)
    assert resize(image, rule) is image


def test_an_image_without_pixels_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one pixel"):
        resized_size((0, 5), Resize(short=2))
