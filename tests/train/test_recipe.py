"""Recipes are values: they can be changed in words, and say what they do."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from line_task import LINE

from bench.data.training import open_source
from bench.errors import UnknownName, UsageError
from bench.recipe import Cosine, Drops, Exact, Jitter, changed
from bench.train.families import find, recipes
from models.xdecoder import training
from models.xdecoder.config import variant
from models.xdecoder.gather import Gathered
from models.xdecoder.model import Network
from models.xdecoder.recipes import RECIPES
from models.xdecoder.recipes.finetuning import EFFICIENT
from models.xdecoder.weights import RELEASED


def test_a_setting_reaches_into_what_is_nested():
    recipe = changed(
        RECIPES["nano"],
        {"optimiser.rate": "3e-4", "parts.0.batch": "16", "before.steps": "7", "average": "0"},
    )
    assert recipe.optimiser.rate == 3e-4
    assert recipe.parts[0].batch == 16
    assert recipe.before is not None
    assert recipe.before.steps == 7


def test_rows_are_written_as_json():
    changes = {
        "parts.1.data.files": '["a/{00..09}.tar", "b.parquet"]',
        "optimiser.betas": "[0.9,0.98]",
    }
    recipe = changed(RECIPES["pretrain-T"], changes)
    assert recipe.parts[1].data.files == ("a/{00..09}.tar", "b.parquet")
    assert recipe.optimiser.betas == (0.9, 0.98)


def test_steps_keep_the_share_of_what_is_trained_before():
    nano = RECIPES["nano"]
    short = changed(nano, {"steps": "150"})
    assert short.steps == 150
    assert short.before.steps == round(nano.before.steps * 150 / nano.steps)


def test_steps_and_epochs_take_each_others_place():
    assert changed(RECIPES["pretrain-T"], {"steps": "5"}).epochs == 0
    assert changed(LINE, {"epochs": "2"}).settled(images=40).steps == 10


def test_the_order_of_settings_does_not_matter():
    settings = {
        "before.steps": "100",
        "steps": "70",
        "model.decoder.heads": "3",
        "model.decoder.width": "96",
        "optimiser.rate": "3e-4",
        "optimiser": '{"rate":3e-3,"decay":0.1}',
    }
    recipe = changed(RECIPES["nano"], settings)
    assert recipe == changed(RECIPES["nano"], dict(reversed(settings.items())))
    assert (recipe.steps, recipe.before.steps) == (70, 100)
    assert (recipe.model.decoder.heads, recipe.model.decoder.width) == (3, 96)
    assert (recipe.optimiser.rate, recipe.optimiser.decay) == (3e-4, 0.1)


@pytest.mark.parametrize(
    "settings",
    [
        {"model.decoder.queries": "51"},
        {"model": '{"decoder":{"queries":51}}'},
        {"model.decoder": '{"queries":51}', "before.steps": "100"},
    ],
)
def test_what_is_trained_before_has_the_same_model(settings):
    recipe = changed(RECIPES["nano"], settings)
    models = {recipe.model, recipe.before.model}
    assert models == {RECIPES["nano"].model.with_queries(51)}


def test_what_is_trained_before_may_have_a_model_of_its_own():
    settings = {"before.model.decoder.queries": "7", "model": '{"decoder":{"queries":51}}'}
    recipe = changed(RECIPES["nano"], settings)
    assert (recipe.model.decoder.queries, recipe.before.model.decoder.queries) == (51, 7)


def test_an_object_changes_the_keys_that_it_names():
    full = RECIPES["pretrain-T"]
    recipe = changed(full, {"optimiser": '{"rate":3e-3}', "supervision": '{"top":{"noun":2}}'})
    assert recipe.optimiser == replace(full.optimiser, rate=3e-3)
    top = replace(full.supervision.top, noun=2)
    assert recipe.supervision == replace(full.supervision, top=top)


def test_an_object_with_the_keys_of_another_kind_is_of_that_kind():
    settings = {"schedule": '{"warm_up":7}', "schedule.last": "0.5"}
    assert changed(RECIPES["pretrain-T"], settings).schedule == Cosine(7, 0.5)
    with pytest.raises(UnknownName, match="setting of Drops 'warm_up'"):
        changed(RECIPES["pretrain-T"], {"schedule.warm_up": "7"})


@pytest.mark.parametrize(
    ("settings", "error", "said"),
    [
        ({"stepz": "3"}, UnknownName, "Did you mean 'steps'"),
        ({"optimiser.rat": "3"}, UnknownName, "rate"),
        ({"steps": "many"}, UsageError, "steps=many"),
        ({"steps": "0"}, UsageError, "above 0"),
        ({"seed.x": "3"}, UsageError, "no setting 'x'"),
        ({"parts": "3"}, UsageError, "parts=3"),
        ({"parts.9.batch": "3"}, UsageError, "no setting '9'"),
        ({"before.steps": "3"}, UsageError, "no setting 'steps'"),
        ({"supervision": "x"}, UsageError, "supervision=x: this recipe has none"),
        ({"optimiser": "x"}, UsageError, "optimiser=x: Optimiser cannot be set in a word.*clip"),
        ({"optimiser": '{"rat":3e-3}'}, UnknownName, "Did you mean 'rate'"),
        ({"optimiser": '{"rate":'}, UsageError, "this is not JSON"),
        ({"steps": "3", "epochs": "2"}, UsageError, "steps=3 --set epochs=2: .* set one"),
    ],
)
def test_what_cannot_be_set_is_said(settings, error, said):
    with pytest.raises(error, match=said):
        changed(LINE, settings)


def test_an_unknown_recipe_suggests_near_ones():
    with pytest.raises(UnknownName, match="pretrain-T"):
        find("pretrain-t2")


@given(st.integers(1, 3000), st.floats(0, 0.5), st.integers(0, 500))
def test_a_cosine_stays_between_its_ends(steps, last, warm_up):
    shares = [Cosine(warm_up, last).share(step, steps) for step in range(steps)]
    assert all(0 < share <= 1 or share >= last for share in shares)
    assert max(shares) <= 1 + 1e-12
    assert shares[-1] >= last


@given(st.integers(28, 5000))
def test_the_rate_drops_twice_as_the_paper_says(steps):
    shares = [Drops().share(step, steps) for step in range(steps)]
    assert shares == sorted(shares, reverse=True)
    assert len({round(share, 6) for share in shares}) == 3
    assert shares.count(1.0) == pytest.approx(0.88889 * steps, abs=1)


# --- the paper's values --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("key", "why"),
    [
        ("parts.0.data.scenes", "a pool has a scene"),
        ("parts.1.batch", "a part has an image a step"),
    ],
)
def test_a_number_that_leaves_nothing_to_train_on_is_refused(key, why):
    with pytest.raises(UsageError, match=rf"--set {key}=0: {why}, at least\."):
        changed(RECIPES["nano"], {key: "0"})


@pytest.mark.parametrize("distractors", ["-1", "25"])
def test_more_names_of_nothing_than_there_are_cannot_be_asked_about(distractors):
    recipe = changed(RECIPES["nano"], {"parts.0.data.distractors": distractors})
    with pytest.raises(UsageError, match="give a number from 0 to 24"):
        open_source(recipe.parts[0].data, Path())


def test_pretraining_is_the_papers():
    recipe = RECIPES["pretrain-T"]
    coco, pairs = recipe.parts
    assert (coco.batch, pairs.batch, recipe.epochs) == (32, 1024, 50)
    assert coco.data.view == Jitter(1024, (0.1, 2.0), 0.5)
    assert pairs.data.view == Exact(224)
    assert (recipe.optimiser.rate, recipe.optimiser.decay, recipe.optimiser.clip) == (1e-4, 0.05, 5)
    assert recipe.schedule == Drops((0.88889, 0.96296), 0.1)
    assert recipe.settled(104_000).steps == 162_500


def test_the_released_recipe_is_supervised_as_its_golden_is(monkeypatch):
    assert RECIPES["pretrain-T-released"].supervision == RELEASED
    monkeypatch.setattr(training.dist, "is_initialized", lambda: True)
    gathered = []

    def objectives(model, batches, draw, gather):
        gathered.append(gather)
        return SimpleNamespace(total=torch.zeros(()), parts={})

    for name in ("pretrain-T-released", "pretrain-T"):
        recipe = replace(RECIPES[name], model=variant("xdecoder-nano"))
        learner = training.learner(recipe, "cpu")
        learner.objectives = objectives
        learner((), torch.Generator())
    assert gathered == [Gathered(own_gradient_only=True), Gathered()]


def test_an_ablation_changes_what_it_says_and_nothing_else():
    full, without = RECIPES["nano"], RECIPES["nano-no-captioning"]
    assert without.supervision.weights.captioning == 0
    assert without.supervision.weights.retrieval == full.supervision.weights.retrieval
    assert (without.parts, without.steps, without.optimiser) == (
        full.parts,
        full.steps,
        full.optimiser,
    )


def test_every_recipe_has_a_name_of_its_own_and_says_what_it_is():
    found = recipes()
    assert {name: recipe.name for name, (recipe, _) in found.items()} == {n: n for n in found}
    assert all(recipe.about for recipe, _ in found.values())


@pytest.mark.parametrize(
    ("which", "millions"), [("class", 0.26), ("mask", 1.05), ("queries", 1.15), ("decoder", 38.3)]
)
def test_efficient_tuning_trains_as_many_parameters_as_table_3_says(which, millions):
    with torch.device("meta"):
        network = Network(variant("xdecoder-T"))
    names = EFFICIENT[which]
    count = sum(p.numel() for name, p in network.named_parameters() if name.startswith(names))
    assert count / 1e6 == pytest.approx(millions, abs=0.02 if which != "decoder" else 1.5)
