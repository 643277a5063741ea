"""What a page says first: how much was measured, who leads, and what a reader must know."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bench.record import Record
from bench.report.page.board import Board, Cell, Column

NAMED = 3
"""A caution names so many runs; more are counted."""


@dataclass(frozen=True, slots=True)
class Lead:
    """The best system of one column of the leaderboard."""

    column: Column
    name: str
    cell: Cell
    systems: int
    """How many systems have that score."""
    level: int
    """How many others cannot be told from it."""


@dataclass(frozen=True, slots=True)
class Caution:
    """Something a reader of the numbers must know."""

    text: str
    about: str
    """Which runs it is about."""


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
        level = sum(cell.number.level is not None for cell, _ in known)
        leads.append(Lead(column, system.label, best, len(known), level))
    return tuple(leads)


def _cautions(records: Sequence[Record], names: Mapping[str, str]) -> tuple[Caution, ...]:
    """Each said once, with all the runs it is about."""
    about: dict[str, list[Record]] = {}
    for record in records:
        for text in _remarks(record):
            about.setdefault(text, []).append(record)
    return tuple(Caution(text, _about(runs, len(records), names)) for text, runs in about.items())


def _about(runs: Sequence[Record], of: int, names: Mapping[str, str]) -> str:
    """Some runs in a few words: by name, or by what they share."""
    if len(runs) == of > 1:
        return "all runs"
    if len(runs) <= NAMED:
        return "; ".join(f"{names[run.key]} on {run.dataset.name}" for run in runs)
    models = {run.model.name for run in runs}
    datasets = {run.dataset.name for run in runs}
    by = f" of {models.pop()}" if len(models) == 1 else ""
    on = f" on {datasets.pop()}" if len(datasets) == 1 else ""
    return f"{len(runs)} runs{by}{on}"


def _remarks(record: Record) -> list[str]:
    found = [sentence(text) for text in record.model.notes]
    if record.images and record.images.limit is not None:
        found.append("Partial: not all images were asked for, so it is on no leaderboard.")
    if record.images and record.images.failed:
        first, failed = record.images.failures[0], record.images.failed
        found.append(
            f"Partial: {failed} of {record.images.asked} images could not be scored; "
            f"the first is {first.id}: {sentence(first.reason)}"
        )
    found += [f"Not scored on {task}: {sentence(why)}" for task, why in record.unanswered.items()]
    if record.provenance and any(session.dirty for session in record.provenance.sessions):
        found.append("Made from a checkout with uncommitted changes.")
    return found


def sentence(text: str) -> str:
    """The text with a capital and a full stop."""
    text = text.strip()
    return (text[:1].upper() + text[1:]).rstrip(".") + "." if text else text
