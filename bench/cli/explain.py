"""`bench explain`: how many points each field of a protocol card moves a run's scores."""

from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

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
from bench.cli.points import percent, points
from bench.report.table import Format, Row, Table

if TYPE_CHECKING:
    from bench.explain import Change, Explanation
    from bench.protocol import Protocol


def explain(
    run: Annotated[str, typer.Argument(help="A run made with --keep-raw: its key, or its model.")],
    to: Annotated[str, typer.Option("--to", help="The card where the walk ends.")],
    start: Annotated[
        str | None, typer.Option("--from", help="The card it begins at; without it the run's own.")
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
    """Walk from one protocol card to another, one field at a time, and show what each field moves.

    Fields come in the order of the card, from masks to metrics; the points add up.
    """
    from bench.cli.rescore import card_for, scored
    from bench.cli.runs import one_run
    from bench.explain import explain as explained
    from bench.explain import walk
    from bench.fields import fields
    from bench.rescore import WORDS, dataset_of, needing_a_run
    from bench.store import Store
    from bench.types import Vocabulary

    store, search = Store(results), tuple(specs or ())
    record = one_run(run, store, dataset)

    words: dict[str, Vocabulary] = {}

    def reachable(card: "Protocol") -> bool:
        asked = str([fields(card)[field] for field in WORDS])
        if asked not in words:
            words[asked] = dataset_of(record, card, data=data, specs=search).vocabulary
        return not needing_a_run(record, card, words[asked])

    way = walk(card_for(record, start, (), search), card_for(record, to, (), search), reachable)
    found = explained(
        way, lambda card: scored(record, store, card, data=data, specs=search, quiet=quiet)
    )
    if as_json:
        print_json({"run": record.key, **as_plain(found)})
        return
    title = f"{record.model.name} on {record.dataset.name}, from {way.start.name} to {to}"
    explanation_table(found, title).show(table_format)
    if found.needing_a_run:
        note("Run the model under the other card to see what the rest moves.", quiet=quiet)


def explanation_table(found: "Explanation", title: str) -> Table:
    """A line a field with the points it moves, between the scores before and after."""
    names = list(found.before)
    columns = ("field", "from", "to", *(name for _, name in names))
    if len(set(columns)) < len(columns):
        columns = ("field", "from", "to", *(f"{task} {name}" for task, name in names))
    rows = [Row(("score at the start", "", "", *(percent(found.before[n]) for n in names)))]
    for step in found.steps:
        moved = (points(step.moved[name]) for name in names)
        rows.append(Row((*_words(step.change), *moved)))
    for change in found.needing_a_run:
        rows.append(Row((*_words(change), *("needs a run" for _ in names))))
    rows.append(Row(("all of it", "", "", *(points(found.total[n]) for n in names))))
    rows.append(Row(("score at the end", "", "", *(percent(found.after[n]) for n in names))))
    notes = (
        "Scores in percent, steps in points; each step keeps the changes above it.",
        *(
            [f"The end is the other card but for {', '.join(c.field for c in left)}."]
            if (left := found.needing_a_run)
            else []
        ),
    )
    return Table(columns, tuple(rows), title, notes)


def as_plain(found: "Explanation") -> dict[str, Any]:
    """An explanation as JSON has it: fractions, with points where something moved."""
    return {
        "from": {"name": found.start.name, "digest": found.start.digest()},
        "to": {"name": found.end.name, "digest": found.end.digest()},
        "before": _nested(found.before),
        "steps": [
            {
                "field": step.change.field,
                "from": step.change.before,
                "to": step.change.after,
                "scores": _nested(step.scores),
                "points": _nested({k: _in_points(v) for k, v in step.moved.items()}),
            }
            for step in found.steps
        ],
        "needs_a_run": [
            {"field": c.field, "from": c.before, "to": c.after} for c in found.needing_a_run
        ],
        "after": _nested(found.after),
        "points": _nested({k: _in_points(v) for k, v in found.total.items()}),
    }


def _nested(scores: Mapping[tuple[str, str], float | None]) -> dict[str, dict[str, float | None]]:
    found: dict[str, dict[str, float | None]] = {}
    for (task, name), value in scores.items():
        found.setdefault(task, {})[name] = value
    return found


def _in_points(moved: Any) -> float | None:
    return None if moved is None else float(100 * moved)


def _words(change: "Change") -> tuple[str, str, str]:
    return change.field, _shown(change.before), _shown(change.after)


def _shown(value: Any) -> str:
    if isinstance(value, dict):
        stated = {k: v for k, v in value.items() if v is not None}
        return ", ".join(f"{k} {v}" for k, v in stated.items())
    if isinstance(value, list):
        return ", ".join(map(str, value)) or "none"
    return str(value)
