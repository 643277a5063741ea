"""Trained models that differ in one thing: a recipe, its changes, a budget and a seed.

All variants of a seed begin on the same weights: what is trained before has nothing of what they
differ in, so it is trained once a seed and kept under the hash of its recipe.
"""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from bench.errors import UsageError
from bench.execute import Advanced, Started
from bench.plan import Job
from bench.recipe import Family, Recipe
from bench.record import Kept
from bench.train import families
from bench.trained import BEFORE, recipe_digest

LOCK = ".lock"


class Budget(Kept):
    """How long models are trained to be compared."""

    steps: int | None = None
    """Of each recipe; `None`: as many as it says."""
    before: int | None = None
    """Of the recipe that is trained first; `None`: as many as it says, 0: it is left out."""


class Training(Kept):
    """One model: a recipe at a budget, from a seed."""

    recipe: str
    """Its name, as `nano-no-retrieval`."""
    base: str
    """The recipe that it is a change of."""
    budget: Budget
    seed: int

    @property
    def title(self) -> str:
        """What it is called while it is trained."""
        return f"{self.recipe} (seed {self.seed})"

    def resolved(self) -> tuple[Recipe, Family]:
        """The recipe with its budget and seed, and the family that can train it."""
        recipe, family = families.find(self.recipe)
        base, _ = families.find(self.base)
        mine, shared = recipe.before, base.before
        if mine is not None and shared is not None and replace(mine, model=shared.model) == shared:
            recipe = replace(recipe, before=shared)
        return at_budget(recipe, self.budget, self.seed), family

    def is_of(self, recipe: Recipe) -> bool:
        """Whether it ends with this recipe."""
        return (self.recipe, self.seed) == (recipe.name, recipe.seed)

    def values(self) -> dict[str, Any]:
        """The recipe with its budget and seed, as a run's folder has it."""
        return _plain(self.resolved()[0])

    def folder(self, root: Path) -> Path:
        """Where its run lives: under a name that no other values have."""
        return place_of(self.resolved()[0], root)


def at_budget(recipe: Recipe, budget: Budget, seed: int) -> Recipe:
    """A recipe for another number of steps and another seed.

    Rates follow the steps by themselves; the running mean of weights keeps its share of the run.
    """
    before = recipe.before
    if before is not None:
        shorter = Budget(steps=budget.before)
        before = None if budget.before == 0 else at_budget(before, shorter, seed)
    recipe = replace(recipe, seed=seed, before=before)
    if budget.steps is None or budget.steps == recipe.steps:
        return recipe
    average = recipe.average
    if average and recipe.steps:
        average = max(0.0, 1 - (1 - average) * recipe.steps / budget.steps)
    return replace(recipe, steps=budget.steps, epochs=0.0, average=average)


def place_of(recipe: Recipe, root: Path) -> Path:
    """The folder of a recipe's run under `root`, by its name and the hash of its values.

    What it begins on counts too: another recipe before makes another folder.
    """
    content = _plain(recipe)
    if recipe.before is not None:
        content["begins on"] = recipe_digest(_plain(recipe.before))
    return root / f"{recipe.name}-{recipe_digest(content)}"


def _plain(recipe: Recipe) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(json.dumps(asdict(recipe), default=str))
    return content


def learn(
    training: Training, root: Path, *, data: Path, device: str = "cpu"
) -> Iterator[Started | Advanced]:
    """Train a model, or what is left of it; nothing happens where it is done.

    Several processes may be asked for models that begin on the same one: the first trains it, the
    others wait.

    Raises:
        BenchError: data are missing, or a loss was not finite.
    """
    recipe, family = training.resolved()
    start = None
    if recipe.before is not None:
        start = place_of(recipe.before, root)
        yield from _learnt(recipe.before, family, start, None, data, device)
    folder = place_of(recipe, root)
    yield from _learnt(recipe, family, folder, start, data, device)


def _learnt(
    recipe: Recipe, family: Family, folder: Path, start: Path | None, data: Path, device: str
) -> Iterator[Started | Advanced]:
    from bench.train.run import Run, run

    # The title is the same for all that wait for this one: it is trained once.
    job = Job(model=f"{recipe.name} (seed {recipe.seed})", dataset=recipe.parts[0].data.title)
    with _held(folder):
        if start is not None:
            _link(folder / BEFORE, start)
        begun = recipe if start is None else replace(recipe, before=None)
        for now in run(
            begun, family, Run(folder, data=data, start=start, device=device, seconds_between=60)
        ):
            if now.step is None:
                yield Started(job, now.recipe.steps, now.done)
            else:
                yield Advanced(job, str(now.done), None)


def _link(link: Path, target: Path) -> None:
    """Show in a run's folder on what it began."""
    relative = os.path.relpath(target, link.parent)
    if not link.is_symlink():
        link.symlink_to(relative)
    elif os.readlink(link) != relative:
        raise UsageError(f"{link} leads to another run than {target}: delete {link.parent}.")


@contextmanager
def _held(folder: Path) -> Iterator[None]:
    """Work on a folder alone, after whoever does; the kernel lets go for who is killed."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
