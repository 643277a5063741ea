"""`bench plot`: figures of records, as PNG and SVG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layouts import suite_of, sweep_of
from bench.cli.options import RESULTS_DEFAULT, Quiet, Results, Specs, note
from bench.errors import DataMissing, UnknownName, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.record import Record
    from bench.report.sweep import Column, Entry
    from bench.report.table import Table
    from bench.spec import SuiteSpec
    from bench.store import Store


class What(StrEnum):
    """What is drawn."""

    FIGURE8 = "figure8"
    """Zero-shot, a bar for each dataset of a suite."""
    FIGURE9 = "figure9"
    """Shots against the suite's mean."""
    BARS = "bars"
    """A leaderboard's numbers."""
    TRAINING = "training"
    """The losses of a folder that `bench train` wrote."""


def plot(
    what: Annotated[
        What,
        typer.Argument(
            help="figure8: zero-shot by dataset; figure9: curves over shots; bars: a leaderboard; "
            "training: the losses of a training."
        ),
    ],
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="A suite, datasets, runs or models; for training its folder."),
    ] = None,
    out: Annotated[Path, typer.Option(help="The folder to write to.", file_okay=False)] = Path(
        "figures"
    ),
    model: Annotated[
        list[str] | None, typer.Option(help="Only these models, and what was published of them.")
    ] = None,
    score: Annotated[
        list[str] | None, typer.Option(help="Scores to draw; without it the suite's, or the main.")
    ] = None,
    published: Annotated[bool, typer.Option(help="Numbers that others published too.")] = True,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
) -> None:
    """Draw figures alone, in colours that everybody tells apart: PNG and SVG, the same each time.

    [bold]figure8[/] and [bold]figure9[/] are of one suite with a mean, as the X-Decoder paper draws
    Segmentation in the Wild; without a suite, of the one that the runs belong to.
    """
    from bench.report import style

    asked = _Asked(targets or [], model or [], score or [], published, results, specs or [])
    drawn = _DRAWN[what](asked)
    for name, figure in drawn.items():
        for path in style.save(figure, out, name):
            print(path)
    note(f"{len(drawn)} figures of {what.value}", quiet=quiet)


@dataclass(frozen=True)
class _Asked:
    """What a person asked for."""

    targets: Sequence[str]
    models: Sequence[str]
    scores: Sequence[str]
    published: bool
    results: Path
    specs: Sequence[Path]

    @property
    def store(self) -> "Store":
        """The results folder."""
        from bench.store import Store

        return Store(self.results)

    def split(self) -> tuple[list[str], list[str]]:
        """The targets that are suites or datasets, and those that are runs or models."""
        from bench import catalog

        known = {*catalog.suites(self.specs), *catalog.datasets(self.specs)}
        named = [target for target in self.targets if target in known]
        return named, [target for target in self.targets if target not in known]

    def records(self, runs: Sequence[str]) -> "list[Record]":
        """The records to draw: all, or only the runs named; and what others published."""
        from bench.cli.runs import runs_named
        from bench.store import published

        store = self.store
        found = [record for name in runs for record in runs_named(name, store)]
        if not runs:
            found = [*store.records()]
        return [*(published() if self.published else ()), *found]


Drawn = Mapping[str, "Figure"]
"""Figures by the name of their file."""


def _figure8(asked: _Asked) -> Drawn:
    from bench.cli.table import _bounds
    from bench.report.figures import zero_shot_bars

    suite, columns, found, score = _sweep(asked)
    figure = zero_shot_bars(found, columns, score, title=suite.title, bounds=_bounds(asked.store))
    return {f"figure8-{suite.name}": figure}


def _figure9(asked: _Asked) -> Drawn:
    from bench.report.figures import shot_curves

    suite, _, found, score = _sweep(asked)
    return {f"figure9-{suite.name}": shot_curves(found, score, title=suite.title)}


def _sweep(
    asked: _Asked,
) -> "tuple[SuiteSpec, tuple[Column, ...], tuple[Entry, ...], str]":
    """A suite with what was run on it: the one that is named, or that the runs belong to."""
    named, runs = asked.split()
    records = asked.records(runs)
    suite = suite_of(named or [_suite_with(records, asked.specs)], asked.specs)
    models = asked.models
    if runs:  # published rows of other models say nothing about these runs
        models = models or [record.model.name for record in records if not record.reported]
    columns, found, _ = sweep_of(suite, records, models, asked.scores, asked.specs)
    return suite, columns, found, (*asked.scores, *suite.mean_of)[0]


def _suite_with(records: "Sequence[Record]", specs: Sequence[Path]) -> str:
    """The smallest suite with a mean that has all datasets of these runs.

    Raises:
        UsageError: none has.
    """
    from bench import catalog

    datasets = {record.dataset.name for record in records if not record.reported}
    suites = [catalog.suite(name, specs) for name in catalog.suites(specs)]
    fitting = [
        suite
        for suite in suites
        if suite.mean_of and datasets <= {member.dataset for member in suite.members}
    ]
    if not datasets or not fitting:
        raise UsageError("Say which suite to draw, as in `bench plot figure8 seginw`.")
    return min(fitting, key=lambda suite: (len(suite.members), len(suite.name))).name


def _bars(asked: _Asked) -> Drawn:
    from bench.cli.table import _bounds
    from bench.report.bars import table_bars
    from bench.report.frame import leaderboard, scores
    from bench.report.leaderboard import leaderboard_table

    named, runs = asked.split()
    datasets, mean_of = _datasets(named, asked.specs)
    records = [
        record
        for record in asked.records(runs)
        if not asked.models or record.model.name in asked.models
    ]
    shown = datasets or {record.dataset.name for record in records if not record.reported}
    long = scores([r for r in records if r.dataset.name in shown], _bounds(asked.store))
    if not len(long):
        raise UsageError(f"There is no record to draw in {asked.results}. `bench run` makes them.")
    for name in asked.scores:
        if name not in set(long["score"]):
            raise UnknownName("score", name, set(long["score"]))
    board = leaderboard(long, datasets=datasets, names=asked.scores, mean_of=mean_of)
    table = leaderboard_table(board)
    if mean_of and not asked.scores:
        table = _only_means(table)
    name = "-".join(["bars", *named]) if named else "bars"
    return {name: table_bars(table)}


def _only_means(table: "Table") -> "Table":
    """Who, and the suite's mean: what a suite is sorted by.

    Raises:
        UsageError: no system has all of the suite.
    """
    from bench.report.frame import SUITE
    from bench.report.table import Number, Row, Table

    def kept(place: int) -> bool:
        of_mean = table.columns[place].split()[0] == SUITE
        return of_mean or not any(isinstance(row.cells[place], Number) for row in table.rows)

    places = [place for place in range(len(table.columns)) if kept(place)]
    rows = [Row(tuple(row.cells[p] for p in places), row.reported) for row in table.rows]
    last = [(row, row.cells[-1]) for row in rows]
    whole = [row for row, cell in last if isinstance(cell, Number) and cell.value == cell.value]
    if not whole:
        raise UsageError("No system has all of the suite; --score NAME draws every dataset.")
    columns = tuple(table.columns[place] for place in places)
    return Table(columns, tuple(whole), table.title, table.notes)


def _datasets(named: Sequence[str], specs: Sequence[Path]) -> tuple[list[str], tuple[str, ...]]:
    """The datasets that are named, those of suites too, and the scores of a suite's mean."""
    from bench import catalog

    suites = catalog.suites(specs)
    datasets: list[str] = []
    mean_of: tuple[str, ...] = ()
    for name in named:
        if name in suites:
            suite = catalog.suite(name, specs)
            datasets += [member.dataset for member in suite.members]
            mean_of = suite.mean_of if len(named) == 1 else ()
        else:
            datasets.append(name)
    return list(dict.fromkeys(datasets)), mean_of


def _training(asked: _Asked) -> Drawn:
    from bench.train.plot import losses

    if len(asked.targets) != 1:
        raise UsageError("Say whose losses to draw: the one folder that `bench train` wrote.")
    folder = Path(asked.targets[0])
    figure = losses(folder) if folder.is_dir() else None
    if figure is None:
        raise DataMissing(f"There is no journal of a training in {folder}.")
    return {f"training-{folder.resolve().name}": figure}


_DRAWN: Mapping[What, Callable[[_Asked], Drawn]] = {
    What.FIGURE8: _figure8,
    What.FIGURE9: _figure9,
    What.BARS: _bars,
    What.TRAINING: _training,
}
