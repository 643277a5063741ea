"""What a person asks of the records that are known: which, in which columns, sorted and grouped."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path

import pandas as pd

from bench import catalog, tasks
from bench.errors import UnknownName, UsageError
from bench.record import Record
from bench.report.columns import Shown, as_asked, shown, stated_columns
from bench.report.frame import COLUMN, SUITE, SYSTEM, Column, Interval, leaderboard, scores
from bench.report.leaderboard import leaderboard_table
from bench.report.selection import Selection
from bench.report.table import Table
from bench.shelf import Shelf


class Grouping(StrEnum):
    """By what one table becomes several."""

    TASK = "task"
    DOMAIN = "domain"


@dataclass(frozen=True)
class Query:
    """A table as it is asked for."""

    targets: tuple[str, ...] = ()
    """Suites and datasets, in column order; empty: all that somebody ran."""
    selection: Selection = field(default_factory=Selection)
    """Which rows."""
    split: str | None = None
    """The split of every dataset; `None`: the one its spec or the suite names."""
    scores: tuple[str, ...] = ()
    """The scores to show; empty: those that specs state, else each task's headline."""
    sort: str | None = None
    """What rows are sorted by: a score, a dataset, a column's name, or `mean`."""
    by: Grouping | None = None
    """By what it is parted."""
    intervals: bool = True
    """Whether intervals and draws are computed where images are known."""
    ranks: bool = True
    """Whether a column says how sure each rank is."""
    search: tuple[Path, ...] = ()
    """Folders of a user's own specs."""


@dataclass(frozen=True)
class Answer:
    """The tables, and what they were made of."""

    tables: tuple[tuple[str, Table], ...]
    """With the group that each is about; one, of no group, where nothing is parted."""
    runs: tuple[Record, ...]
    """The records on them, partial ones too."""


def answer(query: Query, shelf: Shelf) -> Answer:
    """The tables that a query means.

    Raises:
        UsageError: there is no such record.
        UnknownName: a word of the query means nothing that there is.
    """
    about = _about(query, shelf)
    means = about.means - set(about.datasets)
    records = {r.key: r for r in shelf.records if r.dataset.name in {*about.datasets, *means}}
    long = scores(records.values())
    long = query.selection.of(long)
    if query.split is not None:
        long = long[long["split"] == query.split]
    if not len(long):
        of = f" of {', '.join(query.targets)}" if query.targets else ""
        folders = " or ".join(str(store.folder) for store in shelf.stores) or "nowhere"
        raise UsageError(
            f"There is no such record{of} in {folders}. `bench run` makes them; a suite or dataset "
            "by name shows what others published."
        )
    chosen = {key: records[key] for key in dict.fromkeys(long["run"])}
    long = _with_bounds(as_asked(long, about, query.search), chosen, query, shelf)
    for name in query.scores:
        if name not in set(long["score"]):
            raise UnknownName("score", name, set(long["score"]))
    made = tuple(
        (group, _table(group, part, replace(about, mean_of=mean_of), query, shelf))
        for group, part, mean_of in _groups(long, about, query)
    )
    return Answer(made, tuple(chosen.values()))


def _about(query: Query, shelf: Shelf) -> Shown:
    """The datasets that a query is about: those that somebody ran where it names none."""
    there = dict.fromkeys(record.dataset.name for record in shelf.records)
    known = {*catalog.suites(query.search), *catalog.datasets(query.search), *there}
    for target in query.targets:
        if target not in known:
            raise UnknownName("suite or dataset", target, known)
    about = shown(query.targets, query.search)
    if not query.targets:
        ran = [record.dataset.name for record in shelf.records if not record.reported]
        about = shown(tuple(dict.fromkeys(ran)), query.search)
    if query.split is None:
        return about
    split = {"split": query.split}
    return replace(about, members=tuple(m.model_copy(update=split) for m in about.members))


def _with_bounds(
    long: pd.DataFrame, records: dict[str, Record], query: Query, shelf: Shelf
) -> pd.DataFrame:
    """The same with intervals, computed only of what is on the table, and stands there alone.

    What is a mean over seeds has a spread in their place.
    """
    if not query.intervals:
        return long
    whole = long[~long["partial"].astype(bool)]
    alone = ~whole.duplicated([*SYSTEM, "split", *COLUMN], keep=False)
    known: dict[tuple[str, str, str], Interval] = {}
    for key in dict.fromkeys(whole.loc[alone, "run"]):
        record = records[key]
        for (task, name), found in shelf.intervals(record).items():
            known[key, task, name] = (found.low, found.high)
    rows = zip(long["run"], long["task"], long["score"], strict=True)
    stated = zip(long["low"], long["high"], strict=True)
    bounds = [known.get(row, ends) for row, ends in zip(rows, stated, strict=True)]
    return long.assign(low=[low for low, _ in bounds], high=[high for _, high in bounds])


# --- groups --------------------------------------------------------------------------------------


def _groups(
    long: pd.DataFrame, about: Shown, query: Query
) -> Iterator[tuple[str, pd.DataFrame, tuple[str, ...]]]:
    """Each group with its rows, and the scores that have a mean in it."""
    if query.by is None:
        yield "", long, about.mean_of
        return
    if query.by is Grouping.TASK:
        groups = long["task"]
    else:
        names = long["dataset"].str.partition("/")[0]
        groups = names.map({name: _domain(name, query.search) for name in names.unique()})
    for group in dict.fromkeys(groups):
        rows = long[groups == group]
        several = rows["dataset"].nunique() > 1
        yield group, rows, about.mean_of if several else ()


def _domain(dataset: str, search: Sequence[Path]) -> str:
    known = dataset in catalog.datasets(search)
    return (known and catalog.dataset(dataset, search).domain) or "other"


# --- one table -----------------------------------------------------------------------------------


def _table(group: str, long: pd.DataFrame, about: Shown, query: Query, shelf: Shelf) -> Table:
    datasets = _ordered(long, about, grouped=query.by is not None)
    labels = {} if query.scores else stated_columns(long, datasets, query.search)
    if query.by is Grouping.TASK:
        labels = {column: label for column, label in labels.items() if column[1] == group}
    board = leaderboard(
        long,
        datasets=datasets,
        names=query.scores,
        columns=tuple(labels),
        mean_of=[name for name in about.mean_of if not query.scores or name in query.scores],
        means=() if query.by else about.means,
        sort_by=_sorting(query, long, labels),
    )
    return leaderboard_table(
        board,
        title=_title(group, query),
        labels=labels,
        draw=shelf.drawn if query.intervals else None,
        ranks=query.ranks,
    )


def _ordered(long: pd.DataFrame, about: Shown, *, grouped: bool) -> list[str]:
    """The datasets of a table in order, other splits behind the usual one."""
    there = [str(name) for name in long["dataset"].unique()]
    found = []
    for dataset in about.datasets:
        found += [dataset] if dataset in there or not grouped else []
        found += [name for name in there if name.startswith(f"{dataset}/")]
    return found


def _title(group: str, query: Query) -> str:
    if query.by is Grouping.TASK:
        return tasks.task(group).title
    return group


def _sorting(query: Query, long: pd.DataFrame, labels: dict[Column, str]) -> str | Column | None:
    """The column of the table, or the score, that the query's word means.

    Raises:
        UnknownName: none.
    """
    word = query.sort
    if word is None or word == SUITE:
        return None
    wanted = long["score"].isin(query.scores) if query.scores else long["headline"].astype(bool)
    found = long[wanted][COLUMN].drop_duplicates().to_numpy().tolist()
    shown: list[Column] = [*labels] or [tuple(column) for column in found]
    known: dict[str, str | Column] = {}
    for column in reversed(shown):
        known[column[0]] = column
        known[f"{column[0]} {column[2]}"] = column
        known[column[2]] = column[2]
    known |= {label: column for column, label in labels.items()}
    if word not in known:
        raise UnknownName("column to sort by", word, known)
    return known[word]
