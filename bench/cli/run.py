"""`bench run`: models on suites, datasets or folders, to records and a table."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from enum import StrEnum
from functools import partial
from pathlib import Path
from shutil import disk_usage
from typing import TYPE_CHECKING, Annotated

import typer

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
from bench.cli.progress import Advance, heard, progress
from bench.errors import JobsFailed, UnknownName, UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.executors import Executor
    from bench.plan import Job, Plan
    from bench.record import Record
    from bench.spec import Member
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
    unit: Annotated[Unit, typer.Option(help="What a shot counts.")] = Unit.IMAGES,
    seeds: Annotated[int, typer.Option(min=1, help="Draws of the support set, for shots.")] = 1,
    trainings: Annotated[
        int, typer.Option(min=1, help="Trainings on each draw, to tell the two apart.")
    ] = 1,
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

    A run that was stopped continues with the same command; a finished one is only read.
    """
    from bench.plan import Job, sweep, tunings
    from bench.raw import Numbers
    from bench.store import Store
    from bench.workplace import Workplace

    search = tuple(specs or ())
    targets, models = _told_apart(targets or [], model or [], search)
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
    tuning = tunings(
        _shots(shots),
        words(tune) or [CHEAPEST],
        unit=unit.value,
        draw_seeds=range(seeds),
        train_seeds=range(trainings),
    )
    jobs = [
        job
        for member in _members(targets, search)
        for card in _cards(protocol)
        for job in sweep(
            models,
            [member.dataset],
            template=_template(Job, member, given | card),
            tunings=tuning,
        )
    ]
    jobs.sort(key=lambda job: models.index(job.model))  # a model is loaded once for all its jobs
    planned = place.plan(jobs)
    store = Store(results)
    if dry_run:
        print_rows(_plan_rows(planned, store), table_format)
        return
    _refuse_hopeless(planned)
    failures, records = _execute(
        planned, place, store, _executor(executor, device), fail_fast=fail_fast, quiet=quiet
    )
    _report(records, store, targets, search, table_format, as_json=as_json, quiet=quiet)
    if failures:
        raise JobsFailed(
            f"{len(failures)} of {len(planned)} jobs failed; once that is mended, the same command "
            "does them. " + " ".join(f"({index}) {f.reason}" for index, f in enumerate(failures, 1))
        )


# --- from words to jobs --------------------------------------------------------------------------


def _told_apart(
    targets: list[str], models: list[str], search: Sequence[Path]
) -> tuple[list[str], list[str]]:
    """Targets and models; `--model A shapes` without a target before it means shapes is one."""
    from bench import catalog

    models = list(words(models))
    if not models:
        raise UsageError("Say which model to run: --model NAME. `bench list models` has the names.")
    if targets:
        return targets, models
    known = {*catalog.datasets(search), *catalog.suites(search)}
    as_targets = [name for name in models[1:] if name in known or Path(name).is_dir()]
    models = [name for name in models if name not in as_targets]
    if not as_targets:
        raise UsageError(
            "Say what to run on: a suite, a dataset or a folder, as in "
            f"`bench run shapes --model {models[0]}`. `bench list datasets` has the names."
        )
    return as_targets, models


def _members(targets: Sequence[str], search: Sequence[Path]) -> Iterator["Member"]:
    """The datasets to run on, each as a suite states it."""
    from bench import catalog
    from bench.spec import Member

    datasets, suites = catalog.datasets(search), catalog.suites(search)
    for target in targets:
        if target in suites:
            suite = catalog.suite(target, search)
            for member in suite.members:
                card = member.protocol or suite.protocol
                yield member.model_copy(update={"protocol": card})
        elif target in datasets or Path(target).exists() or "/" in target:
            yield Member(dataset=target)
        else:
            raise UnknownName("dataset or suite", target, {*datasets, *suites})


def _template(job: "type[Job]", member: "Member", given: Mapping[str, object]) -> "Job":
    """What all jobs of a member share, and who decided it: the command line before the suite."""
    from bench.record import Origin

    stated = {
        "split": member.split,
        "protocol": member.protocol,
        "vocabulary": member.vocabulary,
        "tasks": member.tasks,
    }
    of_suite = {name: value for name, value in stated.items() if value not in (None, ())}
    origins: dict[str, Origin] = dict.fromkeys(of_suite, Origin.SPEC)
    origins |= dict.fromkeys((*given, "model", "dataset"), Origin.COMMAND_LINE)
    values = {"model": "", "dataset": "", **of_suite, **given, "origins": origins}
    return job.model_validate(values)


def _cards(options: Sequence[str] | None) -> list[dict[str, object]]:
    """The setting of each protocol card that is named; one without any where none is."""
    return [{"protocol": name} for name in dict.fromkeys(words(options))] or [{}]


def _shots(asked: str) -> list[str]:
    """The counts of `--shots`, checked."""
    counts = list(words([asked]))
    for count in counts:
        if count != "all" and not count.isdigit():
            raise UsageError(
                f"--shots takes whole numbers or 'all', as in 0,1,5,all; not '{count}'."
            )
    if not counts:
        raise UsageError("--shots is empty; 0 is zero-shot.")
    return [count if count == "all" else str(int(count)) for count in counts]


def _plan_rows(planned: "Plan", store: "Store") -> list[dict[str, object]]:
    done = store.keys()
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

    note(f"{len(planned)} jobs, {planned.images} images; results in {place.results}", quiet=quiet)
    failures: list[Failure] = []
    records: list[Record] = []
    show = Shown(quiet, place.results)
    events = execute(planned, partial(run_job, place), executor, store, fail_fast=fail_fast)
    with show, heard(quiet):
        for event in events:
            show.event(event)
            if isinstance(event, Finished):
                records.append(event.record)
            elif isinstance(event, Failed):
                failures.append(event.failure)
    return failures, records


class Shown:
    """Progress of the jobs that are running, one line each."""

    def __init__(self, quiet: bool, results: Path) -> None:
        self._quiet, self._results = quiet, results
        self._running: dict[str, tuple[ExitStack, Advance]] = {}
        self._left: dict[str, int] = {}
        """Images of jobs that keep raw answers, until their size is known and said."""
        self._due: dict[str, int] = {}
        """Images until a line is complete."""

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, *_: object) -> None:
        for title in [*self._running]:
            self._close(title)

    def event(self, event: object) -> None:
        """Show what happened."""
        from bench.execute import Advanced, Failed, Finished, Started

        match event:
            case Started(job, images, done):
                if done < images:
                    stack = ExitStack()
                    shown = progress(job.title, images, done=done, quiet=self._quiet)
                    self._running[job.title] = stack, stack.enter_context(shown)
                    self._left[job.title] = self._due[job.title] = images - done
            case Advanced(job, id, reason, raw):
                if raw is not None and (left := self._left.pop(job.title, 0)):
                    note(f"{job.title}: {raw_budget(raw, left, self._results)}", quiet=self._quiet)
                if reason is not None:
                    note(f"{job.title}: {id} left out: {reason}", quiet=self._quiet)
                self._running[job.title][1]()
                self._due[job.title] -= 1
                if not self._due[job.title]:
                    self._close(job.title)
            case Finished(job, _):
                self._close(job.title)
            case Failed(job, why):
                self._close(job.title)
                note(f"{job.title}: failed: {why.reason}", quiet=self._quiet)

    def _close(self, title: str) -> None:
        if title in self._running:
            self._running.pop(title)[0].close()


def raw_budget(an_image: int, images: int, folder: Path) -> str:
    """What raw answers take, judged by the first, and whether there is room for them."""
    free, whole = disk_usage(folder).free, an_image * images
    enough = "" if whole < free else ", which is not enough"
    return (
        f"raw answers take {in_bytes(an_image)} an image, about {in_bytes(whole)} in all; "
        f"{in_bytes(free)} are free{enough}"
    )


def in_bytes(size: float) -> str:
    """A size as a person reads it.

    >>> in_bytes(3276), in_bytes(5_500_000), in_bytes(27.5e9)
    ('3.3 kB', '5.5 MB', '27.5 GB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


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
