import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from text_cases import FIXTURES, check_merging, check_weights, stored

from bench.metrics.referring import ReferringSegmentation, overlap
from bench.protocol import ReferringIoU, ReferringMetric
from bench.types import Mask

EXPECTED = stored("referring/expected.json")
STYLES = {
    ReferringIoU.X_DECODER: "xdecoder_seem",
    ReferringIoU.LAVT: "lavt_cris_style",
    ReferringIoU.MTTR: "mttr_referformer_style",
    ReferringIoU.GRES: "lisa_gres_style",
}


def expected_scores(part, definition):
    """The reference's numbers by our names, as fractions."""
    names = {"overall_iou": "cIoU", "mean_iou": "mIoU", "gIoU": "mIoU"}
    percent = definition in (ReferringIoU.X_DECODER, ReferringIoU.LAVT)
    return {
        names.get(name, name.replace("precision@", "P@")): value / (100 if percent else 1)
        for name, value in EXPECTED[part][STYLES[definition]].items()
    }


def pairs():
    file = np.load(FIXTURES / "referring" / "masks.npz")
    _, height, width = file["shape"]
    return [
        tuple(
            Mask.encode(np.unpackbits(row, count=height * width).reshape(height, width) > 0)
            for row in rows
        )
        for rows in zip(file["pred"], file["gt"], strict=True)
    ]


@pytest.mark.parametrize("definition", ReferringIoU)
@pytest.mark.parametrize("part", EXPECTED)
def test_each_definition_gives_its_reference_numbers(definition, part):
    meter = ReferringSegmentation(ReferringMetric(iou=definition))
    chosen = pairs()[: EXPECTED[part]["count"]]
    scores = meter.compute([meter.measure([said], [true]) for said, true in chosen])
    for name, value in expected_scores(part, definition).items():
        assert scores[name].value == pytest.approx(value, abs=1e-6), name
        assert scores[name].n == len(chosen)


def test_intersections_and_unions_are_exact():
    statistics = ReferringSegmentation().measure(*map(list, zip(*pairs(), strict=True)))
    assert statistics["intersection"].tolist() == EXPECTED["all"]["intersection"]
    assert statistics["union"].tolist() == EXPECTED["all"]["union"]


SIZES = st.tuples(st.integers(1, 9), st.integers(1, 9))
TWO_MASKS = SIZES.flatmap(lambda size: st.tuples(*[hnp.arrays(bool, size)] * 2))


@given(TWO_MASKS)
def test_the_overlap_of_runs_is_that_of_pixels(masks):
    left, right = masks
    assert overlap(Mask.encode(left), Mask.encode(right)) == (left & right).sum()


IMAGES = st.lists(st.lists(TWO_MASKS, max_size=3), min_size=1, max_size=5)


def statistics_of(meter, images):
    return [
        meter.measure([Mask.encode(p) for p, _ in image], [Mask.encode(t) for _, t in image])
        for image in images
    ]


@settings(max_examples=40)
@given(IMAGES, st.integers(0, 5), st.sampled_from(ReferringIoU))
def test_merging_halves_equals_the_whole(images, cut, definition):
    meter = ReferringSegmentation(ReferringMetric(iou=definition))
    check_merging(meter, statistics_of(meter, images), cut)


@settings(max_examples=40)
@given(IMAGES, st.data())
def test_a_weight_counts_as_so_many_images(images, data):
    meter = ReferringSegmentation()
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(images), max_size=len(images)))
    check_weights(meter, statistics_of(meter, images), weights)


def test_perfect_masks_score_one():
    meter = ReferringSegmentation()
    mask = Mask.encode(np.ones((3, 4), bool))
    scores = meter.compute([meter.measure([mask], [mask])])
    assert all(score.value == pytest.approx(1, abs=1e-6) for score in scores.values())


def test_nothing_to_score_is_nan_over_zero():
    assert all(np.isnan(s.value) and s.n == 0 for s in ReferringSegmentation().compute([]).values())


def test_masks_of_other_sizes_and_missing_masks_are_errors():
    small, large = Mask.encode(np.ones((2, 2), bool)), Mask.encode(np.ones((2, 3), bool))
    with pytest.raises(ValueError, match="different sizes"):
        ReferringSegmentation().measure([small], [large])
    with pytest.raises(ValueError, match="2 expressions but 1"):
        ReferringSegmentation().measure([small], [small, small])
