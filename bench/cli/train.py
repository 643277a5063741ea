"""`bench train`: a recipe to a model."""

import os
import sys
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from bench.cli.options import DATA_DEFAULT, Data, Quiet, note
from bench.cli.progress import progress
from bench.errors import BenchError, UsageError

if TYPE_CHECKING:
    from bench.recipe import Family, Recipe
    from bench.train.processes import Share
    from bench.train.run import Run

INTERRUPTED = 130


def train(
    recipe: Annotated[str, typer.Argument(help="A recipe's name, as `nano`.")],
    out: Annotated[
        Path, typer.Option(help="Folder of this run: model, checkpoint, journal.", file_okay=False)
    ],
    settings: Annotated[
        list[str] | None,
        typer.Option("--set", help="Change the recipe: steps=200, optimiser.rate=3e-4, …"),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Begin from this saved model, and skip the recipe trained before."),
    ] = None,
    device: Annotated[str, typer.Option(help="cpu, cuda, …")] = "cpu",
    processes: Annotated[
        int, typer.Option(min=1, help="Processes on this machine; with torchrun leave it alone.")
    ] = 1,
    threads: Annotated[
        int | None, typer.Option(min=1, help="Of each process; without it its share of the cores.")
    ] = None,
    workers: Annotated[
        int, typer.Option(min=0, help="More processes, that prepare batches ahead.")
    ] = 0,
    minutes_between: Annotated[float, typer.Option(min=0, help="Between two checkpoints.")] = 5.0,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Print data, steps, parameters and memory, and stop."),
    ] = False,
    data: Data = DATA_DEFAULT,
    quiet: Quiet = False,
) -> None:
    """Train a model by a recipe.

    A run that was stopped, in whatever way, continues with the same command.
    """
    from bench.recipe import changed
    from bench.train import families
    from bench.train.processes import Share, spread
    from bench.train.run import Run

    rank, local_rank, world, here = _of_torchrun()
    if world > 1 and processes > 1:
        raise UsageError("Under torchrun leave --processes alone: it says how many there are.")
    found, family = families.find(recipe)
    found = changed(found, _pairs(settings or []))
    place = Run(
        out,
        data=data,
        start=init,
        device=device,
        share=Share(rank, world),
        workers=workers,
        seconds_between=60 * minutes_between,
    )
    if dry_run:
        begun = replace(found, before=None) if init else found
        _foresee(begun, family, data, Share(0, max(world, processes)))
    elif processes == 1:
        from bench.train.processes import use_threads

        use_threads(threads, here)
        _train(found, family, replace(place, device=_own(device, local_rank, here)), quiet=quiet)
    else:
        place = replace(place, share=Share(0, processes))
        # Or each process says that it looked for unused parameters in vain.
        os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
        spread(_in_process, processes, recipe, found, place, threads, quiet)


def _foresee(recipe: "Recipe", family: "Family", data: Path, share: "Share") -> None:
    """Print what a run would be, and before it that of the recipe before."""
    from bench.train.outlook import lines, outlook

    if recipe.before is not None:
        _foresee(recipe.before, family, data, share)
    for text in lines(outlook(recipe, family, data, share)):
        print(text)


def _of_torchrun() -> tuple[int, int, int, int]:
    """What torchrun tells a process of itself; without it, one process that is all there are.

    Its number, its number on this machine, and how many there are of each.
    """
    names = (("RANK", 0), ("LOCAL_RANK", 0), ("WORLD_SIZE", 1), ("LOCAL_WORLD_SIZE", 1))
    rank, local_rank, world, here = (int(os.environ.get(name, value)) for name, value in names)
    return rank, local_rank, world, here


def _own(device: str, local_rank: int, here: int) -> str:
    """The device of one of several processes on a machine."""
    return f"{device}:{local_rank}" if device == "cuda" and here > 1 else device


def _in_process(
    rank: int,
    meeting: str,
    name: str,
    recipe: "Recipe",
    place: "Run",
    threads: int | None,
    quiet: bool,
) -> None:
    """The work of one of several processes that this command started."""
    from bench.train import families
    from bench.train.processes import Share, use_threads

    world = place.share.world
    use_threads(threads, world)
    place = replace(place, share=Share(rank, world), device=_own(place.device, rank, world))
    try:
        _train(recipe, families.find(name)[1], place, meeting, quiet=quiet)
    except BenchError as error:
        print(
            f"bench: {error}" if rank == 0 else f"bench: process {rank}: {error}", file=sys.stderr
        )
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _train(
    recipe: "Recipe", family: "Family", place: "Run", meeting: str = "env://", *, quiet: bool
) -> None:
    """Train as one process, and show how far it is if it is the first."""
    from bench.train.journal import line
    from bench.train.processes import group
    from bench.train.run import run

    quiet = quiet or place.share.rank > 0
    with group(place.share, place.device, meeting), ExitStack() as shown:
        for now in run(recipe, family, place):
            if now.step is None:
                shown.close()
                bar = progress(now.recipe.name, now.recipe.steps, done=now.done, quiet=quiet)
                advance = shown.enter_context(bar)
            else:
                advance()
                if now.saved:
                    parts = " ".join(f"{k} {v:.3g}" for k, v in line(now.step).items())
                    note(parts, quiet=quiet)


def _pairs(settings: list[str]) -> dict[str, str]:
    """`key=value` words, taken apart."""
    for setting in settings:
        if "=" not in setting:
            raise UsageError(f"--set takes key=value, as in --set steps=200; not '{setting}'.")
    return {key: value for key, _, value in (setting.partition("=") for setting in settings)}
