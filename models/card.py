"""What is known about a model before it is built: its card.

A family is a module with `CARDS` (name to card) and

    build(card, *, weights=None, device="cpu") -> object

which returns a model that satisfies one or more protocols of `bench.types`. `weights` is a
checkpoint to use in place of the card's own. Cards are read to list models, so a family's module
imports torch inside `build` only. What else a `build` accepts by these names, it is given:

    seed       draw random weights from it; the model's `notes` must say so
    precision  the network's number format
    compile    whether to compile the network
    cache      a folder for what can be computed again

A family that can tell its own checkpoints, files or folders, offers `card_of(path)` too, a card or
`None`; one whose released checkpoints can be fetched offers `store(card, checkpoint, target)`,
which writes the weights of a released file to `target`, in the form it loads best.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class HubFile:
    """Weights in a repository of the Hugging Face hub."""

    repository: str
    file: str
    revision: str = "main"
    sha256: str = ""


@dataclass(frozen=True)
class HubRepository:
    """A repository of the Hugging Face hub that transformers loads whole, from the hub's cache."""

    repository: str
    revision: str = "main"

    def __str__(self) -> str:
        """Where it is looked for."""
        return f"hub cache: {self.repository}"


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
    weights: HubFile | HubRepository | ShippedFile | LocalFile | None = None
    """`None` for a model that needs none."""
    licence: str = ""
    trained_on: tuple[str, ...] = ()
    protocol: str = ""
    """The protocol card it is meant to be scored under; empty: as the dataset says."""
    like: str = ""
    """The dataset as whose images pictures of no dataset are shown to it, and whose classes it is
    asked about where nobody names any; empty: none."""
    reported: tuple[Reported, ...] = ()
    about: str = ""
    parts: Mapping[str, HubRepository] = field(default_factory=dict)
    """The networks of a system that consists of several, by what each is for."""
