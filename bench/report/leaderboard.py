"""A leaderboard as a table: who, under which rules, what they score, and which is best."""

import math
from collections.abc import Sequence
from typing import Any

import pandas as pd

from bench.report.frame import MEASURED, SYSTEM, Leaderboard
from bench.report.table import Number, Row, Table


def leaderboard_table(board: Leaderboard, *, title: str = "") -> Table:
    """A leaderboard as a table: who, under which rules, then the scores, the best one marked.

    What is the same in every row is said once under the table; a protocol is always said.
    """
    systems = board.values.index.to_frame(index=False)
    said, notes = _who(systems)
    columns: list[Any] = board.values.columns.to_list()
    best = board.values.max().where(board.values.notna().sum() > 1)
    rows = []
    for place, system in enumerate(systems.to_dict("records")):
        numbers = tuple(_cell(board, place, c, best.iloc[c]) for c in range(len(columns)))
        who = tuple(str(system[name]) for name in said)
        rows.append(Row((*who, *numbers), reported=system["source"] != MEASURED))
    labels, shared = _labels(columns)
    return Table((*said, *labels), tuple(rows), title, (*shared, *notes, *board.notes))


def _cell(board: Leaderboard, row: int, column: int, best: float) -> Number:
    def at(frame: pd.DataFrame) -> float:
        return float(frame.to_numpy()[row, column])

    low, high, spread = at(board.low), at(board.high), at(board.spread)
    return Number(
        at(board.values),
        bounds=None if math.isnan(low) else (low, high),
        spread=None if math.isnan(spread) else spread,
        best=at(board.values) == best,
    )


def _who(systems: pd.DataFrame) -> tuple[list[str], list[str]]:
    """The columns that tell the systems apart, and sentences for what they share."""
    said, notes = ["model"], []
    for column in SYSTEM[1:]:
        values = systems[column].unique()
        if len(values) > 1:
            said.append(column)
        elif not len(values):
            continue  # a table of nothing
        elif column == "protocol":
            notes.append(f"Protocol: {values[0]}.")
        elif column == "shots" and values[0] != "0":
            notes.append(f"Shots: {values[0]}.")
        elif column == "strategy" and values[0]:
            notes.append(f"Tuned: {values[0]}.")
        elif column == "source" and values[0] != MEASURED:
            notes.append(f"Reported: {values[0]}.")
    if "weights" in said and systems.groupby("model")["weights"].nunique().max() == 1:
        said.remove("weights")  # each name has one set of weights: the name is enough
    if "precision" in said and set(systems["precision"]) <= {"", "float32"}:
        said.remove("precision")  # published numbers do not say
    return said, notes


def _labels(columns: Sequence[tuple[str, str, str]]) -> tuple[list[str], list[str]]:
    """What to call each column, no longer than tells them apart, and a note on what they share."""
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
