"""`bench check`: what is in data and specs, what is wrong, and what it means for a score."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import (
    DATA_DEFAULT,
    Data,
    Json,
    Quiet,
    Specs,
    print_json,
    print_rows,
)
from bench.cli.progress import Advance, progress
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.data.check import Report


def check(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help="Datasets or folders; without any, every spec that can be found."),
    ] = None,
    counts: Annotated[
        bool, typer.Option("--counts", help="Print the counts per split and class too.")
    ] = False,
    table_format: Annotated[
        Format, typer.Option("--format", help="How tables are printed.")
    ] = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Read data or specs as a run would, and report what would matter for a score.

    Every image and annotation is opened. `bench data check` only says whether a dataset is here,
    complete, and as it was fetched.
    """
    reports = list(_reports(targets or [], data, tuple(specs or ()), quiet))
    if as_json:
        print_json(
            [
                {
                    "name": report.name,
                    "sound": report.sound,
                    "counts": report.count_rows(),
                    "findings": report.rows(),
                }
                for report in reports
            ]
        )
    else:
        for report in reports:
            _print(report, table_format, counts=counts)
    if not all(report.sound for report in reports):
        raise typer.Exit(3 if targets else 2)


def _reports(
    targets: Sequence[str], data: Path, search: Sequence[Path], quiet: bool
) -> "Iterator[Report]":
    from bench import catalog
    from bench.data.check import check as check_dataset
    from bench.spec_check import check_specs

    if not targets:
        yield check_specs(search)
    for target in targets:
        spec = catalog.dataset(target, search)
        with _Splits(spec.name, quiet) as shown:
            yield check_dataset(spec, root=data, search=search, progress=shown)


class _Splits:
    """Progress over the splits of a dataset, one after the other."""

    def __init__(self, name: str, quiet: bool) -> None:
        self._name, self._quiet = name, quiet
        self._split = ""
        self._stack = ExitStack()
        self._advance: Advance = lambda: None

    def __enter__(self) -> "_Splits":
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def __call__(self, split: str, done: int, of: int) -> None:
        """One more sample of a split was read."""
        if split != self._split:
            self._stack.close()
            self._split, self._stack = split, ExitStack()
            shown = progress(f"reading {self._name} {split}", of, quiet=self._quiet)
            self._advance = self._stack.enter_context(shown)
        self._advance()


def _print(report: "Report", to: Format, *, counts: bool) -> None:
    """A report for a person: a line a split, then the findings."""
    print(f"{report.name}: {'sound' if report.sound else 'has problems'}")
    for split, held in report.counts.items():
        classes_of = "; ".join(
            f"{task}: {len(classes)} classes, {sum(classes.values())} annotated"
            for task, classes in held.by_class.items()
        )
        answers = "; ".join(f"{task}: {n} answers" for task, n in held.answers.items())
        tasks = "; ".join(filter(None, (classes_of, answers)))
        unreadable = f", {held.unreadable} unreadable" if held.unreadable else ""
        print(f"  {split}: {held.images} images{unreadable}. {tasks}")
    if counts and report.count_rows():
        print_rows(report.count_rows(), to)
    if report.findings:
        print_rows(report.rows(), to)
    else:
        print("  nothing to report")
