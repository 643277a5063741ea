"""Names, and what they stand for: specs and protocol cards, found when they are used.

Shipped specs lie in the package `dataset_specs`, a user's own in folders laid out the same
(`search`), other packages' in packages laid out the same behind the entry points `bench.datasets`.
Two claims on one name are an error that names both. Listing reads no spec and imports no model;
models are in `bench.roster`.
"""

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from functools import lru_cache
from importlib.metadata import EntryPoint, EntryPoints, entry_points
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any, Generic, TypeVar

from pydantic import ValidationError

from bench.blame import blame
from bench.document import Document, merged, read_document
from bench.errors import DataMissing, UnknownName, UsageError
from bench.protocol import Protocol, Strict, Templates
from bench.roster import ModelRef, broken_families, model, models
from bench.spec import DatasetSpec, SuiteSpec, VocabularySpec

S = TypeVar("S", bound=Strict)


@dataclass(frozen=True)
class Kind(Generic[S]):
    """A kind of spec: what it is called, which folder it lies in and what it must hold."""

    noun: str
    folder: str
    model: type[S]
    whole: frozenset[str] = frozenset()
    """Keys whose value an including spec replaces and does not merge."""


DATASET = Kind("dataset", "datasets", DatasetSpec)
SUITE = Kind("suite", "suites", SuiteSpec)
VOCABULARY = Kind("vocabulary", "vocabularies", VocabularySpec)
PROTOCOL = Kind("protocol", "protocols", Protocol, whole=frozenset({"resize"}))
TEMPLATES = Kind("list of templates", "templates", Templates)
KINDS: tuple[Kind[Any], ...] = (DATASET, SUITE, VOCABULARY, PROTOCOL, TEMPLATES)

Search = Sequence[Path]
"""Folders of a user's own specs, each laid out as the package `dataset_specs`."""


# --- what there is -------------------------------------------------------------------------------


def datasets(search: Search = ()) -> Mapping[str, Traversable]:
    """The file of every dataset's spec, by name."""
    return claims(DATASET, search)


def suites(search: Search = ()) -> Mapping[str, Traversable]:
    """The file of every suite's spec, by name."""
    return claims(SUITE, search)


def vocabularies(search: Search = ()) -> Mapping[str, Traversable]:
    """The file of every vocabulary, by name."""
    return claims(VOCABULARY, search)


def protocols(search: Search = ()) -> Mapping[str, Traversable]:
    """The file of every protocol card, by name."""
    return claims(PROTOCOL, search)


def templates(search: Search = ()) -> Mapping[str, Traversable]:
    """The file of every list of sentence templates, by name."""
    return claims(TEMPLATES, search)


def claims(kind: Kind[Any], search: Search = ()) -> Mapping[str, Traversable]:
    """The file of every spec of a kind, by name; `UsageError` naming two that claim one name."""
    found: dict[str, Traversable] = {}
    for folder in _folders(kind, search):
        for file in sorted(folder.iterdir(), key=lambda file: file.name):
            name, _, suffix = file.name.rpartition(".")
            if suffix not in ("yaml", "yml") or not name:
                continue
            if name in found and str(found[name]) != str(file):
                raise UsageError(
                    f"Two {kind.noun} specs are called '{name}': {found[name]} and {file}. "
                    "Rename one."
                )
            found[name] = file
    return dict(sorted(found.items()))


def _folders(kind: Kind[Any], search: Search) -> Iterator[Traversable]:
    shipped: list[Traversable] = [files("dataset_specs")]
    for own in search:
        if not any((own / each.folder).is_dir() for each in KINDS):
            names = ", ".join(each.folder for each in KINDS)
            raise UsageError(f"The folder of specs {own} has none of the folders {names}.")
    for root in (*shipped, *plugged_in().values(), *search):
        folder = root.joinpath(kind.folder)
        if folder.is_dir():
            yield folder


def plugged_in() -> dict[str, Traversable]:
    """The specs of other packages, by entry point; those that do not import are `broken`."""
    found = {}
    for point in _points(entry_points, tuple(sys.path)):
        try:
            found[point.name] = files(point.value)
        except Exception:  # whatever a stranger's package raises; `broken` has it
            continue
    return found


def broken() -> dict[str, str]:
    """The plug-ins that do not import, and the first error of each."""
    return {
        **{
            point.name: reason
            for point in _points(entry_points, tuple(sys.path))
            if (reason := _fault(point))
        },
        **broken_families(),
    }


@lru_cache(maxsize=1)
def _points(find: Callable[..., EntryPoints], path: tuple[str, ...]) -> tuple[EntryPoint, ...]:
    """The entry points of specs, looked for once: it takes longer than reading a spec."""
    return tuple(find(group="bench.datasets"))


def _fault(point: EntryPoint) -> str | None:
    try:
        files(point.value)
    except Exception as error:  # as above: the reason is what matters
        return f"{point.value}: {type(error).__name__}: {error}"
    return None


# --- what a name stands for ----------------------------------------------------------------------


def dataset(name: str, search: Search = ()) -> DatasetSpec:
    """A dataset by name, by the path of a spec, or by a folder in a layout that is recognised.

    A folder whose name a known dataset or a protocol card's rules speak for is called `./NAME`, or
    its images would be taken for theirs.
    """
    if name not in claims(DATASET, search) and Path(name).is_dir():
        from bench.data.folder import sniff

        found = sniff(Path(name))
        if found.name in datasets(search) or _ruled(found.name, search):
            return found.model_copy(update={"name": f"./{found.name}"})
        return found
    return spec(DATASET, name, search)


def _ruled(name: str, search: Search) -> bool:
    """Whether a protocol card has rules of its own for datasets of such a name."""
    cards = (protocol(card, search) for card in protocols(search))
    return any(fnmatchcase(name, rule) for card in cards for rule in card.datasets)


def suite(name: str, search: Search = ()) -> SuiteSpec:
    """A suite by name, or by the path of a spec."""
    return spec(SUITE, name, search)


def vocabulary(name: str, search: Search = ()) -> VocabularySpec:
    """A vocabulary by name, or by the path of a spec."""
    return spec(VOCABULARY, name, search)


def protocol(name: str, search: Search = ()) -> Protocol:
    """A protocol card by name, or by the path of a card."""
    return spec(PROTOCOL, name, search)


def sentences(name: str, search: Search = ()) -> tuple[str, ...]:
    """The sentences of a list of templates."""
    return spec(TEMPLATES, name, search).sentences


def spec(kind: Kind[S], name: str, search: Search = ()) -> S:
    """A spec by name, or by the path of its file."""
    return read_spec(kind, _file(kind, name, search), search)


def read_spec(kind: Kind[S], file: Traversable, search: Search = ()) -> S:
    """A spec from its file, with what it includes.

    Raises:
        UsageError: what is wrong with it, on which line, and what was probably meant.
    """
    document = _included(kind, file, search, ())
    stem = file.name.rpartition(".")[0]
    stated = document.content.setdefault("name", stem)
    if stated != stem:
        raise UsageError(
            f"{document.place(('name',))}: the spec calls itself '{stated}', but its file says "
            f"'{stem}': leave 'name' out, or rename one."
        )
    try:
        return kind.model.model_validate(document.content)
    except ValidationError as error:
        raise blame(error, kind.model, document) from None


def _included(kind: Kind[Any], file: Traversable, search: Search, via: tuple[str, ...]) -> Document:
    """The document of a file over that of the spec it includes."""
    try:
        text = file.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise UsageError(f"{file} cannot be read: {error}.") from error
    own = read_document(text, str(file))
    if "include" not in own.content:
        return own
    place = own.place(("include",))
    base = own.content.pop("include")
    if not isinstance(base, str):
        raise UsageError(f"{place}: 'include' names one other {kind.noun} spec.")
    if str(file) in via:
        raise UsageError(f"{place}: specs include each other: {' → '.join((*via, str(file)))}.")
    try:
        beneath = _file(kind, base, search)
    except UnknownName as error:
        raise UsageError(f"{place}: {error}") from None
    under = _included(kind, beneath, search, (*via, str(file)))
    under.content.pop("name", None)
    return merged(under, own, kind.whole)


def _file(kind: Kind[Any], name: str, search: Search) -> Traversable:
    known = claims(kind, search)
    if name in known:
        return known[name]
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    if path.suffix in (".yaml", ".yml") or "/" in name:
        raise DataMissing(f"There is no {kind.noun} spec or folder at {name}.")
    hint = " ".join(f"Plug-in '{p}' is broken: {reason}." for p, reason in broken().items())
    raise UnknownName(kind.noun, name, known, hint=hint)


__all__ = [
    "KINDS",
    "Kind",
    "ModelRef",
    "broken",
    "claims",
    "dataset",
    "datasets",
    "model",
    "models",
    "protocol",
    "protocols",
    "read_spec",
    "sentences",
    "spec",
    "suite",
    "suites",
    "templates",
    "vocabularies",
    "vocabulary",
]
