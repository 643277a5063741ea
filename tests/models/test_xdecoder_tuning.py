"""Few-shot tuning: what is tuned, what stays, and that frozen parts need to run only once."""

import functools
from copy import deepcopy
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.errors import CannotDo, UnknownName
from bench.types import Lesson, Mask, Tunable, Vocabulary
from models.xdecoder.answers import XDecoder
from models.xdecoder.config import (
    DecoderConfig,
    FocalConfig,
    PixelDecoderConfig,
    TextConfig,
    XDecoderConfig,
    variant,
)
from models.xdecoder.forward_pass import ForwardPass, LayerLosses
from models.xdecoder.frozen import fitting
from models.xdecoder.gather import Alone
from models.xdecoder.points import Draw
from models.xdecoder.reading import ConceptTexts
from models.xdecoder.segmentation_losses import object_losses
from models.xdecoder.strategies import STRATEGIES, TuningRecipe
from models.xdecoder.tensor_cache import TensorCache
from models.xdecoder.tuning import StrategyTuner
from models.xdecoder.views import Shown, View

WORDS = ("a", "red", "blue", "star", "ring", "sand", "the", "on", "background")
TINY = XDecoderConfig(
    "tiny",
    FocalConfig((8, 16, 16, 32), (1, 1, 1, 1), focal_levels=1, drop_path=0.0),
    PixelDecoderConfig(width=32, mask_width=16, layers=1, heads=2, feedforward=32),
    TextConfig(words=WORDS, context=12, width=16, layers=1, heads=2, feedforward=32),
    DecoderConfig(width=32, layers=2, heads=2, feedforward=32, queries=7),
)
VOCABULARY = Vocabulary(("star", "ring"), templates=("a {}", "the {}"))
VIEWS = (View(), View(flip=True), View(scale=0.75))
FEW = TuningRecipe(rate=1e-2, steps=4, epochs=1, batch=2, views=VIEWS)
ALL = sorted(STRATEGIES)


@functools.cache
def tiny() -> XDecoder:
    torch.manual_seed(0)
    return XDecoder(TINY).eval()


def lesson(seed: int, height: int = 64, width: int = 96) -> Lesson:
    """Noise with two boxes in it, annotated at twice its size."""
    chance = np.random.default_rng(seed)
    image = chance.integers(0, 256, (height, width, 3), np.uint8)
    masks = np.zeros((2, 2 * height, 2 * width), bool)
    masks[0, 8:40, 10:60] = masks[1, 30:80, 70:120] = True
    image[4:20, 5:30] = 255
    return Lesson(image, tuple(map(Mask.encode, masks)), (seed % 2, 1))


LESSONS = (lesson(0), lesson(1), lesson(2, 48, 96))


def tuner(
    name: str, recipe: TuningRecipe = FEW, cache: TensorCache | None = None, **changes: object
) -> StrategyTuner:
    model = tiny()
    return StrategyTuner(model, model.class_embeddings, name, cache, replace(recipe, **changes))


def tensors(model: XDecoder) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in model.state_dict().items()}


# --- which parameters ----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("strategy", "count", "millions"),
    [
        ("class-embedding", 262_144, 0.26),
        ("prompt", 1_153_536, 1.15),
        ("decoder", 39_293_952, 39.3),
    ],
)
def test_strategies_tune_as_many_parameters_as_the_paper_says(
    strategy: str, count: int, millions: float
) -> None:
    with torch.device("meta"):
        model = XDecoder(variant("xdecoder-T")).eval()
    assert model.tuner(strategy).parameters == count
    assert count / 1e6 == pytest.approx(millions, rel=0.01)


@pytest.mark.parametrize("strategy", ALL)
def test_only_what_the_strategy_names_changes_and_the_original_does_not(strategy: str) -> None:
    before = tensors(tiny())
    made = tuner(strategy)
    tuned = made.tune(LESSONS, VOCABULARY, seed=0)
    changed = {name for name, t in tuned.state_dict().items() if not torch.equal(t, before[name])}
    assert changed
    assert changed <= set(made.names)
    for name, tensor in tiny().state_dict().items():
        assert torch.equal(tensor, before[name]), name
    assert all(p.requires_grad and p.grad is None for p in tiny().parameters())
    shared = set(before) - set(made.names)
    own = tuned.state_dict()
    assert all(
        own[name].data_ptr() == t.data_ptr()
        for name, t in tiny().state_dict().items()
        if name in shared
    )


def test_a_tuned_model_answers_otherwise_and_its_original_as_before() -> None:
    image = LESSONS[0].image
    (before,) = tiny().propose([image], VOCABULARY)
    tuned = tuner("class-embedding").tune(LESSONS, VOCABULARY, seed=0)
    (after,) = tuned.propose([image], VOCABULARY)
    (again,) = tiny().propose([image], VOCABULARY)
    assert torch.equal(again.class_logits, before.class_logits)
    assert not torch.allclose(after.class_logits, before.class_logits)
    same = torch.allclose(after.mask_logits, before.mask_logits, atol=1e-5)
    assert same, "class embeddings make no masks"


def test_the_model_offers_its_strategies_by_name() -> None:
    assert isinstance(tiny(), Tunable)
    with pytest.raises(UnknownName, match="Did you mean 'prompt'"):
        tiny().tuner("promt")


def test_half_precision_and_training_mode_are_refused() -> None:
    with torch.device("meta"):
        model = XDecoder(TINY)
    with pytest.raises(ValueError, match="evaluation mode"):
        model.tuner("prompt")
    with pytest.raises(CannotDo, match="bfloat16"):
        model.eval().to(torch.bfloat16).tuner("prompt")


# --- running frozen parts once changes nothing ---------------------------------------------------


class Anew:
    """The losses of a step with the whole network run anew: what `Course`s are held against."""

    def __init__(self, of: StrategyTuner, own: XDecoder) -> None:
        self.of, self.own = of, own

    def __call__(self, shown: tuple[Shown, ...], draw: Draw) -> LayerLosses:
        model = self.own
        with torch.no_grad():
            image = model.see(torch.stack([one.image for one in shown]))
        sentences = VOCABULARY.sentences()
        with torch.no_grad():
            texts = torch.stack([_mean(model, column) for column in sentences])
        decoding = model.decode(image, model.layouts.segmenting)
        supervision = fitting(self.of.recipe.supervision, image.padded_size)
        if not self.of.strategy.decodes:  # each view has points of its own
            points = iter([one.draw((1, supervision.points, 2)) for one in shown])
            draw = lambda shape: next(points, torch.rand(shape))  # noqa: E731
        of = ForwardPass(model, image, decoding, supervision, draw, Alone())
        names = (*VOCABULARY.names, "background")
        values, _ = object_losses(of, [one.objects for one in shown], ConceptTexts(names, texts))
        return values


def _mean(model: XDecoder, column: tuple[str, ...]) -> Tensor:
    states = model.text.sentences(model.tokenizer.encode(list(column)))
    unit = states / states.norm(dim=1, keepdim=True)
    mean = unit.mean(0)
    return mean / mean.norm()


@pytest.mark.parametrize("strategy", ALL)
def test_every_step_has_the_loss_of_running_the_whole_network(
    strategy: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cached = [step.loss for step in tuner(strategy).steps(LESSONS, VOCABULARY, seed=3)]
    weights = FEW.supervision.weights
    if not STRATEGIES[strategy].decodes:
        weights = replace(weights, mask_bce=0.0, mask_dice=0.0)
    supervision = replace(FEW.supervision, weights=weights)
    plain = tuner(strategy, supervision=supervision)
    monkeypatch.setattr(plain, "course", lambda own, vocabulary: Anew(plain, own))
    anew = [step.loss for step in plain.steps(LESSONS, VOCABULARY, seed=3)]
    assert cached == pytest.approx(anew, rel=2e-4)
    assert len(set(cached)) == len(cached)


def test_the_losses_of_masks_teach_the_class_embedding_nothing() -> None:
    """So leaving them out of its steps leaves nothing out."""
    made = tuner("class-embedding")
    own = made.tune(LESSONS, VOCABULARY, seed=0)
    values = Anew(made, own)((Shown(LESSONS[0], View()),), torch.rand)
    masks = (values["mask_bce"] + values["mask_dice"]).sum()
    projection = own.decoder.classes.projection
    (gradient,) = torch.autograd.grad(masks + 0 * projection.sum(), projection, allow_unused=True)
    assert not gradient.any()


def test_what_is_frozen_runs_once_for_each_view_over_steps_seeds_and_strategies() -> None:
    cache, seen = TensorCache(), []
    handle = tiny().backbone.register_forward_hook(lambda *_: seen.append(1))
    for strategy in ALL:
        for seed in (0, 1):
            tuner(strategy, cache=cache, steps=8).tune(LESSONS[:2], VOCABULARY, seed=seed)
    tuner("prompt", cache=cache, steps=8).tune(LESSONS[:1], VOCABULARY, seed=0)
    handle.remove()
    assert len(seen) == 2 * len(VIEWS)


def test_what_was_kept_is_forgotten_when_frozen_weights_change() -> None:
    torch.manual_seed(1)
    model = XDecoder(TINY).eval()
    made = StrategyTuner(model, model.class_embeddings, "prompt", TensorCache(), FEW)
    first = next(made.steps(LESSONS, VOCABULARY, seed=0)).loss
    with torch.no_grad():
        for parameter in model.pixel_decoder.parameters():
            parameter.mul_(1.5)
    assert next(made.steps(LESSONS, VOCABULARY, seed=0)).loss != first


# --- tuning --------------------------------------------------------------------------------------


@pytest.mark.parametrize("strategy", ALL)
def test_tuning_lowers_the_loss(strategy: str) -> None:
    made = tuner(strategy, steps=20, views=(View(),), batch=2, rate=5e-3)
    losses = [step.loss for step in made.steps(LESSONS[:2], VOCABULARY, seed=0)]
    assert np.mean(losses[-5:]) < 0.9 * np.mean(losses[:5])


def test_a_seed_decides_everything() -> None:
    one, same, other = (
        tuner("decoder").tune(LESSONS, VOCABULARY, seed=seed).state_dict() for seed in (4, 4, 5)
    )
    assert all(torch.equal(one[name], same[name]) for name in one)
    assert any(not torch.equal(one[name], other[name]) for name in one)


def test_a_vocabulary_without_background_is_tuned_with_one() -> None:
    alone = replace(VOCABULARY, background=None)
    with_, without = (
        next(tuner("prompt").steps(LESSONS, words, seed=0)).loss for words in (VOCABULARY, alone)
    )
    assert with_ == without


def test_settings_are_plain_and_tell_recipes_apart() -> None:
    import json

    settings = [tuner("prompt").settings, tuner("prompt", steps=7).settings]
    assert json.loads(json.dumps(settings[0])) == settings[0]
    assert settings[0] != settings[1]


# --- views ---------------------------------------------------------------------------------------


def test_masks_lie_where_their_view_shows_their_pixels() -> None:
    image = np.zeros((40, 60, 3), np.uint8)
    image[10:30, 5:25] = 255
    of = Lesson(image, (Mask.encode(image[..., 0] > 0),), (0,))
    for view in (View(), View(flip=True), View(scale=0.5), View(True, 2.0)):
        shown, (mask,) = view.image(of), view.objects(of).masks
        assert tuple(shown.shape[:2]) == tuple(mask.shape) == view.size(of)
        assert ((shown[..., 0] > 127) == mask).float().mean() > 0.98


def test_an_object_too_small_for_its_view_is_no_object_there() -> None:
    masks = np.zeros((2, 16, 16), bool)
    masks[0, 3, 3] = masks[1, 4:12, 4:12] = True
    of = Lesson(np.zeros((16, 16, 3), np.uint8), tuple(map(Mask.encode, masks)), (0, 1))
    assert View().objects(of).labels.tolist() == [0, 1]
    assert View(scale=0.25).objects(of).labels.tolist() == [1]


def test_images_without_a_visible_object_can_be_among_the_lessons() -> None:
    nothing = Lesson(LESSONS[0].image, (), ())
    for strategy in ALL:
        losses = [s.loss for s in tuner(strategy).steps((nothing,), VOCABULARY, seed=0)]
        assert np.isfinite(losses).all()


# --- what is kept --------------------------------------------------------------------------------


def numbers(value: float) -> dict[str, Tensor]:
    return {"numbers": torch.full((25,), float(value))}  # 100 bytes


def test_beyond_memory_is_disk_and_beyond_disk_is_made_anew() -> None:
    cache = TensorCache(memory=200, disk=100)
    for _ in range(2):
        for value in range(4):
            kept = cache.get(str(value), functools.partial(numbers, value))
            assert torch.equal(kept["numbers"], numbers(value)["numbers"])
    assert (cache.in_memory, cache.on_disk, cache.made) == (200, 100, 5)


def test_a_new_round_takes_the_place_of_what_it_does_not_use() -> None:
    cache = TensorCache(memory=200, disk=0)
    for value in (1, 2):
        cache.get(str(value), functools.partial(numbers, value))
    cache.begin()
    for value in (2, 3, 2, 3):
        cache.get(str(value), functools.partial(numbers, value))
    assert (cache.in_memory, cache.made) == (200, 3)


def test_a_copy_of_a_cache_is_empty_and_takes_nothing_with_it() -> None:
    cache = TensorCache(memory=0, disk=100)
    cache.get("1", functools.partial(numbers, 1))
    other = deepcopy(cache)
    assert (other.on_disk, other.disk) == (0, 100)
    del other
    assert torch.equal(cache.get("1", dict)["numbers"], numbers(1)["numbers"])


@pytest.mark.parametrize(("memory", "disk"), [(0, 10**9), (0, 0)])
def test_budgets_change_no_number(memory: int, disk: int) -> None:
    for strategy in ("class-embedding", "prompt"):
        plenty = [s.loss for s in tuner(strategy).steps(LESSONS, VOCABULARY, seed=0)]
        cache = TensorCache(memory, disk)
        tight = [s.loss for s in tuner(strategy, cache=cache).steps(LESSONS, VOCABULARY, seed=0)]
        assert tight == plenty
        assert cache.in_memory == 0
        assert (cache.on_disk > 0) == (disk > 0)
