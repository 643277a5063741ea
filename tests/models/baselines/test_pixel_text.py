"""CLIPSeg and GroupViT, from tiny networks of the real classes."""

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import tiny  # noqa: E402
import torch  # noqa: E402

from bench.types import ReferringSegmenter, SemanticSegmenter, Vocabulary  # noqa: E402
from models.baselines import clipseg, groupvit  # noqa: E402
from models.baselines.pixel_text import label_map  # noqa: E402

SMALL = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2,
}  # fmt: skip
TEXT = {**SMALL, "vocab_size": 100, "bos_token_id": 78, "eos_token_id": 79, "pad_token_id": 79}
SQUARE = {"height": 32, "width": 32}
ASKED = Vocabulary(("cat", "dog", "grass"))


def clipseg_parts():
    config = transformers.CLIPSegConfig(
        text_config=TEXT,
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        projection_dim=8, extract_layers=[0, 1], reduce_dim=8, decoder_num_attention_heads=2,
        decoder_intermediate_size=8,
    )  # fmt: skip
    images = transformers.ViTImageProcessorPil(size=SQUARE)
    processor = transformers.CLIPSegProcessor(images, tiny.clip_tokenizer())
    return transformers.CLIPSegForImageSegmentation(config), processor


def groupvit_parts():
    config = transformers.GroupViTConfig(
        text_config=TEXT,
        vision_config={
            **SMALL, "image_size": 32, "patch_size": 8, "depths": [1, 1],
            "num_group_tokens": [4, 0], "num_output_groups": [4, 4],
        },
        projection_dim=8, projection_intermediate_dim=8,
    )  # fmt: skip
    images = transformers.CLIPImageProcessorPil(size={"shortest_edge": 32}, crop_size=SQUARE)
    processor = transformers.CLIPProcessor(images, tiny.clip_tokenizer())
    return transformers.GroupViTModel(config), processor


FAMILIES = {
    "clipseg": (clipseg, clipseg_parts),
    "groupvit-yfcc": (groupvit, groupvit_parts),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    models = {}
    for name, (family, parts) in FAMILIES.items():
        torch.manual_seed(0)
        folder = tiny.save(tmp_path_factory.mktemp(name), *parts())
        models[name] = family.build(family.CARDS[name], weights=folder)
    return models


@pytest.fixture(scope="module", params=FAMILIES)
def model(request, built):
    return built[request.param]


def test_every_pixel_gets_a_class_and_never_the_background(model):
    assert isinstance(model, SemanticSegmenter)
    for found in model.segment_semantic(tiny.pictures(), ASKED):
        assert found.shape == (24, 36)
        assert found.min() >= 0
        assert found.max() < len(ASKED)


def test_without_classes_every_pixel_is_void(model):
    (found,) = model.segment_semantic(tiny.pictures(1), Vocabulary(()))
    assert (found == -1).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 7)])
def test_tiny_images_are_images(model, size):
    (found,) = model.segment_semantic(tiny.pictures(1, size), ASKED)
    assert found.shape == size


def test_clipseg_labels_as_its_own_forward_pass_does(built):
    model, (image,) = built["clipseg"], tiny.pictures(1)
    pixels = model.processor.image_processor([image], return_tensors="pt")["pixel_values"]
    inputs = model.processor.tokenizer(list(ASKED.names), padding=True, return_tensors="pt")
    embeddings = model.network.clip.get_text_features(**inputs).pooler_output
    embeddings = torch.nn.functional.normalize(embeddings, dim=-1)
    own = model.ask(
        {"pixel_values": pixels.repeat(3, 1, 1, 1), "conditional_embeddings": embeddings}
    ).logits
    (found,) = model.segment_semantic([image], ASKED)
    np.testing.assert_array_equal(found, label_map([own], (24, 36)))


def test_groupvit_labels_as_its_own_forward_pass_does(built):
    model, (image,) = built["groupvit-yfcc"], tiny.pictures(1)
    pixels = model.processor.image_processor(
        [image], return_tensors="pt", size=SQUARE, do_center_crop=False
    )
    inputs = model.processor.tokenizer(list(ASKED.names), padding=True, return_tensors="pt")
    own = model.ask({**inputs, **pixels}, output_segmentation=True).segmentation_logits[0]
    (found,) = model.segment_semantic([image], ASKED)
    assert (found == label_map([own], (24, 36))).mean() > 0.98


def test_clipseg_gives_each_phrase_a_mask(built):
    model = built["clipseg"]
    assert isinstance(model, ReferringSegmenter)
    answers = model.refer(tiny.pictures(), [["the red ball", "a cat"], []])
    assert [len(of_image) for of_image in answers] == [2, 0]
    first, second = answers[0]
    assert tuple(first.mask_logits.shape) == first.input_size == first.padded_size
    assert 0 <= first.score <= 1
    assert not torch.equal(first.mask_logits, second.mask_logits)


def test_classes_in_pieces_give_the_same_labels():
    logits = torch.randn(7, 4, 5, generator=torch.Generator().manual_seed(1))
    whole = label_map([logits], (9, 11))
    np.testing.assert_array_equal(label_map(logits.split(2), (9, 11)), whole)
