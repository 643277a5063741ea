"""Changing a recipe from the command line: `--set optimiser.rate=3e-4`.

All settings are first laid out as one tree, and each part of the recipe is then made anew once: so
their order does not matter, and values that only fit together can be given together.
"""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from typing import TYPE_CHECKING, Any, TypeVar, get_args, get_type_hints

from pydantic import ConfigDict, TypeAdapter, ValidationError
from pydantic.errors import PydanticSchemaGenerationError

from bench.errors import UnknownName, UsageError
from bench.recipe.recipe import Recipe

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

D = TypeVar("D", bound="DataclassInstance")


def changed(recipe: D, settings: Mapping[str, str]) -> D:
    """A recipe with some of its fields changed, as `--set` names them.

    A dot reaches into what is nested, a number into a row: `optimiser.rate=3e-4`,
    `parts.0.batch=16`, `before.steps=100`. Rows are JSON: `optimiser.betas=[0.9,0.98]`. A JSON
    object changes the keys that it names and leaves the others: `optimiser={"rate":3e-4}`. Where
    there are several kinds of a part, keys that only another kind has make it that kind:
    `schedule={"warm_up":100}`. The order of settings does not matter; the longer key wins.

    Steps take the place of epochs and the other way round. What is trained before keeps its share
    of the length where `steps` is set, and has the same model where `model` is, unless a key that
    begins with `before` says otherwise.

    Raises:
        UnknownName: there is no such field.
        UsageError: the value is not of the field's type, or does not fit the others.

    >>> from bench.recipe import Optimiser
    >>> changed(Optimiser(), {"rate": "3e-4"}).rate
    0.0003
    """
    wanted = _Wanted()
    for key in sorted(settings, key=lambda key: key.count(".")):
        _note(wanted, key.split("."), f"--set {key}={settings[key]}", settings[key])
    found: D = _with(recipe, wanted)
    return found


@dataclass
class _Wanted:
    """What settings say of one value of a recipe."""

    asked: str = ""
    """The setting that says what the value is; empty: they only reach inside."""
    value: Any = None
    """A word as it was written, or what JSON says."""
    inside: "dict[str, _Wanted]" = field(default_factory=dict)

    def all_asked(self) -> Iterator[str]:
        """Every setting that has a say here."""
        if self.asked:
            yield self.asked
        for inner in self.inside.values():
            yield from inner.all_asked()


def _note(wanted: _Wanted, path: list[str], asked: str, value: str) -> None:
    for name in path:
        wanted = wanted.inside.setdefault(name, _Wanted())
    if not value.startswith(("[", "{")):
        return _say(wanted, asked, value)
    try:
        _say(wanted, asked, json.loads(value))
    except json.JSONDecodeError as error:
        raise UsageError(f"{asked}: this is not JSON: {error}.") from None


def _say(wanted: _Wanted, asked: str, value: Any) -> None:
    wanted.asked, wanted.value = asked, value
    if isinstance(value, dict):
        for name, inner in value.items():
            _say(wanted.inside.setdefault(name, _Wanted()), asked, inner)


def _with(of: Any, wanted: _Wanted, hint: Any = Any) -> Any:
    """A value of a recipe, changed as wanted."""
    if is_dataclass(of) and not isinstance(of, type):
        return _part(of, wanted, hint)
    if wanted.asked and not (of is None and hint is Any):
        return _parsed(type(of) if hint is Any else hint, wanted)
    if isinstance(of, tuple):
        return _row(of, wanted)
    raise _no_setting(of, wanted)


def _row(of: tuple[Any, ...], wanted: _Wanted) -> tuple[Any, ...]:
    values = list(of)
    for name, inner in wanted.inside.items():
        index = int(name) if name.isdecimal() else len(values)
        if index >= len(values) or not is_dataclass(values[index]):
            raise _no_setting(of, wanted)
        values[index] = _with(values[index], inner)
    return tuple(values)


def _no_setting(of: Any, wanted: _Wanted) -> UsageError:
    if wanted.asked:
        return UsageError(f"{wanted.asked}: this recipe has none, and its kind is not known.")
    name, inner = next(iter(wanted.inside.items()))
    return UsageError(f"{next(inner.all_asked())}: there is no setting '{name}' in {str(of)[:60]}.")


def _part(of: Any, wanted: _Wanted, hint: Any) -> Any:
    """A dataclass with its fields changed."""
    if wanted.asked:
        of = _of_kind(of, wanted, hint)
    known = [f.name for f in fields(of)]
    for name in wanted.inside:
        if name not in known:
            raise UnknownName(f"setting of {type(of).__name__}", name, known)
    hints = get_type_hints(type(of))
    before = wanted.inside.get("before") if isinstance(of, Recipe) else None
    changes = {
        name: _with(getattr(of, name), inner, hints[name])
        for name, inner in wanted.inside.items()
        if inner is not before
    }
    try:
        if isinstance(of, Recipe):
            changes |= _following(of, wanted, changes)
        return replace(of, **changes)
    except ValueError as error:
        said = [inner.asked for inner in wanted.inside.values() if inner.asked]
        asked = " ".join(dict.fromkeys(said or wanted.all_asked()))
        raise UsageError(f"{asked}: {error}.") from None


def _of_kind(of: Any, wanted: _Wanted, hint: Any) -> Any:
    """The part itself, or a new one of the kind that has the keys of a JSON object."""
    known = [f.name for f in fields(of)]
    if not isinstance(wanted.value, dict):
        raise UsageError(
            f"{wanted.asked}: {type(of).__name__} cannot be set in a word; set what is inside"
            f"{': ' if known else ', which is nothing'}{', '.join(known)}."
        )
    if wanted.value.keys() <= set(known):
        return of
    for kind in get_args(hint):
        if is_dataclass(kind) and wanted.value.keys() <= {f.name for f in fields(kind)}:
            return _parsed(kind, wanted)
    return of


def _parsed(hint: Any, wanted: _Wanted) -> Any:
    value = wanted.value
    try:
        if isinstance(value, str):
            word: TypeAdapter[Any] = TypeAdapter(hint)
            return word.validate_strings(value)
        # In a row of one, as pydantic forbids unknown keys only of what is inside something else.
        row: TypeAdapter[Any] = TypeAdapter(tuple[hint], config=ConfigDict(extra="forbid"))
        return row.validate_json(json.dumps([value]))[0]
    except ValidationError as error:
        first = error.errors()[0]
        where = "".join(f"{at}: " for at in first["loc"] if isinstance(at, str))
        said = first["msg"].removeprefix("Value error, ")
        raise UsageError(f"{wanted.asked}: {where}{said}.") from None
    except PydanticSchemaGenerationError:
        raise UsageError(
            f"{wanted.asked}: this cannot be set in a word; set what is inside."
        ) from None


def _following(of: Recipe, wanted: _Wanted, changes: Mapping[str, Any]) -> dict[str, Any]:
    """What else changes with the settings of a recipe."""
    if "steps" in changes and "epochs" in changes:
        both = " ".join(wanted.inside[name].asked for name in ("steps", "epochs"))
        raise UsageError(f"{both}: a recipe has steps or epochs; set one of them.")
    following: dict[str, Any] = {}
    if "epochs" in changes:
        following["steps"] = 0
    if "steps" in changes:
        following["epochs"] = 0.0
    before, inner = of.before, wanted.inside.get("before", _Wanted())
    if before is not None:
        if "steps" in changes and of.steps:
            before = _scaled(before, changes["steps"] / of.steps)
        if "model" in changes:
            shared = _Wanted(inside={"model": wanted.inside["model"]})
            inner = _over(inner, shared)
    if inner.asked or inner.inside:
        before = _with(before, inner, get_type_hints(Recipe)["before"])
    return {**following, "before": before}


def _over(wanted: _Wanted, other: _Wanted) -> _Wanted:
    """Both settings; where they speak of the same, the first."""
    inside = dict(other.inside)
    for name, inner in wanted.inside.items():
        inside[name] = _over(inner, inside[name]) if name in inside else inner
    first = wanted if wanted.asked else other
    return _Wanted(first.asked, first.value, inside)


def _scaled(recipe: Recipe, by: float) -> Recipe:
    """A recipe so many times as long, and what is trained before it."""
    before = recipe.before and _scaled(recipe.before, by)
    if recipe.steps:
        return replace(recipe, steps=max(1, round(by * recipe.steps)), before=before)
    return replace(recipe, epochs=by * recipe.epochs, before=before)
