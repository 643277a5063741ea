"""SAM 3: asks for torchvision where it is missing, and is tried where it is present."""

from importlib.util import find_spec

import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import tiny  # noqa: E402
import torch  # noqa: E402

from bench.errors import ExtraMissing  # noqa: E402
from bench.types import InstanceSegmenter, ReferringSegmenter, Vocabulary  # noqa: E402
from models.baselines import sam3  # noqa: E402

PRESENT = find_spec("torchvision") is not None
ASKED = Vocabulary(("cat", "grass", "dog"), things=frozenset({0, 2}))


@pytest.mark.skipif(PRESENT, reason="torchvision is installed")
def test_without_torchvision_it_asks_for_it_in_a_sentence():
    with pytest.raises(ExtraMissing, match="needs torchvision"):
        sam3.build(sam3.CARDS["sam3"])


def parts():
    config = transformers.Sam3Config(
        vision_config={
            "backbone_config": {
                "model_type": "sam3_vit_model", "hidden_size": 16, "intermediate_size": 16,
                "num_hidden_layers": 1, "num_attention_heads": 2, "image_size": 56,
                "patch_size": 14, "window_size": 2, "global_attn_indexes": [0],
                "pretrain_image_size": 56,
            },
            "fpn_hidden_size": 32, "backbone_feature_sizes": [[16, 16], [8, 8], [4, 4]],
        },
        text_config={
            "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1,
            "num_attention_heads": 2, "vocab_size": 100, "projection_dim": 16,
            "max_position_embeddings": 32, "eos_token_id": 79,
        },
        geometry_encoder_config={"hidden_size": 32, "num_layers": 1, "intermediate_size": 16},
        detr_encoder_config={"hidden_size": 32, "num_layers": 1, "intermediate_size": 16},
        detr_decoder_config={
            "hidden_size": 32, "num_layers": 1, "intermediate_size": 16, "num_queries": 7,
        },
        mask_decoder_config={"hidden_size": 32, "num_upsampling_stages": 2},
    )  # fmt: skip
    return transformers.Sam3Model(config), tiny.clip_tokenizer(model_max_length=32)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    if not PRESENT:
        pytest.skip("torchvision is not installed")
    torch.manual_seed(0)
    folder = tiny.save(tmp_path_factory.mktemp("sam3"), *parts())
    return sam3.build(sam3.CARDS["sam3"], weights=folder)


def test_it_finds_countable_classes(model):
    assert isinstance(model, InstanceSegmenter)
    (found,) = model.segment_instances(tiny.pictures(1), ASKED)
    assert len(found.masks) == len(found.labels) == len(found.scores) == 14
    assert set(found.labels.tolist()) == {0, 2}
    assert all((mask.height, mask.width) == (24, 36) for mask in found.masks)


def test_without_countable_classes_there_are_no_instances(model):
    (found,) = model.segment_instances(tiny.pictures(1), Vocabulary(("sky",)))
    assert found.masks == ()


def test_every_phrase_gets_a_mask(model):
    assert isinstance(model, ReferringSegmenter)
    answers = model.refer(tiny.pictures(), [["the red ball", "a cat"], []])
    assert [len(of_image) for of_image in answers] == [2, 0]
