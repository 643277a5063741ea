"""What is wrong with a spec, in one sentence: file, line, key, what was found, what is near.

Pydantic finds what is wrong; here its findings get the line they stand on and the name that was
probably meant.
"""

import re
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from bench.data.source import READERS, reader
from bench.document import Document, Key
from bench.errors import UsageError, nearest

_TELLING = ("extra_forbidden", "value_error", "enum", "missing")
"""Kinds of findings, the most telling first: a misspelled key is also a missing one."""


def blame(error: ValidationError, model: type[BaseModel], document: Document) -> UsageError:
    """The error for a document that is not what `model` wants."""
    detail = min(error.errors(), key=_rank)
    key, owners = _located(detail["loc"], model, document.content)
    place = document.place(key)
    others = error.error_count() - 1
    more = f" ({others} more to find.)" if others and detail["type"] != "missing" else ""
    return UsageError(f"{place}: {_sentence(detail, key, owners)}{more}")


def _rank(detail: ErrorDetails) -> tuple[int, int]:
    kind = detail["type"]
    telling = _TELLING.index(kind) if kind in _TELLING else 1
    return telling, -len(
        detail["loc"]
    )  # of a union's findings, the deepest is the one that is meant


def _sentence(detail: ErrorDetails, key: Key, owners: list[Any]) -> str:
    found, name = detail["input"], _dotted(key)
    match detail["type"]:
        case "extra_forbidden":
            known = {field for owner in owners for field in _fields(owner)}
            inside = f" in '{_dotted(key[:-1])}'" if key[:-1] else ""
            return f"unknown key '{key[-1]}'{inside}.{_advice(str(key[-1]), known)}"
        case "missing":
            inside = f"'{_dotted(key)}'" if key else "the spec"
            return f"{inside} needs the key '{detail['loc'][-1]}'."
        case "enum" | "literal_error":
            allowed = re.findall(r"'([^']*)'", str(detail.get("ctx", {}).get("expected", "")))
            return f"'{name}' cannot be {found!r}.{_advice(str(found), set(allowed))}"
        case "value_error":
            reason = str(detail.get("ctx", {}).get("error", detail["msg"])).rstrip(".")
            return f"'{name}': {reason}." if key else f"{reason}."
        case "string_type" if isinstance(found, bool | int | float):
            return f"'{name}' must be text, and {_yaml(found)} is not: put it in quotes."
        case _:
            wanted = detail["msg"].replace("Input should be ", "must be ")
            return f"'{name}' {wanted[0].lower() + wanted[1:]}, found {found!r}."


def _yaml(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def _advice(name: str, known: set[str]) -> str:
    near = nearest(name, known)
    if near:
        return f" Did you mean {' or '.join(repr(n) for n in near)}?"
    return f" Known: {', '.join(sorted(known))}." if known else ""


def _dotted(key: Key) -> str:
    return ".".join(map(str, key))


def _located(loc: tuple[Any, ...], model: Any, content: Any) -> tuple[Key, list[Any]]:
    """A location of Pydantic's as a key of the document, and what could stand there.

    Pydantic puts the names of a union's members and its own markers between the keys; what the
    document does not have is one of those, unless it is the last.
    """
    key: list[str | int] = []
    owners = [model]
    for i, part in enumerate(loc):
        inside = _item(content, part)
        if inside is None and not (i == len(loc) - 1 and isinstance(content, dict)):
            owners = [o for o in owners if getattr(o, "__name__", "") == part] or owners
            continue
        if inside is None:
            break
        content = inside[0]
        key.append(part)
        if i < len(loc) - 1:
            owners = [o for owner in owners for o in _inside(owner, part, content)]
    return tuple(key), owners


def _item(content: Any, part: Any) -> tuple[Any] | None:
    if isinstance(content, dict) and part in content:
        return (content[part],)
    if isinstance(content, list) and isinstance(part, int) and part < len(content):
        return (content[part],)
    return None


def _fields(owner: Any) -> dict[str, Any]:
    return (
        dict(owner.model_fields) if isinstance(owner, type) and issubclass(owner, BaseModel) else {}
    )


def _inside(owner: Any, part: str | int, content: Any) -> list[Any]:
    """The types that may stand under `part` of a value of type `owner`."""
    fields = _fields(owner)
    arguments = [a for a in get_args(owner) if a is not ...]
    inner = fields[str(part)].annotation if part in fields else arguments[-1] if arguments else None
    return [_with_options(each, content) for each in _members(inner)]


def _members(annotation: Any) -> list[Any]:
    if get_origin(annotation) in (Union, UnionType):
        return list(get_args(annotation))
    return [annotation]


def _with_options(owner: Any, content: Any) -> Any:
    """In place of «a reader and its options», the options of the reader that the document names."""
    name = content.get("reader") if isinstance(content, dict) else None
    if "options" in _fields(owner) and name in READERS:
        return reader(str(name)).options
    return owner
