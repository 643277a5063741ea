"""`bench doctor`: is this installation fit to run, and if not, what to do."""

import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path
from typing import Literal

import typer
from packaging.requirements import Requirement

from bench.cli.options import DATA_DEFAULT, RESULTS_DEFAULT, Data, Json, Results, print_json

DISTRIBUTION = "bench-openvocab"
Verdict = Literal["ok", "note", "problem"]


@dataclass(frozen=True)
class Finding:
    """One thing looked at."""

    verdict: Verdict
    subject: str
    found: str
    advice: str = ""


def doctor(
    data: Data = DATA_DEFAULT, results: Results = RESULTS_DEFAULT, as_json: Json = False
) -> None:
    """Look at Python, packages, device, folders and extras, and say how to mend what is wrong."""
    findings = [*_packages(), *_device(), *_folders(data, results), *_extras(), *_catalogue()]
    if as_json:
        print_json([asdict(f) for f in findings])
    else:
        signs = {"ok": "✓", "note": "·", "problem": "✗"}
        for f in findings:
            print(f"{signs[f.verdict]} {f.subject}: {f.found}")
            if f.advice:
                print(f"    {f.advice}")
    if any(f.verdict == "problem" for f in findings):
        raise typer.Exit(3)


def _packages() -> Iterator[Finding]:
    """Python itself, and every required package against the range we allow."""
    yield Finding("ok", "Python", f"{platform.python_version()} on {platform.platform()}")
    for requirement in _requirements(extra=None):
        yield _installed(requirement, missing="problem")


def _requirements(extra: str | None) -> list[Requirement]:
    """Our requirements that hold on this Python, without extras or of one extra."""
    found = []
    for text in requires(DISTRIBUTION) or ():
        requirement = Requirement(text)
        marker = requirement.marker
        needed = marker is None or marker.evaluate({"extra": extra or ""})
        plain = marker is None or marker.evaluate({"extra": ""})
        if needed and (extra is None or not plain):
            found.append(requirement)
    return found


def _installed(requirement: Requirement, missing: Verdict) -> Finding:
    """Whether a package is there in a version we allow."""
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        advice = f"Install it: pip install '{requirement.name}{requirement.specifier}'"
        return Finding(missing, requirement.name, "not installed", advice)
    if not requirement.specifier.contains(found, prereleases=True):
        advice = f"bench is tested with {requirement.specifier}."
        return Finding("problem", requirement.name, found, advice)
    return Finding("ok", requirement.name, found)


def _device() -> Iterator[Finding]:
    """What the networks would run on."""
    import torch

    if torch.cuda.is_available():
        memory = torch.cuda.get_device_properties(0).total_memory / 2**30
        yield Finding("ok", "device", f"cuda: {torch.cuda.get_device_name(0)}, {memory:.0f} GiB")
    else:
        yield Finding("note", "device", f"cpu, {torch.get_num_threads()} threads; no CUDA device")


def _folders(data: Path, results: Path) -> Iterator[Finding]:
    """Where data would be read and results written."""
    if data.is_dir():
        yield Finding("ok", "data folder", str(data.resolve()))
    else:
        advice = "Only needed for downloaded datasets. Set BENCH_DATA or --data to change it."
        yield Finding("note", "data folder", f"{data.resolve()} does not exist", advice)
    parent = next(p for p in (results.resolve(), *results.resolve().parents) if p.exists())
    if not os.access(parent, os.W_OK):
        advice = "Choose another folder with --results or BENCH_RESULTS."
        yield Finding("problem", "results folder", f"{results.resolve()} is not writable", advice)
        return
    free = shutil.disk_usage(parent).free / 2**30
    verdict: Verdict = "ok" if free > 1 else "problem"
    advice = "" if free > 1 else "Free some space, or choose another folder with --results."
    yield Finding(verdict, "results folder", f"{results.resolve()}, {free:.1f} GiB free", advice)


def _extras() -> Iterator[Finding]:
    """Optional parts, and what they would add."""
    for extra, purpose in (
        ("baselines", "other systems through transformers"),
        ("roboflow", "downloading SegInW"),
        ("ray", "sweeps on a Ray cluster"),
    ):
        missing = [
            f for f in (_installed(r, "note") for r in _requirements(extra)) if f.verdict != "ok"
        ]
        if missing:
            advice = f"For {purpose}: pip install '{DISTRIBUTION}[{extra}]'"
            yield Finding("note", f"extra '{extra}'", "not installed", advice)
        else:
            yield Finding("ok", f"extra '{extra}'", purpose)


def _catalogue() -> Iterator[Finding]:
    """Whether every shipped spec reads, and which plug-ins do not import."""
    from bench import catalog

    try:
        counts = f"{len(catalog.datasets())} datasets, {len(catalog.models())} models"
    except Exception as error:  # whatever is wrong with a plug-in, the doctor reports it
        yield Finding("problem", "catalogue", f"{type(error).__name__}: {error}")
        return
    yield Finding("ok", "catalogue", f"{counts}; Python at {sys.executable}")
