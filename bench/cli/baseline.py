"""`bench baseline`: keeps runs as a reference that later ones are held against."""

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
    print_rows,
    words,
)
from bench.cli.progress import progress
from bench.report.table import Format

if TYPE_CHECKING:
    from bench.record import Record
    from bench.regression.reference import Reference
    from bench.store import Store


def baseline(
    runs: Annotated[
        list[str], typer.Argument(metavar="RUN…", help="Finished runs: their keys, or their model.")
    ],
    name: Annotated[str, typer.Option(help="What the reference is called.")],
    out: Annotated[
        Path | None,
        typer.Option(help="The file; without it RESULTS/references/NAME.json.", dir_okay=False),
    ] = None,
    dataset: Annotated[str | None, typer.Option(help="Only runs on this dataset.")] = None,
    allow: Annotated[
        list[str] | None,
        typer.Option(
            help="A number format that the model may later be run in, as bfloat16: asks about all "
            "images in it, to know what that alone does to stages and scores."
        ),
    ] = None,
    device: Annotated[str, typer.Option(help="Where the model is asked.")] = "cpu",
    data: Data = DATA_DEFAULT,
    results: Results = RESULTS_DEFAULT,
    specs: Specs = None,
    quiet: Quiet = False,
    as_json: Json = False,
) -> None:
    """Keep runs as a reference for `bench regress`: one file, without weights or images.

    The model is asked once more about eight images, to note what each stage computes and how far
    rounding moves it.
    """
    from bench.regression.reference import make, place_of
    from bench.store import Store
    from bench.workplace import Workplace

    path = out or place_of(name, results)
    store = Store(results)
    records = _all(runs, store, dataset)
    place = Workplace(results, data, tuple(specs or ()))
    formats = words(allow)
    images = len(formats) * sum(r.images.scored for r in records if r.images)
    with progress(f"baseline {name}", images, quiet=quiet or not images) as advance:
        reference = make(name, records, place, device, allow=formats, seen=advance)
    reference.write(path)
    size = path.stat().st_size
    if as_json:
        print_json({"name": name, "file": path, "bytes": size, "runs": [r.key for r in records]})
        return
    rows = [
        {
            "run": part.record.key[:8],
            "model": part.record.model.name,
            "dataset": f"{part.record.dataset.name} ({part.record.dataset.split})",
            "images": len(part.outcomes),
            "of them shown by stage": len(part.stages),
        }
        for part in reference.parts
    ]
    print_rows(rows, Format.TERMINAL)
    if reaches := _reach_rows(reference):
        print_rows(reaches, Format.TERMINAL)
    note(
        f"Reference '{name}' is in {path} ({size / 1000:.0f} kB). "
        f"Check against it: bench regress --model MODEL --against {out or name}",
        quiet=quiet,
    )


def _all(names: list[str], store: "Store", dataset: str | None) -> "list[Record]":
    """The runs that the names mean, each once."""
    from bench.cli.runs import runs_named

    found = [record for name in names for record in runs_named(name, store, dataset)]
    return list({record.key: record for record in found}.values())


def _reach_rows(reference: "Reference") -> list[dict[str, object]]:
    """What other number formats do to each task's headline, in points."""
    from bench import tasks

    return [
        {
            "number format": format,
            "dataset": part.record.dataset.name,
            "score": f"{task} {tasks.task(task).headline}",
            "moves it by, at most": f"{100 * reaches[tasks.task(task).headline]:.2f} points",
        }
        for part in reference.parts
        for format, by_task in part.reaches.items()
        for task, reaches in by_task.items()
        if tasks.task(task).headline in reaches
    ]
