"""Variants differ in one thing: they begin alike, are trained once, and go on after a stop."""

import json

import line_recipes
import pytest
import torch

from bench.reproduction.training import Budget, Training, at_budget, learn, place_of
from bench.train import families
from bench.train import run as runs
from bench.trained import pace_of, recipe_digest, trained_in

SMALL = Budget(steps=12, before=5)


@pytest.fixture
def lines(monkeypatch):
    """Recipes that take a second."""
    monkeypatch.setattr(families, "_modules", lambda: iter(["line_recipes"]))
    monkeypatch.setattr(runs, "open_source", lambda data, root: line_recipes.Numbers())


def training(recipe="line", seed=0, budget=SMALL):
    return Training(recipe=recipe, base="line", budget=budget, seed=seed)


def trained(one, root):
    return [*learn(one, root, data=root)]


# --- budgets -------------------------------------------------------------------------------------


def test_a_budget_shortens_a_recipe_and_what_is_trained_before():
    shorter = at_budget(line_recipes.LINE, SMALL, seed=3)
    assert (shorter.steps, shorter.before.steps) == (12, 5)
    assert (shorter.seed, shorter.before.seed) == (3, 3)


def test_the_running_mean_keeps_its_share_of_a_shorter_run():
    whole, half = (at_budget(line_recipes.LINE, Budget(steps=n), 0) for n in (100, 50))
    assert whole.average == 0.98
    assert half.average == pytest.approx(0.96)
    assert at_budget(line_recipes.LINE, Budget(steps=1), 0).average == 0.0


def test_without_a_budget_a_recipe_keeps_its_own():
    assert at_budget(line_recipes.LINE, Budget(), 0) == line_recipes.LINE


def test_no_steps_before_leave_the_recipe_before_out():
    assert at_budget(line_recipes.LINE, Budget(before=0), 0).before is None


# --- folders -------------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["no-retrieval", "text-not-image", "seg-plus", "vl"])
def test_all_changes_of_nano_begin_on_the_same_model(tmp_path, table):
    full, changed = (
        Training(recipe=name, base="nano", budget=SMALL, seed=1).resolved()[0]
        for name in ("nano", f"nano-{table}")
    )
    assert full.before == changed.before
    assert place_of(full, tmp_path) != place_of(changed, tmp_path)


@pytest.mark.usefixtures("lines")
def test_a_folder_is_named_by_all_that_can_change_a_weight(tmp_path):
    others = [
        training("line-steep"),
        training(seed=1),
        training(budget=Budget(steps=13, before=5)),
        training(budget=Budget(steps=12, before=6)),
    ]
    folders = {one.folder(tmp_path) for one in (training(), *others)}
    assert len(folders) == 5


# --- training ------------------------------------------------------------------------------------


@pytest.mark.usefixtures("lines")
def test_what_variants_begin_on_is_trained_once(tmp_path):
    first, second = (trained(training(name), tmp_path) for name in ("line", "line-steep"))
    counts = [[e.images for e in events if hasattr(e, "images")] for events in (first, second)]
    done = [[e.done for e in events if hasattr(e, "done")] for events in (first, second)]
    assert counts == [[5, 12], [5, 12]]
    assert done == [[0, 0], [5, 0]]
    befores = {training(n).folder(tmp_path).joinpath("before").resolve() for n in RECIPES}
    assert len(befores) == 1


RECIPES = ("line", "line-steep")


@pytest.mark.usefixtures("lines")
def test_a_training_that_was_stopped_goes_on_to_the_same_weights(tmp_path):
    trained(training(), tmp_path / "whole")
    for number, _ in enumerate(learn(training(), tmp_path / "cut", data=tmp_path)):
        if number == 11:
            break  # nothing more is done, as after kill -9
    trained(training(), tmp_path / "cut")
    whole, cut = (
        torch.load(training().folder(tmp_path / place) / "line.pt") for place in ("whole", "cut")
    )
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


@pytest.mark.usefixtures("lines")
def test_a_folder_says_how_its_model_was_trained(tmp_path):
    trained(training(seed=2), tmp_path)
    folder = training(seed=2).folder(tmp_path)
    found = trained_in(folder)
    assert (found.recipe, found.seed, found.steps, found.before) == ("line", 2, 12, 5)
    assert found.digest == recipe_digest(training(seed=2).values())
    assert found.seconds >= 0
    assert pace_of(folder) is not None


@pytest.mark.usefixtures("lines")
def test_the_steps_of_a_stopped_run_are_those_in_its_weights(tmp_path):
    trained(training(), tmp_path)
    folder = training().folder(tmp_path)
    with (folder / "journal.jsonl").open("a") as journal:  # stopped after its last checkpoint
        journal.write(json.dumps({"step": 13, "seconds": 1.0}) + "\n")
    assert trained_in(folder).steps == 12


def test_any_other_folder_says_nothing_of_training(tmp_path):
    assert trained_in(tmp_path) is None
