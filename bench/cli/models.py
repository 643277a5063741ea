"""`bench models`: what models there are, and getting their weights."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.models_check import check
from bench.cli.models_pack import pack
from bench.cli.options import Json, note, print_json, print_rows
from bench.errors import UsageError
from bench.report.table import Format


def list_models(
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    as_json: Json = False,
) -> None:
    """List models: what each answers, and whether its weights are here."""
    from bench import catalog
    from bench.weights import Released, stored

    rows = []
    for name, card in catalog.models().items():
        weights = getattr(card, "weights", None)
        fetched = stored(name) if isinstance(weights, Released) else None
        rows.append(
            {
                "name": name,
                "title": card.title,
                "answers": ", ".join(card.answers),
                "weights": _weights(weights, fetched),
            }
        )
    if as_json:
        print_json(rows)
    else:
        print_rows(rows, table_format)


def _weights(weights: object, fetched: Path | None) -> str:
    from bench.weights import Released

    if fetched is not None:
        return "fetched"
    if isinstance(weights, Released):
        return f"to fetch: {weights.repository}, {weights.file}"
    return "none released" if weights is None else str(getattr(weights, "file", weights))


def fetch(
    names: Annotated[list[str], typer.Argument(help="Models whose weights to get.")],
    into: Annotated[
        Path | None,
        typer.Option(help="In place of the weights folder (BENCH_WEIGHTS).", file_okay=False),
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option("--from", help="A file or URL in place of the hub; several are tried."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Fetch even if the weights are here.")
    ] = False,
) -> None:
    """Get released weights, check their sha256, and store them where models find them.

    The first fetch pins the sha256 in weights.lock.json. What was cut off goes on where it stopped.
    """
    from bench import catalog
    from bench.errors import UnknownName
    from bench.roster import family_of
    from bench.weights import fetch as fetched
    from bench.weights import locked

    known = catalog.models()
    if source and len(names) > 1:
        raise UsageError("--from is for one model at a time.")
    for name in names:
        if name not in known:
            raise UnknownName("model", name, known)
        module, card = family_of(name), known[name]
        if not hasattr(module, "store"):
            raise UsageError(f"{name} has no weights to fetch.")
        path = fetched(card, module.store, folder=into, sources=source or (), again=again)
        pinned = locked(path.parent).get(name)
        about = f" sha256 {pinned.sha256[:16]}…, from {pinned.source}" if pinned else ""
        note(f"{name}: {path}{about}")


COMMANDS = (("list", list_models), ("fetch", fetch), ("check", check), ("pack", pack))
"""Of the group `bench models`."""
