"""`bench list`: what there is, by kind."""

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bench.cli.options import (
    RESULTS_DEFAULT,
    Json,
    Results,
    Specs,
    note,
    print_json,
    print_rows,
)
from bench.errors import UnknownName
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record

Row = Mapping[str, Any]


def list_(
    kind: Annotated[str, typer.Argument(help="What to list; without it, how many of each.")] = "",
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    as_json: Json = False,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
) -> None:
    """List datasets, suites, models, protocols, vocabularies, templates, metrics, published, runs.

    `published` are the tables whose numbers `bench table` shows beside measured ones.
    """
    kinds = _kinds(tuple(specs or ()), results)
    if not kind:
        counted = {name: len(list(rows())) for name, rows in kinds.items()}
        rows: list[Row] = [{"kind": name, "count": count} for name, count in counted.items()]
    elif kind in kinds:
        rows = list(kinds[kind]())
    else:
        raise UnknownName("kind", kind, kinds)
    if as_json:
        print_json(rows)
    elif rows:
        print_rows(rows, table_format)
    else:
        note(f"No {kind} yet.")
    if kind in ("models", "datasets"):
        _tell_broken()


def _kinds(search: tuple[Path, ...], results: Path) -> dict[str, Callable[[], Iterable[Row]]]:
    return {
        "datasets": lambda: _datasets(search),
        "suites": lambda: _suites(search),
        "models": _models,
        "protocols": lambda: _protocols(search),
        "vocabularies": lambda: _vocabularies(search),
        "templates": lambda: _templates(search),
        "metrics": _metrics,
        "published": _published,
        "runs": lambda: _runs(results),
    }


def _datasets(search: tuple[Path, ...]) -> Iterable[Row]:
    from bench import catalog

    for name in catalog.datasets(search):
        spec = catalog.dataset(name, search)
        chosen, split = spec.split()
        yield {
            "name": name,
            "title": spec.title,
            "tasks": ", ".join(split.truth),
            "split": chosen,
            "images": split.size,
        }


def _suites(search: tuple[Path, ...]) -> Iterable[Row]:
    from bench import catalog

    for name in catalog.suites(search):
        suite = catalog.suite(name, search)
        members = [*dict.fromkeys(member.dataset for member in suite.members)]
        first = ", ".join(members[:3]) + (", …" if len(members) > 3 else "")
        yield {"name": name, "title": suite.title, "n": len(members), "datasets": first}


def _models() -> Iterable[Row]:
    from bench import catalog

    for name, card in catalog.models().items():
        yield {
            "name": name,
            "title": card.title,
            "family": card.family,
            "answers": ", ".join(card.answers),
            "licence": card.licence,
        }


def _protocols(search: tuple[Path, ...]) -> Iterable[Row]:
    from bench import catalog

    for name in catalog.protocols(search):
        card = catalog.protocol(name, search)
        yield {"name": name, "title": card.title, "digest": card.digest()}


def _vocabularies(search: tuple[Path, ...]) -> Iterable[Row]:
    from bench import catalog

    for name in catalog.vocabularies(search):
        spec = catalog.vocabulary(name, search)
        vocabulary = spec.vocabulary()
        yield {
            "name": name,
            "title": spec.title,
            "classes": len(vocabulary),
            "things": len(vocabulary.things),
            "digest": spec.digest(),
        }


def _templates(search: tuple[Path, ...]) -> Iterable[Row]:
    from bench import catalog

    for name in catalog.templates(search):
        sentences = catalog.sentences(name, search)
        yield {"name": name, "sentences": len(sentences), "first": sentences[0]}


def _metrics() -> Iterable[Row]:
    from bench.protocol import Protocol
    from bench.tasks import TASKS, task
    from bench.types import Vocabulary

    example = Vocabulary(("thing", "stuff"), things=frozenset({0}))
    for name in TASKS:
        value = task(name)
        for meter in value.meters(example, Protocol(name="example")):
            yield {
                "task": name,
                "scores": ", ".join(meter.names),
                "headline": value.headline if value.headline in meter.names else "",
                "about": (type(meter).__doc__ or "").splitlines()[0],
            }


def _published() -> Iterable[Row]:
    from bench import reported

    for name in reported.names():
        table = reported.table(name)
        yield {
            "name": name,
            "title": table.title,
            "rows": len(table.rows),
            "numbers": sum(cell.record is not None for row in table.rows for cell in row.cells),
            "source": table.source,
        }


def _runs(results: Path) -> Iterable[Row]:
    from bench.store import Store

    for record in Store(results).records():
        headline = ", ".join(
            f"{name} {100 * score.value:.1f}"
            for of_task in record.scores.values()
            for name, score in list(of_task.items())[:1]
            if score.value is not None
        )
        yield {
            "key": record.key,
            "model": record.model.name,
            "dataset": record.dataset.name,
            "split": record.dataset.split,
            "shots": _shots(record),
            "protocol": record.protocol.name,
            "scores": headline + (" (partial)" if record.partial else ""),
        }


def _shots(record: "Record") -> str:
    """How a run was tuned: `5 prompt (0, 1)` for draw 0 and training 1."""
    tuning = record.tuning
    if tuning is None:
        return "0"
    return f"{tuning.shots} {tuning.strategy} ({tuning.draw_seed}, {tuning.train_seed})"


def _tell_broken() -> None:
    from bench import catalog

    for name, reason in catalog.broken().items():
        note(f"Plug-in '{name}' is broken: {reason}")
