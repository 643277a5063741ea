"""Florence-2, from a tiny network of the real class."""

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import tiny  # noqa: E402
import torch  # noqa: E402

from bench.types import Captioner, ReferringSegmenter  # noqa: E402
from models.baselines import florence2  # noqa: E402


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    torch.manual_seed(0)
    tokenizer = tiny.gpt2_tokenizer(
        bos_token="<s>", extra_special_tokens={"image_token": "<image>"}
    )
    tokenizer.add_tokens([f"<loc_{place}>" for place in range(1000)])
    images = transformers.CLIPImageProcessorPil(
        size={"height": 64, "width": 64}, do_center_crop=False
    )
    images.image_seq_length = 5
    processor = transformers.Florence2Processor(
        images, tokenizer, post_processor_config={"pure_text": {}, "polygons": {}}
    )
    text = transformers.BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1,
        encoder_attention_heads=2, decoder_attention_heads=2, encoder_ffn_dim=16,
        decoder_ffn_dim=16, max_position_embeddings=128, bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id, pad_token_id=tokenizer.pad_token_id,
        decoder_start_token_id=tokenizer.eos_token_id,
        forced_eos_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    vision = transformers.Florence2VisionConfig(
        depths=(1, 1, 1, 1), embed_dim=(8, 8, 8, 8), num_heads=(1, 1, 1, 1),
        num_groups=(1, 1, 1, 1), window_size=2, projection_dim=16,
    )  # fmt: skip
    config = transformers.Florence2Config(
        text_config=text, vision_config=vision, image_token_id=tokenizer.image_token_id
    )
    network = transformers.Florence2ForConditionalGeneration(config)
    folder = tiny.save(tmp_path_factory.mktemp("florence2"), network, processor)
    built = florence2.build(florence2.CARDS["florence2-b"], weights=folder)
    return florence2.Florence2(built.network, built.processor, longest=8)


def test_every_phrase_gets_a_mask_of_the_images_size(model):
    assert isinstance(model, ReferringSegmenter)
    answers = model.refer(tiny.pictures(), [["the red ball", "a cat"], []])
    assert [len(of_image) for of_image in answers] == [2, 0]
    assert answers[0][0].mask_logits.shape == (24, 36)


def test_captions_are_text_and_alike_each_time(model):
    assert isinstance(model, Captioner)
    images = tiny.pictures()
    captions = model.caption(images)
    assert [type(text) for text in captions] == [str, str]
    assert model.caption(images) == captions


def test_polygons_in_words_are_drawn_where_they_say(model):
    image = np.zeros((100, 200, 3), np.uint8)
    square = "<loc_250><loc_200><loc_750><loc_200><loc_750><loc_800><loc_250><loc_800>"
    found = model.mask(f"</s><s>{square}</s>", image)
    inside = found.mask_logits.numpy() > 0
    truth = np.zeros((100, 200), bool)
    truth[20:80, 50:150] = True
    assert (inside ^ truth).sum() < 0.04 * truth.sum()


def test_an_answer_without_polygons_is_an_empty_mask(model):
    found = model.mask("</s><s>no idea</s>", np.zeros((5, 7, 3), np.uint8))
    assert found.input_size == (5, 7)
    assert not (found.mask_logits > 0).any()


def test_one_pixel_is_an_image(model):
    ((found,),) = model.refer(tiny.pictures(1, (1, 1)), [["a cat"]])
    assert found.mask_logits.shape == (1, 1)
