"""`bench rescore`: what a network answered, scored under another protocol card."""

from collections.abc import Sequence
from pathlib import Path
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
)
from bench.cli.progress import progress
from bench.errors import UsageError
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.protocol import Protocol
    from bench.record import Record
    from bench.store import Store


def rescore(
    run: Annotated[str, typer.Argument(help="A run made with --keep-raw: its key, or its model.")],
    protocol: Annotated[
        str | None, typer.Option(help="The protocol card; without it the run's own.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", help="field=value, over the card; may be given several times."),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this dataset.")] = None,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Score a run's raw answers under another protocol card, without asking the model.

    The outcome is a run of its own. What decides how the model is asked cannot be changed.
    """
    from bench.cli.runs import one_run
    from bench.cli.table import print_records
    from bench.store import Store

    store, search = Store(results), tuple(specs or ())
    if protocol is None and not changes:
        raise UsageError("Say what to score it under: --protocol CARD, or --set field=value.")
    record = one_run(run, store, dataset)
    card = card_for(record, protocol, changes or (), search)
    found = scored(record, store, card, data=data, specs=search, quiet=quiet)
    store.append(found)
    if as_json:
        print_json(found.model_dump(mode="json"))
    else:
        print_records([found], store, table_format, quiet=quiet)
        note(f"Scored from the answers of run {record.key}; no model was asked.", quiet=quiet)


def card_for(
    record: "Record", name: str | None, changes: Sequence[str], specs: Sequence[Path]
) -> "Protocol":
    """A card as it applies to a run's dataset, with changes; without a name the run's own."""
    from bench import catalog
    from bench.fields import altered, stated
    from bench.rescore import card_of

    if name is None:
        card = card_of(record)
    else:
        card = catalog.protocol(name, specs).for_dataset(record.dataset.name)
    if not changes:
        return card
    return altered(card, stated(changes), ", ".join([card.name, *changes]))


def scored(
    record: "Record",
    store: "Store",
    card: "Protocol",
    *,
    data: Path,
    specs: Sequence[Path],
    quiet: bool,
) -> "Record":
    """The record of a run's answers under a card, with progress shown; in no list of records."""
    from bench.execute import Advanced, Finished, Started
    from bench.rescore import rescore as rescored

    events = rescored(record, store, card, data=data, specs=specs)
    begun = next(events)
    assert isinstance(begun, Started)
    silent = quiet or begun.done == begun.images
    with progress(begun.job.title, begun.images, done=begun.done, quiet=silent) as advance:
        for event in events:
            if isinstance(event, Advanced):
                advance()
            elif isinstance(event, Finished):
                found = event.record
    return found
