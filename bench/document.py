"""YAML as data: strict, and remembering on which line each value stands.

The rules are YAML 1.2's where they differ: `no`, `on` and `12:30` are text, because class names and
prompts are text. A key that stands twice is an error. Any wrong value can be blamed on its line.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from bench.errors import UsageError

Key = tuple[str | int, ...]
"""Where a value is in a document: keys and positions from the top."""

_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+\.[0-9]*)([eE][-+]?[0-9]+)?|[-+]?[0-9]+[eE][-+]?[0-9]+")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True)
class Place:
    """A line of a file."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}"


@dataclass(frozen=True)
class Document:
    """A mapping read from YAML, and the place of each value in it."""

    content: dict[str, Any]
    places: Mapping[Key, Place]

    def place(self, key: Key) -> Place:
        """Where a value stands; for one that is not there, what it would be in."""
        while key not in self.places:
            key = key[:-1]
        return self.places[key]


def read_document(text: str, file: str) -> Document:
    """Read YAML whose top is a mapping.

    >>> read_document("names: [no, 'on', 12:30]", "x.yaml").content
    {'names': ['no', 'on', '12:30']}
    """
    try:
        node = yaml.compose(text, Loader=_LOADER)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        place = Place(file, mark.line + 1 if mark else 1)
        raise UsageError(f"{place}: this is not YAML: {error.problem}.") from None
    except yaml.YAMLError as error:
        raise UsageError(f"{file}: this is not YAML: {str(error).splitlines()[0]}.") from None
    places: dict[Key, Place] = {(): Place(file, 1)}
    if node is None:
        return Document({}, places)
    if not isinstance(node, yaml.MappingNode):
        raise UsageError(f"{file}:1: a spec is a list of keys with their values, 'title: …'.")
    content: dict[str, Any] = _value(node, (), file, places)
    return Document(content, places)


def merged(base: Document, change: Document, whole: frozenset[str] = frozenset()) -> Document:
    """`base` with `change` over it: mappings key by key, anything else replaced; null removes.

    A mapping that names another `reader`, or whose key is in `whole`, is replaced as one: options
    of one reader (or one resize rule) mean nothing to another.
    """
    places = dict(base.places)

    def merge(old: dict[Any, Any], new: dict[Any, Any], at: Key) -> dict[Any, Any]:
        result = dict(old)
        for key, value in new.items():
            inner, former = (*at, key), result.get(key)
            if value is None:
                result.pop(key, None)
                _forget(places, inner)
            elif isinstance(former, dict) and _goes_into(value, former) and key not in whole:
                result[key] = merge(former, value, inner)
            else:
                _forget(places, inner)
                result[key] = value
                places.update({k: p for k, p in change.places.items() if k[: len(inner)] == inner})
        places[at] = change.places[at]
        return result

    return Document(merge(base.content, change.content, ()), places)


def _goes_into(value: Any, former: dict[Any, Any]) -> bool:
    if not isinstance(value, dict):
        return False
    return "reader" not in value or value["reader"] == former.get("reader")


def _forget(places: dict[Key, Place], at: Key) -> None:
    for key in [key for key in places if key[: len(at)] == at]:
        del places[key]


def _value(node: Any, at: Key, file: str, places: dict[Key, Place]) -> Any:
    places.setdefault(at, Place(file, node.start_mark.line + 1))
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode):
        return [_value(item, (*at, i), file, places) for i, item in enumerate(node.value)]
    result: dict[Any, Any] = {}
    for key_node, value_node in node.value:
        place = Place(file, key_node.start_mark.line + 1)
        if not isinstance(key_node, yaml.ScalarNode):
            raise UsageError(f"{place}: a key must be a word or a whole number.")
        plain = _scalar(key_node)
        key = plain if type(plain) is int else str(key_node.value)
        if key in result:
            first = places[(*at, key)].line
            raise UsageError(f"{place}: the key '{key}' stands here and on line {first}.")
        places[(*at, key)] = place
        result[key] = _value(value_node, (*at, key), file, places)
    return result


def _scalar(node: Any) -> str | int | float | bool | None:
    text: str = node.value
    if node.style in ("'", '"', "|", ">"):  # quoted, or a block of text
        return text
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _FLOAT.fullmatch(text) else text
