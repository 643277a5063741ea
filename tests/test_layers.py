"""Data moves one way, imports point the other way: read off the source, and off a fresh process."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACTS = {"bench.types", "bench.errors", "bench.recipe"}
"""What a model is asked, what can go wrong, and how it is trained."""


def imported(path: Path) -> set[str]:
    """Every module a source file imports, at any depth of the file."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {node.module}
    return found


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def reaching(folder: str, prefixes: tuple[str, ...], allowed: set[str] = frozenset()) -> list[str]:
    """Imports under `folder` of anything under `prefixes` that is not allowed."""
    return [
        f"{path.relative_to(ROOT)} imports {name}"
        for path in sources(folder)
        for name in sorted(imported(path))
        if any(name == p or name.startswith(p + ".") for p in prefixes) and name not in allowed
    ]


def test_models_import_nothing_of_bench_but_the_contracts():
    assert reaching("models", ("bench",), CONTRACTS) == []


def test_bench_names_no_model_family():
    families = tuple(f"models.{p.stem}" for p in (ROOT / "models").iterdir() if p.stem[0] != "_")
    assert len(families) >= 2
    assert reaching("bench", families) == []


def test_metrics_know_no_datasets_and_no_models():
    assert reaching("bench/metrics", ("bench.data", "bench.spec", "bench.catalog", "models")) == []


def test_readers_know_no_models_and_no_metrics():
    scored = ("models", "bench.tasks", "bench.evaluate")
    assert reaching("bench/data", scored) == []


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import bench", ("torch", "pandas", "matplotlib", "datasets")),
        ("import bench.types", ("torch", "pandas", "pydantic")),
        ("import bench.cli; bench.cli.build_app()", ("torch", "pandas", "matplotlib", "numpy")),
        ("import bench.report.table, bench.report.frame", ("torch",)),
        ("import models", ("torch", "numpy")),
        ("from bench import catalog; catalog.models(); catalog.datasets()", ("torch", "pandas")),
    ],
)
def test_importing_a_layer_does_not_load_what_it_does_not_need(statement, absent):
    report = f"{statement}; import sys; print([m for m in {absent!r} if m in sys.modules])"
    out = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert out.stdout.strip() == "[]"
