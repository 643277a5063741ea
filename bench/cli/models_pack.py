"""`bench models pack`: a checkpoint as one file to hand on."""

from pathlib import Path
from typing import Annotated

import typer

from bench.cli.options import note
from bench.errors import UsageError


def pack(
    checkpoint: Annotated[
        Path, typer.Argument(help="A run's folder or a checkpoint's file.", exists=True)
    ],
    file: Annotated[Path, typer.Argument(help="The .safetensors file to write.")],
    half: Annotated[
        bool, typer.Option("--half", help="In float16: half the size, about three digits.")
    ] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Replace the file if it is there.")
    ] = False,
) -> None:
    """Write a checkpoint as one safetensors file that says what model it is.

    The file is a model for every command: --model FILE. It is written whole or not at all.
    """
    from bench.durable import whole
    from bench.roster import checkpoint_family

    if file.suffix != ".safetensors":
        raise UsageError(f"{file} should end in .safetensors.")
    if file.exists() and not force:
        raise UsageError(f"{file} is there already: name another, or add --force.")
    module, card = checkpoint_family(checkpoint)
    if not hasattr(module, "store"):
        raise UsageError(f"Checkpoints of the family {card.family} cannot be packed.")
    with whole(file, "FILE") as unfinished:
        module.store(card, checkpoint, unfinished, half=half)
        unfinished.chmod(0o644)  # the library that writes it lets nobody else read
    note(f"{file}: {card.name}, {file.stat().st_size / 1e6:.1f} MB")
