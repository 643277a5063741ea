"""A training step of a tiny model: what the losses must and must not depend on."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor
from xdecoder_step import tiny

from models.xdecoder.batch import (
    Batch,
    Concept,
    Objects,
    PairBatch,
    Phrases,
    PhraseSource,
    SegmentationBatch,
)
from models.xdecoder.objectives import Losses, Objectives
from models.xdecoder.points import drawn_from
from models.xdecoder.reading import PhraseTexts
from models.xdecoder.weights import PAPER, LossWeights, Supervision, TopLayers

FEW = Supervision(points=64)


def masks(*boxes: tuple[int, int, int, int]) -> Tensor:
    """Masks of boxes (top, left, bottom, right) in an image of 40 x 64 pixels."""
    made = torch.zeros(len(boxes), 40, 64, dtype=torch.bool)
    for mask, (top, left, bottom, right) in zip(made, boxes, strict=True):
        mask[top:bottom, left:right] = True
    return made


def concepts(*names: str) -> tuple[Concept, ...]:
    return tuple(Concept(f"a {name}", name) for name in names)


LEFT, RIGHT, BELOW = (4, 4, 20, 30), (8, 36, 30, 60), (30, 0, 40, 64)
SEGMENTS = SegmentationBatch(
    images=torch.randint(
        0, 256, (2, 40, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    ),
    classes=concepts("star", "ring", "sand", "background"),
    objects=(
        Objects(masks(LEFT, RIGHT, BELOW), torch.tensor([0, 1, 2])),
        Objects(masks(RIGHT), torch.tensor([1])),
    ),
    phrases=(
        Phrases((Concept("the red star", "red star"), Concept("ring", "ring")), masks(LEFT, RIGHT)),
        Phrases(concepts("ring"), masks(RIGHT), PhraseSource.CLASS_NAMES),
    ),
    nouns=(concepts("star", "sand"), concepts("ring")),
)
CAPTIONS = ("a red star on sand", "a ring")
EVERYTHING = (
    replace(SEGMENTS, phrases=()),
    PairBatch(SEGMENTS.images, CAPTIONS, SEGMENTS.phrases),
)
NO_OBJECTS = Objects(masks(), torch.zeros(0, dtype=torch.long))
NO_PHRASES = Phrases((), masks())


def losses(*batches: Batch, supervision: Supervision = FEW, seed: int = 2) -> Losses:
    draw = drawn_from(torch.Generator().manual_seed(seed))
    return Objectives(supervision)(tiny(), batches, draw)


def values(found: Losses) -> dict[str, float]:
    return {name: float(value) for name, value in found.parts.items()}


def test_every_loss_has_its_layers() -> None:
    found = losses(SEGMENTS, PairBatch(SEGMENTS.images, CAPTIONS))
    layers = dict.fromkeys(("mask_class", "mask_bce", "mask_dice"), 3)
    layers |= dict.fromkeys(("noun", "referred_class", "referred_bce", "referred_dice"), 3)
    layers |= {"captioning": 3, "retrieval": 3, "retrieval_tokens": 3, "retrieval_pooled": 1}
    assert set(found.parts) == {f"{name}_{i}" for name, n in layers.items() for i in range(n)}


def test_the_total_is_the_sum_of_the_parts_by_their_weights() -> None:
    weights = LossWeights(noun=3.0, captioning=0.5)
    found = losses(
        SEGMENTS, PairBatch(SEGMENTS.images, CAPTIONS), supervision=replace(FEW, weights=weights)
    )
    expected = sum(
        getattr(weights, name.rsplit("_", 1)[0]) * float(value)
        for name, value in found.parts.items()
    )
    torch.testing.assert_close(found.total.item(), expected, rtol=1e-5, atol=0)


def test_phrases_teach_the_same_beside_segments_and_beside_captions() -> None:
    beside_segments = losses(SEGMENTS, PairBatch(SEGMENTS.images, CAPTIONS))
    beside_captions = losses(*EVERYTHING)
    assert values(beside_captions) == pytest.approx(values(beside_segments), rel=1e-4, abs=1e-5)


def test_the_order_of_segments_and_phrases_does_not_matter() -> None:
    turned = replace(
        SEGMENTS,
        objects=(
            Objects(masks(BELOW, LEFT, RIGHT), torch.tensor([2, 0, 1])),
            SEGMENTS.objects[1],
        ),
    )
    assert values(losses(turned)) == pytest.approx(values(losses(SEGMENTS)), rel=1e-4)


def test_an_image_without_segments_and_phrases_teaches_only_background() -> None:
    batch = replace(
        SEGMENTS,
        objects=(SEGMENTS.objects[0], NO_OBJECTS),
        phrases=(SEGMENTS.phrases[0], NO_PHRASES),
        nouns=(SEGMENTS.nouns[0], ()),
    )
    found = losses(batch)
    assert found.total.isfinite()
    assert float(found.parts["mask_bce_0"]) > 0


def test_a_batch_of_nothing_is_finite_and_moves_no_mask() -> None:
    batch = replace(
        SEGMENTS,
        objects=(NO_OBJECTS, NO_OBJECTS),
        phrases=(NO_PHRASES, NO_PHRASES),
        nouns=((), ()),
    )
    model = tiny()
    model.zero_grad()
    found = losses(batch)
    found.total.backward()
    assert found.total.isfinite()
    assert all(float(found.parts[f"{name}_0"]) == 0.0 for name in ("mask_bce", "mask_dice", "noun"))
    moved = [p.grad for p in model.decoder.masks.parameters()]
    assert all(gradient is None or not gradient.any() for gradient in moved)
    assert all(p.grad is None or p.grad.isfinite().all() for p in model.parameters())
    model.zero_grad()


@pytest.mark.parametrize("mixed", [False, True])
def test_every_weight_of_the_network_is_taught(mixed: bool) -> None:
    model = tiny()
    model.zero_grad()
    with torch.autocast("cpu", dtype=torch.bfloat16, enabled=mixed):
        found = losses(*EVERYTHING)
    found.total.backward()
    untaught = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    model.zero_grad()
    assert untaught == []


@pytest.mark.parametrize(
    ("off", "gone"),
    [
        (("referred_class", "referred_bce", "referred_dice"), "referred"),
        (("captioning",), "captioning"),
        (("noun",), "noun"),
        (("retrieval_pooled",), "retrieval_pooled"),
    ],
)
def test_what_weighs_nothing_is_left_out_and_changes_no_other_loss(
    off: tuple[str, ...], gone: str
) -> None:
    weights = replace(LossWeights(), **dict.fromkeys(off, 0.0))
    all_of_them = values(losses(*EVERYTHING))
    others = values(losses(*EVERYTHING, supervision=replace(FEW, weights=weights)))
    kept = {name: value for name, value in all_of_them.items() if not name.startswith(gone)}
    assert others == pytest.approx(kept, rel=1e-4, abs=1e-5)
    assert len(kept) < len(all_of_them)


def test_the_paper_has_the_four_losses_it_names() -> None:
    found = losses(*EVERYTHING, supervision=replace(FEW, weights=PAPER))
    assert {name.rsplit("_", 1)[0] for name in found.parts} == {
        *("mask_class", "mask_bce", "mask_dice"),
        *("referred_class", "referred_bce", "referred_dice"),
        *("captioning", "retrieval"),
    }


def test_only_the_top_layers_are_read() -> None:
    top = TopLayers(masks=1, noun=1, referred=2, captioning=1, retrieval=2)
    found = losses(*EVERYTHING, supervision=replace(FEW, top=top))
    assert "mask_bce_1" not in found.parts
    assert "referred_bce_1" in found.parts
    assert "referred_bce_2" not in found.parts


@torch.no_grad()
def referred(batch: SegmentationBatch, *, filling_seen: bool) -> Tensor:
    """Class embeddings of the referred queries of a batch's last image."""
    model = tiny()
    texts = PhraseTexts.read(model, batch.phrases, filling_seen=filling_seen)
    decoding = model.decode(
        model.see(batch.images), model.layouts.referring, {"phrase": texts.queries}
    )
    return decoding.last.of("referred").class_embeddings[-1]


def test_longer_phrases_of_a_neighbour_matter_only_where_filling_is_seen() -> None:
    alone = replace(
        SEGMENTS,
        images=SEGMENTS.images[1:],
        objects=SEGMENTS.objects[1:],
        phrases=SEGMENTS.phrases[1:],
        nouns=(),
    )
    expected = referred(alone, filling_seen=False)
    torch.testing.assert_close(referred(alone, filling_seen=True), expected)
    torch.testing.assert_close(referred(SEGMENTS, filling_seen=False), expected)
    assert not torch.allclose(referred(SEGMENTS, filling_seen=True), expected, atol=1e-3)


def test_equal_phrases_enter_once_and_share_their_queries() -> None:
    star = Concept("the red star", "red star")
    twice = Phrases((star, *concepts("ring"), star), masks(LEFT, RIGHT, BELOW))
    once = Phrases((star, *concepts("ring")), masks(LEFT, RIGHT))
    both = PhraseTexts.read(tiny(), (twice, once), filling_seen=False)
    assert both.queries.valid is not None
    assert both.queries.valid.all()
    torch.testing.assert_close(both.queries.states[0], both.queries.states[1])
    assert both.equal[0].int().tolist() == [[1, 0, 1], [0, 1, 0], [1, 0, 1]]
    assert both.equal[1].int().tolist() == [[1, 0, 0], [0, 1, 0], [0, 0, 0]]


def test_mixed_precision_gives_nearly_the_same_losses() -> None:
    exact = losses(*EVERYTHING)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        mixed = losses(*EVERYTHING)
    assert mixed.total.dtype == torch.float32
    torch.testing.assert_close(mixed.total, exact.total, rtol=0.05, atol=0)


def test_labels_of_no_class_are_refused() -> None:
    objects = (Objects(masks(LEFT), torch.tensor([3])), NO_OBJECTS)
    with pytest.raises(ValueError, match="below 3"):
        replace(SEGMENTS, objects=objects)


def test_an_image_more_than_captions_or_phrases_is_refused() -> None:
    with pytest.raises(ValueError, match="2 images but captions of 1"):
        PairBatch(SEGMENTS.images, CAPTIONS[:1])
    with pytest.raises(ValueError, match="2 images but phrases of 1"):
        PairBatch(SEGMENTS.images, CAPTIONS, SEGMENTS.phrases[:1])


def test_nouns_are_read_from_no_more_layers_than_masks() -> None:
    with pytest.raises(ValueError, match="noun may not exceed masks"):
        TopLayers(masks=2, noun=3)
