"""Detectors with SAM behind them, from tiny networks of the real classes."""

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import tiny  # noqa: E402
import torch  # noqa: E402

from bench.types import InstanceSegmenter, ReferringSegmenter, Vocabulary  # noqa: E402
from models.baselines import grounding_dino, owlv2  # noqa: E402
from models.baselines.grounded import corners  # noqa: E402

SMALL = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
ASKED = Vocabulary(("cat", "grass", "sand-dog"), things=frozenset({0, 2}))


def sam_parts():
    prompts = {"hidden_size": 16, "image_size": 32, "patch_size": 8, "mask_input_channels": 4}
    decoder = {
        "hidden_size": 16, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
    }  # fmt: skip
    vision = {
        **SMALL, "output_channels": 16, "image_size": 32, "patch_size": 8, "window_size": 2,
        "global_attn_indexes": [0], "num_pos_feats": 8, "mlp_dim": 16, "initializer_range": 0.02,
    }  # fmt: skip
    config = transformers.SamConfig(
        vision_config=vision, prompt_encoder_config=prompts, mask_decoder_config=decoder
    )
    processor = transformers.SamImageProcessorPil(
        size={"longest_edge": 32}, pad_size={"height": 32, "width": 32}
    )
    return transformers.SamModel(config), processor


def sam2_parts():
    backbone = {
        "hidden_size": 8, "image_size": [64, 64], "num_attention_heads": 1,
        "blocks_per_stage": [1, 1, 2, 1], "embed_dim_per_stage": [8, 16, 32, 64],
        "num_attention_heads_per_stage": [1, 1, 1, 1], "window_size_per_stage": [4, 4, 4, 2],
        "global_attention_blocks": [3],
        "window_positional_embedding_background_size": [4, 4],
    }  # fmt: skip
    vision = transformers.Sam2VisionConfig(
        backbone_config={"model_type": "sam2_hiera_det_model", **backbone},
        backbone_channel_list=[64, 32, 16, 8], fpn_hidden_size=32,
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
    )  # fmt: skip
    config = transformers.Sam2Config(
        vision_config=vision,
        prompt_encoder_config={
            "hidden_size": 32, "image_size": 64, "patch_size": 16, "mask_input_channels": 4,
        },
        mask_decoder_config={
            "hidden_size": 32, "mlp_dim": 16, "num_attention_heads": 2, "iou_head_hidden_dim": 16,
        },
    )  # fmt: skip
    return (transformers.Sam2Model(config),)


def grounding_dino_parts():
    tokenizer = tiny.bert_tokenizer()
    config = transformers.GroundingDinoConfig(
        backbone_config=transformers.SwinConfig(
            image_size=32, embed_dim=8, depths=[1, 1, 1, 1], num_heads=[1, 1, 1, 1],
            window_size=2, out_indices=[2, 3, 4],
        ),
        text_config={**SMALL, "model_type": "bert", "vocab_size": len(tokenizer)},
        d_model=64, num_queries=12, encoder_layers=1, decoder_layers=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, encoder_attention_heads=4, decoder_attention_heads=4,
        max_text_len=24,
    )  # fmt: skip
    images = transformers.GroundingDinoImageProcessorPil(
        size={"shortest_edge": 64, "longest_edge": 128}
    )
    processor = transformers.GroundingDinoProcessor(images, tokenizer)
    return transformers.GroundingDinoForObjectDetection(config), processor


def owlv2_parts():
    config = transformers.Owlv2Config(
        text_config={**SMALL, "vocab_size": 100, "eos_token_id": 79, "bos_token_id": 78},
        vision_config={**SMALL, "image_size": 32, "patch_size": 8},
        projection_dim=16,
    )
    images = transformers.Owlv2ImageProcessorPil(size={"height": 32, "width": 32})
    tokenizer = tiny.clip_tokenizer(model_max_length=16)
    processor = transformers.Owlv2Processor(images, tokenizer)
    return transformers.Owlv2ForObjectDetection(config), processor


SYSTEMS = {
    "grounding-dino-b-sam-h": (grounding_dino, grounding_dino_parts, sam_parts),
    "grounding-dino-b-sam2-l": (grounding_dino, grounding_dino_parts, sam2_parts),
    "owlv2-b-sam-h": (owlv2, owlv2_parts, sam_parts),
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    models = {}

    def build(name):
        if name not in models:
            torch.manual_seed(0)
            family, detector, segmenter = SYSTEMS[name]
            folder = tiny.save(tmp_path_factory.mktemp(name), *detector())
            tiny.save(folder / "segmenter", *segmenter())
            models[name] = family.build(family.CARDS[name], weights=folder)
        return models[name]

    return build


@pytest.fixture(scope="module", params=SYSTEMS)
def model(request, built):
    return built(request.param)


def test_it_finds_countable_classes_with_a_mask_and_a_box_each(model):
    assert isinstance(model, InstanceSegmenter)
    for found in model.segment_instances(tiny.pictures(), ASKED):
        n = len(found.masks)
        assert 0 < n <= 100
        assert found.labels.shape == found.scores.shape == (n,)
        assert found.boxes.shape == (n, 4)
        assert set(found.labels.tolist()) <= ASKED.things
        assert all((mask.height, mask.width) == (24, 36) for mask in found.masks)
        assert found.boxes.min() >= 0
        assert (found.boxes.max(axis=0) <= [36, 24, 36, 24]).all()
        assert (np.diff(found.scores) <= 0).all()
        assert 0 <= found.scores.min() <= found.scores.max() <= 1


def test_every_phrase_gets_a_mask(model):
    assert isinstance(model, ReferringSegmenter)
    answers = model.refer(tiny.pictures(), [["the red ball", "a cat"], []])
    assert [len(of_image) for of_image in answers] == [2, 0]
    for found in answers[0]:
        assert found.mask_logits.ndim == 2
        assert 0 <= found.score <= 1


@pytest.mark.parametrize(
    "vocabulary", [Vocabulary(()), Vocabulary(("sky",))], ids=["empty", "only-stuff"]
)
def test_without_countable_classes_there_are_no_instances(model, vocabulary):
    (found,) = model.segment_instances(tiny.pictures(1), vocabulary)
    assert found.masks == ()
    assert len(found.labels) == len(found.scores) == len(found.boxes) == 0


@pytest.mark.parametrize("size", [(1, 1), (3, 7)])
def test_tiny_images_are_images(model, size):
    (found,) = model.segment_instances(tiny.pictures(1, size), ASKED)
    assert all((mask.height, mask.width) == size for mask in found.masks)


def test_the_record_can_name_the_weights_of_both_networks(model):
    parts = {name.partition(".")[0] for name in model.state_dict()}
    assert parts == {"detector", "segmenter"}
    both = sum(1 for part in (model.detector, model.segmenter) for _ in part.parameters())
    assert len(list(model.parameters())) == both


def test_a_name_is_scored_by_the_mean_of_its_own_tokens(built):
    detector = built("grounding-dino-b-sam-h").detector
    text, belongs = detector._text(["cat", "sand-dog"])
    tokens = detector.processor.tokenizer.convert_ids_to_tokens(text["input_ids"][0])
    words = [
        "".join(t for t, mine in zip(tokens, row, strict=True) if mine).replace("##", "")
        for row in belongs
    ]
    assert words == ["cat", "sand-dog".replace("-", "[UNK]")]
    torch.testing.assert_close(belongs.sum(1), torch.ones(2))


def test_names_that_do_not_fit_one_text_are_asked_in_several(built):
    detector, (image,) = built("grounding-dino-b-sam-h").detector, tiny.pictures(1)
    names = ("cat", "brown bear", "dog", "elephant", "cow", "x" * 60)
    parts = list(detector._parts(names))
    assert [name for part in parts for name in names[part]] == list(names)
    assert len(parts) > 1
    found = detector.detect(image, Vocabulary(names))
    assert found.scores.shape == (12 * len(parts), len(names))
    alone = detector.detect(image, Vocabulary(names[parts[0]]))
    width = len(names[parts[0]])
    torch.testing.assert_close(found.scores[:12, :width], alone.scores)


def test_owlv2_finds_what_its_own_postprocessing_finds(built):
    detector, (image,) = built("owlv2-b-sam-h").detector, tiny.pictures(1)
    found = detector.detect(image, ASKED)
    inputs = detector.processor(
        images=[image],
        text=[list(ASKED.names)],
        return_tensors="pt",
        input_data_format="channels_last",
    )
    own = detector.processor.post_process_grounded_object_detection(
        detector.ask(inputs), target_sizes=[image.shape[:2]], threshold=0.0
    )[0]
    torch.testing.assert_close(found.scores.max(1).values, own["scores"], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(found.boxes, own["boxes"], atol=1e-3, rtol=1e-4)


def test_corners_are_half_a_size_from_the_centre():
    box = torch.tensor([[0.5, 0.25, 0.2, 0.1]])
    torch.testing.assert_close(corners(box, 100, 200), torch.tensor([[80.0, 20.0, 120.0, 30.0]]))


@pytest.mark.parametrize("name", ["grounding-dino-b-sam-h", "grounding-dino-b-sam2-l"])
def test_masks_do_not_depend_on_the_other_boxes(built, name):
    sam, (image,) = built(name).segmenter, tiny.pictures(1)
    boxes = torch.rand(20, 4, generator=torch.Generator().manual_seed(0)) * 12
    boxes[:, 2:] += 12
    masks = sam.masks(image, boxes)
    assert len(masks) == 20
    assert sam.masks(image, boxes[17:18]) == masks[17:18]


def test_sams_masks_of_boxes_are_those_of_its_own_processor(built):
    sam, (image,) = built("grounding-dino-b-sam-h").segmenter, tiny.pictures(1)
    boxes = [[3.0, 2.0, 20.0, 15.0], [0.0, 5.0, 36.0, 24.0]]
    processor = transformers.SamProcessor(sam.processor)
    inputs = processor(image, input_boxes=[boxes], return_tensors="pt")
    answer = sam.ask(
        {name: inputs[name].float() for name in ("pixel_values", "input_boxes")},
        multimask_output=False,
    )
    (own,) = processor.image_processor.post_process_masks(
        answer.pred_masks, inputs["original_sizes"], inputs["reshaped_input_sizes"]
    )
    for mine, theirs in zip(sam.masks(image, torch.tensor(boxes)), own[:, 0], strict=True):
        assert (mine.decode() == theirs.numpy()).mean() > 0.995
