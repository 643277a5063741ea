"""`bench score`: score files that any other system wrote."""

import inspect
from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Annotated, Any

import typer

from bench.cli.options import Json, Specs, print_json
from bench.errors import UnknownName, UsageError
from bench.report.table import Format

SCORED = {
    "semantic": "bench.scoring.semantic",
    "instance": "bench.scoring.instance",
    "panoptic": "bench.scoring.panoptic",
    "cityscapes-instance": "bench.scoring.cityscapes_instance",
    "referring": "bench.scoring.referring",
    "retrieval": "bench.scoring.retrieval",
    "caption": "bench.scoring.caption",
    "vqa": "bench.scoring.vqa",
}
"""Where each kind of files is scored; one function `score(truth, predictions, protocol, …)`."""


def score(
    task: Annotated[str, typer.Argument(help=f"What the files hold: {', '.join(SCORED)}.")],
    truth: Annotated[Path, typer.Option(help="The truth: a JSON or .npz file, or a folder.")],
    predictions: Annotated[Path, typer.Option(help="What the system said, likewise.")],
    protocol: Annotated[
        str, typer.Option(help="The protocol card whose metric definitions hold.")
    ] = "bench",
    class_count: Annotated[
        int | None, typer.Option(min=1, help="Classes, where label maps do not say it (semantic).")
    ] = None,
    ignore_label: Annotated[
        int | None, typer.Option(help="The label of pixels that are not scored (semantic).")
    ] = None,
    categories: Annotated[
        Path | None,
        typer.Option(help="A file with the class names, where truth has none: JSON or lines."),
    ] = None,
    engine: Annotated[
        str | None,
        typer.Option(
            help="What computes it: hotcoco, bench or pycocotools (instance), hotcoco or bench "
            "(panoptic), bench or pycocoevalcap with Java (caption)."
        ),
    ] = None,
    layout: Annotated[
        str | None,
        typer.Option(
            help="How files are laid out: coco or bdd-bitmask (panoptic); which set of captions, "
            "where a file holds several."
        ),
    ] = None,
    by_class: Annotated[bool, typer.Option("--by-class", help="One row a class too.")] = False,
    table_format: Annotated[
        Format, typer.Option("--format", help="How the table is printed.")
    ] = Format.TERMINAL,
    as_json: Json = False,
    specs: Specs = None,
) -> None:
    """Score files that any other system wrote, without a model.

    [bold]instance[/]: COCO annotations and a COCO result JSON. [bold]panoptic[/]: a COCO panoptic
    JSON on each side, its PNG folder beside it. [bold]semantic[/]: folders of label PNG or TIFF
    files. [bold]referring, retrieval[/]: .npz files. [bold]caption, vqa[/]: the official JSON.
    """
    from bench import catalog

    card = catalog.protocol(protocol, specs or ())
    given = {
        "class_count": class_count,
        "ignore_label": ignore_label,
        "categories": categories,
        "engine": engine,
        "layout": layout,
    }
    options = {name: value for name, value in given.items() if value is not None}
    function = _scorer(task, options)
    scores = function(truth, predictions, card, **options)
    if as_json:
        shown = {
            name: {"value": s.value, "n": s.n, "by_class": s.by_class} for name, s in scores.items()
        }
        definition = {"name": card.name, "digest": card.digest(), **card.definition()}
        print_json(
            {
                "task": task,
                "scores": shown,
                "protocol": definition,
                "truth": truth,
                "predictions": predictions,
                "options": options,
            }
        )
        return
    from bench.report.table import print_scores

    print_scores(scores, title=f"{task}, protocol {card.name}", by_class=by_class, to=table_format)


def _scorer(task: str, options: Mapping[str, Any]) -> Callable[..., Any]:
    """The function that scores a task's files, after checking that it knows the options."""
    if task not in SCORED:
        raise UnknownName("task", task, SCORED)
    function: Callable[..., Any] = import_module(SCORED[task]).score
    known = inspect.signature(function).parameters
    for name in options:
        if name not in known:
            option = "--" + name.replace("_", "-")
            raise UsageError(f"{option} means nothing for task '{task}'; leave it out.")
    return function
