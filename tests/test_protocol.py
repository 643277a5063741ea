"""The protocol cards: each released behaviour has a name, a card that selects it and a test."""

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from bench import catalog
from bench.preprocess import resized_size
from bench.protocol import (
    AnnotationZero,
    BackgroundRule,
    CaptionRule,
    Expressions,
    FreedRow,
    MaskResize,
    Protocol,
    Resize,
    SemanticMetric,
    Templates,
    ThingFilter,
)

GOLDEN = Path(__file__).parent / "golden" / "postprocess"
RELEASED = ("xdecoder-2022", "xdecoder-v1", "xdecoder-v2")
CARDS = (*RELEASED, "bench", "native")


def card(name: str, dataset: str) -> Protocol:
    return catalog.protocol(name).for_dataset(dataset)


# --- the card as a value -------------------------------------------------------------------------


def test_a_card_has_one_digest_whatever_its_name_and_prose() -> None:
    plain = Protocol(name="one")
    assert plain.digest() == Protocol(name="two", title="Two", about="…", source="…").digest()
    assert plain.digest() != Protocol(name="one", templates="clip-81").digest()
    assert re.fullmatch("[0-9a-f]{12}", plain.digest())


def test_an_override_that_changes_nothing_keeps_the_digest() -> None:
    changed = Protocol(name="one", datasets={"coco": {"templates": "none"}, "ade": {}})
    assert changed.for_dataset("coco").digest() == changed.for_dataset("other").digest()


def test_cards_that_differ_only_in_overrides_have_different_digests() -> None:
    plain, changed = (
        Protocol(name="one"),
        Protocol(name="one", datasets={"ade": {"templates": "photo"}}),
    )
    assert plain.digest() != changed.digest()
    assert plain.for_dataset("coco").digest() == changed.for_dataset("coco").digest()


def test_the_exact_name_counts_before_a_longer_family_and_a_longer_before_a_shorter() -> None:
    changed = Protocol(
        name="one",
        datasets={
            "coco": {"templates": "exact"},
            "*-retrieval": {"templates": "family"},
            "coco*": {"templates": "short"},
            "coco-val*": {"templates": "longer"},
        },
    )
    found = {
        name: changed.for_dataset(name).templates
        for name in ("coco", "coco-2014", "coco-val-x", "coco-retrieval", "ade")
    }
    assert found == {
        "coco": "exact",
        "coco-2014": "short",
        "coco-val-x": "longer",
        "coco-retrieval": "family",
        "ade": "none",
    }


def test_an_override_changes_single_rules_but_replaces_the_whole_resize() -> None:
    changed = Protocol(
        name="one",
        resize=Resize(short=800, long=1333),
        datasets={"x": {"resize": {"short": 512}, "panoptic": {"overlap_threshold": 0.5}}},
    ).for_dataset("x")
    assert changed.resize == Resize(short=512)
    assert changed.panoptic.object_mask_threshold == 0.8
    assert changed.panoptic.overlap_threshold == 0.5


@pytest.mark.parametrize(
    "wrong",
    [
        {"reszie": {}},
        {"resize": {"long": 5}},
        {"resize": {"short": 5, "exact": [5, 5]}},
        {"panoptic": {"overlap_threshold": 2}},
        {"datasets": {"coco": {"backgruond": "none"}}},
        {"datasets": {"coco": {"background": "nothing"}}},
    ],
)
def test_a_wrong_card_is_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        Protocol.model_validate({"name": "wrong", **wrong})


# --- the cards that come with the suite ----------------------------------------------------------


@pytest.mark.parametrize("name", CARDS)
def test_a_card_says_what_it_is_and_where_from(name: str) -> None:
    found = catalog.protocol(name)
    assert found.title
    assert found.about
    assert found.source
    assert catalog.sentences(found.templates)


@pytest.mark.parametrize("name", CARDS)
@pytest.mark.parametrize(
    "dataset", [name for name in catalog.datasets() if name.startswith("shapes")]
)
def test_drawn_pictures_are_shown_as_they_are(name: str, dataset: str) -> None:
    assert card(name, dataset).resize == Resize()


def test_panoptic_thresholds_are_those_of_the_branches() -> None:
    open_vocabulary = ("ade20k-150", "cityscapes", "bdd-pano", "scannet-20")
    for dataset in (*open_vocabulary, "coco"):
        found = {name: card(name, dataset).panoptic.object_mask_threshold for name in CARDS[:-1]}
        assert found == {
            "xdecoder-2022": 0.4 if dataset in open_vocabulary else 0.8,
            "xdecoder-v1": 0.8,
            "xdecoder-v2": 0.8,
            "bench": 0.4,
        }


@pytest.mark.parametrize("dataset", ["scannet-20", "scannet-41", "sunrgbd-37"])
def test_the_last_class_is_lost_in_the_older_branches_only(dataset: str) -> None:
    found = {name: card(name, dataset).background for name in CARDS}
    assert found == {
        "xdecoder-2022": BackgroundRule.LAST_CLASS,
        "xdecoder-v1": BackgroundRule.LAST_CLASS,
        "xdecoder-v2": BackgroundRule.PROMPTED,
        "bench": BackgroundRule.PROMPTED,
        "native": BackgroundRule.PROMPTED,
    }


def test_background_competes_in_the_first_release_of_cityscapes_only() -> None:
    assert [
        name for name in CARDS if card(name, "cityscapes").background is BackgroundRule.KEPT
    ] == ["xdecoder-v1"]


@pytest.mark.parametrize(
    ("dataset", "released", "ours"),
    [
        # A wide picture, 600 x 2000: where the long side is applied it binds.
        ("coco", (400, 1333), (400, 1333)),
        ("ade20k-150", (640, 2133), (640, 2133)),
        ("ade20k-847", (640, 2133), (640, 2133)),
        ("cityscapes", (614, 2048), (614, 2048)),
        ("bdd-sem", (800, 2666), (400, 1333)),
        ("bdd-pano", (800, 2666), (400, 1333)),
        ("scannet-20", (512, 1706), (307, 1024)),
        ("sunrgbd-37", (512, 1706), (307, 1024)),
        ("seginw-Rail", (512, 1706), (307, 1024)),
        ("coco-retrieval", (224, 224), (224, 224)),
        ("coco-caption", (224, 224), (224, 224)),
        ("coco-captioning", (224, 224), (224, 224)),
        ("flickr30k-retrieval", (224, 224), (224, 224)),
    ],
)
def test_the_released_mappers_forget_some_long_sides_and_ours_does_not(
    dataset: str, released: tuple[int, int], ours: tuple[int, int]
) -> None:
    for name in RELEASED:
        assert resized_size((600, 2000), card(name, dataset).resize) == released
    assert resized_size((600, 2000), card("bench", dataset).resize) == ours
    assert resized_size((600, 2000), card("native", dataset).resize) == (600, 2000)


def test_only_the_newest_branch_bounds_pictures_that_are_referred_to() -> None:
    sizes = {name: resized_size((600, 2000), card(name, "refcocog").resize) for name in RELEASED}
    assert sizes == {
        "xdecoder-2022": (512, 1706),
        "xdecoder-v1": (512, 1706),
        "xdecoder-v2": (307, 1024),
    }


def test_a_younger_field_that_says_nothing_new_leaves_a_card_what_it_was() -> None:
    plain = Protocol(name="a")
    stated = Protocol(name="a", captions=CaptionRule(), miou=SemanticMetric(said_void="missed"))
    assert plain.digest() == stated.digest()
    assert "captions" not in plain.recorded()
    assert Protocol.model_validate({"name": "a", **plain.recorded()}) == plain
    assert plain.digest() != Protocol(name="a", captions=CaptionRule(search="beam")).digest()
    left_out = Protocol(name="a", miou=SemanticMetric(said_void="left-out"))
    assert left_out.recorded()["miou"]["said_void"] == "left-out"


def test_what_the_released_code_does_everywhere() -> None:
    for name in RELEASED:
        found = card(name, "coco")
        assert found.mask_resize is MaskResize.BICUBIC_ANTIALIAS
        assert found.freed_row is FreedRow.ONE_PAST_IMAGE
        assert found.instance.thing_filter is ThingFilter.AFTER_TOP_K
        assert found.instance.top_k == 100
        assert found.referring.expressions is Expressions.FIRST
        assert found.ap.annotation_zero is AnnotationZero.NEVER_FOUND
        assert found.strip_suffixes == ("-other", "-merged", "-stuff")


def test_ours_loses_no_class_no_object_and_no_expression() -> None:
    for dataset in ("scannet-20", "sunrgbd-37", "cityscapes", "seginw-Cows", "anything"):
        found = card("bench", dataset)
        assert found.background is BackgroundRule.PROMPTED
        assert found.ap.annotation_zero is AnnotationZero.COUNTED
        assert found.referring.expressions is Expressions.ALL
        assert found.instance.thing_filter is ThingFilter.BEFORE_TOP_K
        assert found.panoptic == card("bench", "coco").panoptic


# --- templates -----------------------------------------------------------------------------------


@pytest.mark.parametrize("sentence", ["a photo", "{} and {}", "{name}", "{0}"])
def test_a_template_has_one_gap(sentence: str) -> None:
    with pytest.raises(ValidationError):
        Templates(name="wrong", sentences=(sentence,))


def test_the_81_sentences_begin_with_the_bare_name_and_are_all_different() -> None:
    sentences = catalog.sentences("clip-81")
    assert sentences[:3] == ("{}.", "a photo of a {}.", "a bad photo of a {}.")
    assert len(set(sentences)) == len(sentences) == 81


def test_the_81_sentences_are_the_released_ones_to_the_token() -> None:
    clip = pytest.importorskip("instant_clip_tokenizer", reason="has wheels for 3.11 and 3.12 only")
    tokenizer = clip.Tokenizer()
    start, end = tokenizer.start_of_text(), tokenizer.end_of_text()
    suffixes = catalog.protocol("xdecoder-v2").strip_suffixes
    with np.load(GOLDEN / "prompt_token_ids.npz") as arrays:
        names = [*arrays["class_names"].tolist(), "background"]
        expected = arrays["prompt_token_ids"]
    for name, rows in zip(names, expected, strict=True):
        for suffix in suffixes:
            name = name.replace(suffix, "")
        for sentence, row in zip(catalog.sentences("clip-81"), rows, strict=True):
            ids = [start, *tokenizer.encode(sentence.format(name)), end]
            assert ids + [end] * (len(row) - len(ids)) == row.tolist(), sentence


@given(st.sampled_from(CARDS), st.text("abcdefgh-0123456789", min_size=1, max_size=20))
def test_every_card_applies_to_any_dataset(name: str, dataset: str) -> None:
    found = card(name, dataset)
    assert found.datasets == {}
    assert Protocol.model_validate(found.model_dump(mode="json")).digest() == found.digest()
