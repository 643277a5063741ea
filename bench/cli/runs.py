"""Runs as a person names them: by the beginning of a key, or by the model."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.errors import UnknownName, UsageError

if TYPE_CHECKING:
    from bench.record import Record
    from bench.store import Store


def one_run(name: str, store: "Store", dataset: str | None = None) -> "Record":
    """The finished run that a name means; of several the one whose raw answers were kept.

    Raises:
        UnknownName: none.
        UsageError: several.
    """
    found = runs_named(name, store, dataset)
    found = [record for record in found if store.raw(record.key).exists()] or found
    if len(found) > 1:
        raise UsageError(f"'{name}' means {len(found)} runs; give a key: {listed(found)}.")
    return found[0]


def runs_named(name: str, store: "Store", dataset: str | None = None) -> "list[Record]":
    """The finished runs whose key begins with a name, or whose model has it; oldest first."""
    records = store.records()
    if not records:
        raise UsageError(f"There is no run in {store.folder}. `bench run` makes them.")
    of_dataset = [r for r in records if dataset in (None, r.dataset.name)]
    found = [r for r in of_dataset if r.model.name == name]
    found = found or [r for r in of_dataset if name and r.key.startswith(name)]
    if not found:
        known = {*(r.key for r in of_dataset), *(r.model.name for r in of_dataset)}
        where = f"It was looked for in {store.folder}" + (f", on {dataset}." if dataset else ".")
        raise UnknownName("run", name, known, hint=where)
    return found


def listed(records: "Sequence[Record]") -> str:
    """Several runs in a line, each with what tells it from the others."""
    return ", ".join(f"{record.key[:8]} ({_said(record)})" for record in records)


def _said(record: "Record") -> str:
    said = [f"{record.model.name} on {record.dataset.name}", record.dataset.split or ""]
    said.append(f"protocol {record.protocol.name}")
    if tuning := record.tuning:
        said.append(f"{tuning.shots}-shot {tuning.strategy}")
        said.append(f"draw {tuning.draw_seed}, seed {tuning.train_seed}")
    if record.images and record.images.limit is not None:
        said.append(f"first {record.images.limit} images")
    return ", ".join(part for part in said if part)
