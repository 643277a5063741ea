"""`bench reproduce`: the paper's tables beside what is measured here."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    DATA_DEFAULT,
    RESULTS_DEFAULT,
    Data,
    Quiet,
    Results,
    note,
    print_rows,
)
from bench.cli.progress import Shown
from bench.errors import JobsFailed, UnknownName, UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.measured import Measurements
    from bench.plan import Plan
    from bench.record import Record
    from bench.reproduction.beside import Found
    from bench.reproduction.comparison import Comparison
    from bench.workplace import Workplace

EMBEDDED = "xdecoder-nano"
"""The model of the embedded world."""
STEPS, BEFORE = 300, 1000
"""The budget of trainings in miniature: steps of a recipe, and of what all begin on."""
BATCH = 16
"""Images asked together: two to five times as fast as one by one, for pictures this small."""
STATISTICS = ("table8", "table12")
"""Tables about datasets."""
FEW_SHOT = {"table13": "class-embedding", "table14": "prompt", "table15": "decoder"}
"""Tables with a layout of their own, and the strategy that each is about."""
FIGURES = ("figure8", "figure9")


def reproduce(
    tables: Annotated[list[str], typer.Argument(help="table1 … table15, figure8, figure9.")],
    model: Annotated[
        str | None,
        typer.Option(help="Whose numbers to put beside the paper's; without it each system's own."),
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help=f"The same plan on `shapes`, with {EMBEDDED}.")
    ] = False,
    run: Annotated[bool, typer.Option("--run", help="First do what can be done here.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help=f"Of each training; {STEPS} without.")
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(min=0, help=f"Of what all trainings begin on; {BEFORE} without."),
    ] = None,
    seeds: Annotated[
        int, typer.Option(min=1, help="Trainings of each row; draws of each support set.")
    ] = 2,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many images of each dataset: for a try.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings side by side, each on its share of the cores."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    shipped: Annotated[bool, typer.Option(help="Count records that ship with bench.")] = True,
    keep: Annotated[
        Path | None,
        typer.Option("--records", help="Write the records of trainings behind the tables here."),
    ] = None,
    figures: Annotated[
        Path | None, typer.Option(help="Draw figure8 and figure9 into this folder.")
    ] = None,
    table_format: Annotated[
        Format, typer.Option("--format", help="How tables are printed.")
    ] = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    quiet: Quiet = False,
) -> None:
    """Print the paper's tables beside what is measured here, with differences.

    Without --run nothing is run: what is known is printed, and what is missing. With it, what can
    be done here is done first; a run that was stopped goes on with the same command.
    """
    from bench import reported
    from bench.cli.trials import Trials
    from bench.reproduction.ablation import ablation
    from bench.reproduction.training import Budget
    from bench.reproduction.trial import Laboratory
    from bench.workplace import Workplace

    papers = [name for name in reported.names() if name.startswith(("table", "figure"))]
    for name in tables:
        if name not in papers:
            raise UnknownName("table of the paper", name, papers)
    embedded = embedded or model == EMBEDDED
    who = model or (EMBEDDED if embedded else None)
    place = Workplace(results, data, batch_size=BATCH if embedded else 1)
    trained = {
        name: found
        for name in tables
        if who is not None and (found := ablation(reported.table(name), who)) is not None
    }
    trials = Trials(
        tuple(trained.values()),
        Budget(steps=steps or STEPS, before=BEFORE if before is None else before),
        seeds,
        limit,
        Laboratory(place, jobs or len(os.sched_getaffinity(0))),
        shipped,
    )
    others = _Others(
        [name for name in tables if name not in trained],
        who,
        embedded,
        seeds,
        limit,
        place,
        shipped,
    )
    if dry_run:
        if trained:
            trials.foresee(table_format)
        others.foresee(table_format)
        return
    failed = 0
    if run:
        failed += trials.do(device, quiet=quiet) if trained else 0
        failed += others.do(device, quiet=quiet)
    if trained:
        used = trials.show(table_format, quiet=quiet)
        if keep is not None:
            _write(keep, list(used.values()))
    others.show(table_format, figures, quiet=quiet)
    if failed:
        raise JobsFailed(f"{failed} jobs failed; the same command tries them again.")


def _write(path: Path, records: "Sequence[Record]") -> None:
    if not records:
        raise UsageError(f"There is no record to write to {path}: nothing is measured.")
    path.write_text("".join(record.line() + "\n" for record in records), encoding="utf-8")


# --- tables of models that are there -------------------------------------------------------------


class _Others:
    """Tables that no training is behind, or none that can be done here."""

    def __init__(
        self,
        names: Sequence[str],
        who: str | None,
        embedded: bool,
        seeds: int,
        limit: int | None,
        place: "Workplace",
        shipped: bool,
    ) -> None:
        self._names, self._who, self._embedded = names, who, embedded
        self._seeds, self._limit, self._place, self._shipped = seeds, limit, place, shipped

    def _compared(self, name: str) -> "Comparison":
        from bench import reported
        from bench.reproduction.comparison import comparison
        from bench.store import Store

        records = Store(self._place.results).records()
        return comparison(reported.table(name), self._who, embedded=self._embedded, trained=records)

    def _planned(self) -> "Plan":
        """What is to be run for all tables; with a problem where something is missing."""
        jobs = {
            job.model_dump_json(): job
            for name in self._names
            if name not in STATISTICS
            for job in self._compared(name).jobs(self._seeds, self._limit)
        }
        return self._place.plan(sorted(jobs.values(), key=lambda job: job.model))

    def foresee(self, to: Format) -> None:
        """Print the runs that can be done here, and what is missing for the others."""
        from bench.store import Store

        planned = self._planned()
        ready = [item for item in planned if item.problem is None]
        done = Store(self._place.results).finished(item.key for item in ready)
        if ready:
            rows: list[dict[str, object]] = [
                {
                    "job": item.job.title,
                    "images": item.contents.images if item.contents else None,
                    "status": "done" if item.key in done else "to do",
                }
                for item in ready
            ]
            print_rows(rows, to)
        if self._names:
            print(f"{len(ready)} of {len(planned)} runs can be done here.")
        for name in self._names:
            self._show_missing(name, to)

    def do(self, device: str, *, quiet: bool) -> int:
        """Do what can be done here; how many runs failed."""
        from bench.execute import Failed
        from bench.executors import Inline, execute
        from bench.plan import Plan
        from bench.store import Store
        from bench.workplace import run_job

        planned = self._planned()
        ready = Plan(tuple(item for item in planned if item.problem is None))
        if not len(planned):
            return 0
        note(f"{len(ready)} of {len(planned)} runs can be done here", quiet=quiet)
        store, failed = Store(self._place.results), 0
        with Shown(quiet, self._place.results) as show:
            for event in execute(ready, partial(run_job, self._place), Inline(device), store):
                show.event(event)
                failed += isinstance(event, Failed)
        return failed

    def _measured(self) -> "tuple[Measurements, ...]":
        """What was measured by this person, and what ships with the package."""
        from bench.measured import Measurements
        from bench.store import Store, shipped

        own = Measurements(Store(self._place.results))
        return (own, Measurements(*shipped())) if self._shipped else (own,)

    def _found(self, compared: "Comparison") -> "Found":
        from bench.reproduction.comparison import value_of

        where = self._measured()
        return {
            at: measured
            for at, line in compared.by_place.items()
            if (measured := value_of(line, where)) is not None
        }

    def show(self, to: Format, figures: Path | None, *, quiet: bool) -> None:
        """Print the tables, each with what is missing for it."""
        from bench import reported
        from bench.reproduction.statistics import statistics_table

        for name in self._names:
            if name in STATISTICS:
                statistics_table(reported.table(name)).show(to)
                continue
            if name in FEW_SHOT and not self._embedded:
                self._show_few_shot(name, to)
            else:
                self._show_beside(name, to)
            if name in FIGURES and figures is not None:
                self._draw(name, figures, quiet=quiet)
            self._show_missing(name, to)

    def _show_beside(self, name: str, to: Format) -> None:
        from dataclasses import replace

        from bench.reproduction.beside import about, beside_table

        compared = self._compared(name)
        found = self._found(compared)
        notes = tuple(about(compared, found))
        replace(beside_table(compared, found), notes=notes).show(to)

    def _show_few_shot(self, name: str, to: Format) -> None:
        """Tables 13 to 15 in their own layout."""
        from bench import reported
        from bench.cli.layouts import Layout, show_layout
        from bench.store import Store, shipped

        stores = *(shipped() if self._shipped else ()), Store(self._place.results)
        measured = [record for store in stores for record in store.records()]
        kept = [r for r in measured if not r.tuning or r.tuning.strategy == FEW_SHOT[name]]
        records = [*reported.table(name).records(), *kept]
        lines = self._compared(name).lines
        nearest = dict.fromkeys(line.claim.record.model.name for line in lines)
        models = [] if self._who is None else [self._who, *nearest]
        show_layout(Layout.PAPER, records, [name], to, models)

    def _show_missing(self, name: str, to: Format) -> None:
        from bench.claims import Surroundings
        from bench.reproduction.beside import missing_table

        if name in STATISTICS:
            return
        compared = self._compared(name)
        surroundings = Surroundings(self._place.data)
        missing = missing_table(compared, self._found(compared), surroundings)
        if missing is not None:
            print()  # or Markdown takes it for the last row of the table before
            missing.show(to)

    def _draw(self, name: str, folder: Path, *, quiet: bool) -> None:
        from bench.cli.plot import What, plot

        suite = "shapes-in-the-wild" if self._embedded else "seginw"
        models = [] if self._who is None else [self._who]
        plot(What(name), [suite], folder, models, results=self._place.results, quiet=quiet)
