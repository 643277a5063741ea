"""Where numbers come from: the rules and the record of every run on a page."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pydantic import JsonValue

from bench.command import command
from bench.record import Record


@dataclass(frozen=True)
class Rules:
    """A protocol card as it was resolved for a dataset."""

    anchor: str
    name: str
    digest: str
    fields: tuple[tuple[str, str], ...]
    runs: tuple[str, ...]
    """The names of the runs that were scored under it."""


@dataclass(frozen=True)
class RunCard:
    """All that is known of a run."""

    anchor: str
    name: str
    record: Record
    command: str
    """What runs it again."""
    rules: str | None
    """The anchor of its protocol card."""

    @property
    def seconds(self) -> float:
        """The time it took, summed over images."""
        made = self.record.provenance
        return sum(made.seconds.model_dump().values()) if made else 0.0


def run_cards(
    records: Sequence[Record], names: Mapping[str, str]
) -> tuple[tuple[RunCard, ...], tuple[Rules, ...]]:
    """A card for every run, and each protocol card once."""
    rules: dict[str, list[Record]] = {}
    for record in records:
        if record.protocol.digest:
            rules.setdefault(record.protocol.digest, []).append(record)
    anchors = {digest: f"rules-{index}" for index, digest in enumerate(rules, 1)}
    runs = tuple(
        RunCard(
            f"run-{index}",
            names[record.key],
            record,
            command(record),
            anchors.get(record.protocol.digest or ""),
        )
        for index, record in enumerate(records, 1)
    )
    cards = tuple(
        Rules(
            anchors[digest],
            of[0].protocol.name,
            digest,
            tuple(flat(of[0].protocol.definition or {})),
            tuple(f"{names[record.key]} on {record.dataset.name}" for record in of),
        )
        for digest, of in rules.items()
    )
    return runs, cards


def flat(content: Mapping[str, JsonValue], before: str = "") -> Iterator[tuple[str, str]]:
    """The fields of a card with their values in words, nested ones as `part.field`.

    >>> list(flat({"resize": {"short": 512, "long": None}, "background": "none"}))
    [('resize.short', '512'), ('resize.long', '–'), ('background', 'none')]
    """
    for name, value in content.items():
        if isinstance(value, dict):
            yield from flat(value, f"{before}{name}.")
        else:
            yield f"{before}{name}", _said(value)


def _said(value: JsonValue) -> str:
    if value is None or value == []:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return ", ".join(map(_said, value))
    return str(value)
