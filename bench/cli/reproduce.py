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
from bench.errors import JobsFailed, UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record
    from bench.reproduction.ablation import Ablation
    from bench.reproduction.training import Budget
    from bench.reproduction.trial import Laboratory, Trial

EMBEDDED = "xdecoder-nano"
"""The model that is trained and asked where `--embedded` stands for a model's name."""
STEPS, BEFORE = 400, 1500
"""The budget in miniature: steps of a recipe, and of what all begin on."""
BATCH = 16
"""Images asked together: two to five times as fast as one by one, for pictures this small."""


def reproduce(
    tables: Annotated[list[str], typer.Argument(help="table1 … table15, figure8, figure9.")],
    model: Annotated[
        str | None, typer.Option(help="Whose numbers to put beside the paper's.")
    ] = None,
    embedded: Annotated[
        bool, typer.Option("--embedded", help=f"The same plan on `shapes`, with {EMBEDDED}.")
    ] = False,
    run: Annotated[bool, typer.Option("--run", help="Do what is left of the plan first.")] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and its cost, and stop.")
    ] = False,
    steps: Annotated[
        int | None, typer.Option(min=1, help=f"Of each training; {STEPS} in miniature.")
    ] = None,
    before: Annotated[
        int | None,
        typer.Option(min=0, help=f"Of what all trainings begin on; {BEFORE} in miniature."),
    ] = None,
    seeds: Annotated[int, typer.Option(min=1, help="Trainings of each row.")] = 2,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many images of each dataset.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings side by side, each on its share of the cores."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    shipped: Annotated[bool, typer.Option(help="Count records that ship with bench.")] = True,
    keep: Annotated[
        Path | None,
        typer.Option("--records", help="Write the records behind the tables to this file."),
    ] = None,
    table_format: Annotated[
        Format, typer.Option("--format", help="How tables are printed.")
    ] = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    quiet: Quiet = False,
) -> None:
    """Print the paper's tables beside what is measured here, with differences.

    Without --run nothing is run: what is known is printed, and what is missing. With it, a run that
    was stopped goes on with the same command.
    """
    from bench import reported
    from bench.reproduction.ablation import ablation
    from bench.reproduction.training import Budget
    from bench.reproduction.trial import Laboratory
    from bench.workplace import Workplace

    who = model or EMBEDDED
    found = [each for name in tables if (each := ablation(reported.table(name), who)) is not None]
    small = all(each.embedded for each in found)
    budget = Budget(steps=steps or (STEPS if small else None), before=before)
    if budget.before is None and small:
        budget = budget.model_copy(update={"before": BEFORE})
    crew = jobs or len(os.sched_getaffinity(0))
    laboratory = Laboratory(Workplace(results, data, batch_size=BATCH), crew)
    plan = _plan(found, budget, seeds, limit)
    if dry_run:
        _foresee(plan, laboratory, shipped=shipped, to=table_format)
        return
    failed = 0
    if run:
        failed = _do(plan, laboratory, device, shipped=shipped, quiet=quiet)
    records = _known(results, shipped=shipped)
    used: dict[str, Record] = {}
    for each in found:
        used |= _print(each, records, budget, seeds, limit, to=table_format)
    if keep is not None:
        _write(keep, list(used.values()))
    _say_missing(plan, records, quiet=quiet)
    if failed:
        raise JobsFailed(f"{failed} trials failed; the same command tries them again.")


def _known(results: Path, *, shipped: bool) -> "list[Record]":
    """The records that tables may rest on, later ones counting more."""
    from bench.reproduction.shipped import shipped_records
    from bench.store import Store

    return [*(shipped_records() if shipped else ()), *Store(results).records()]


# --- trainings -----------------------------------------------------------------------------------


def _plan(
    found: "Sequence[Ablation]", budget: "Budget", seeds: int, limit: int | None
) -> "tuple[Trial, ...]":
    from bench.reproduction.trial import merged

    return merged(one for each in found for one in each.trials(budget, range(seeds), limit))


def _foresee(
    plan: "Sequence[Trial]", laboratory: "Laboratory", *, shipped: bool, to: Format
) -> None:
    """Print what is to be trained and asked, what is done, and how long the rest takes."""
    from bench.cli.progress import duration
    from bench.reproduction.outlook import stages, timed
    from bench.reproduction.trial import left

    records = _known(laboratory.place.results, shipped=shipped)
    todo = left(plan, records)
    rows: list[dict[str, object]] = []
    total = 0.0
    paces: dict[str, float] = {}
    for stage in stages(todo, laboratory.models, records):
        steps_left = stage.recipe.steps - stage.done
        if steps_left and stage.pace is None and stage.recipe.name not in paces:
            paces[stage.recipe.name] = timed(stage.recipe, laboratory.place.data)
        pace = stage.pace or paces.get(stage.recipe.name, 0.0)
        total += steps_left * pace
        rows.append(
            {
                "training": stage.recipe.name,
                "seed": stage.recipe.seed,
                "steps": stage.recipe.steps,
                "done": stage.done,
                "a step": f"{pace:.2f} s",
                "left": duration(steps_left * pace),
                "then asked about": next(
                    (one.dataset for one in todo if one.training.is_of(stage.recipe)), ""
                ),
            }
        )
    print(f"{len(plan) - len(todo)} of {len(plan)} trials are done.")
    if rows:
        print_rows(rows, to)
        crew = laboratory.crew
        print(
            f"Training takes about {duration(total)} of one core, "
            f"{duration(total / crew)} with {crew} side by side."
        )


def _do(
    plan: "Sequence[Trial]", laboratory: "Laboratory", device: str, *, shipped: bool, quiet: bool
) -> int:
    """Do what is left of the trials, showing how far they are; how many failed."""
    from bench.cli.run import Shown
    from bench.execute import Failed
    from bench.executors import Inline, Processes, execute
    from bench.plan import Plan, Planned
    from bench.reproduction.trial import do_trial, left
    from bench.store import Store

    results = laboratory.place.results
    todo = left(plan, _known(results, shipped=shipped))
    note(f"{len(todo)} of {len(plan)} trials are left; results in {results}", quiet=quiet)
    crew = min(laboratory.crew, len(todo))
    executor = Processes((device,) * crew) if crew > 1 else Inline(device)
    failed = 0
    with Shown(quiet, results) as show:
        work = Plan(tuple(Planned(one) for one in todo))
        for event in execute(work, partial(do_trial, laboratory), executor, Store(results)):
            show.event(event)
            failed += isinstance(event, Failed)
    return failed


def _print(
    each: "Ablation",
    records: "Sequence[Record]",
    budget: "Budget",
    seeds: int,
    limit: int | None,
    *,
    to: Format,
) -> "dict[str, Record]":
    """Print a table of trainings; the records it rests on."""
    from dataclasses import replace

    from bench.reproduction.ablation import measured
    from bench.reproduction.report import findings_table, remarks, scores_table

    found = measured(each, records, budget, range(seeds), limit)
    scores, findings = scores_table(found), findings_table(found)
    notes = tuple(remarks(found, budget, seeds))
    if findings is None:
        scores = replace(scores, notes=notes)
    scores.show(to)
    if findings is not None:
        replace(findings, notes=notes).show(to)
    return {record.key: record for record in found.records}


def _say_missing(plan: "Sequence[Trial]", records: "Sequence[Record]", *, quiet: bool) -> None:
    from bench.reproduction.trial import left

    todo = left(plan, records)
    if todo:
        names = ", ".join(one.training.title for one in todo)
        note(
            f"Not measured yet: {names}. The same command with --dry-run says what that takes, "
            "with --run does it.",
            quiet=quiet,
        )


def _write(path: Path, records: "Sequence[Record]") -> None:
    if not records:
        raise UsageError(f"There is no record to write to {path}: nothing is measured.")
    path.write_text("".join(record.line() + "\n" for record in records), encoding="utf-8")
