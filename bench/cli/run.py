"""`bench run`: models on suites, datasets or folders, to records and a table."""

from collections.abc import Iterable, Mapping, Sequence
from enum import StrEnum
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.asked import cards, members, shot_counts, template, told_apart
from bench.cli.options import (
    DATA_DEFAULT,
    RESULTS_DEFAULT,
    Data,
    Json,
    Quiet,
    Results,
    Specs,
    note,
    print_json,
    print_rows,
    words,
)
from bench.cli.progress import Shown, heard
from bench.errors import JobsFailed, UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.executors import Executor
    from bench.plan import Plan
    from bench.record import Record
    from bench.store import Failure, Store
    from bench.workplace import Workplace


CHEAPEST = "class-embedding"
"""The tuning strategy where none is named: the fewest parameters (X-Decoder, Table 13)."""


class Where(StrEnum):
    """Where jobs run."""

    INLINE = "inline"
    PROCESSES = "processes"
    RAY = "ray"


class Unit(StrEnum):
    """What a shot counts."""

    IMAGES = "images"
    IMAGES_PER_CLASS = "images-per-class"


class RawNumbers(StrEnum):
    """How exactly raw answers are kept; the values of `bench.raw.Numbers`."""

    EXACT = "exact"
    FLOAT16 = "float16"


def run(
    targets: Annotated[
        list[str] | None, typer.Argument(help="Suites, datasets, spec files or folders of data.")
    ] = None,
    model: Annotated[
        list[str] | None,
        typer.Option(help="One or more: a name, a checkpoint, or module:attribute."),
    ] = None,
    shots: Annotated[
        str, typer.Option(help="Images to tune on first: 0 is zero-shot; 5; 0,1,3,5,10,all.")
    ] = "0",
    tune: Annotated[
        list[str] | None,
        typer.Option(help=f"Tuning strategies, for shots above 0; {CHEAPEST} without."),
    ] = None,
    unit: Annotated[Unit | None, typer.Option(help="What a shot counts; images without.")] = None,
    seeds: Annotated[
        int | None, typer.Option(min=1, help="Draws of the support set, for shots; 1 without.")
    ] = None,
    trainings: Annotated[
        int | None,
        typer.Option(min=1, help="Trainings on each draw, to tell the two apart; 1 without."),
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option(help="Protocol cards, asked once; without any the model's or the dataset's."),
    ] = None,
    vocabulary: Annotated[
        str | None, typer.Option(help="A vocabulary; without it the dataset's own.")
    ] = None,
    split: Annotated[str | None, typer.Option(help="Which split to score.")] = None,
    task: Annotated[
        list[str] | None, typer.Option(help="Only these tasks; without it all with truth.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Only so many images: the record is partial.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Images asked together, at most.")] = 1,
    device: Annotated[
        list[str] | None, typer.Option(help="cpu, cuda, cuda:1, …; one process each with several.")
    ] = None,
    precision: Annotated[str, typer.Option(help="The network's number format.")] = "float32",
    weights: Annotated[
        str | None,
        typer.Option(help="A checkpoint in place of the model's own; or random, or random:SEED."),
    ] = None,
    compile: Annotated[
        bool, typer.Option("--compile", help="Compile the network: worth it for many images.")
    ] = False,
    executor: Annotated[Where | None, typer.Option(help="Where jobs run.")] = None,
    fail_fast: Annotated[
        bool, typer.Option("--fail-fast", help="Stop at the first unreadable image or failed job.")
    ] = False,
    again: Annotated[
        bool, typer.Option("--again", help="Try unreadable images of finished runs once more.")
    ] = False,
    keep_raw: Annotated[
        bool, typer.Option("--keep-raw", help="Keep the network's answers, for `bench rescore`.")
    ] = False,
    raw_numbers: Annotated[
        RawNumbers | None,
        typer.Option(help="For --keep-raw: every bit (exact), or masks in float16, half the size."),
    ] = None,
    anew: Annotated[
        bool,
        typer.Option("--anew", help="Do finished runs once more, from their first image."),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Print the plan and stop before anything runs.")
    ] = False,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score models on suites, datasets, or your own folder of labelled images.

    A run that was stopped continues with the same command; a finished one is only read. Runs are
    known by their contents: data, weights, words and rules. What has no weights, such as a function
    of yours, is known by its name alone: after a change of its code say `--anew`.
    """
    from bench.plan import sweep, tunings
    from bench.raw import Numbers
    from bench.store import Store
    from bench.workplace import Workplace

    search = tuple(specs or ())
    targets, models = told_apart(targets or [], model or [], search)
    if raw_numbers is not None and not keep_raw:
        raise UsageError("--raw-numbers says how --keep-raw keeps answers: give that too.")
    numbers = Numbers((raw_numbers or RawNumbers.EXACT).value) if keep_raw else None
    place = Workplace(results, data, search, batch_size, fail_fast, again, numbers, compile)
    settings = {
        "split": split,
        "vocabulary": vocabulary,
        "tasks": words(task),
        "limit": limit,
        "precision": precision,
        "weights": weights,
    }
    given = {name: value for name, value in settings.items() if value not in (None, ())}
    counts = shot_counts(shots)
    if set(counts) == {"0"}:
        _refuse_tuning({"tune": tune, "unit": unit, "seeds": seeds, "trainings": trainings})
    tuning = tunings(
        counts,
        words(tune) or [CHEAPEST],
        unit=(unit or Unit.IMAGES).value,
        draw_seeds=range(seeds or 1),
        train_seeds=range(trainings or 1),
    )
    jobs = [
        job
        for member in members(targets, search)
        for card in cards(protocol)
        for job in sweep(
            models,
            [member.dataset],
            template=template(member, given | card),
            tunings=tuning,
        )
    ]
    jobs.sort(key=lambda job: models.index(job.model))  # a model is loaded once for all its jobs
    planned = place.plan(jobs)
    store = Store(results)
    if dry_run:
        rows = _plan_rows(planned, store)
        if as_json:
            print_json(rows)
        else:
            print_rows(rows, table_format)
        return
    _refuse_hopeless(planned)
    done = store.finished(item.key for item in planned)
    if anew:
        for key in done:
            store.forget(key)
        done = frozenset()
    _announce(planned, planned.without(done), results, quiet=quiet)
    failures, records = _execute(
        planned, place, store, _executor(executor, device), fail_fast=fail_fast, quiet=quiet
    )
    _report(records, store, targets, search, table_format, as_json=as_json, quiet=quiet)
    if failures:
        raise JobsFailed(
            f"{len(failures)} of {len(planned)} jobs failed; once that is mended, the same command "
            "does them. " + " ".join(f"({index}) {f.reason}" for index, f in enumerate(failures, 1))
        )


# --- before anything runs -------------------------------------------------------------------------


def _refuse_tuning(options: Mapping[str, object]) -> None:
    """Say of options about tuning that nothing is tuned."""
    for name, value in options.items():
        if value:
            raise UsageError(
                f"--{name} says how models are tuned, and with 0 shots none is: give --shots too, "
                "as in --shots 5."
            )


def _announce(planned: "Plan", left: "Plan", results: Path, *, quiet: bool) -> None:
    """Say how much there is, and how much of it is only read."""
    count = len(planned)
    said = f"{count} job{'s' * (count != 1)}, {planned.images} images"
    if done := count - len(left):
        said += f"; {done} done before and only read (--anew does it again)"
    note(f"{said}; results in {results}", quiet=quiet)
    for name, twin in dict.fromkeys((i.job.called, twin) for i in planned for twin in i.twins):
        note(f"{twin} has the weights of {name}: one run, called {name}.", quiet=quiet)


def _plan_rows(planned: "Plan", store: "Store") -> list[dict[str, object]]:
    done = store.finished(item.key for item in planned)
    return [
        {
            "job": item.job.title,
            "images": item.contents.images if item.contents else None,
            "key": item.key,
            "status": str(item.problem or ("done" if item.key in done else "to do")),
        }
        for item in planned
    ]


def _refuse_hopeless(planned: "Plan") -> None:
    """Where no job can run at all, say the first reason, with its own exit code."""
    problems = [item.problem for item in planned if item.problem is not None]
    if len(problems) < len(planned):
        return
    reasons = dict.fromkeys(map(str, problems))
    error = problems[0]
    if len(reasons) > 1:
        more = f" None of {len(planned)} jobs can run; `--dry-run` shows why for each."
        error.args = (f"{error}{more}",)
    raise error


# --- doing them ----------------------------------------------------------------------------------


def _executor(where: Where | None, devices: list[str] | None) -> "Executor":
    """The executor asked for; several devices mean one process each."""
    from bench.executors import Inline, OnRay, Processes

    devices = list(words(devices)) or ["cpu"]
    match where or (Where.PROCESSES if len(devices) > 1 else Where.INLINE):
        case Where.INLINE:
            if len(devices) > 1:
                raise UsageError("--executor inline uses one --device.")
            return Inline(devices[0])
        case Where.PROCESSES:
            return Processes(tuple(devices))
        case Where.RAY:
            return OnRay(gpus=float(any(d.startswith("cuda") for d in devices)))


def _execute(
    planned: "Plan",
    place: "Workplace",
    store: "Store",
    executor: "Executor",
    *,
    fail_fast: bool,
    quiet: bool,
) -> "tuple[list[Failure], list[Record]]":
    """Do the plan, showing how far it is."""
    from bench.execute import Failed, Finished
    from bench.executors import execute
    from bench.workplace import run_job

    failures: list[Failure] = []
    records: list[Record] = []
    known: dict[tuple[str, str], str] = {}
    show = Shown(quiet, place.results)
    events = execute(planned, partial(run_job, place), executor, store, fail_fast=fail_fast)
    with show, heard(quiet):
        for event in events:
            show.event(event)
            if isinstance(event, Finished):
                records.append(event.record)
                if event.record.model.name != event.job.called:
                    known[event.job.called, event.record.model.name] = event.record.key
            elif isinstance(event, Failed):
                failures.append(event.failure)
    for (name, before), key in known.items():
        note(
            f"{name} has the weights of {before}, which was run before: shown under that name, as "
            f"run {key} is. --anew runs it under this one.",
            quiet=quiet,
        )
    return failures, records


def _report(
    records: "Iterable[Record]",
    store: "Store",
    targets: Sequence[str],
    specs: Sequence[Path],
    to: Format,
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """The table of what this command ran."""
    records = list(records)
    if as_json:
        print_json([record.model_dump(mode="json") for record in records])
        return
    if not records:
        return
    from bench.cli.table import print_records

    print_records(records, store, to, targets=targets, specs=specs, quiet=quiet)
