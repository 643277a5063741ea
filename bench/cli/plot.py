"""`bench plot`: figures of records, as PNG and SVG."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.layouts import suite_of, sweep_of
from bench.cli.options import RESULTS_DEFAULT, Quiet, Results, Specs, note, words
from bench.errors import DataMissing, UnknownName, UsageError

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench.record import Record
    from bench.report.sweep import Column, Entry
    from bench.report.table import Table
    from bench.shelf import Shelf
    from bench.spec import SuiteSpec


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
    own: Annotated[bool, typer.Option(help="Runs of the results folder.")] = True,
    shipped: Annotated[bool, typer.Option(help="Runs that ship with bench.")] = True,
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

    folders = results if own else None
    search = tuple(specs or ())
    asked = _Asked(targets or [], words(model), words(score), folders, shipped, published, search)
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
    results: Path | None
    shipped: bool
    published: bool
    specs: tuple[Path, ...]

    @cached_property
    def shelf(self) -> "Shelf":
        """All records there are, a person's own before those that ship."""
        from bench.shelf import Shelf
        from bench.store import Store, shipped

        own = [] if self.results is None else [Store(self.results)]
        return Shelf((*own, *(shipped() if self.shipped else ())), self.published)

    @cached_property
    def named(self) -> list[str]:
        """The targets that are suites or datasets."""
        from bench import catalog

        known = {*catalog.suites(self.specs), *catalog.datasets(self.specs)}
        known |= {record.dataset.name for record in self.shelf.records}
        return [target for target in self.targets if target in known]

    @cached_property
    def runs(self) -> "list[Record]":
        """The runs that the other targets name, by the beginning of a key or by their model.

        Raises:
            UnknownName: a target is neither suite nor dataset nor run.
        """
        measured = [record for record in self.shelf.records if not record.reported]
        found = []
        for target in self.targets:
            if target in self.named:
                continue
            fitting = [r for r in measured if r.model.name == target or r.key.startswith(target)]
            if not fitting:
                known = {*self.named, *(r.model.name for r in measured)}
                raise UnknownName("suite, dataset, run or model", target, known)
            found += fitting
        return found

    @cached_property
    def records(self) -> "tuple[Record, ...]":
        """What to draw: everything, or the runs that are named and what was published."""
        if not self.runs:
            return self.shelf.records
        return (*(r for r in self.shelf.records if r.reported), *self.runs)


Drawn = Mapping[str, "Figure"]
"""Figures by the name of their file."""


# --- of a sweep ----------------------------------------------------------------------------------


def _figure8(asked: _Asked) -> Drawn:
    from bench.report.figures import zero_shot_bars

    def bounds(record: "Record") -> dict[tuple[str, str], tuple[float, float]]:
        found = asked.shelf.intervals(record)
        return {key: (interval.low, interval.high) for key, interval in found.items()}

    suite, columns, found, score = _sweep(asked)
    figure = zero_shot_bars(found, columns, score, title=suite.title, bounds=bounds)
    return {f"figure8-{suite.name}": figure}


def _figure9(asked: _Asked) -> Drawn:
    from bench.report.figures import shot_curves

    suite, _, found, score = _sweep(asked)
    return {f"figure9-{suite.name}": shot_curves(found, score, title=suite.title)}


def _sweep(
    asked: _Asked,
) -> "tuple[SuiteSpec, tuple[Column, ...], tuple[Entry, ...], str]":
    """A suite with what was run on it: the one that is named, or that the runs belong to."""
    suite = suite_of(asked.named or [_suite_with(asked.runs, asked.specs)], asked.specs)
    models = asked.models or [record.model.name for record in asked.runs]
    columns, found, _ = sweep_of(suite, asked.records, models, asked.scores, asked.specs)
    return suite, columns, found, (*asked.scores, *suite.mean_of)[0]


def _suite_with(runs: "Sequence[Record]", specs: Sequence[Path]) -> str:
    """The smallest suite with a mean that has all datasets of these runs.

    Raises:
        UsageError: none has, or there is no run.
    """
    from bench import catalog

    datasets = {record.dataset.name for record in runs}
    suites = [catalog.suite(name, specs) for name in catalog.suites(specs)]
    fitting = [
        suite
        for suite in suites
        if suite.mean_of and datasets <= {member.dataset for member in suite.members}
    ]
    if not datasets or not fitting:
        raise UsageError("Say which suite to draw, as in `bench plot figure8 seginw`.")
    return min(fitting, key=lambda suite: (len(suite.members), len(suite.name))).name


# --- of a leaderboard ----------------------------------------------------------------------------


def _bars(asked: _Asked) -> Drawn:
    from bench.report.bars import table_bars
    from bench.report.query import Query, answer
    from bench.report.selection import Selection

    shelf = replace(asked.shelf, only=asked.records) if asked.runs else asked.shelf
    targets = asked.named or list(dict.fromkeys(record.dataset.name for record in asked.runs))
    selection = Selection(model=tuple(asked.models))
    scores = tuple(asked.scores)
    query = Query(tuple(targets), selection, scores=scores, ranks=False, search=asked.specs)
    ((_, table),) = answer(query, shelf).tables
    if not scores and (only := _only_means(table)) is not None:
        table = only
    return {"-".join(["bars", *asked.named]): table_bars(table)}


def _only_means(table: "Table") -> "Table | None":
    """Who, and the suite's mean, where there is one: what a suite is sorted by."""
    from bench.report.frame import SUITE
    from bench.report.table import Number

    def is_number(place: int) -> bool:
        return any(isinstance(row.cells[place], Number) for row in table.rows)

    everything = range(len(table.columns))
    means = [p for p in everything if is_number(p) and table.columns[p].split()[0] == SUITE]
    if not means:
        return None
    places = [p for p in everything if p in means or not is_number(p)]
    whole = [
        replace(row, cells=tuple(row.cells[p] for p in places))
        for row in table.rows
        if any(isinstance(c := row.cells[p], Number) and c.value == c.value for p in means)
    ]
    return replace(table, columns=tuple(table.columns[p] for p in places), rows=tuple(whole))


# --- of a training -------------------------------------------------------------------------------


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
