"""Which columns a table of suites or datasets has, in which order, and what they are called.

A dataset's spec says what the paper's tables call its scores; a suite says which datasets stand
beside each other. So `bench table openvocab` has the sixteen columns of Table 2, whoever has run.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import pandas as pd

from bench import catalog, tasks
from bench.report.frame import COLUMN, Column
from bench.spec import Member, SuiteSpec


@dataclass(frozen=True)
class Shown:
    """What a table shows of datasets."""

    members: tuple[Member, ...]
    """The datasets in order, each as it is asked for."""
    mean_of: tuple[str, ...] = ()
    """Scores with a mean over all of them."""
    means: frozenset[str] = frozenset()
    """What publications call the suite they make up."""
    of_suite: bool = False
    """Whether one suite says which words each is asked with."""

    @property
    def datasets(self) -> list[str]:
        """The datasets, each once."""
        return list(dict.fromkeys(member.dataset for member in self.members))


def shown(targets: Sequence[str], search: catalog.Search = ()) -> Shown:
    """What suites and datasets by name stand for; of one suite its mean too."""
    suites = catalog.suites(search)
    members: list[Member] = []
    for target in targets:
        if target in suites:
            members += catalog.suite(target, search).members
        else:
            members.append(Member(dataset=target))
    if len(targets) != 1 or targets[0] not in suites:
        return Shown(tuple(members))
    suite = catalog.suite(targets[0], search)
    return Shown(tuple(members), suite.mean_of, frozenset(_same_members(suite, search)), True)


def _same_members(suite: SuiteSpec, search: catalog.Search) -> list[str]:
    """The suites of just these datasets: a publication may name any of them."""
    if not suite.mean_of:
        return []
    others = (catalog.suite(name, search) for name in catalog.suites(search))
    return [other.name for other in others if other.members == suite.members]


def as_asked(long: pd.DataFrame, about: Shown, search: catalog.Search = ()) -> pd.DataFrame:
    """The rows that suites and datasets by name mean.

    A suite says which words its datasets are asked with; rows with others are left out. Rows on
    another split than is meant, or than is meant first, are about `dataset/split`; those on a split
    that is not meant at all are left out where a mean is wanted.
    """
    known, kept = catalog.datasets(search), [long[~long["dataset"].isin(about.datasets)]]
    for dataset in about.datasets:
        members = [member for member in about.members if member.dataset == dataset]
        rows = long[long["dataset"] == dataset]
        if about.of_suite:
            words = {member.vocabulary or "" for member in members}
            rows = rows[rows["vocabulary"].isin(words)].assign(vocabulary="")
        if dataset in known:
            spec = catalog.dataset(dataset, search)
            splits = [spec.split(member.split)[0] for member in members]
            if about.mean_of:
                rows = rows[rows["split"].isin(splits)]
            told = rows["dataset"] + "/" + rows["split"]
            rows = rows.assign(dataset=rows["dataset"].where(rows["split"] == splits[0], told))
        kept.append(rows)
    return pd.concat(kept)


def stated_columns(
    long: pd.DataFrame, datasets: Sequence[str], search: catalog.Search = ()
) -> dict[Column, str]:
    """The columns that the specs of datasets state, with what they are called.

    A dataset whose spec states none, or none that anybody has, has its tasks' headlines. Empty
    where no spec states any: columns are then whatever there is.
    """
    known, found = catalog.datasets(search), dict[Column, str]()
    there = [(str(d), str(t), str(s)) for d, t, s in long[COLUMN].drop_duplicates().to_numpy()]
    heads = {tuple(c) for c in long[long["headline"].astype(bool)][COLUMN].to_numpy().tolist()}
    any_stated = False
    for dataset in datasets:
        own = [column for column in there if column[0] == dataset]
        name, _, split = dataset.partition("/")
        if name != dataset and name in known:
            stated = _on_another_split(name, split, own, there, search)
        else:
            stated = _of_spec(dataset, there, search) if dataset in known else {}
        if stated and (not own or any(column in stated for column in own)):
            found |= stated
            any_stated = True
        else:
            found |= {c: f"{c[0]} {c[2]}" for c in own if c in heads}
    return found if any_stated else {}


def _of_spec(dataset: str, there: Sequence[Column], search: catalog.Search) -> dict[Column, str]:
    """The columns that a spec states."""
    spec = catalog.dataset(dataset, search)
    _, split = spec.split()
    found: dict[Column, str] = {}
    for words, label in spec.columns.items():
        task, _, score = words.rpartition(" ")
        found[dataset, task or _task_of(score, dataset, [*split.truth], there), score] = label
    return found


def _on_another_split(
    dataset: str,
    split: str,
    own: Sequence[Column],
    there: Sequence[Column],
    search: catalog.Search,
) -> dict[Column, str]:
    """The columns of a split that is not the usual one, as far as somebody has them."""
    usual = _of_spec(dataset, there, search)
    return {
        column: f"{usual[dataset, column[1], column[2]]}, {split}"
        for column in own
        if (dataset, column[1], column[2]) in usual
    }


def _task_of(score: str, dataset: str, truth: Sequence[str], there: Sequence[Column]) -> str:
    """The task that a score without one is of: one that gave it, or the one it is a headline of."""
    gave = [task for task in truth if (dataset, task, score) in there]
    heads = [task for task in truth if tasks.task(task).headline == score]
    return next(iter([*gave, *heads, *truth]))
