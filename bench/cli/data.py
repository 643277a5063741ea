"""`bench data`: getting datasets, and what is here of them."""

import sys
import time
from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import (
    DATA_DEFAULT,
    Data,
    Json,
    Quiet,
    Specs,
    note,
    print_json,
    print_rows,
    words,
)
from bench.errors import BenchError, DataError, ExtraMissing, UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.obtain.getting import Outcome, Request
    from bench.obtain.status import Status
    from bench.spec import DatasetSpec

Row = dict[str, Any]
TableFormat = Annotated[Format, typer.Option("--format", help="How the table is printed.")]
Targets = "Datasets, suites, or a suite's dataset as in seginw/Rail"


def get(
    targets: Annotated[list[str], typer.Argument(help=f"{Targets}.")],
    source: Annotated[
        str | None,
        typer.Option(
            "--from",
            help="An archive, a folder, an address (of an archive, or of a folder of them, ending "
            "with /), hf://datasets/owner/name@revision/path, roboflow:workspace/project/version, "
            "or a mirror that the spec names, such as `official` for seginw.",
        ),
    ] = None,
    split: Annotated[
        list[str] | None,
        typer.Option(help="Splits to get; without it the one that is scored, of exports all."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Fetch what is here too, and compare it.")
    ] = False,
    other_counts: Annotated[
        bool, typer.Option("--other-counts", help="Keep a dataset of another size than published.")
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what would be got from where, and get nothing.")
    ] = False,
    table_format: TableFormat = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Get datasets where licences allow it; where not, say which files go where and whose terms.

    What is here and as pinned in data.lock.json is verified and not fetched. What was stopped goes
    on where it stopped; no dataset is in place before all of it is there, counted and compared.
    """
    from bench.obtain.getting import Request
    from bench.obtain.status import chosen

    search = tuple(specs or ())
    found = chosen(targets, search)
    if dry_run:
        rows = [row for spec in found for row in _plan(spec, words(split), source, data)]
        return print_json(rows) if as_json else print_rows(rows, table_format)
    request = Request(data, words(split), source, again, other_counts, search)
    outcomes, errors = _get_all(found, request, quiet=quiet)
    rows = [_got(outcome) for outcome in outcomes]
    if as_json:
        failed = [{"dataset": name, "error": str(error)} for name, error in errors]
        print_json([*rows, *failed])
    elif rows:
        print_rows(rows, table_format)
    for name, error in errors:
        print(f"bench: {'' if name in str(error) else name + ': '}{error}", file=sys.stderr)
    if errors:
        raise typer.Exit(errors[0][1].exit_code)
    return None


def _get_all(
    specs: Sequence["DatasetSpec"], request: "Request", *, quiet: bool
) -> "tuple[list[Outcome], list[tuple[str, BenchError]]]":
    """Each dataset; one that fails does not keep the others back."""
    from bench.obtain.getting import Getting
    from bench.obtain.lock import Pins
    from bench.obtain.pieces import is_drawn
    from bench.obtain.roboflow_export import NoKey

    outcomes: list[Outcome] = []
    errors: list[tuple[str, BenchError]] = []
    fetches = any(not is_drawn(spec) for spec in specs)
    with Pins(request.root).alone() if fetches else nullcontext():
        getting = Getting(request, lambda text: note(text, quiet=quiet), _Bytes(quiet))
        for spec in specs:
            if spec.source.licence and not is_drawn(spec):
                note(f"{spec.name}: {spec.source.licence}", quiet=quiet)
            try:
                outcomes.append(getting.get(spec))
            except (ExtraMissing, NoKey, UsageError) as error:
                errors.append((spec.name, error))
                break  # the others would say the same
            except BenchError as error:
                errors.append((spec.name, error))
            except OSError as error:
                what = f"{spec.name} cannot be put into {request.root}: {error}."
                raise DataError(what) from error
        if not errors:
            getting.downloads.drop()
    return outcomes, errors


def _got(outcome: "Outcome") -> Row:
    return {
        "dataset": outcome.dataset,
        "result": outcome.done,
        "samples": ", ".join(f"{found.samples} {found.split}" for found in outcome.counts),
        "from": ", ".join(outcome.sources),
        "not asked for": ", ".join(outcome.left),
    }


def _plan(
    spec: "DatasetSpec", splits: Sequence[str], source: str | None, data: Path
) -> Iterable[Row]:
    from bench.obtain.pieces import Export, is_drawn, pieces

    if is_drawn(spec):
        return
    pin = spec.source.roboflow
    for piece in pieces(spec, splits or [spec.split()[0]]):
        place = source or next(iter(piece.urls), "by hand")
        if source is None and isinstance(piece, Export) and pin is not None:
            place = f"roboflow:{pin.workspace}/{pin.project}/{pin.version or '(by its counts)'}"
        yield {
            "dataset": spec.name,
            "file": piece.file,
            "from": place,
            "into": str(data / spec.home),
            "gives": ", ".join(piece.given()),
        }


def check(
    targets: Annotated[
        list[str] | None,
        typer.Argument(help=f"{Targets}; without any, every dataset of which something is here."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Compare sizes of pinned files, not their contents.")
    ] = False,
    table_format: TableFormat = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Say what is missing, changed or of another size than published, and where to get it.

    Files are looked for, counted and compared with data.lock.json; no image is opened. To open them
    all, as a run does, and hear what would matter for a score: `bench check`.
    """
    from bench.obtain.status import State, chosen, every, status

    search = tuple(specs or ())
    asked = chosen(targets, search) if targets else every(search)
    found: list[Status] = []
    for spec in asked:
        note(f"looking at {spec.name}", quiet=quiet or not targets)
        one = status(spec, root=data, search=search, contents=not quick, every_split=True)
        if targets or one.state not in (State.MISSING, State.DRAWN):
            found.append(one)
    rows = [row for one in found for row in _counts(one)]
    remarks = [line for one in found for line in _remarks(one, search)]
    missing = [_elsewhere(one) for one in found if not one.state.sound]
    if as_json:
        print_json({"splits": rows, "remarks": remarks, "to get": missing, "sound": not missing})
    else:
        if rows:
            print_rows(rows, table_format)
        for line in remarks:
            print(line)
        if missing and table_format is Format.TERMINAL:
            for row in missing:
                print(f"{row['dataset']}: {row['get it']}\n  {row['page']} ({row['licence']})")
        elif missing:
            print_rows(missing, table_format)
        if not found:
            note(f"No dataset is in {data}. `bench data list` shows what there is.")
    if missing:
        raise typer.Exit(3)


def _counts(one: "Status") -> Iterable[Row]:
    """A row for each split: what is there, what the spec says, what the paper says."""
    from bench.obtain.status import State

    paper = one.spec.source.published
    for found in one.counts:
        if found.extra and not found.here:
            continue  # other images or forms of a split, which need not be there
        yield {
            "dataset": one.spec.name,
            "split": found.split + ("" if not found.needed else " (scored)"),
            "state": one.state.value if found.needed else _said(found),
            "samples": found.samples,
            "spec": found.expected,
            "published": found.published,
            "table": paper.table if paper and found.published is not None else "",
        }
    if one.state is State.DRAWN:
        split, part = one.spec.split()
        yield {
            "dataset": one.spec.name,
            "split": f"{split} (scored)",
            "state": one.state.value,
            "samples": part.size,
            "spec": part.size,
            "published": None,
            "table": "",
        }


def _said(found: Any) -> str:
    if not found.here:
        return "missing"
    return "complete" if found.complete else "incomplete"


def _remarks(one: "Status", search: Sequence[Path]) -> Iterable[str]:
    from bench.obtain.status import State, class_counts

    if one.wrong:
        yield f"{one.spec.name}: not as pinned (from {', '.join(one.sources)}): {one.wrong}"
    if differing := class_counts(one.spec, search):
        yield f"{one.spec.name}: {differing}"
    for found in one.counts:
        known = found.here or (found.needed and one.state is not State.MISSING)
        if known and not found.complete:
            yield f"{one.spec.name} {found.split}: {found}"
        if found.published not in (None, found.expected) and found.here:
            table = one.spec.source.published.table if one.spec.source.published else ""
            said = f"{table} says {found.published}, the spec {found.expected}"
            yield f"{one.spec.name} {found.split}: {said}"


def _elsewhere(one: "Status") -> Row:
    source, by_hand = one.spec.source, one.how.startswith("by hand")
    return {
        "dataset": one.spec.name,
        "get it": one.how,
        "page": source.page,
        "licence": "; ".join(filter(None, [source.licence, source.terms if by_hand else ""])),
    }


def list_(
    targets: Annotated[
        list[str] | None, typer.Argument(help=f"{Targets}; without any, all datasets.")
    ] = None,
    table_format: TableFormat = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    specs: Specs = None,
    as_json: Json = False,
) -> None:
    """List datasets: which are here, verified, changed or missing, and how to get them.

    Pinned files are compared by size; `bench data check` reads them.
    """
    from bench.obtain.status import State, chosen, every, status

    search = tuple(specs or ())
    rows = []
    for spec in chosen(targets, search) if targets else every(search):
        one = status(spec, root=data, search=search, contents=False, every_split=False)
        scored = one.counts[0] if one.counts else None
        rows.append(
            {
                "dataset": spec.name,
                "state": one.state.value,
                "split": spec.split()[0],
                "samples": scored.samples if scored else spec.split()[1].size,
                "of": spec.split()[1].size,
                "home": "" if one.state is State.DRAWN else spec.home,
                "from": ", ".join(one.sources),
                "get it": "" if one.state.sound else one.how,
            }
        )
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, table_format)


class _Bytes:
    """How far a download is: a line that is written over on a terminal, plain lines elsewhere."""

    EVERY = 10.0

    def __init__(self, quiet: bool) -> None:
        self._quiet = quiet
        self._last = time.monotonic()

    def __call__(self, file: str, done: int, of: int | None) -> None:
        """`done` bytes of a file are here, `of` in all where that is known."""
        on_terminal, now = sys.stderr.isatty(), time.monotonic()
        finished = done == of
        if self._quiet or (
            now - self._last < (0.2 if on_terminal else self.EVERY) and not finished
        ):
            return
        self._last = now
        text = f"  {file}: {done / 1e6:.1f} MB" + (f" of {of / 1e6:.1f}" if of else "")
        end = "\n" if finished or not on_terminal else ""
        print(("\r" if on_terminal else "") + text, end=end, file=sys.stderr, flush=True)


COMMANDS = (("list", list_), ("get", get), ("check", check))
"""Of the group `bench data`."""
