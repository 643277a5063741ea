"""Checkpoints: all that a run needs to go on, in one file that is whole or not there.

What is random in a step depends on the recipe's seed, the step and the process alone, and so does
which data enter it: a step number is the whole state of sampler and random numbers.
"""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
from torch import nn

from bench.durable import whole
from bench.errors import DataError, UsageError
from bench.recipe import Recipe
from bench.train.loop import State, trained_model
from bench.trained import DONE, RECIPE_FILE, switched_on

CHECKPOINT_FILE = "checkpoint.pt"


def save(folder: Path, recipe: Recipe, learner: nn.Module, state: State) -> None:
    """Put the checkpoint, and the model as it would be used, into a folder.

    The checkpoint comes last: where it says that a step was done, all else of that step is there.
    """
    content = {
        "step": state.step,
        "learner": learner.state_dict(),
        "optimiser": state.optimiser.state_dict(),
        "scaler": state.scaler.state_dict(),
        "average": state.average,
    }
    save_model(folder, trained_model(learner), state)
    write_text(folder / RECIPE_FILE, _described(recipe, **{DONE: state.step}))
    with whole(folder / CHECKPOINT_FILE, "--out") as path, path.open("wb") as file:
        torch.save(content, file)  # given the path, it does not say why it cannot write


def load(folder: Path, recipe: Recipe, learner: nn.Module, state: State) -> bool:
    """Go on from the checkpoint of a folder; false where there is none.

    Raises:
        UsageError: the folder holds a run of another recipe.
        DataError: the checkpoint cannot be read.
    """
    path = folder / CHECKPOINT_FILE
    if not path.exists():
        return False
    _check_same(folder, recipe)
    device = next(learner.parameters()).device
    try:
        content: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
        learner.load_state_dict(content["learner"])
        state.optimiser.load_state_dict(content["optimiser"])
        state.scaler.load_state_dict(content["scaler"])
    except Exception as error:  # torch and pickle raise whatever they like
        raise DataError(f"{path} is not a checkpoint of this recipe: {error}") from error
    state.average, state.step = content["average"], content["step"]
    return True


def save_model(folder: Path, model: Any, state: State) -> None:
    """Put the model into a folder, with the running mean of its weights where there is one."""
    with _averaged(model, state), TemporaryDirectory(dir=folder, prefix=".model-") as parts:
        model.save_pretrained(parts)
        for part in sorted(Path(parts).iterdir()):
            part.chmod(0o644)  # the library that writes weights lets nobody else read
            os.replace(part, folder / part.name)


def write_text(path: Path, text: str) -> None:
    """Write a whole file at once."""
    with whole(path, "--out") as unfinished:
        unfinished.write_text(text, encoding="utf-8")


@contextmanager
def _averaged(model: nn.Module, state: State) -> Iterator[None]:
    """The model with its running mean in place of its weights, for a moment."""
    own = {name: p.data for name, p in model.named_parameters()}
    for name, parameter in model.named_parameters():
        parameter.data = state.average.get(name, own[name])
    try:
        yield
    finally:
        for name, parameter in model.named_parameters():
            parameter.data = own[name]


def _described(recipe: Recipe, **more: int) -> str:
    content = {**asdict(recipe), "before": None}  # what was trained before has a folder of its own
    content |= more
    return json.dumps(content, indent=2, ensure_ascii=False, default=str) + "\n"


def _check_same(folder: Path, recipe: Recipe) -> None:
    """The folder's run is of this very recipe, or what differs is said."""
    path = folder / RECIPE_FILE
    try:
        was = switched_on(dict(json.loads(path.read_text(encoding="utf-8"))))
    except (OSError, ValueError, TypeError) as error:
        raise DataError(
            f"{path} cannot be read ({error}), so nobody knows which recipe the run in its folder "
            "is of. Give another --out."
        ) from error
    keys = json.loads(_described(recipe))
    now = switched_on(keys)
    differing = [key for key in keys if was.get(key) != now.get(key)]
    if differing:
        raise UsageError(
            f"{folder} holds a run of '{was.get('name')}' with other settings ("
            f"{', '.join(differing)}). Give the same settings to continue it, or another --out."
        )
