"""Post-processing: its rules one by one, and the fast way against the plain one."""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.postprocess import outputs, plain, refer, segment
from bench.postprocess.classes import class_scores
from bench.postprocess.threads import each
from bench.postprocess.tiles import Grid
from bench.protocol import (
    BackgroundRule,
    InstanceRule,
    MaskResize,
    PanopticRule,
    Protocol,
    ThingFilter,
)
from bench.types import VOID, Instances, Mask, Proposals, ReferredMask, Segment, Vocabulary

ALL = frozenset({"semantic", "instance", "panoptic"})
NAMES = ("cat", "dog", "sky")
SURE = 20.0
"""A class logit that leaves the other classes nothing."""
TIE = 1e-5
"""How near two values are, as a share of their size, that rounding may put in either order."""


def named(count: int, things: int) -> Vocabulary:
    return Vocabulary(tuple(f"class {i}" for i in range(count)), things=frozenset(range(things)))


def made(labels: list[int], masks: Tensor, columns: int, sure: float = SURE) -> Proposals:
    """Proposals on a grid of the image's own size: query `i` is of class `labels[i]`."""
    logits = torch.zeros(len(labels), columns)
    logits[range(len(labels)), labels] = sure
    size = (masks.shape[1], masks.shape[2])
    return Proposals(logits, masks, size, size)


def card(**changes: Any) -> Protocol:
    return Protocol(name="test", **changes)


def as_is(rows: list[list[list[float]]]) -> Tensor:
    return torch.tensor(rows, dtype=torch.float32)


# --- label maps ----------------------------------------------------------------------------------


def test_a_pixel_goes_to_the_class_with_the_largest_sum_over_queries() -> None:
    # Two weaker queries of class 1 outweigh one of class 0 at the left pixel, not at the right.
    found = made([0, 1, 1], as_is([[[1.0, 1.0]], [[0.0, -2.0]], [[0.0, -2.0]]]), columns=4)
    labels = segment(found, Vocabulary(NAMES), card(), (1, 2), frozenset({"semantic"}))["semantic"]
    assert labels.tolist() == [[1, 0]]


def test_background_takes_no_pixel_under_prompted_and_makes_void_under_kept() -> None:
    found = made([0, 3], as_is([[[5.0, -5.0]], [[-5.0, 5.0]]]), columns=4)
    size, wanted = (1, 2), frozenset({"semantic"})
    prompted = segment(found, Vocabulary(NAMES), card(), size, wanted)
    kept = segment(found, Vocabulary(NAMES), card(background=BackgroundRule.KEPT), size, wanted)
    assert prompted["semantic"].tolist() == [[0, 0]]
    assert kept["semantic"].tolist() == [[0, VOID]]


def test_the_last_class_is_lost_where_no_background_was_listed() -> None:
    """ScanNet and SUN RGB-D in the older code."""
    found = made([2, 0], as_is([[[9.0, 9.0]], [[-4.0, -5.0]]]), columns=3)
    lost = Vocabulary(NAMES, things=frozenset({0, 1, 2}), background=None)
    rules = card(background=BackgroundRule.LAST_CLASS, panoptic=PanopticRule())
    predicted = segment(found, lost, rules, (1, 2))
    assert predicted["semantic"].tolist() == [[0, 0]]
    assert set(predicted["instance"].labels.tolist()) <= {0, 1}
    assert [s.label for s in predicted["panoptic"].segments] == []
    everything = segment(found, lost, card(background=BackgroundRule.NONE), (1, 2))
    assert everything["semantic"].tolist() == [[2, 2]]
    assert [s.label for s in everything["panoptic"].segments] == [2]


@pytest.mark.parametrize("rule", BackgroundRule)
def test_logits_of_another_vocabulary_are_refused(rule: BackgroundRule) -> None:
    found = made([0], torch.ones(1, 2, 2), columns=6)
    with pytest.raises(ValueError, match="columns of class logits"):
        segment(found, Vocabulary(NAMES), card(background=rule), (2, 2))


# --- instances -----------------------------------------------------------------------------------


def test_an_instance_is_its_positive_pixels_scored_by_class_times_mean_probability() -> None:
    found = made([1], as_is([[[2.0, 0.0], [-1.0, 1.0]]]), columns=4, sure=3.0)
    things = Vocabulary(NAMES, things=frozenset({1}))
    instances: Instances = segment(found, things, card(), (2, 2))["instance"]
    assert instances.masks[0].decode().tolist() == [[True, False], [False, True]]
    share = np.exp(3.0) / (np.exp(3.0) + 3)
    inside = (1 / (1 + np.exp(-2.0)) + 1 / (1 + np.exp(-1.0))) / 2
    np.testing.assert_allclose(instances.scores, [share * inside], rtol=1e-5)


def test_an_instance_without_a_pixel_scores_nothing() -> None:
    found = made([0], torch.full((1, 3, 3), -4.0), columns=4)
    rule = InstanceRule(top_k=1, thing_filter=ThingFilter.NONE)
    instances = segment(found, Vocabulary(NAMES), card(instance=rule), (3, 3))["instance"]
    assert instances.masks == (Mask(3, 3, np.array([9], np.uint32)),)
    assert instances.scores.tolist() == [0.0]


@pytest.mark.parametrize(
    ("thing_filter", "labels"),
    [
        (ThingFilter.AFTER_TOP_K, [0]),  # the two skies took the other places
        (ThingFilter.BEFORE_TOP_K, [0, 0, 0]),
        (ThingFilter.NONE, [0, 2, 2]),
    ],
)
def test_stuff_leaves_before_or_after_the_best_are_taken(
    thing_filter: ThingFilter, labels: list[int]
) -> None:
    found = made([2, 2, 0], torch.ones(3, 2, 2), columns=4)
    things = Vocabulary(NAMES, things=frozenset({0}))
    rule = card(instance=InstanceRule(top_k=3, thing_filter=thing_filter))
    assert sorted(segment(found, things, rule, (2, 2))["instance"].labels.tolist()) == labels


# --- panoptic ------------------------------------------------------------------------------------


def test_segments_count_from_one_in_query_order_and_stuff_is_merged() -> None:
    rows = torch.full((5, 1, 5), -9.0)
    rows[range(5), 0, range(5)] = 9.0
    found = made([2, 0, 2, 3, 0], rows, columns=4)  # sky, cat, sky, background, cat
    things = Vocabulary(NAMES, things=frozenset({0, 1}))
    panoptic = segment(found, things, card(), (1, 5))["panoptic"]
    assert panoptic.ids.tolist() == [[1, 2, 1, 0, 3]]
    assert [(s.id, s.label) for s in panoptic.segments] == [(1, 2), (2, 0), (3, 0)]


@pytest.mark.parametrize(("threshold", "segments"), [(0.8, 0), (0.4, 1)])
def test_a_query_must_be_surer_than_the_object_mask_threshold(
    threshold: float, segments: int
) -> None:
    """The threshold that the branches of the released code disagree about."""
    found = made([0], torch.ones(1, 2, 2), columns=4, sure=1.5)  # probability 0.6
    rule = card(panoptic=PanopticRule(object_mask_threshold=threshold))
    assert len(segment(found, Vocabulary(NAMES), rule, (2, 2))["panoptic"].segments) == segments


@pytest.mark.parametrize(("overlap", "ids"), [(0.8, [[1, 1, 1, 0]]), (0.4, [[1, 1, 1, 2]])])
def test_a_segment_must_keep_its_share_of_its_mask(overlap: float, ids: list[list[int]]) -> None:
    # The second mask covers two pixels and wins one of them.
    masks = as_is([[[5.0, 5.0, 5.0, -5.0]], [[-5.0, -5.0, 4.0, 4.0]]])
    rule = card(panoptic=PanopticRule(overlap_threshold=overlap))
    things = Vocabulary(NAMES, things=frozenset({0, 1}))
    panoptic = segment(made([0, 1], masks, columns=4), things, rule, (1, 4))["panoptic"]
    assert panoptic.ids.tolist() == ids


def test_a_pixel_that_no_mask_covers_is_void_and_half_a_chance_covers() -> None:
    found = made([0], as_is([[[0.0, -0.1, 3.0]]]), columns=4)
    panoptic = segment(
        found, Vocabulary(NAMES), card(panoptic=PanopticRule(overlap_threshold=0)), (1, 3)
    )["panoptic"]
    assert panoptic.ids.tolist() == [[1, 0, 1]]


# --- shapes and refusals -------------------------------------------------------------------------


def test_no_proposals_claim_nothing() -> None:
    found = Proposals(torch.zeros(0, 4), torch.zeros(0, 8, 8), (30, 20), (32, 32))
    predicted = segment(found, Vocabulary(NAMES), card(), (45, 30))
    assert (predicted["semantic"] == VOID).all()
    assert predicted["semantic"].shape == predicted["panoptic"].ids.shape == (45, 30)
    assert not predicted["panoptic"].ids.any()
    assert predicted["instance"].masks == ()
    assert predicted["panoptic"].segments == ()


def test_only_what_is_wanted_is_predicted() -> None:
    found = made([0], torch.ones(1, 2, 2), columns=4)
    assert segment(found, Vocabulary(NAMES), card(), (2, 2), frozenset()) == {}
    assert set(segment(found, Vocabulary(NAMES), card(), (2, 2), frozenset({"instance"}))) == {
        "instance"
    }
    with pytest.raises(ValueError, match="depth"):
        segment(found, Vocabulary(NAMES), card(), (2, 2), frozenset({"depth"}))


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf")])
def test_a_failed_network_is_not_scored(broken: float) -> None:
    found = made([0], torch.ones(1, 2, 2), columns=4)
    masks, classes = found.mask_logits.clone(), found.class_logits.clone()
    masks[0, 0, 1] = classes[0, 1] = broken
    for failed in (replace(found, mask_logits=masks), replace(found, class_logits=classes)):
        with pytest.raises(ValueError, match="the network has failed"):
            segment(failed, Vocabulary(NAMES), card(), (2, 2))


def test_proposals_that_contradict_themselves_are_refused() -> None:
    found = made([0], torch.ones(1, 2, 2), columns=4)
    with pytest.raises(ValueError, match="1 masks but class logits for 2 queries"):
        segment(replace(found, class_logits=torch.zeros(2, 4)), Vocabulary(NAMES), card(), (2, 2))
    with pytest.raises(ValueError, match="not in an input"):
        segment(replace(found, input_size=(3, 2)), Vocabulary(NAMES), card(), (2, 2))


def test_what_lies_in_the_padding_does_not_matter() -> None:
    torch.manual_seed(0)
    masks = torch.randn(3, 8, 8)
    found = Proposals(torch.randn(3, 4), masks, (12, 32), (32, 32))
    other = masks.clone()
    other[:, 6:] = 1e4  # more than two cells from the image's last
    one = segment(found, Vocabulary(NAMES), card(), (24, 64))
    two = segment(replace(found, mask_logits=other), Vocabulary(NAMES), card(), (24, 64))
    np.testing.assert_array_equal(one["semantic"], two["semantic"])


def test_a_phrase_points_at_its_positive_pixels_at_the_original_size() -> None:
    torch.manual_seed(0)
    referred = ReferredMask(torch.randn(8, 8), 0.5, (30, 20), (32, 32))
    found = refer(referred, card(), (45, 30))
    masks = plain.resize_masks(
        referred.mask_logits[None], (32, 32), (30, 20), (45, 30), MaskResize.BICUBIC_ANTIALIAS
    )
    np.testing.assert_array_equal(found.decode(), masks[0].numpy() > 0)


@pytest.mark.parametrize("size", [(3, 1), (1, 3), (1, 1), (90, 1)])
def test_images_one_pixel_wide_or_high_are_resized_like_any_other(size: tuple[int, int]) -> None:
    torch.manual_seed(0)
    line = torch.randn(4, 2)
    masks = line[:, :, None] if size[1] == 1 else line[:, None, :]
    wide = masks.repeat(1, 1, 3) if size[1] == 1 else masks.repeat(1, 3, 1)
    rule = MaskResize.BICUBIC_ANTIALIAS
    length = max(size)
    narrow = plain.resize_masks(masks, masks.shape[1:], masks.shape[1:], size, rule)
    bigger = (length, 3) if size[1] == 1 else (3, length)
    found = plain.resize_masks(wide, wide.shape[1:], wide.shape[1:], bigger, rule)
    torch.testing.assert_close(narrow, found[:, : size[0], : size[1]])


# --- the fast way equals the plain one -----------------------------------------------------------


@dataclass(frozen=True)
class Scene:
    """What a network might say of an image, and the card it is read under."""

    found: Proposals
    vocabulary: Vocabulary
    protocol: Protocol
    size: tuple[int, int]

    def predict(self, way: Any) -> Any:
        scores = class_scores(self.found.class_logits, self.vocabulary, self.protocol.background)
        return way(self.found, scores, self.vocabulary.things, self.protocol, self.size, ALL)

    def masks(self) -> Tensor:
        return plain.resize_masks(
            self.found.mask_logits,
            self.found.padded_size,
            self.found.input_size,
            self.size,
            self.protocol.mask_resize,
        )


def blobs(queries: int, height: int, width: int, seed: int) -> Tensor:
    """Discs of which each query sees one, as a trained network's masks look."""
    generator = torch.Generator().manual_seed(seed)
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    centre = torch.rand(queries, 2, 1, 1, generator=generator)
    radius = 0.03 + 0.4 * torch.rand(queries, 1, 1, generator=generator) ** 2
    distance = ((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2).sqrt()
    noise = torch.randn(queries, height, width, generator=generator)
    return ((radius - distance) * 60).clamp(-12, 8) + 0.3 * noise


def noise(queries: int, height: int, width: int, seed: int) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    return torch.randn(queries, height, width, generator=generator)


def constant(queries: int, height: int, width: int, seed: int) -> Tensor:
    """Masks without any edge; among them nothing, everything and exactly zero."""
    levels = torch.tensor([0.0, -1e4, 1e4, -3.0, 3.0, 1e-6, -1e-6])
    generator = torch.Generator().manual_seed(seed)
    picked = torch.randint(0, len(levels), (queries,), generator=generator)
    return levels[picked][:, None, None].repeat(1, height, width)


def steps(queries: int, height: int, width: int, seed: int) -> Tensor:
    """Edges as sharp as they can be, where bicubic resizing overshoots most."""
    return noise(queries, height, width, seed).sign()


@st.composite
def scenes(draw: st.DrawFn) -> Scene:
    queries, classes = draw(st.integers(1, 9)), draw(st.integers(1, 6))
    height, width = draw(st.integers(1, 40)), draw(st.integers(1, 40))
    stride = draw(st.sampled_from([1, 4, 8]))
    padded = (height * stride, width * stride)
    shown = (draw(st.integers(1, padded[0])), draw(st.integers(1, padded[1])))
    size = (draw(st.integers(1, 200)), draw(st.integers(1, 200)))
    seed = draw(st.integers(0, 2**20))
    make = draw(st.sampled_from([blobs, noise, constant, steps]))
    scale = draw(st.sampled_from([1e-3, 1.0, 10.0, 1e4]))
    rule = draw(st.sampled_from(BackgroundRule))
    columns = classes + rule.prompts
    generator = torch.Generator().manual_seed(seed + 1)
    logits = torch.randn(queries, columns, generator=generator) * draw(
        st.sampled_from([0.1, 3.0, 1e4])
    )
    things = frozenset(draw(st.sets(st.integers(0, classes - 1))))
    names = tuple(f"class {i}" for i in range(classes))
    return Scene(
        Proposals(logits, make(queries, height, width, seed) * scale, shown, padded),
        Vocabulary(names, things=things, background="background" if rule.prompts else None),
        card(
            background=rule,
            mask_resize=draw(st.sampled_from(MaskResize)),
            panoptic=PanopticRule(
                object_mask_threshold=draw(st.sampled_from([0.0, 0.3])),
                overlap_threshold=draw(st.sampled_from([0.0, 0.3, 0.8])),
            ),
            instance=InstanceRule(
                top_k=draw(st.integers(1, 12)), thing_filter=draw(st.sampled_from(ThingFilter))
            ),
        ),
        size,
    )


def assert_same_but_ties(scene: Scene) -> None:
    """The two ways agree, except for pixels that rounding alone decides in the plain one."""
    fast, slow = scene.predict(outputs.segment), scene.predict(plain.segment)
    masks = scene.masks()
    rounding = TIE * scene.found.mask_logits.abs().amax((1, 2))[:, None, None]
    near_zero = masks.abs() <= rounding

    scores = class_scores(scene.found.class_logits, scene.vocabulary, scene.protocol.background)
    probabilities = scores.probabilities[:, : scores.competing]
    sums = torch.einsum("qc,qhw->chw", probabilities, masks.sigmoid())
    if len(sums) > 1:
        # A logit of thousands may round far enough to move its sigmoid.
        moved = (masks + rounding).sigmoid() - (masks - rounding).sigmoid()
        slack = torch.einsum("qc,qhw->chw", probabilities, moved).amax(0)
        best = sums.topk(2, dim=0).values
        tied = (best[0] - best[1] <= TIE * best[0].clamp(min=1e-30) + slack).numpy()
    else:
        tied = np.zeros(scene.size, bool)
    assert (fast["semantic"] == slow["semantic"])[~tied].all()

    assert fast["instance"].labels.tolist() == slow["instance"].labels.tolist()
    unsure = near_zero.any(0).numpy()
    for one, other in zip(fast["instance"].masks, slow["instance"].masks, strict=True):
        assert (one.decode() == other.decode())[~unsure].all()
    if not near_zero.any():
        assert fast["instance"].masks == slow["instance"].masks
        np.testing.assert_allclose(fast["instance"].scores, slow["instance"].scores, rtol=1e-5)


@settings(max_examples=150)
@given(scenes())
def test_labels_and_instances_change_at_ties_only(scene: Scene) -> None:
    assert_same_but_ties(scene)


@settings(max_examples=150)
@given(scenes())
def test_panoptic_maps_are_equal_where_nothing_is_tied(scene: Scene) -> None:
    masks = scene.masks()
    scores = class_scores(scene.found.class_logits, scene.vocabulary, scene.protocol.background)
    weighted = scores.probabilities.amax(1)[:, None, None] * masks.sigmoid()
    if len(weighted) > 1:
        best = weighted.topk(2, dim=0).values
        assume(bool((best[0] - best[1] > TIE * best[0]).all()))
    assume(bool((masks.abs() > TIE * scene.found.mask_logits.abs().max()).all()))
    fast, slow = scene.predict(outputs.segment), scene.predict(plain.segment)
    np.testing.assert_array_equal(fast["panoptic"].ids, slow["panoptic"].ids)
    assert fast["panoptic"].segments == slow["panoptic"].segments


@pytest.mark.parametrize("make", [blobs, noise, steps])
@pytest.mark.parametrize("size", [(150, 200), (97, 211), (384, 500)])
def test_no_pixel_of_a_whole_picture_changes(make: Any, size: tuple[int, int]) -> None:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(20, 11, generator=generator) * 3
    found = Proposals(logits, make(20, 48, 64, 4) * 3.7, (190, 251), (192, 256))
    rules = card(panoptic=PanopticRule(object_mask_threshold=0.3, overlap_threshold=0.5))
    scene = Scene(found, named(10, 6), rules, size)
    fast, slow = scene.predict(outputs.segment), scene.predict(plain.segment)
    np.testing.assert_array_equal(fast["semantic"], slow["semantic"])
    np.testing.assert_array_equal(fast["panoptic"].ids, slow["panoptic"].ids)
    assert fast["panoptic"].segments == slow["panoptic"].segments
    assert fast["instance"].masks == slow["instance"].masks
    np.testing.assert_allclose(fast["instance"].scores, slow["instance"].scores, rtol=1e-5)


@given(scenes())
def test_no_pixel_leaves_the_bounds_of_its_tile(scene: Scene) -> None:
    found = scene.found
    grid = Grid.over(
        found.mask_logits,
        found.padded_size,
        found.input_size,
        scene.size,
        scene.protocol.mask_resize,
    )
    least, most = grid.bounds
    masks = scene.masks().transpose(1, 2)
    for column, across in enumerate(grid.columns):
        for row, down in enumerate(grid.rows):
            tile = masks[:, across.pixels, down.pixels]
            assert (tile.amin((1, 2)) >= least[column, row]).all()
            assert (tile.amax((1, 2)) <= most[column, row]).all()


@given(scenes(), st.randoms(use_true_random=False))
def test_the_order_of_queries_does_not_matter(scene: Scene, random: Any) -> None:
    scores = class_scores(scene.found.class_logits, scene.vocabulary, scene.protocol.background)
    assume(len(scores.probabilities.unique()) == scores.probabilities.numel())
    order = list(range(len(scene.found.class_logits)))
    random.shuffle(order)
    shuffled = replace(
        scene,
        found=replace(
            scene.found,
            class_logits=scene.found.class_logits[order],
            mask_logits=scene.found.mask_logits[order],
        ),
    )
    one = scene.predict(outputs.segment)["instance"]
    two = shuffled.predict(outputs.segment)["instance"]

    def described(found: Instances) -> list[tuple[int, int, float]]:
        return sorted(
            (int(label), mask.area, round(float(score), 5))
            for label, mask, score in zip(found.labels, found.masks, found.scores, strict=True)
        )

    for left, right in zip(described(one), described(two), strict=True):
        assert left == pytest.approx(right, abs=2e-5)


def test_the_number_of_cores_changes_nothing() -> None:
    found = Proposals(
        noise(20, 11, 1, 0).reshape(20, 11), noise(20, 60, 80, 1), (237, 320), (240, 320)
    )
    scene = Scene(
        found, named(10, 5), card(panoptic=PanopticRule(object_mask_threshold=0.2)), (237, 320)
    )
    before = torch.get_num_threads()
    predictions = []
    try:
        for count in (1, 3):
            torch.set_num_threads(count)
            predictions.append(scene.predict(outputs.segment))
    finally:
        torch.set_num_threads(before)
    one, three = predictions
    np.testing.assert_array_equal(one["semantic"], three["semantic"])
    np.testing.assert_array_equal(one["panoptic"].ids, three["panoptic"].ids)
    assert one["instance"].masks == three["instance"].masks
    np.testing.assert_array_equal(one["instance"].scores, three["instance"].scores)


@pytest.mark.parametrize("count", [1, 3])
def test_each_item_is_worked_on_once_and_an_error_comes_through(count: int) -> None:
    before = torch.get_num_threads()
    done: list[int] = []
    try:
        torch.set_num_threads(count)
        each(done.append, range(100))
        assert sorted(done) == list(range(100))
        with pytest.raises(ZeroDivisionError):
            each(lambda item: 1 // item, [1, 0, 2])
        assert torch.get_num_threads() == count
    finally:
        torch.set_num_threads(before)


def test_answers_made_in_inference_mode_are_read_there_on_any_number_of_threads() -> None:
    asked, before = named(3, 2), torch.get_num_threads()
    with torch.inference_mode():
        proposals = made([0, 1, 2], blobs(3, 80, 90, 0), 4, sure=4.0)
        try:
            torch.set_num_threads(2)
            inside = segment(proposals, asked, card(), (160, 180))
        finally:
            torch.set_num_threads(before)
    outside = segment(made([0, 1, 2], blobs(3, 80, 90, 0), 4, sure=4.0), asked, card(), (160, 180))
    assert np.array_equal(inside["semantic"], outside["semantic"])
    assert inside["instance"].masks == outside["instance"].masks


def test_answers_that_carry_gradients_or_halves_are_read_the_same() -> None:
    logits, masks = noise(6, 4, 1, 0).reshape(6, 4), noise(6, 8, 8, 1).half().float()
    found = Proposals(logits, masks, (32, 32), (32, 32))
    one = segment(found, Vocabulary(NAMES), card(), (40, 40))
    for other in (
        replace(found, mask_logits=masks.half()),
        replace(found, mask_logits=masks.clone().requires_grad_()),
    ):
        np.testing.assert_array_equal(
            segment(other, Vocabulary(NAMES), card(), (40, 40))["semantic"], one["semantic"]
        )


def test_a_stuff_segment_keeps_the_score_of_its_first_query() -> None:
    found = made([2, 2], as_is([[[9.0, -9.0]], [[-9.0, 9.0]]]), columns=4)
    panoptic = segment(found, Vocabulary(NAMES), card(), (1, 2))["panoptic"]
    assert panoptic.segments == (Segment(1, 2, pytest.approx(1.0)),)
