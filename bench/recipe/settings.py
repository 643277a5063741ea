"""Changing a recipe from the command line: `--set optimiser.rate=3e-4`."""

from collections.abc import Mapping
from dataclasses import fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, get_type_hints

from pydantic import TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from bench.errors import UnknownName, UsageError
from bench.recipe.recipe import Recipe

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")


def changed(recipe: D, settings: Mapping[str, str]) -> D:
    """A recipe with some of its fields changed, as `--set` names them.

    A dot reaches into what is nested, a number into a row: `optimiser.rate=3e-4`,
    `parts.0.batch=16`, `before.steps=100`. Rows are JSON: `optimiser.betas=[0.9,0.98]`.

    Steps take the place of epochs and the other way round; with `steps` alone, a recipe that is
    trained before keeps its share of the length.

    Raises:
        UnknownName: there is no such field.
        UsageError: the value is not of the field's type.

    >>> from bench.recipe import Optimiser
    >>> changed(Optimiser(), {"rate": "3e-4"}).rate
    0.0003
    """
    for key, value in settings.items():
        recipe = _changed(recipe, key.split("."), f"--set {key}={value}", value)
    return recipe


def _changed(of: Any, path: list[str], asked: str, value: str) -> Any:
    name, rest = path[0], path[1:]
    if isinstance(of, tuple) and rest and name.isdigit() and int(name) < len(of):
        index = int(name)
        return (*of[:index], _changed(of[index], rest, asked, value), *of[index + 1 :])
    if not is_dataclass(of) or isinstance(of, type):
        raise UsageError(f"{asked}: there is no setting '{name}' in {str(of)[:60]}.")
    known = {f.name for f in fields(of)}
    if name not in known:
        raise UnknownName(f"setting of {type(of).__name__}", name, known)
    if rest:
        return replace(of, **{name: _changed(getattr(of, name), rest, asked, value)})
    changes = {name: _parsed(get_type_hints(type(of))[name], asked, value)}
    if isinstance(of, Recipe):
        changes |= _following(of, name, changes[name])
    try:
        return replace(of, **changes)
    except ValueError as error:
        raise UsageError(f"{asked}: {error}.") from None


def _parsed(hint: Any, asked: str, value: str) -> Any:
    try:
        adapter: TypeAdapter[Any] = TypeAdapter(hint)
        if value.startswith(("[", "{")):
            return adapter.validate_json(value)
        return adapter.validate_strings(value)
    except ValidationError as error:
        raise UsageError(f"{asked}: {error.errors()[0]['msg']}.") from None
    except PydanticSchemaGenerationError:
        raise UsageError(f"{asked}: this cannot be set in a word; set what is inside.") from None


def _following(recipe: Recipe, name: str, value: Any) -> dict[str, Any]:
    """What else changes with a setting of a recipe."""
    if name == "epochs":
        return {"steps": 0}
    if name != "steps":
        return {}
    if recipe.before is None or not recipe.steps:
        return {"epochs": 0.0}
    return {"epochs": 0.0, "before": _scaled(recipe.before, value / recipe.steps)}


def _scaled(recipe: Recipe, by: float) -> Recipe:
    """A recipe so many times as long, and what is trained before it."""
    before = recipe.before and _scaled(recipe.before, by)
    return replace(recipe, steps=max(1, round(by * recipe.steps)), before=before)
