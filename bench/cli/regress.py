"""`bench regress`: whether a model still does what a reference says; exit code 0, 5 or 6."""

from pathlib import Path
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
    print_json,
    words,
)
from bench.cli.points import percent, points
from bench.cli.progress import progress
from bench.report.table import Format, Row, Table, stacked

if TYPE_CHECKING:
    from bench.regression.gate import Decision
    from bench.regression.score_check import ScoreCheck
    from bench.regression.stage_check import StageCheck


def regress(
    against: Annotated[
        str, typer.Option(help="The reference: a file, or a name given to `bench baseline`.")
    ],
    model: Annotated[
        str | None,
        typer.Option(help="A name, a checkpoint, or module:attribute; the reference's own without"),
    ] = None,
    weights: Annotated[
        str | None, typer.Option(help="As for `bench run`: a checkpoint, random, or random:SEED.")
    ] = None,
    precision: Annotated[
        str | None, typer.Option(help="The network's number format; the reference's without.")
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, cuda:1, …")] = "cpu",
    batch_size: Annotated[int, typer.Option(min=1, help="Images asked together, at most.")] = 1,
    margin: Annotated[float, typer.Option(min=0, help="Points that a score may lose.")] = 0.5,
    upper: Annotated[
        float, typer.Option(min=0, help="Points that a score may gain; more wants a reason.")
    ] = 5.0,
    score: Annotated[
        list[str] | None, typer.Option(help="Scores to judge; without it each task's headline.")
    ] = None,
    new_weights: Annotated[
        bool,
        typer.Option(
            "--new-weights", help="The weights are meant to be others: judge scores, not stages."
        ),
    ] = False,
    junit: Annotated[
        Path | None, typer.Option(help="Write the outcome here as JUnit XML.", dir_okay=False)
    ] = None,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the tables are printed.")
    ] = Format.TERMINAL,
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Hold a model against a reference: the same images, words and card, scores and stages.

    Ends with 0 (passed), 5 (failed: a score fell or leapt, or a stage diverged) or 6 (undecided:
    too few images to tell).
    """
    from bench.regression.gate import Gate
    from bench.regression.junit import write
    from bench.regression.reference import found
    from bench.regression.score_check import Rules
    from bench.workplace import Workplace

    gate = Gate(
        found(against, results),
        Workplace(results, data, tuple(specs or ()), batch_size),
        Rules(margin / 100, upper / 100, words(score), new_weights),
        model=model,
        weights=weights,
        precision=precision,
        device=device,
    )
    with progress(f"against {gate.reference.name}", gate.images, quiet=quiet) as advance:
        decision = gate.decide(advance)
    if junit is not None:
        write(decision, junit)
    if as_json:
        print_json(as_plain(decision))
    else:
        _show(decision, table_format, quiet=quiet)
    if decision.error is not None:
        raise decision.error


def _show(decision: "Decision", to: Format, *, quiet: bool) -> None:
    """Print both tables, for programs as one; the sentence below is for people."""
    tables = [("stages", stages_table(decision))]
    tables += [("scores", scores_table(decision))] if decision.scores else []
    if to in (Format.CSV, Format.JSON):
        stacked(tables, "check").show(to)
        return
    for _, table in tables:
        table.show(to)
    if decision.error is None and not quiet:
        print(decision.sentence)


def scores_table(decision: "Decision") -> Table:
    """A line a score: then, now, the difference with its interval, and what it comes to."""
    rules = decision.rules
    rows = tuple(Row(_score_cells(check, rules.margin)) for check in decision.scores)
    images = {check.difference.images for check in decision.scores if check.difference}
    notes = [
        "Percent and points; paired bootstrap over "
        f"{' and '.join(str(n) for n in sorted(images))} images. A score may gain "
        f"{100 * rules.upper:g} points."
    ]
    if any(check.reach for check in decision.scores):
        notes.append(
            "What a score may lose and gain is widened by what its number format did when the "
            "reference was made."
        )
    columns = (
        "dataset",
        "task",
        "score",
        "reference",
        "now",
        "difference",
        "95% interval",
        "may lose",
        "",
    )
    return Table(columns, rows, "Scores", tuple(notes) if images else ())


def _score_cells(check: "ScoreCheck", margin: float) -> tuple[str, ...]:
    who = (check.dataset, check.task, check.score, percent(check.then))
    d = check.difference
    if d is None:
        return (*who, "–", "–", "–", "", check.verdict.value)
    known = d.interval.low == d.interval.low
    interval = f"[{points(d.interval.low)}, {points(d.interval.high)}]" if known else "–"
    may_lose = f"{100 * (margin + check.reach):.2f}"
    return (*who, percent(d.ours), points(d.value), interval, may_lose, check.verdict.value)


def stages_table(decision: "Decision") -> Table:
    """A line a stage: how it is to what it was."""
    rows = tuple(Row(_stage_cells(check)) for check in decision.stages)
    images = max((check.images for check in decision.stages), default=0)
    title = f"Stages of {decision.model}, against '{decision.reference}'"
    notes = (
        f"On {images} images; distances relative to the array's length, or as the share of labels "
        "that differ.",
    )
    columns = ("dataset", "stage", "", "array", "distance", "allowed", "images outside")
    return Table(columns, rows, title, notes if images else ())


def _stage_cells(check: "StageCheck") -> tuple[str, ...]:
    who = (check.dataset, check.stage, check.agreement.value)
    if check.settings:
        return (*who, "; ".join(check.settings), "", "", "")
    if not check.distance or check.envelope is None:
        return (*who, "", "", "", "")
    outside = f"{check.outside} of {check.images}" if check.outside else ""
    return (*who, check.array, f"{check.distance:.1e}", f"{check.envelope:.1e}", outside)


def as_plain(decision: "Decision") -> dict[str, Any]:
    """A decision as JSON has it: fractions."""
    blamed = decision.blamed
    return {
        "reference": decision.reference,
        "model": decision.model,
        "verdict": decision.verdict.value,
        "sentence": decision.sentence,
        "first_diverged": None if blamed is None else blamed.stage,
        "scores": [_plain_score(check) for check in decision.scores],
        "stages": [_plain_stage(check) for check in decision.stages],
    }


def _plain_score(check: "ScoreCheck") -> dict[str, Any]:
    d = check.difference
    return {
        "dataset": check.dataset,
        "task": check.task,
        "score": check.score,
        "verdict": check.verdict.value,
        "reason": check.reason,
        "reference": check.then,
        "now": None if d is None else d.ours,
        "difference": None if d is None else d.value,
        "interval": None if d is None else [d.interval.low, d.interval.high],
        "images": None if d is None else d.images,
        "reach_of_format": check.reach,
    }


def _plain_stage(check: "StageCheck") -> dict[str, Any]:
    return {
        "dataset": check.dataset,
        "stage": check.stage,
        "agreement": check.agreement.value,
        "array": check.array or None,
        "distance": None if check.distance == float("inf") else check.distance,
        "envelope": check.envelope,
        "images_outside": check.outside,
        "images": check.images,
        "settings": list(check.settings),
    }
