"""Whoever does the jobs: the same records, and one that fails does not stop the others."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest
from toys import TASKS, do

import bench.tasks
from bench.errors import CannotWrite, ExtraMissing, UsageError
from bench.execute import Advanced, Failed, Started
from bench.executors import Executor, Inline, OnRay, Processes, execute
from bench.plan import Contents, Job, Plan, plan, sweep
from bench.store import Store

EXECUTORS: list[Executor] = [Inline(), Processes(("cpu", "cpu"))]


@pytest.fixture(autouse=True)
def toy_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, place in TASKS.items():
        monkeypatch.setitem(bench.tasks.TASKS, name, place)


def contents(job: Job) -> Contents:
    """As good as any: these jobs are told apart by their names alone."""
    return Contents(
        model=job.model,
        weights=None,
        dataset=job.dataset,
        vocabulary="v",
        protocol="p",
        tasks=(),
        precision="float32",
        tuning=None,
        images=12,
    )


def planned(*jobs: tuple[str, str]) -> Plan:
    return plan(
        [Job(model=model, dataset=dataset) for model, dataset in jobs],
        lambda job: (job, contents(job)),
    )


@pytest.mark.parametrize("executor", EXECUTORS, ids=["inline", "processes"])
def test_a_failed_job_is_a_row_and_the_others_go_on(executor: Executor, tmp_path: Path) -> None:
    jobs = planned(("absent", "a"), ("buggy", "a"), ("failing", "a"), ("fine", "a"), ("fine", "b"))
    store = Store(tmp_path)
    events = list(execute(jobs, partial(do, tmp_path), executor, store))
    assert {event.job.model for event in events if isinstance(event, Failed)} == {
        "absent",
        "buggy",
        "failing",
    }
    failures = {failure.job["model"]: failure for failure in store.failures()}
    assert {f.key for f in failures.values()} < {planned.key for planned in jobs}
    assert failures["absent"].reason == "There is no checkpoint at absent.pt."
    assert failures["absent"].traceback is None, "the user can mend it"
    assert "ZeroDivisionError" in failures["buggy"].reason
    assert "image '003.png'" in failures["failing"].reason
    assert "the bulb burnt out" in (failures["failing"].traceback or "")
    assert {record.dataset.name for record in store.records()} == {"a", "b"}
    assert sum(isinstance(event, Started) for event in events) == 3
    assert sum(isinstance(event, Advanced) for event in events) == 3 + 12 + 12


def test_records_do_not_depend_on_the_executor(tmp_path: Path) -> None:
    found = []
    for executor in EXECUTORS:
        folder = tmp_path / type(executor).__name__
        store = Store(folder)
        jobs = planned(("fine", "a"), ("fine", "b"), ("fine", "c"))
        list(execute(jobs, partial(do, folder), executor, store))
        found.append({record.key: record.scores for record in store.records()})
    assert len(found[0]) == 3
    assert found[0] == found[1]


def test_a_process_that_dies_is_a_failed_job_and_is_replaced(tmp_path: Path) -> None:
    store = Store(tmp_path)
    jobs = planned(("crashing", "a"), ("fine", "a"), ("fine", "b"))
    events = list(execute(jobs, partial(do, tmp_path), Processes(("cpu",)), store))
    assert [event.job.model for event in events if isinstance(event, Failed)] == ["crashing"]
    assert "was killed by signal 9" in store.failures()[0].reason
    assert len(store.records()) == 2


@pytest.mark.parametrize("executor", EXECUTORS, ids=["inline", "processes"])
def test_a_full_disk_ends_the_whole_plan(executor: Executor, tmp_path: Path) -> None:
    jobs = planned(("full", "a"), ("fine", "a"))
    with pytest.raises(CannotWrite, match="no space"):
        list(execute(jobs, partial(do, tmp_path), executor, Store(tmp_path)))


def test_fail_fast_ends_the_plan_at_the_first_failure(tmp_path: Path) -> None:
    jobs, store = planned(("buggy", "a"), ("fine", "a")), Store(tmp_path)
    events = list(execute(jobs, partial(do, tmp_path), Inline(), store, fail_fast=True))
    assert [type(event) for event in events] == [Failed]


def test_a_job_that_cannot_be_resolved_fails_without_being_tried(tmp_path: Path) -> None:
    def refuse(job: Job) -> tuple[Job, Contents]:
        raise UsageError("Unknown model 'absnt'.")

    jobs = plan([Job(model="absnt", dataset="a")], refuse)
    store = Store(tmp_path)
    (event,) = execute(jobs, partial(do, tmp_path), Inline(), store)
    assert isinstance(event, Failed)
    assert store.failures()[0].reason == "Unknown model 'absnt'."


@pytest.mark.parametrize("executor", EXECUTORS, ids=["inline", "processes"])
def test_stopping_in_the_middle_keeps_what_was_finished(executor: Executor, tmp_path: Path) -> None:
    jobs, store = planned(("fine", "a"), ("fine", "b")), Store(tmp_path)
    events = execute(jobs, partial(do, tmp_path), executor, store)
    before = stop_after(events, 5)
    again = list(execute(jobs, partial(do, tmp_path), executor, store))
    resumed = sum(e.done for e in again if isinstance(e, Started))
    assert resumed >= before > 0
    assert len(store.records()) == 2


def stop_after(events: Iterator[object], images: int) -> int:
    seen = 0
    for event in events:
        seen += isinstance(event, Advanced)
        if seen == images:
            break
    events.close()  # type: ignore[attr-defined]
    return seen


INTERRUPTED = """
import sys
import time
from functools import partial
from pathlib import Path
from bench.execute import Advanced
from bench.executors import Processes, execute
from bench.store import Store
from test_executors import planned
from toys import do
if __name__ == "__main__":
    folder = Path(sys.argv[1])
    try:
        for event in execute(planned(*[("fine", str(n)) for n in range(300)]), partial(do, folder),
                             Processes(("cpu", "cpu")), Store(folder)):
            if isinstance(event, Advanced):
                print("advanced", flush=True)
    except KeyboardInterrupt:
        sys.exit(130)
"""


def test_control_c_ends_the_processes_and_leaves_whole_lines(tmp_path: Path) -> None:
    here = Path(__file__).parent
    script = tmp_path / "sweep.py"
    script.write_text(INTERRUPTED)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    process = subprocess.Popen(
        [sys.executable, str(script), str(tmp_path / "r")],
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stdout is not None
    process.stdout.readline()
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the group
    _, said = process.communicate(timeout=30)
    assert process.returncode == 130
    assert b"Traceback" not in said
    for _ in range(300):  # the standard library's own tracker process ends a moment later
        try:
            os.killpg(process.pid, 0)
        except ProcessLookupError:
            break
        time.sleep(0.02)
    else:
        pytest.fail("a process of the sweep outlived it")
    Store(tmp_path / "r").records()


def test_ray_that_is_not_installed_names_the_extra(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(ExtraMissing, match=r"pip install 'bench-openvocab\[ray\]'"):
        next(OnRay().map(partial(do, Path()), [Job(model="a", dataset="b")]))


@pytest.mark.slow
def test_ray_gives_the_same_records_and_survives_a_dead_worker(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("ray", reason="the extra 'ray' is not installed")
    here = Path(__file__).parent
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([str(here), str(here.parent)]))
    jobs = planned(("fine", "a"), ("absent", "a"), ("crashing", "a"), ("fine", "b"))
    found = []
    for executor, folder in ((Inline(), tmp_path / "inline"), (OnRay(), tmp_path / "ray")):
        store = Store(folder)
        kept = jobs if isinstance(executor, OnRay) else planned(("fine", "a"), ("fine", "b"))
        list(execute(kept, partial(do, folder), executor, store))
        found.append({record.key: record.scores for record in store.records()})
    assert len(found[0]) == 2
    assert found[0] == found[1]
    assert sorted(str(f.job["model"]) for f in store.failures()) == ["absent", "crashing"]


def test_a_sweep_lists_one_models_jobs_together() -> None:
    jobs = sweep(["m", "n"], ["a", "b"])
    assert [(job.model, job.dataset) for job in jobs] == [
        ("m", "a"),
        ("m", "b"),
        ("n", "a"),
        ("n", "b"),
    ]
