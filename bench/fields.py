"""The fields of protocol cards: what two cards differ in, and cards that differ in one field."""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import yaml
from pydantic import ValidationError

from bench.errors import UnknownName, UsageError
from bench.protocol import Protocol

Value = Any
"""What a card holds in a field, as JSON has it."""

WHOLE = frozenset({"resize"})
"""Rules whose parts make no sense apart, so each counts as one field."""
SHOWN = ("resize", "freed_row")
"""Fields that decide what the network sees of an image, or does inside."""
PHRASES = {
    "referring.expressions": "referring",
    "referring.lower_case": "referring",
    "captions.search": "caption",
    "captions.beams": "caption",
    "captions.length_exponent": "caption",
    "captions.steps": "caption",
}
"""Fields that decide what it is told, or how it answers, in one task, and nothing in the others."""


def fields(card: Protocol) -> dict[str, Value]:
    """Every field of a card that can change a number, in the order of the card, nested ones dotted.

    >>> fields(Protocol(name="x"))["panoptic.overlap_threshold"]
    0.8
    """
    found: dict[str, Value] = {}
    for name, value in card.definition().items():
        if isinstance(value, dict) and name not in WHOLE:
            found |= {f"{name}.{part}": content for part, content in value.items()}
        else:
            found[name] = value
    return found


def asking(card: Protocol, tasks: Collection[str]) -> dict[str, Value]:
    """The fields that decide what a network is shown and told, besides its vocabulary.

    >>> list(asking(Protocol(name="x"), ["semantic"]))
    ['resize', 'freed_row']
    """
    return {
        name: value
        for name, value in fields(card).items()
        if name in SHOWN or PHRASES.get(name) in tasks
    }


def differing(one: Protocol, other: Protocol) -> list[str]:
    """The fields in which two cards differ, in the order of the card."""
    theirs = fields(other)
    return [name for name, value in fields(one).items() if value != theirs[name]]


def altered(card: Protocol, changes: Mapping[str, Value], name: str | None = None) -> Protocol:
    """`card` with other values in some fields.

    Raises:
        UnknownName: there is no such field.
        UsageError: it cannot hold that value.
    """
    content: dict[str, Any] = card.definition()
    known = fields(card)
    for field, value in changes.items():
        if field not in known:
            raise UnknownName("field of a protocol card", field, known)
        rule, _, part = field.partition(".")
        if part:
            content[rule] = {**content[rule], part: value}
        else:
            content[rule] = value
    try:
        return Protocol.model_validate({"name": name or card.name, **content})
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise UsageError(f"The card cannot have that: {where}: {first['msg']}.") from None


def stated(words: Sequence[str]) -> dict[str, Value]:
    """Changes as a person writes them.

    >>> stated(["panoptic.object_mask_threshold=0.4", "resize={short: 512}"])
    {'panoptic.object_mask_threshold': 0.4, 'resize': {'short': 512}}

    Raises:
        UsageError: one is no `field=value`.
    """
    found: dict[str, Value] = {}
    for word in words:
        field, sign, value = word.partition("=")
        try:
            found[field.strip()] = yaml.safe_load(value)
        except yaml.YAMLError:
            sign = ""
        if not sign:
            raise UsageError(
                f"--set takes field=value, as in panoptic.object_mask_threshold=0.4; not '{word}'."
            )
    return found
