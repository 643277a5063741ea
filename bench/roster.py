"""Model names, and how each model is built.

A name is a card's name, a path to a checkpoint, or an importable `module:attribute`. Families are
the modules that `models.FAMILIES` names and those behind the entry points `bench.models`; reading
their cards imports no torch, building a model does.
"""

import re
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from importlib.metadata import entry_points
from inspect import Parameter, isclass, isroutine, signature
from pathlib import Path
from types import ModuleType
from typing import Any, Protocol

from bench.errors import DataError, UnknownName, UsageError, WeightsMissing
from bench.weights import Released, cache_folder, stored


class Card(Protocol):
    """What is known about a model before it is built; `models.card.Card` is one."""

    @property
    def name(self) -> str:
        """As it is asked for."""
        ...

    @property
    def title(self) -> str:
        """What it is, in a few words."""
        ...

    @property
    def family(self) -> str:
        """Which models are built alike."""
        ...

    @property
    def answers(self) -> tuple[str, ...]:
        """The protocols of `bench.types` that it satisfies."""
        ...

    @property
    def like(self) -> str:
        """The dataset as whose images pictures of no dataset are shown to it; empty: none."""
        ...

    @property
    def licence(self) -> str:
        """Under which its weights may be used."""
        ...

    @property
    def weights(self) -> object:
        """Where its own weights are; `None` for a model that has none."""
        ...

    @property
    def protocol(self) -> str:
        """The protocol card it is meant to be scored under; empty: as the dataset says."""
        ...


@dataclass(frozen=True)
class ModelRef:
    """A model that can be built."""

    name: str
    """As it was asked for."""
    build: Callable[..., object]
    """`build(device=…)` loads its weights and returns it."""
    card: Card | None = None
    """`None` for a `module:attribute`."""


@dataclass(frozen=True)
class _Family:
    """A family's module, before it is imported."""

    name: str
    module: str
    claimant: str

    def load(self) -> ModuleType:
        return import_module(self.module)

    def cards(self) -> Mapping[str, Card]:
        cards: Mapping[str, Card] = self.load().CARDS
        return cards


def _families() -> Iterator[_Family]:
    shipped: Mapping[str, str] = import_module("models").FAMILIES
    for name, module in shipped.items():
        yield _Family(name, module, "bench itself")
    for point in entry_points(group="bench.models"):
        package = point.dist.name if point.dist else point.value
        yield _Family(point.name, point.value, f"the package {package}")


def models() -> dict[str, Card]:
    """The card of every model, by name; `UsageError` naming two families that claim one name."""
    found: dict[str, Card] = {}
    claimed: dict[str, _Family] = {}
    for family in _families():
        try:
            cards = family.cards()
        except Exception:  # whatever a stranger's module raises; `broken_families` has it
            continue
        for name, card in cards.items():
            if name in claimed:
                raise UsageError(
                    f"Two models are called '{name}': one of {claimed[name].claimant} "
                    f"({claimed[name].module}), one of {family.claimant} ({family.module})."
                )
            found[name], claimed[name] = card, family
    return dict(sorted(found.items()))


def broken_families() -> dict[str, str]:
    """The families that do not import, and the first error of each."""
    found = {}
    for family in _families():
        try:
            family.cards()
        except Exception as error:  # as above: the reason is what matters
            found[family.name] = f"{family.module}: {type(error).__name__}: {error}"
    return found


def model(name: str) -> ModelRef:
    """The model of a name: a card, a checkpoint's path, or `module:attribute`.

    Raises:
        UnknownName: nothing is called so; names near ones, and families that do not import.
        WeightsMissing: it is the path of a checkpoint that is not there.
        DataError: a checkpoint is damaged, or needs code of its own to be read.
        UsageError: no family knows the checkpoint, or `module:attribute` cannot be imported.
    """
    known = models()
    if name in known:
        return _carded(name, known[name])
    path = Path(name)
    if path.is_file() or path.is_dir():
        return _checkpoint(path)
    if re.fullmatch(r"[\w.]+:[\w.]+", name):
        return _imported(name)
    if path.suffix in (".pt", ".pth", ".safetensors", ".bin", ".ckpt"):
        raise WeightsMissing(f"There is no checkpoint at {name}.")
    hint = " ".join(f"Family '{f}' is broken: {why}." for f, why in broken_families().items())
    raise UnknownName("model", name, known, hint=hint)


def _carded(name: str, card: Card) -> ModelRef:
    def build(**settings: Any) -> object:
        fetched = stored(name) if isinstance(getattr(card, "weights", None), Released) else None
        if fetched is not None and not settings.keys() & {"weights", "seed"}:
            settings["weights"] = fetched
        return _built(name, family_of(name).build, card, settings)

    return ModelRef(name, build, card)


def family_of(name: str) -> ModuleType:
    """The module of the family that has a card of this name; see `models.card`."""
    return next(f for f in _families() if name in _cards_or_none(f)).load()


def _built(name: str, make: Callable[..., object], card: Card, settings: dict[str, Any]) -> object:
    """A model with the settings asked for, and a cache folder where its family keeps one."""
    known = signature(make).parameters
    if any(parameter.kind is Parameter.VAR_KEYWORD for parameter in known.values()):
        return make(card, **settings)
    _refuse_unknown(name, settings, known)
    if "cache" in known:
        settings = {"cache": cache_folder() / "texts", **settings}
    return make(card, **settings)


_REFUSED = {
    "seed": "has no weights to draw at random: leave out --weights random",
    "weights": "has no weights to load: leave out --weights",
    "precision": "runs in float32 only, not in {}",
    "compile": "cannot be compiled: leave out --compile",
}


def _refuse_unknown(name: str, settings: Mapping[str, Any], known: Mapping[str, Parameter]) -> None:
    """Say which setting a model does not have, rather than drop it."""
    for setting in settings.keys() - known.keys():
        why = _REFUSED.get(setting, f"has no setting '{setting}'").format(settings[setting])
        raise UsageError(f"Model '{name}' {why}.")


def _cards_or_none(family: _Family) -> Mapping[str, Card]:
    try:
        return family.cards()
    except Exception:  # as in `models`: another family has this name
        return {}


def checkpoint_family(path: Path) -> tuple[ModuleType, Card]:
    """The module of the family that can read a checkpoint, and its card of it.

    Raises:
        UsageError: no family knows it.
        DataError: it is damaged.
    """
    asked, refusals = [], []
    for family in _families():
        module = family.load()
        if not hasattr(module, "card_of"):
            continue
        asked.append(family.name)
        try:
            card = module.card_of(path)
        except DataError as refusal:  # another family may read it
            refusals.append(refusal)
            continue
        if card is not None:
            return module, card
    if refusals:
        raise refusals[0]
    families = ", ".join(asked) or "none reads checkpoints"
    raise UsageError(f"{path} is not a checkpoint of a known family ({families}).")


def _checkpoint(path: Path) -> ModelRef:
    module, card = checkpoint_family(path)

    def build(**settings: Any) -> object:
        if settings.keys() & {"weights", "seed"}:
            raise UsageError(f"{path} is a checkpoint and has weights: leave out --weights.")
        return _built(str(path), module.build, card, {"weights": path, **settings})

    return ModelRef(str(path), build, card)


@contextmanager
def importing_from_here() -> Iterator[None]:
    """Modules in the working directory can be imported, as by `python -m`."""
    sys.path.insert(0, "")
    try:
        yield
    finally:
        sys.path.remove("")


def _imported(name: str) -> ModelRef:
    module, _, attribute = name.partition(":")
    try:
        with importing_from_here():
            found = import_module(module)
        for part in attribute.split("."):
            found = getattr(found, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise UsageError(f"The model '{name}' cannot be imported: {error}.") from error
    made: Any = found

    def build(**settings: Any) -> object:
        _refuse_unknown(name, settings, {"device": Parameter("device", Parameter.KEYWORD_ONLY)})
        # A model may be callable itself (a torch module is): only classes and functions make one.
        if not isclass(made) and not isroutine(made):
            return made
        try:
            signature(made).bind()
        except TypeError as error:
            raise UsageError(
                f"The model '{name}' is made by calling it without arguments: {error}."
            ) from None
        except ValueError:  # built in, and does not tell what it takes
            pass
        return made()

    return ModelRef(name, build)
