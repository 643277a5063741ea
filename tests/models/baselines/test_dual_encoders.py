"""CLIP, SigLIP 2 and ALIGN, from tiny networks of the real classes."""

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import tiny  # noqa: E402
import torch  # noqa: E402

from bench.types import ImageTextEncoder  # noqa: E402
from models.baselines import dual_encoders  # noqa: E402

SMALL = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip


def clip_parts():
    config = transformers.CLIPConfig(
        text_config={**SMALL, "vocab_size": 100, "bos_token_id": 78, "eos_token_id": 79},
        vision_config={**SMALL, "image_size": 32, "patch_size": 16},
        projection_dim=8,
    )
    images = transformers.CLIPImageProcessorPil(
        size={"shortest_edge": 32}, crop_size={"height": 32, "width": 32}
    )
    processor = transformers.CLIPProcessor(images, tiny.clip_tokenizer())
    return transformers.CLIPModel(config), processor


def siglip2_parts():
    config = transformers.Siglip2Config(
        text_config={**SMALL, "vocab_size": 100},
        vision_config={**SMALL, "num_patches": 16, "patch_size": 16},
    )
    images = transformers.Siglip2ImageProcessorPil(max_num_patches=16, patch_size=16)
    processor = transformers.Siglip2Processor(images, tiny.gemma_tokenizer())
    return transformers.Siglip2Model(config), processor


def align_parts():
    config = transformers.AlignConfig(
        text_config={**SMALL, "vocab_size": 100},
        vision_config={
            "image_size": 32, "width_coefficient": 0.25, "depth_coefficient": 0.1,
            "hidden_dim": 64, "kernel_sizes": [3, 3], "in_channels": [32, 16],
            "out_channels": [16, 64], "strides": [1, 2], "num_block_repeats": [1, 1],
            "expand_ratios": [1, 6],
        },
        projection_dim=16,
    )  # fmt: skip
    images = transformers.EfficientNetImageProcessorPil(size={"height": 32, "width": 32})
    processor = transformers.AlignProcessor(images, tiny.bert_tokenizer())
    return transformers.AlignModel(config), processor


PARTS = {"clip-b16": clip_parts, "siglip2-b16": siglip2_parts, "align": align_parts}
TEXTS = ["a red ball", "two cats on a sofa", ""]


@pytest.fixture(scope="module", params=PARTS)
def model(request, tmp_path_factory):
    torch.manual_seed(0)
    folder = tiny.save(tmp_path_factory.mktemp(request.param), *PARTS[request.param]())
    return dual_encoders.build(dual_encoders.CARDS[request.param], weights=folder)


def test_images_and_texts_become_unit_vectors_of_one_space(model):
    assert isinstance(model, ImageTextEncoder)
    images, texts = model.embed_images(tiny.pictures()), model.embed_texts(TEXTS)
    assert images.shape[0] == 2
    assert texts.shape == (3, images.shape[1])
    for vectors in (images, texts):
        np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)


def test_what_a_text_means_does_not_depend_on_its_batch(model):
    together = model.embed_texts(TEXTS)
    for text, expected in zip(TEXTS, together, strict=True):
        np.testing.assert_allclose(model.embed_texts([text])[0], expected, atol=1e-5)


def test_different_texts_and_images_have_different_vectors(model):
    for vectors in (model.embed_texts(TEXTS), model.embed_images(tiny.pictures())):
        assert np.linalg.norm(vectors[0] - vectors[1]) > 1e-4


def test_long_texts_are_cut_off(model):
    assert np.isfinite(model.embed_texts(["a dog and a cat " * 60])).all()


@pytest.mark.parametrize("size", [(1, 1), (3, 7)])
def test_tiny_images_are_images(model, size):
    assert np.isfinite(model.embed_images(tiny.pictures(1, size))).all()
