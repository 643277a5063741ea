"""What an X-Decoder answers, by the protocols of `bench.types`."""

import functools
from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import pytest
import torch

from bench.errors import CannotDo
from bench.types import (
    Captioner,
    Image,
    ImageTextEncoder,
    Proposer,
    QuestionAnswerer,
    ReferringSegmenter,
    Vocabulary,
)
from models.xdecoder.answers import Habits, XDecoder
from models.xdecoder.caption import Beam, Greedy
from models.xdecoder.config import NANO
from models.xdecoder.model import PIXEL_MEAN, normalised

THINGS = Vocabulary(("red star", "blue ring", "sky"), templates=("{}", "a {} on sand"))
ANSWERS = ("yes", "no", "two", "red")


@functools.cache
def network() -> XDecoder:
    """With candidate answers, in float64."""
    torch.manual_seed(0)
    return XDecoder(replace(NANO, answers=ANSWERS)).double().eval()


@pytest.fixture
def model() -> Iterator[XDecoder]:
    yield network()
    network().habits = Habits()


def pictures(count: int, height: int = 60, width: int = 100) -> list[Image]:
    generator = np.random.default_rng(0)
    return [generator.integers(0, 256, (height, width, 3), dtype=np.uint8) for _ in range(count)]


@pytest.mark.parametrize(
    "protocol", [Proposer, ReferringSegmenter, ImageTextEncoder, Captioner, QuestionAnswerer]
)
def test_it_satisfies_the_protocol(model, protocol):
    assert isinstance(model, protocol)


def test_images_are_normalised_and_then_filled_up_with_zeros():
    image = torch.tensor(PIXEL_MEAN).round().to(torch.uint8).expand(1, 33, 60, 3)
    pixels = normalised(image)
    assert pixels.shape == (1, 3, 64, 64)
    assert pixels[:, :, :33, :60].abs().max() < 0.01
    assert (pixels[:, :, 33:] == 0).all()
    assert (pixels[:, :, :, 60:] == 0).all()


def test_every_query_proposes_a_mask_and_a_class(model):
    proposals = model.propose(pictures(2), THINGS)
    assert len(proposals) == 2
    for one in proposals:
        assert one.class_logits.shape == (NANO.decoder.queries, THINGS.columns)
        assert one.mask_logits.shape == (NANO.decoder.queries, 16, 32)
        assert (one.input_size, one.padded_size) == ((60, 100), (64, 128))


def test_proposals_of_a_batch_are_those_of_its_images(model):
    together = model.propose(pictures(2), THINGS)
    for one, image in zip(together, pictures(2), strict=True):
        (alone,) = model.propose([image], THINGS)
        torch.testing.assert_close(one.class_logits, alone.class_logits)
        torch.testing.assert_close(one.mask_logits, alone.mask_logits)


def test_class_logits_are_scaled_cosines(model):
    (one,) = model.propose(pictures(1), THINGS)
    scale = model.decoder.classes.log_scale.exp().item()
    assert one.class_logits.abs().max() <= scale * (1 + 1e-6)


def test_images_of_different_sizes_are_refused(model):
    with pytest.raises(ValueError, match="one size"):
        model.propose([*pictures(1), *pictures(1, height=64)], THINGS)


def test_every_phrase_gets_a_mask_and_a_score(model):
    answers = model.refer(pictures(2), [["red star", "the blue ring"], []])
    assert [len(few) for few in answers] == [2, 0]
    for answer in answers[0]:
        assert answer.mask_logits.shape == (16, 32)
        assert 0 < answer.score <= 1


def test_phrases_together_influence_one_another_and_alone_do_not(model):
    phrases = ["red star", "the blue ring under the sky"]
    together = model.refer(pictures(1), [phrases])[0]
    model.habits = Habits(phrases_together=False)
    apart = model.refer(pictures(1), [phrases])[0]
    (single,) = model.refer(pictures(1), [phrases[:1]])[0]
    torch.testing.assert_close(apart[0].mask_logits, single.mask_logits)
    assert not torch.allclose(apart[0].mask_logits, together[0].mask_logits)


@pytest.mark.parametrize("share", [0.0, 0.5, 1.0])
def test_retrieval_scores_are_weighted_means_of_cosines(model, share):
    model.habits = Habits(pooled_share=share)
    images, texts = model.embed_images(pictures(3)), model.embed_texts(["a star", "a ring"])
    with torch.no_grad():
        image = model.see(torch.from_numpy(np.stack(pictures(3))))
        last = model.decode(image, model.layouts.segmenting).last
        query, pooled = last.of("image").class_embeddings[:, 0], model.pooled(image.pooled)
        states = model.text.sentences(model.tokenizer.encode(["a star", "a ring"]))
    cosine = functools.partial(torch.nn.functional.cosine_similarity, dim=2)
    expected = (1 - share) * cosine(query[:, None], states[None]) + share * cosine(
        pooled[:, None], states[None]
    )
    np.testing.assert_allclose(images @ texts.T, expected, atol=1e-6)


def test_captions_stop_before_the_first_full_stop(model):
    model.habits = Habits(writing=Greedy(steps=8), sentence_end="")
    whole = model.caption(pictures(2))
    assert all(isinstance(text, str) and text for text in whole)
    letter = whole[0][2]
    model.habits = Habits(writing=Greedy(steps=8), sentence_end=letter)
    assert model.caption(pictures(2))[0] == whole[0].split(letter)[0]


def test_captions_of_a_batch_are_those_of_its_images(model):
    for writing in (Greedy(steps=8), Beam(beams=3, steps=6)):
        model.habits = Habits(writing=writing)
        alone = [model.caption([image])[0] for image in pictures(2)]
        assert model.caption(pictures(2)) == alone


def test_the_whole_image_as_region_is_no_region(model):
    model.habits = Habits(writing=Greedy(steps=8))
    images = pictures(1, height=64, width=96)
    everything = [np.ones((64, 96), bool)]
    assert model.caption_regions(images, everything) == model.caption(images)


def test_questions_are_answered_from_the_candidates(model):
    answers = model.answer(pictures(3), [["is there a star?", "how many?"], [], ["what color?"]])
    assert [len(few) for few in answers] == [2, 0, 1]
    assert all(answer in ANSWERS for few in answers for answer in few)


def test_answers_do_not_depend_on_the_other_questions(model):
    questions = ["is there a star?", "what is at the top under the blue sky?", "how many?"]
    image = model.see(torch.from_numpy(np.stack(pictures(1))))
    with torch.no_grad():
        memory = model.decode(image, model.layouts.segmenting, remember=True).memory
        index = torch.zeros(3, dtype=torch.long)
        together = model.answer_logits(
            tuple(layer.of(index) for layer in memory), model.read(questions)
        )
        for one, question in zip(together, questions, strict=True):
            alone = model.answer_logits(memory, model.read([question]))[0]
            torch.testing.assert_close(one, alone)
            text = model.read([question])
            plain = model.decode(image, model.layouts.answering, {"question": text}).last
            last = plain.states_of("question")[0, -1]
            torch.testing.assert_close(one, model.answering(last))


def test_bfloat16_answers_are_close():
    model = XDecoder(replace(NANO, answers=ANSWERS)).eval()
    (exact,) = model.propose(pictures(1), THINGS)
    model.to(torch.bfloat16)
    (rough,) = model.propose(pictures(1), THINGS)
    assert rough.class_logits.dtype == torch.float32
    torch.testing.assert_close(rough.class_logits, exact.class_logits, atol=0.2, rtol=0)
    assert model.refer(pictures(1), [["red star"]])[0][0].mask_logits.dtype == torch.float32
    assert model.embed_images(pictures(1)).dtype == np.float32
    assert model.caption(pictures(1))
    assert model.answer(pictures(1), [["why?"]])


def test_a_model_without_candidates_says_so():
    with pytest.raises(CannotDo, match="no answer head"):
        XDecoder(NANO).answer(pictures(1), [["why?"]])


def test_gradients_reach_every_weight_in_training():
    """All four objectives in one pass; the answer head has a layout of its own."""
    model = XDecoder(NANO).train()
    image = model.see(torch.from_numpy(np.stack(pictures(2))))
    texts = ["a red star on sand", "a blue ring"]
    read = {"phrase": model.read(texts), "caption": model.read(texts)}
    decoding = model.decode(image, model.layouts.everything, read)
    loss = model.pooled(image.pooled).sum() + model.decoder.classes.log_scale
    for layer in decoding.predictions:
        loss = loss + layer.mask_logits.square().mean() + layer.class_embeddings.square().sum()
        loss = loss + model.words(layer.states_of("caption")).square().sum()
    loss.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None]
    assert without == []
