"""The whole model against outputs of the released one, with weights made from names alone.

Queries look where mask logits of the layer before are positive. A logit closer to zero than float32
rounding can fall on either side, and everything after differs in the fourth digit: the released
code has the same freedom. Where a picture has such a logit, its claim is made in float64.
"""

import functools

import numpy as np
import pytest
import torch
from torch import Tensor
from xdecoder_reference import assert_agrees, fill, golden, released

from models.xdecoder.answers import Habits
from models.xdecoder.caption import begin
from models.xdecoder.prediction import Decoding, Text
from models.xdecoder.text import class_embedding
from models.xdecoder.tokenizer import ClipTokenizer

END = ClipTokenizer.end


def picture(height: int, width: int, seed: int) -> Tensor:
    return torch.from_numpy(fill.image(height, width, seed))[None]


def ragged(ids: np.ndarray) -> list[list[int]]:
    """Rows of padded ids up to their first end token."""
    return [[int(id) for id in row[: list(row).index(END) + 1]] for row in ids]


@functools.cache
def segmented() -> Decoding:
    model = released()
    with torch.inference_mode():
        return model.decode(model.see(picture(384, 512, seed=0)), model.layouts.segmenting)


def background_text() -> Tensor:
    """The last class of the golden vocabulary, background, from its 81 prompts."""
    ids = golden("focalt_segmentation_384x512")["prompt_token_ids"]
    with torch.inference_mode():
        return class_embedding(released().text.sentences(ragged(ids[-1])))


@pytest.mark.slow
def test_a_class_from_81_prompts_is_the_released_one() -> None:
    arrays = golden("focalt_segmentation_384x512")
    np.testing.assert_allclose(
        background_text(),
        arrays["text_embeddings"][-1],
        atol=20 * arrays["text_embeddings__dev64"][0],
    )


def test_segmentation_gives_the_released_classes_and_masks() -> None:
    arrays = golden("focalt_segmentation_384x512")
    with torch.inference_mode():
        last = segmented().last
        texts = torch.from_numpy(arrays["text_embeddings"])
        logits = released().decoder.classes.logits(last.class_embeddings, texts)
        assert_agrees(last.class_embeddings[0], arrays, "pred_captions")
        assert_agrees(logits[0], arrays, "pred_logits")
        assert_agrees(last.mask_logits[0], arrays, "pred_masks", 1, 4, 4)


def test_every_layer_gives_the_released_classes_and_masks() -> None:
    arrays = golden("focalt_segmentation_layers_384x512")
    texts = torch.from_numpy(golden("focalt_segmentation_384x512")["text_embeddings"])
    before = segmented().predictions[:-1]
    with torch.inference_mode():
        embeddings = torch.stack([layer.class_embeddings[0] for layer in before])
        logits = released().decoder.classes.logits(embeddings, texts)
        masks = torch.stack([layer.mask_logits[0] for layer in before])
    assert_agrees(embeddings, arrays, "aux_captions", 1, 10)
    assert_agrees(logits, arrays, "aux_logits")
    assert_agrees(masks, arrays, "aux_masks", 1, 4, 8, 8)


def test_retrieval_scores_are_the_released_ones() -> None:
    arrays = golden("focalt_retrieval")
    model = released()
    images = [fill.image(224, 224, 1)]
    captions = [str(caption) for caption in arrays["captions"]]
    scores = {}
    for share in (0.0, 0.5, 1.0):
        model.habits = Habits(pooled_share=share)
        scores[share] = (model.embed_images(images) @ model.embed_texts(captions).T)[0]
    model.habits = Habits()
    # This picture has a mask logit of 9e-6 in the fourth layer (see the top of this file).
    np.testing.assert_allclose(scores[0.0], arrays["similarity_decoder"], atol=1e-3)
    np.testing.assert_allclose(scores[0.5], arrays["similarity"], atol=5e-4)
    np.testing.assert_allclose(scores[1.0], arrays["similarity_backbone"], atol=1e-5)


@pytest.mark.slow
def test_retrieval_embeddings_are_the_released_ones_in_float64() -> None:
    arrays = golden("focalt_retrieval")
    model = released(torch.float64)
    with torch.inference_mode():
        image = model.see(picture(224, 224, seed=1))
        last = model.decode(image, model.layouts.segmenting).last
        assert_agrees(last.of("image").class_embeddings[0, 0], arrays, "image_embedding")
        assert_agrees(model.pooled(image.pooled)[0], arrays, "image_embedding_backbone")
        texts = model.text.sentences(ragged(arrays["token_ids"]))
        assert_agrees(texts, arrays, "text_embeddings")


@pytest.mark.slow
def test_teacher_forced_captions_have_the_released_logits_in_float64() -> None:
    arrays = golden("focalt_captioning")
    model = released(torch.float64)
    count = int(arrays["attention_mask"].sum())
    with torch.inference_mode():
        image = model.see(picture(224, 224, seed=1))
        tokens = model.text(torch.from_numpy(arrays["token_ids"].astype(np.int64))[None])
        text = {"caption": Text(tokens)}
        last = model.decode(image, model.layouts.captioning, text).last
        states = last.states_of("caption")
        logits = model.words.logits(states, model.text.tokens.weight)[0, :count]
        np.testing.assert_allclose(
            tokens[0, :16],
            arrays["token_embeddings"],
            atol=20 * arrays["token_embeddings__dev64"][0],
        )
        tolerance = 20 * arrays["pred_captionings__dev64"][0]
        words = model.words(states)[0, :16]
        np.testing.assert_allclose(words, arrays["pred_captionings"], atol=tolerance)
        assert_agrees(last.class_embeddings[0], arrays, "pred_captions", 10)
    assert_agrees(logits, arrays, "tf_logits", 1, 97)
    np.testing.assert_array_equal(logits.topk(5).indices, arrays["tf_top5_ids"])


@pytest.mark.slow
def test_greedy_captions_are_the_released_tokens() -> None:
    arrays = golden("focalt_captioning")
    model = released()
    with torch.inference_mode():
        page = begin(model, model.see(picture(224, 224, seed=1)))
        written = model.habits.writing.write(page)
    np.testing.assert_array_equal(written[0], arrays["greedy_token_ids"][1:51])
    assert model.tokenizer.decode(written[0]).split(".")[0] == str(arrays["greedy_text"])


@functools.cache
def grounded() -> Decoding:
    """Three phrases about one picture in one pass."""
    model = released()
    ids = ragged(golden("focalt_grounding")["token_ids"])
    with torch.inference_mode():
        tokens = torch.cat([model.text(torch.tensor([text]))[0] for text in ids])
        text = {"phrase": Text(tokens[None])}
        return model.decode(model.see(picture(320, 416, seed=2)), model.layouts.referring, text)


def test_phrases_find_the_released_masks() -> None:
    arrays = golden("focalt_grounding")
    with torch.inference_mode():
        last = grounded().last
        referred = last.of("referred")
        assert_agrees(referred.mask_logits[0], arrays, "pred_gmasks", 2, 4, 4)
        assert_agrees(referred.class_embeddings[0], arrays, "pred_gtexts", 4)
        assert_agrees(last.mask_logits[0, :101], arrays, "pred_masks_obj", 4, 4, 4)
        assert_agrees(last.class_embeddings[0, :101], arrays, "pred_captions_obj", 8)
        before = [layer.of("referred") for layer in grounded().predictions[:-1]]
        masks = torch.stack([layer.mask_logits[0] for layer in before])
        assert_agrees(masks, arrays, "aux_gmasks", 1, 8, 8, 8)


def test_phrases_are_matched_as_released() -> None:
    arrays = golden("focalt_grounding")
    model = released()
    with torch.inference_mode():
        phrases = model.text.sentences(ragged(arrays["token_ids"]))
        referred = grounded().last.of("referred")
        scores = model.decoder.classes.scores(referred.class_embeddings[0], phrases)
    assert_agrees(scores, arrays, "similarity")
    asked = [str(phrase) for phrase in arrays["phrases"]]
    answers = model.refer([fill.image(320, 416, 2)], [asked])[0]
    for answer, query in zip(answers, arrays["matched_query"], strict=True):
        torch.testing.assert_close(
            answer.mask_logits, referred.mask_logits[0, int(query)], atol=1e-3, rtol=0
        )
