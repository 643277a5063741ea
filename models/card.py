"""What is known about a model before it is built: its card.

A family is a module with `CARDS` (name to card) and

    build(card, *, weights=None, device="cpu") -> object

which returns a model that satisfies one or more protocols of `bench.types`. `weights` is a
checkpoint to use in place of the card's own. Cards are read to list models, so a family's module
imports torch inside `build` only. A family that can tell its own checkpoint files offers
`card_of(path)` too, a card or `None`.
"""

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class HubFile:
    """Weights in a repository of the Hugging Face hub."""

    repository: str
    file: str
    revision: str = "main"
    sha256: str = ""


@dataclass(frozen=True)
class ShippedFile:
    """Weights that are installed with a package."""

    package: str
    file: str


@dataclass(frozen=True)
class LocalFile:
    """Weights in a file that the user names."""

    path: Path


@dataclass(frozen=True)
class Reported:
    """A number that somebody published about this model."""

    dataset: str
    score: str
    value: float
    """As a fraction where the score is one."""
    source: str


@dataclass(frozen=True)
class Card:
    """A model: what it is called, what it rests on and what it can answer."""

    name: str
    title: str
    family: str
    answers: tuple[str, ...]
    """The protocols of `bench.types` that it satisfies, by name: `Proposer`, `Captioner`, …"""
    weights: HubFile | ShippedFile | LocalFile | None = None
    """`None` for a model that needs none."""
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    protocol: str = ""
    """The protocol card it is meant to be scored under; empty: as the dataset says."""
    reported: tuple[Reported, ...] = ()
    about: str = ""
