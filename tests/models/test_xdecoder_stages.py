"""What an X-Decoder shows of its stages is what its answers were made of."""

import numpy as np
import pytest
import torch

from bench.types import ShowsStages, Vocabulary
from models.xdecoder.cards import CARDS
from models.xdecoder.family import build

IMAGE = np.random.default_rng(0).integers(0, 256, (64, 96, 3), dtype=np.uint8)
WORDS = Vocabulary(("star", "sky"), things=frozenset({0}))
PARTS = ["preprocessing", "text", "backbone", "pixel decoder", "decoder"]


@pytest.fixture(scope="module")
def model():
    return build(CARDS["xdecoder-nano"], seed=0)


def test_every_part_is_shown_and_makes_the_answer(model):
    assert isinstance(model, ShowsStages)
    with model.showing_stages() as stages:
        (answer,) = model.propose([IMAGE], WORDS)
    assert sorted(stages) == sorted(PARTS)
    decoded = stages["decoder"]
    masks = torch.einsum(
        "qc,chw->qhw", decoded["mask_embeddings"][0], stages["pixel decoder"]["mask_features"][0]
    )
    torch.testing.assert_close(masks, answer.mask_logits, rtol=1e-4, atol=1e-4)
    with torch.inference_mode():
        classes = model.decoder.classes.logits(
            decoded["class_embeddings"][0], stages["text"]["classes"]
        )
    torch.testing.assert_close(classes, answer.class_logits)


def test_embeddings_that_are_only_looked_up_are_shown_too(model):
    shown = []
    for _ in range(2):
        with model.showing_stages() as stages:
            model.propose([IMAGE], WORDS)
        shown.append(stages["text"])
    assert list(shown[0]) == list(shown[1]) == ["classes"]
    torch.testing.assert_close(shown[0]["classes"], shown[1]["classes"])


def test_of_several_phrases_each_is_shown(model):
    with model.showing_stages() as stages:
        model.refer([IMAGE], [["the star", "the sky", "the red star"]])
    assert list(stages["text"]) == ["tokens", "tokens#2", "tokens#3"]


def test_showing_changes_no_answer_and_leaves_nothing_behind(model):
    (before,) = model.propose([IMAGE], WORDS)
    usual = model._class_embeddings
    with model.showing_stages() as stages:
        (during,) = model.propose([IMAGE], WORDS)
    kept = {stage: len(arrays) for stage, arrays in stages.items()}
    model.propose([IMAGE], WORDS)
    assert {stage: len(arrays) for stage, arrays in stages.items()} == kept
    assert model._class_embeddings is usual
    assert not any(module._forward_hooks for module in model.modules())
    torch.testing.assert_close(before.mask_logits, during.mask_logits)
