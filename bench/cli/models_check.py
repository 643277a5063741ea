"""`bench models check`: does a model keep what its protocols promise? Ours or a plug-in's."""

from dataclasses import asdict
from typing import Annotated

import typer

from bench.cli.options import Json, print_json


def check(
    name: Annotated[
        str, typer.Argument(help="A model's name, a checkpoint's path, or module:attribute.")
    ],
    weights: Annotated[
        str | None,
        typer.Option(help="A checkpoint in place of its own, or random[:SEED] for noise."),
    ] = None,
    device: Annotated[str, typer.Option(help="Where it runs: cpu, cuda, cuda:1, …")] = "cpu",
    seconds: Annotated[
        float, typer.Option(min=1, help="What has not begun by then is skipped.")
    ] = 60.0,
    as_json: Json = False,
) -> None:
    """Ask a model about drawn images, and examine its answers; needs no data."""
    from bench import catalog
    from bench.selftest import Check, Verdict, self_test, sound
    from bench.workplace import load_model, weights_setting

    card = catalog.model(name).card
    model = load_model(name, device, **weights_setting(weights))
    signs = {Verdict.KEPT: "✓", Verdict.BROKEN: "✗", Verdict.SKIPPED: "·"}
    checks: list[Check] = []
    for found in self_test(model, card.answers if card else (), seconds=seconds):
        checks.append(found)
        if not as_json:
            said = f": {found.found}" if found.found else ""
            print(f"{signs[found.verdict]} {found.protocol}: {found.claim}{said}", flush=True)
    if as_json:
        print_json({"model": name, "sound": sound(checks), "checks": [asdict(c) for c in checks]})
    else:
        took = sum(found.seconds for found in checks)
        broken = sum(found.verdict is Verdict.BROKEN for found in checks)
        skipped = sum(found.verdict is Verdict.SKIPPED for found in checks)
        print(f"{len(checks)} checks, {broken} broken, {skipped} skipped, in {took:.1f} s")
    if not sound(checks):
        raise typer.Exit(5)
