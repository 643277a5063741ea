"""A leaderboard as a table: who, under which rules, what they score, and which is best."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import pandas as pd

from bench.report.frame import (
    FULL,
    MEASURED,
    SUITE,
    SYSTEM,
    Column,
    Leaderboard,
    columns_of,
    number_at,
)
from bench.report.standing import Draw, Place, Standings, standings
from bench.report.table import BEST, REPORTED, SIGNS, Cell, Level, Number, Row, Table


def leaderboard_table(
    board: Leaderboard,
    *,
    title: str = "",
    labels: Mapping[Column, str] | None = None,
    draw: Draw | None = None,
    ranks: bool = False,
) -> Table:
    """A leaderboard as a table: who, under which rules, then the scores, the best one marked.

    What is the same in every row is said once under the table; a protocol is always said.

    Args:
        board: what `bench.report.frame.leaderboard` gives.
        title: what stands above.
        labels: what columns are called; the others are called after dataset, task and score.
        draw: the draws behind a score, where they are known; without it intervals are compared.
        ranks: whether a column says how sure each rank is, where draws are known.
    """
    systems = board.values.index.to_frame(index=False)
    apart = _fully_supervised(systems)
    classes = [None if n in apart else shots for n, shots in enumerate(systems["shots"])]
    found = standings(board, draw or (lambda *_: None), classes=classes)
    said, notes = _who(systems)
    columns = columns_of(found.board.values.columns)
    ranked = ranks and any(found.ranks)
    rows = []
    for place, system in enumerate(systems.to_dict("records")):
        who: list[Cell] = [str(system[name]) for name in said]
        if ranked:
            who.append(found.ranks[place])
        numbers = [_cell(found, place, index) for index in range(len(columns))]
        rows.append(Row((*who, *numbers), reported=system["source"] != MEASURED))
    names, shared = _labels(columns, labels or {})
    heads = [_HEADS.get(name, name) for name in said]
    table = Table((*heads, *(["rank"] if ranked else []), *names), tuple(rows), title)
    remarks = [*_on_signs(table, several=len(set(classes) - {None}) > 1)]
    remarks += _on_apart(systems, apart)
    if ranked:
        remarks.append(_on_ranks(found, dict(zip(columns, names, strict=True))))
    return Table(table.columns, table.rows, title, (*shared, *notes, *remarks, *board.notes))


_HEADS = {"supervision": "trained with"}


def _cell(found: Standings, row: int, column: int) -> Number:
    def at(frame: pd.DataFrame) -> float:
        return number_at(frame, row, column)

    board = found.board
    low, high, spread = at(board.low), at(board.high), at(board.spread)
    place = found.places.get((row, column), Place())
    return Number(
        at(board.values),
        bounds=None if math.isnan(low) else (low, high),
        spread=None if math.isnan(spread) else spread,
        best=place.best,
        level=place.level,
    )


# --- who -----------------------------------------------------------------------------------------


def _who(systems: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The columns that tell the systems apart, and sentences for what they share."""
    said, notes = ["model"], []
    for column in SYSTEM[1:]:
        values = systems[column].unique()
        if len(values) > 1:
            said.append(column)
        elif not len(values):
            continue  # a table of nothing
        elif column in _SHARED and values[0] != _SHARED[column][0]:
            notes.append(_SHARED[column][1].format(values[0]))
    if "weights" in said and systems.groupby("model")["weights"].nunique().max() == 1:
        said.remove("weights")  # each name has one set of weights: the name is enough
    if "precision" in said and set(systems["precision"]) <= {"", "float32"}:
        said.remove("precision")  # published numbers do not say
    return said, notes


_SHARED = {
    "protocol": (None, "Protocol: {}."),
    "vocabulary": ("", "Vocabulary: {}."),
    "shots": ("0", "Shots: {}."),
    "strategy": ("", "Tuned: {}."),
    "answers": ("", "Rescored from the kept answers of other runs."),
    "supervision": ("", "Trained with: {}."),
    "source": (MEASURED, "Reported: {}."),
}
"""What is said where all systems share it, unless it goes without saying."""


def _fully_supervised(systems: pd.DataFrame) -> list[int]:
    """The rows that do not compete: trained on what they are scored on, where others were not."""
    full = [place for place, said in enumerate(systems["supervision"]) if FULL in said.split(", ")]
    return full if len(full) < len(systems) else []


# --- columns -------------------------------------------------------------------------------------


def _labels(columns: Sequence[Column], known: Mapping[Column, str]) -> tuple[list[str], list[str]]:
    """What to call each column, no longer than tells them apart, and a note on what they share."""
    if columns and all(column in known or column[0] == SUITE for column in columns):
        labels = [known.get(column, f"mean {column[2]}") for column in columns]
        if len(set(labels)) == len(labels):
            return labels, []
    datasets, names = dict.fromkeys(c[0] for c in columns), dict.fromkeys(c[2] for c in columns)
    twice = {
        (d, s) for d, t, s in columns if any((d, s) == (e, r) and t != u for e, u, r in columns)
    }
    labels = []
    for dataset, task, name in columns:
        score = f"{task} {name}" if (dataset, name) in twice else name
        if len(datasets) == 1:
            labels.append(score)
        elif len(names) == 1:
            labels.append(dataset)
        else:
            labels.append(f"{dataset} {score}")
    if len(datasets) == 1:
        return labels, [f"Dataset: {next(iter(datasets))}."]
    return labels, [f"Score: {next(iter(names))}."] if len(names) == 1 else []


# --- what signs mean -----------------------------------------------------------------------------


def _on_signs(table: Table, *, several: bool) -> list[str]:
    """What the signs in a table mean, each where it occurs, and what is compared how.

    `several` numbers of shots are on it.
    """
    numbers = [cell for row in table.rows for cell in row.cells if isinstance(cell, Number)]
    levels = {number.level for number in numbers}
    notes = []
    if any(row.reported for row in table.rows):
        notes.append(f"{REPORTED} published elsewhere, not measured here.")
    if any(number.best for number in numbers):
        among = " among those with as many shots" if several else ""
        notes.append(f"{BEST} the best of its column{among}.")
    if Level.PAIRED in levels:
        notes.append(
            f"{SIGNS[Level.PAIRED]} cannot be told from the best: the 95% interval of their "
            "difference on the same images holds zero (paired bootstrap)."
        )
    if Level.OVERLAP in levels:
        notes.append(
            f"{SIGNS[Level.OVERLAP]} perhaps level with the best: their 95% intervals overlap; "
            "the images of both are not known here."
        )
    bare = [n for n in numbers if n.bounds is None and not math.isnan(n.value)]
    if any(number.best for number in numbers) and bare:
        notes.append("Numbers without an interval are compared by their value alone.")
    return notes


def _on_apart(systems: pd.DataFrame, apart: Sequence[int]) -> list[str]:
    if not apart:
        return []
    models = ", ".join(dict.fromkeys(systems["model"].iloc[list(apart)]))
    return [f"Not marked, because trained on the datasets they are scored on ({FULL}): {models}."]


def _on_ranks(found: Standings, labels: Mapping[Any, str]) -> str:
    assert found.board.sorted_by is not None
    count = next(rank.of for rank in found.ranks if rank is not None)
    return (
        f"rank: by {labels[found.board.sorted_by]}, among the {count} systems whose images are "
        "known here and the same; in brackets 95% of the ranks when the images are drawn anew."
    )
