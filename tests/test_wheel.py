"""An installed bench behaves like the checkout, from any directory."""

import os
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """The wheel built and unpacked beside nothing of the checkout."""
    place = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(place)]
    subprocess.run([*build, str(ROOT)], check=True, capture_output=True, cwd=place)
    (wheel,) = place.glob("*.whl")
    site = place / "site"
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index"]
    subprocess.run(
        [*pip, "--target", str(site), str(wheel)], check=True, capture_output=True, cwd=place
    )
    return site


def bench(installed: Path, cwd: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run the installed command line, with the checkout out of reach."""
    run = (
        "import sys, bench, bench.cli;"
        f"assert bench.__file__.startswith({str(installed)!r}), bench.__file__;"
        "bench.cli.main()"
    )
    environment = {**os.environ, "PYTHONPATH": str(installed), "PYTHONSAFEPATH": "1"}
    command = [sys.executable, "-c", run, *words]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment)


def test_all_four_packages_and_their_data_are_in_the_wheel(installed):
    for name in ("bench/py.typed", "models/__init__.py", "results/__init__.py"):
        assert (installed / name).exists(), name
    for folder in ("dataset_specs", "results"):
        shipped = {p.relative_to(installed) for p in (installed / folder).rglob("*.yaml")}
        present = {p.relative_to(ROOT) for p in (ROOT / folder).rglob("*.yaml")}
        assert shipped == present
        assert present


def test_the_installed_command_runs_the_main_job_from_another_directory(installed, tmp_path):
    out = bench(installed, tmp_path, "run", "shapes-colours", "--model", "colour", "--limit", "4")
    assert out.returncode == 0, out.stderr
    assert "PQ" in out.stdout
    assert (tmp_path / "bench-results" / "records.jsonl").exists()
    assert not list(installed.rglob("bench-results"))


def test_the_installed_command_writes_a_report(installed, tmp_path):
    bench(installed, tmp_path, "run", "shapes-colours", "--model", "colour", "--limit", "2")
    out = bench(installed, tmp_path, "report", "--images", "1")
    assert out.returncode == 0, out.stderr
    page = (tmp_path / "bench-report.html").read_text()
    for part in ("page.css", "page.js"):
        assert (ROOT / "bench" / "report" / "page" / part).read_text() in page


def test_the_wheel_holds_no_tests_and_nothing_large(installed):
    (wheel,) = installed.parent.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
        assert not [n for n in names if n.startswith("tests/")]
        assert max(i.file_size for i in archive.infolist()) <= 12 * 2**20
