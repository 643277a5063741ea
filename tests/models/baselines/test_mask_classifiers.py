"""Mask classifiers with a closed list of classes, from tiny networks of the real classes."""

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import tiny  # noqa: E402
import torch  # noqa: E402

from bench.postprocess import segment  # noqa: E402
from bench.protocol import Protocol  # noqa: E402
from bench.types import Proposer, Vocabulary  # noqa: E402
from models.baselines import eomt, mask2former, oneformer  # noqa: E402

OWN = {0: "cat", 1: "couch", 2: "wall-brick", 3: "zebra"}
ASKED = Vocabulary(("sofa", "wall", "cat", "lamp"), things=frozenset({0, 2, 3}))
LABELS = {"id2label": OWN, "label2id": {name: index for index, name in OWN.items()}}
EDGES = {"shortest_edge": 64, "longest_edge": 128}


def mask2former_parts():
    config = transformers.Mask2FormerConfig(
        backbone_config=tiny.swin(), feature_size=32, mask_feature_size=32, hidden_dim=32,
        encoder_feedforward_dim=8, encoder_layers=1, decoder_layers=2, num_attention_heads=2,
        dim_feedforward=8, num_queries=5, **LABELS,
    )  # fmt: skip
    processor = transformers.Mask2FormerImageProcessorPil(size=EDGES)
    return transformers.Mask2FormerForUniversalSegmentation(config), processor


def maskformer_parts():
    decoder = transformers.DetrConfig(
        d_model=32, encoder_layers=1, decoder_layers=1, encoder_ffn_dim=8, decoder_ffn_dim=8,
        encoder_attention_heads=2, decoder_attention_heads=2, num_queries=5,
    )  # fmt: skip
    config = transformers.MaskFormerConfig(
        backbone_config=tiny.swin(), decoder_config=decoder, fpn_feature_size=32,
        mask_feature_size=32, **LABELS,
    )  # fmt: skip
    processor = transformers.MaskFormerImageProcessorPil(size=EDGES)
    return transformers.MaskFormerForInstanceSegmentation(config), processor


def oneformer_parts():
    config = transformers.OneFormerConfig(
        backbone_config=tiny.swin(), num_queries=5, text_encoder_width=32, conv_dim=32, mask_dim=32,
        text_encoder_num_layers=1, hidden_dim=32, encoder_feedforward_dim=8, encoder_layers=1,
        decoder_layers=2, num_attention_heads=2, dim_feedforward=8, query_dec_layers=1,
        text_encoder_vocab_size=100, text_encoder_n_ctx=2, **LABELS,
    )  # fmt: skip
    images = transformers.OneFormerImageProcessorPil(size=EDGES)
    processor = transformers.OneFormerProcessor(images, tiny.clip_tokenizer())
    return transformers.OneFormerForUniversalSegmentation(config), processor


def eomt_parts():
    config = transformers.EomtConfig(
        hidden_size=16, num_hidden_layers=3, num_attention_heads=2, image_size=64, num_blocks=2,
        patch_size=16, num_upscale_blocks=2, num_queries=5, num_register_tokens=0, **LABELS,
    )  # fmt: skip
    processor = transformers.EomtImageProcessorPil(
        size={"shortest_edge": 64, "longest_edge": 64}, do_pad=True, do_split_image=False
    )
    return transformers.EomtForUniversalSegmentation(config), processor


FAMILIES = {
    "mask2former-swin-l-coco": (mask2former, mask2former_parts),
    "maskformer-swin-l-coco": (mask2former, maskformer_parts),
    "oneformer-swin-l-coco": (oneformer, oneformer_parts),
    "eomt-l-coco": (eomt, eomt_parts),
}


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, tmp_path_factory):
    family, parts = FAMILIES[request.param]
    torch.manual_seed(0)
    folder = tiny.save(tmp_path_factory.mktemp(request.param), *parts())
    return family.build(family.CARDS[request.param], weights=folder)


def test_its_proposals_answer_the_vocabulary_that_was_asked(model):
    assert isinstance(model, Proposer)
    images = tiny.pictures()
    answers = model.propose(images, ASKED)
    assert len(answers) == len(images)
    for answer in answers:
        assert answer.class_logits.shape == (5, ASKED.columns)
        assert len(answer.mask_logits) == 5
        grid = answer.mask_logits.shape[1:]
        assert answer.padded_size[0] / grid[0] == answer.padded_size[1] / grid[1]


@pytest.mark.parametrize("size", [(24, 48), (48, 24), (30, 30)])
def test_the_image_keeps_its_aspect_in_the_input(model, size):
    (answer,) = model.propose(tiny.pictures(1, size), ASKED)
    shown, padded = answer.input_size, answer.padded_size
    assert shown[0] * size[1] == shown[1] * size[0]
    assert shown[0] <= padded[0]
    assert shown[1] <= padded[1]


def test_a_class_that_none_of_its_own_stands_for_is_never_found(model):
    (answer,) = model.propose(tiny.pictures(1), ASKED)
    chances = answer.class_logits.softmax(-1)
    assert chances[:, 3].max() < 1e-6
    assert chances[:, :3].min() > 1e-6


def test_all_three_segmentations_follow_at_the_images_own_size(model):
    (answer,) = model.propose(tiny.pictures(1), ASKED)
    found = segment(answer, ASKED, Protocol(name="test"), (24, 36))
    assert found["semantic"].shape == found["panoptic"].ids.shape == (24, 36)
    assert set(np.unique(found["semantic"])) <= {0, 1, 2}


def test_a_batch_is_answered_as_its_images_alone_are(model):
    images = tiny.pictures()
    together = model.propose(images, ASKED)
    for image, expected in zip(images, together, strict=True):
        (alone,) = model.propose([image], ASKED)
        torch.testing.assert_close(alone.mask_logits, expected.mask_logits, atol=1e-4, rtol=1e-3)
        torch.testing.assert_close(alone.class_logits, expected.class_logits, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("size", [(1, 1), (3, 1), (5, 3)])
def test_tiny_images_are_images(model, size):
    (answer,) = model.propose(tiny.pictures(1, size), ASKED)
    found = segment(answer, ASKED, Protocol(name="test"), size, frozenset({"semantic"}))
    assert found["semantic"].shape == size


@pytest.mark.parametrize("background", [None, "background"])
def test_an_empty_vocabulary_has_no_classes(model, background):
    (answer,) = model.propose(tiny.pictures(1), Vocabulary((), background=background))
    assert answer.class_logits.shape == (5, background is not None)


def test_its_notes_say_which_classes_it_cannot_find(model):
    (note,) = model.notes_about(ASKED)
    assert "3 of 4" in note
    assert note.endswith("never found: lamp")
