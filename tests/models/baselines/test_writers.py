"""BLIP, BLIP-2 and ViLT, from tiny networks of the real classes."""

import numpy as np
import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import tiny  # noqa: E402
import torch  # noqa: E402

from bench.types import Captioner, ImageTextEncoder, QuestionAnswerer  # noqa: E402
from models.baselines import blip, blip2, vilt  # noqa: E402

SMALL = {
    "hidden_size": 16, "intermediate_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2,
}  # fmt: skip
SQUARE = {"height": 32, "width": 32}
QUESTIONS = [["what is it", "how many balls are in this picture?"], ["why"]]


def blip_parts(kind):
    tokenizer = tiny.bert_tokenizer(bos_token="[DEC]", additional_special_tokens=["[ENC]"])
    text = {
        **SMALL, "vocab_size": len(tokenizer), "encoder_hidden_size": 16, "projection_dim": 16,
        "bos_token_id": tokenizer.bos_token_id, "sep_token_id": tokenizer.sep_token_id,
        "eos_token_id": tokenizer.sep_token_id, "pad_token_id": tokenizer.pad_token_id,
    }  # fmt: skip
    vision = {**SMALL, "image_size": 32, "patch_size": 16, "initializer_range": 0.02}
    config = transformers.BlipConfig(text_config=text, vision_config=vision, projection_dim=16)
    images = transformers.BlipImageProcessorPil(size=SQUARE)
    return kind(config), transformers.BlipProcessor(images, tokenizer)


def blip2_parts():
    tokenizer = tiny.gpt2_tokenizer()
    images = transformers.BlipImageProcessorPil(size=SQUARE)
    processor = transformers.Blip2Processor(images, tokenizer, num_query_tokens=3)
    text = transformers.OPTConfig(
        vocab_size=len(tokenizer), hidden_size=16, ffn_dim=16, num_hidden_layers=1,
        num_attention_heads=2, max_position_embeddings=128, word_embed_proj_dim=16,
        bos_token_id=tokenizer.eos_token_id, eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.eos_token_id,
    )  # fmt: skip
    config = transformers.Blip2Config(
        vision_config={**SMALL, "image_size": 32, "patch_size": 16},
        qformer_config={**SMALL, "encoder_hidden_size": 16},
        text_config=text.to_dict(),
        num_query_tokens=3,
        image_token_index=tokenizer.convert_tokens_to_ids("<image>"),
    )
    return transformers.Blip2ForConditionalGeneration(config), processor


def vilt_parts():
    tokenizer = tiny.bert_tokenizer()
    config = transformers.ViltConfig(
        **SMALL, vocab_size=len(tokenizer), image_size=32, patch_size=16,
        max_position_embeddings=20,
        id2label={0: "yes", 1: "no", 2: "2"}, label2id={"yes": 0, "no": 1, "2": 2},
    )  # fmt: skip
    images = transformers.ViltImageProcessorPil(size={"shortest_edge": 32}, size_divisor=16)
    return transformers.ViltForQuestionAnswering(config), transformers.ViltProcessor(
        images, tokenizer
    )


PARTS = {
    "blip-l-caption": lambda: blip_parts(transformers.BlipForConditionalGeneration),
    "blip-l-retrieval": lambda: blip_parts(transformers.BlipForImageTextRetrieval),
    "blip-b-vqa": lambda: blip_parts(transformers.BlipForQuestionAnswering),
    "blip2-opt-2.7b": blip2_parts,
    "vilt-vqa": vilt_parts,
}
CAPTIONERS = [name for name, card in blip.CARDS.items() if "Captioner" in card.answers]
CARDS = {**blip.CARDS, **blip2.CARDS, **vilt.CARDS}
BUILDS = {"blip": blip.build, "blip2": blip2.build, "vilt": vilt.build}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    models = {}

    def build(name):
        if name not in models:
            torch.manual_seed(0)
            folder = tiny.save(tmp_path_factory.mktemp(name), *PARTS[name]())
            models[name] = BUILDS[CARDS[name].family](CARDS[name], weights=folder)
        return models[name]

    return build


@pytest.mark.parametrize("name", ["blip-l-caption", "blip2-opt-2.7b"])
def test_a_caption_is_text_without_the_prompt_and_alike_each_time(built, name):
    model = built(name)
    assert isinstance(model, Captioner)
    images = tiny.pictures()
    captions = model.caption(images)
    assert len(captions) == 2
    assert all(isinstance(text, str) for text in captions)
    assert not any(text.startswith(("a picture of", "a photo of")) for text in captions)
    assert model.caption(images) == captions


def test_fusecap_may_write_longer_captions_than_blip(tmp_path):
    tiny.save(tmp_path, *PARTS["blip-l-caption"]())
    limits = {name: blip.build(blip.CARDS[name], weights=tmp_path).longest for name in CAPTIONERS}
    assert limits == {"blip-l-caption": 20, "fusecap": 60}


@pytest.mark.parametrize("name", ["blip-b-vqa", "blip2-opt-2.7b", "vilt-vqa"])
def test_every_question_gets_an_answer(built, name):
    model = built(name)
    assert isinstance(model, QuestionAnswerer)
    answers = model.answer(tiny.pictures(), QUESTIONS)
    assert [len(of_image) for of_image in answers] == [2, 1]
    assert all(isinstance(text, str) for of_image in answers for text in of_image)
    assert model.answer(tiny.pictures(1), [[]]) == [[]]


@pytest.mark.parametrize("name", ["blip-b-vqa", "blip2-opt-2.7b", "vilt-vqa"])
def test_an_answer_does_not_depend_on_the_other_questions(built, name):
    model, images = built(name), tiny.pictures()
    together = model.answer(images, QUESTIONS)
    alone = [model.answer([images[0]], [[question]])[0][0] for question in QUESTIONS[0]]
    assert together[0] == alone


def test_vilt_answers_from_its_list(built):
    answers = built("vilt-vqa").answer(tiny.pictures(), QUESTIONS)
    assert {text for of_image in answers for text in of_image} <= {"yes", "no", "2"}


def test_blip_scores_images_and_texts_as_its_own_contrastive_head(built):
    model = built("blip-l-retrieval")
    assert isinstance(model, ImageTextEncoder)
    images, texts = tiny.pictures(), ["a red ball", "cats"]
    scores = model.embed_images(images) @ model.embed_texts(texts).T
    for row, image in enumerate(images):
        inputs = model.processor(
            images=[image], text=texts, padding=True, return_tensors="pt",
            return_token_type_ids=False,
        )  # fmt: skip
        expected = model.ask(inputs, use_itm_head=False).itm_score
        np.testing.assert_allclose(scores[row], expected.numpy()[0], atol=1e-5)


@pytest.mark.parametrize("name", ["blip-l-caption", "blip2-opt-2.7b"])
def test_one_pixel_is_an_image(built, name):
    assert len(built(name).caption(tiny.pictures(1, (1, 1)))) == 1
