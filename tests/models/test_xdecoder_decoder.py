"""The decoder's shortcuts against the plain way, and who influences whom."""

import functools
from dataclasses import replace

import numpy as np
import pytest
import torch
from plain_xdecoder import caption_logits, greedy, with_plain_masks
from torch import Tensor

from models.xdecoder.answers import XDecoder
from models.xdecoder.caption import Beam, Greedy, begin
from models.xdecoder.config import NANO, FreedRow, XDecoderConfig
from models.xdecoder.masks import resize
from models.xdecoder.prediction import Decoding, ImageFeatures, Text


@functools.cache
def network(config: XDecoderConfig = NANO) -> XDecoder:
    """A small network in float64, with weights large enough that masks cut the picture."""
    torch.manual_seed(0)
    model = XDecoder(config).double().eval()
    with torch.no_grad():
        for layer in model.decoder.masks.layers:
            layer.weight.mul_(3)
    return model


def images(count: int = 1, height: int = 64, width: int = 96, seed: int = 0) -> Tensor:
    generator = np.random.default_rng(seed)
    coarse = torch.from_numpy(generator.integers(0, 256, (count, 3, height // 8, width // 8)))
    smooth = torch.nn.functional.interpolate(coarse.double(), (height, width), mode="bilinear")
    return smooth.round().to(torch.uint8).permute(0, 2, 3, 1)


def seen(model: XDecoder | None = None, **kwargs) -> ImageFeatures:
    return (model or network()).see(images(**kwargs))


def same(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-8, atol=1e-8)


pytestmark = pytest.mark.usefixtures("no_grad")


@pytest.fixture
def no_grad():
    with torch.no_grad():
        yield


def segmented(image: ImageFeatures, model: XDecoder | None = None) -> Decoding:
    model = model or network()
    return model.decode(image, model.layouts.segmenting)


# --- masks ---


@pytest.mark.parametrize("size", [(8, 12), (4, 6), (2, 3), (16, 24), (5, 7), (40, 33)])
def test_resizing_by_matrices_is_antialiased_bicubic(size):
    maps = torch.randn(2, 5, 16, 24, dtype=torch.float64)
    plain = torch.nn.functional.interpolate(
        maps, size, mode="bicubic", align_corners=False, antialias=True
    )
    same(resize(maps, size), plain)
    same(resize(maps.contiguous(memory_format=torch.channels_last), size), plain)


@pytest.mark.parametrize("size", [(5, 1), (1, 5), (1, 1)])
def test_resizing_to_one_column_does_not_depend_on_how_the_map_lies_in_memory(size):
    # Images 32 pixels wide have attention maps of one column. There torch's own resizing gives
    # something else for a map that is not channels-last (seen in 2.13).
    maps = torch.randn(2, 6, 40, 8, generator=torch.Generator().manual_seed(0)).double()
    last = maps.contiguous(memory_format=torch.channels_last)
    plain = torch.nn.functional.interpolate(
        last, size, mode="bicubic", align_corners=False, antialias=True
    )
    same(resize(last, size), plain)
    same(resize(maps, size), plain)


def test_resized_mask_features_give_the_layers_of_resized_masks():
    image = seen(count=2)
    fast, plain = segmented(image), segmented(with_plain_masks(image))
    for left, right in zip(fast.predictions, plain.predictions, strict=True):
        same(left.mask_logits, right.mask_logits)
        same(left.class_embeddings, right.class_embeddings)


def test_masks_cut_what_queries_see():
    image = seen()
    embeddings = segmented(image).predictions[0].mask_embeddings
    shares = (image.masks.logits_at(embeddings, (8, 12)) >= 0).double().mean(dim=(2, 3))
    assert ((shares > 0.05) & (shares < 0.95)).any()


def test_there_is_a_prediction_of_the_bare_queries_and_of_every_layer():
    assert len(segmented(seen()).predictions) == NANO.decoder.layers + 1


def test_a_batch_gives_what_its_images_give_alone():
    together = segmented(seen(count=3)).last
    for index in range(3):
        alone = segmented(seen(count=3).one(index)).last
        same(together.mask_logits[index], alone.mask_logits[0])
        same(together.class_embeddings[index], alone.class_embeddings[0])


# --- who influences whom ---


def phrases(*texts: str) -> Text:
    return network().read(texts)


def test_texts_change_nothing_for_objects_and_image_query():
    image, model = seen(), network()
    alone = segmented(image)
    for layout, name in (("referring", "phrase"), ("captioning", "caption")):
        text = {name: phrases("a red star on sand")}
        joined = model.decode(image, getattr(model.layouts, layout), text)
        for left, right in zip(alone.predictions, joined.predictions, strict=True):
            for group in ("objects", "image"):
                same(left.of(group).class_embeddings, right.of(group).class_embeddings)
                same(left.of(group).mask_logits, right.of(group).mask_logits)


def test_everything_in_one_pass_equals_each_task_alone():
    image, model = seen(), network()
    phrase, caption = phrases("a red star"), phrases("a blue ring on sand")
    all_ = model.decode(
        image, model.layouts.everything, {"phrase": phrase, "caption": caption}
    ).last
    referred = model.decode(image, model.layouts.referring, {"phrase": phrase}).last
    captioned = model.decode(image, model.layouts.captioning, {"caption": caption}).last
    same(all_.of("referred").mask_logits, referred.of("referred").mask_logits)
    same(all_.states_of("caption"), captioned.states_of("caption"))


def test_referred_masks_depend_on_the_phrase_and_not_on_its_padding():
    image, model = seen(count=2), network()
    texts = ("a red star", "the blue ring under the sky")
    together = model.decode(image, model.layouts.referring, {"phrase": phrases(*texts)}).last
    masks = together.of("referred").mask_logits
    for index, text in enumerate(texts):
        alone = model.decode(
            image.one(index), model.layouts.referring, {"phrase": phrases(text)}
        ).last
        same(masks[index], alone.of("referred").mask_logits[0])
    assert not torch.allclose(masks[0], masks[1])


def test_without_sight_of_the_phrase_referred_masks_do_not_depend_on_it():
    blind = replace(NANO, decoder=replace(NANO.decoder, referred_sees_phrase=False))
    model = network(blind)
    image = seen(model)
    masks = [
        model.decode(image, model.layouts.referring, {"phrase": model.read([text])})
        .last.of("referred")
        .mask_logits
        for text in ("a red star", "a blue ring")
    ]
    same(masks[0], masks[1])


def test_a_phrase_carries_gradient_by_its_position_alone():
    model = network()
    with torch.enable_grad():
        states = phrases("a red star").states.detach().requires_grad_()
        text = Text(states)
        x, positions, _ = model.decoder._enter(model.layouts.referring, {"phrase": text}, batch=1)
        (x[:, -5:].sum() + 2 * positions[:, -5:].sum()).backward()
    same(states.grad, torch.full_like(states, 2.0))


@pytest.mark.parametrize(
    ("freed", "changed"),
    [(FreedRow.ONE_PAST_IMAGE, "referred"), (FreedRow.IMAGE, "image")],
)
def test_a_freed_row_changes_its_query_alone(freed, changed):
    """The released line frees one row past the image query: with phrases, a referred one."""
    config = replace(NANO, decoder=replace(NANO.decoder, freed_row=freed, layers=1))
    bound = replace(NANO, decoder=replace(NANO.decoder, freed_row=FreedRow.NONE, layers=1))
    image, text = seen(), {"phrase": phrases("a red star")}
    rows = []
    for one in (config, bound):
        model = network(one)
        model.load_state_dict(network().state_dict(), strict=False)
        view = model.decoder._view(
            (before := model.decode(image, model.layouts.referring, text).predictions[0]),
            before.rows,
            (8, 12),
            text,
        )
        rows.append(view[0, 0])
    different = (rows[0] != rows[1]).any(dim=1).nonzero().flatten().tolist()
    start = before.rows.of(changed).start
    assert different == [start]
    assert rows[0][start].all()


def test_the_released_freed_row_changes_nothing_without_phrases():
    bound = replace(NANO, decoder=replace(NANO.decoder, freed_row=FreedRow.NONE))
    model = network(bound)
    model.load_state_dict(network().state_dict())
    image = seen()
    same(segmented(image).last.mask_logits, segmented(image, model).last.mask_logits)


# --- captions ---


def test_remembered_captions_have_the_logits_of_the_whole():
    model, image = network(), seen(count=2)
    ids = torch.randint(3, model.tokenizer.vocabulary, (2, model.text.context))
    ids[:, 0] = model.tokenizer.start
    whole = caption_logits(model, image, ids)
    page = begin(model, image)
    for step in range(model.text.context):
        logits, page = page.step(ids[:, step])
        same(logits, whole[:, step])


@pytest.mark.parametrize("blind", ["caption_sees_objects", "caption_sees_image"])
def test_remembered_captions_keep_to_the_ablations_of_table_4(blind):
    model = network(replace(NANO, decoder=replace(NANO.decoder, **{blind: False})))
    image = seen(model)
    ids = torch.randint(3, model.tokenizer.vocabulary, (1, model.text.context))
    whole = caption_logits(model, image, ids)
    page = begin(model, image)
    for step in range(5):
        logits, page = page.step(ids[:, step])
        same(logits, whole[:, step])


def test_greedy_captions_are_those_of_the_plain_way():
    model, image = network(), seen(count=2)
    plain = greedy(model, image, steps=10).tolist()
    written = Greedy(steps=10).write(begin(model, image))
    for left, right in zip(written, plain, strict=True):
        assert left == right[: len(left)]
        assert len(left) == 10 or model.tokenizer.end in left


def test_a_page_can_be_continued_twice():
    model, image = network(), seen()
    _, page = begin(model, image).step(torch.tensor([model.tokenizer.start]))
    first, _ = page.step(torch.tensor([5]))
    page.step(torch.tensor([9]))
    again, _ = page.step(torch.tensor([5]))
    same(first, again)


def exhaustive(model: XDecoder, image: ImageFeatures, steps: int, exponent: float) -> float:
    """The best score of any caption of at most `steps` tokens, by trying all."""
    end = model.tokenizer.end
    best = -float("inf")
    open_ = [([], 0.0, begin(model, image))]
    for _ in range(steps):
        grown = []
        for ids, total, page in open_:
            token = ids[-1] if ids else model.tokenizer.start
            logits, following = page.step(torch.tensor([token]))
            for id, log in enumerate(logits[0].log_softmax(dim=0).tolist()):
                if id == end:
                    best = max(best, (total + log) / (len(ids) + 1) ** exponent)
                else:
                    grown.append(([*ids, id], total + log, following))
        open_ = grown
    return best


@pytest.mark.parametrize("exponent", [0.0, 1.0])
def test_a_wide_beam_finds_the_best_caption(exponent):
    small = replace(NANO, text=replace(NANO.text, words=("a", "red", "ring"), context=8))
    model = network(small)
    with torch.no_grad():
        model.words.projection.mul_(20)
    image = seen(model)
    beam = Beam(beams=200, steps=3, length_exponent=exponent)
    ids = beam.write(begin(model, image))[0]
    page, total = begin(model, image), 0.0
    for before, id in zip([model.tokenizer.start, *ids], ids, strict=False):
        logits, page = page.step(torch.tensor([before]))
        total += float(logits[0].log_softmax(dim=0)[id])
    assert ids[-1] == model.tokenizer.end
    assert total / len(ids) ** exponent == pytest.approx(exhaustive(model, image, 3, exponent))


def test_a_beam_of_one_that_never_ends_is_greedy():
    model, image = network(), seen()
    written = Greedy(steps=6).write(begin(model, image))
    assert model.tokenizer.end not in written[0]
    assert Beam(beams=1, steps=6).write(begin(model, image)) == written


def test_captions_of_a_region_depend_on_the_region():
    model, image = network(), seen()
    left = torch.zeros(1, *image.padded_size, dtype=torch.bool)
    left[:, :, :48] = True
    start = torch.tensor([model.tokenizer.start])
    logits = [begin(model, image, region).step(start)[0] for region in (left, ~left, None)]
    assert not torch.allclose(logits[0], logits[1])
    same(begin(model, image, torch.ones_like(left)).step(start)[0], logits[2])


def test_a_region_reads_the_same_in_one_pass_and_remembered():
    model, image = network(), seen()
    region = torch.zeros(1, *image.padded_size, dtype=torch.bool)
    region[:, 10:40, 20:50] = True
    ids = torch.tensor([[model.tokenizer.start, 5, 7]])
    text = {"caption": Text(model.text(ids), region=region)}
    states = model.decode(image, model.layouts.captioning, text).last.states_of("caption")
    page = begin(model, image, region)
    for step in range(3):
        logits, page = page.step(ids[:, step])
        same(logits, model.words.logits(states[:, step], model.text.tokens.weight))


def test_an_empty_region_looks_everywhere():
    model, image = network(), seen()
    empty = torch.zeros(1, *image.padded_size, dtype=torch.bool)
    start = torch.tensor([model.tokenizer.start])
    same(begin(model, image, empty).step(start)[0], begin(model, image).step(start)[0])
