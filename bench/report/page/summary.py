"""What a page says first: how much was measured, who leads, and what a reader must know."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.record import Record
from bench.report.page.board import Board, Cell, Column


@dataclass(frozen=True, slots=True)
class Lead:
    """The best system of one column of the leaderboard."""

    column: Column
    name: str
    cell: Cell
    systems: int
    """How many systems have that score."""
    near: int
    """How many others are inside its interval."""


@dataclass(frozen=True, slots=True)
class Caution:
    """Something a reader of the numbers must know."""

    text: str
    runs: tuple[str, ...]
    """The names of the runs it is about."""


@dataclass(frozen=True)
class Summary:
    """The first section."""

    facts: tuple[tuple[str, str], ...]
    """Numbers with what they count."""
    leads: tuple[Lead, ...]
    cautions: tuple[Caution, ...]


def summary_of(records: Sequence[Record], board: Board, names: Mapping[str, str]) -> Summary:
    """The summary of measured runs; `names` are the runs' labels by key."""
    return Summary(_facts(records), _leads(board), _cautions(records, names))


def _facts(records: Sequence[Record]) -> tuple[tuple[str, str], ...]:
    models = len({(r.model.name, r.model.weights_digest) for r in records})
    datasets = len({(r.dataset.name, r.dataset.split) for r in records})
    images = sum(r.images.scored for r in records if r.images)
    return (
        _counted(len(records), "run"),
        _counted(models, "model"),
        _counted(datasets, "dataset"),
        _counted(images, "image scored", "images scored"),
    )


def _counted(count: int, one: str, many: str = "") -> tuple[str, str]:
    return f"{count:,}", one if count == 1 else many or f"{one}s"


def _leads(board: Board) -> tuple[Lead, ...]:
    leads = []
    for index, column in enumerate(board.columns):
        cells = [(s.cells[index], s) for s in board.systems]
        known = [(cell, s) for cell, s in cells if not math.isnan(cell.number.value)]
        if not known:
            continue
        best, system = max(known, key=lambda pair: pair[0].number.value)
        near = sum(cell.near for cell, _ in known)
        leads.append(Lead(column, system.label, best, len(known), near))
    return tuple(leads)


def _cautions(records: Sequence[Record], names: Mapping[str, str]) -> tuple[Caution, ...]:
    """Each said once, with all the runs it is about."""
    about: dict[str, list[str]] = {}
    for record in records:
        for text in _remarks(record):
            about.setdefault(text, []).append(f"{names[record.key]} on {record.dataset.name}")
    return tuple(Caution(text, tuple(runs)) for text, runs in about.items())


def _remarks(record: Record) -> list[str]:
    found = [_sentence(text) for text in (*record.model.notes, *record.notes)]
    if record.images and record.images.limit is not None:
        found.append("Partial: not all images were asked for, so it is on no leaderboard.")
    if record.images and record.images.failed:
        first, failed = record.images.failures[0], record.images.failed
        found.append(
            f"Partial: {failed} of {record.images.asked} images could not be scored; "
            f"the first is {first.id}: {_sentence(first.reason)}"
        )
    found += [f"Not scored on {task}: {_sentence(why)}" for task, why in record.unanswered.items()]
    if record.provenance and any(session.dirty for session in record.provenance.sessions):
        found.append("Made from a checkout with uncommitted changes.")
    return found


def _sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    text = text.strip()
    return (text[:1].upper() + text[1:]).rstrip(".") + "." if text else text
