"""Recipes by name, found in the modules of families that can be trained."""

from collections.abc import Iterator
from importlib import import_module
from importlib.metadata import entry_points
from typing import cast

from bench.errors import UnknownName, UsageError
from bench.recipe import Family, Recipe


def recipes() -> dict[str, tuple[Recipe, Family]]:
    """Every recipe, with the family whose it is; `UsageError` where two have one name."""
    found: dict[str, tuple[Recipe, Family]] = {}
    for module in _modules():
        family = cast(Family, import_module(module))
        for name, recipe in family.RECIPES.items():
            if name in found:
                raise UsageError(f"Two recipes are called '{name}', one of them in {module}.")
            found[name] = recipe, family
    return dict(sorted(found.items()))


def find(name: str) -> tuple[Recipe, Family]:
    """The recipe of that name, and its family."""
    known = recipes()
    if name not in known:
        raise UnknownName("recipe", name, known)
    return known[name]


def _modules() -> Iterator[str]:
    yield from import_module("models").RECIPES.values()
    yield from (point.value for point in entry_points(group="bench.recipes"))
