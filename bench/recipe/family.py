"""What a family of models offers so that it can be trained."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from bench.recipe.recipe import Recipe

if TYPE_CHECKING:
    from torch import Generator, Tensor, nn


class Learner(Protocol):
    """A model with its losses; also a `torch.nn.Module` whose parameters are the model's."""

    @property
    def model(self) -> "nn.Module":
        """What is trained, and saved by its `save_pretrained(folder)`."""
        ...

    def __call__(
        self, batches: Sequence[Any], draw: "Generator"
    ) -> "tuple[Tensor, Mapping[str, Tensor]]":
        """What is minimised for a step's batches, and by name the parts that are worth logging."""
        ...


class Family(Protocol):
    """The module of a family's recipes."""

    RECIPES: Mapping[str, Recipe]

    def learner(
        self, recipe: Recipe, device: str, start: Path | None, answers: tuple[str, ...]
    ) -> Learner:
        """A learner with fresh weights, or with those of a checkpoint.

        `answers` are the candidates where the data are questions, else none.
        """
        ...
