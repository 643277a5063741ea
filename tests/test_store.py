"""The results folder survives being killed, shared and full."""

import errno
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from toys import TASKS, ToyDataset, ToyModel, assignment, room

import bench.tasks
from bench.errors import BenchError, CannotWrite, DataError
from bench.execute import Finished, Started, work
from bench.outcome import (
    ImageOutcome,
    decode_line,
    encode_line,
    read_statistics,
    write_statistics,
)
from bench.record import Record, Seconds
from bench.store import Failure, Store, published


@pytest.fixture(autouse=True)
def toy_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, place in TASKS.items():
        monkeypatch.setitem(bench.tasks.TASKS, name, place)


def run(folder: Path, **kwargs: object) -> Record:
    """Do a toy job to its end and keep its record, as an executor does."""
    store = Store(folder)
    *_, last = work(assignment(**kwargs), store)  # type: ignore[arg-type]
    assert isinstance(last, Finished)
    store.append(last.record)
    return last.record


def same_numbers(left: Record, right: Record) -> bool:
    return (left.key, left.scores, left.images) == (right.key, right.scores, right.images)


# --- killed --------------------------------------------------------------------------------------

CHILD = """
import sys
from pathlib import Path
import bench.tasks
from bench.store import Store
from bench.execute import Advanced, Finished, work
from toys import TASKS, ToyDataset, ToyModel, assignment, room
import time
bench.tasks.TASKS |= TASKS
store = Store(Path(sys.argv[1]))
ids = tuple(f"{n:04}.png" for n in range(int(sys.argv[2])))
model = ToyModel(diary=Path(sys.argv[1]).with_suffix(".asked"))
print("ready", flush=True)
for event in work(assignment(ToyDataset(ids=ids), model), store):
    if isinstance(event, Advanced):
        time.sleep(0.001)
    if isinstance(event, Finished):
        store.append(event.record)
"""


def child(folder: Path, images: int) -> subprocess.Popen[bytes]:
    here = Path(__file__).parent
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(here), str(here.parent)])}
    command = [sys.executable, "-c", CHILD, str(folder), str(images)]
    return subprocess.Popen(command, env=environment, stdout=subprocess.PIPE)


def test_a_run_killed_again_and_again_gives_the_numbers_of_one_that_was_not(
    tmp_path: Path,
) -> None:
    images, kills, moments = 400, 0, random.Random(5)
    while True:
        process = child(tmp_path / "killed", images)
        assert process.stdout is not None
        process.stdout.readline()
        if kills < 5:
            time.sleep(moments.uniform(0.0, 0.12))
        else:
            process.wait(60)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()
        if process.returncode == 0:
            break
        kills += 1
    whole = child(tmp_path / "whole", images)
    assert whole.wait(60) == 0
    assert whole.stdout is not None
    whole.stdout.close()

    assert kills == 5
    (killed,), (uninterrupted,) = (
        Store(tmp_path / "killed").records(),
        Store(tmp_path / "whole").records(),
    )
    assert same_numbers(killed, uninterrupted)
    ours, theirs = (Store(tmp_path / n).statistics(killed.key) for n in ("killed", "whole"))
    assert ours is not None
    assert theirs is not None
    assert [bits(o) for o in ours.values()] == [bits(o) for o in theirs.values()]
    asked = (tmp_path / "killed.asked").read_text().count("asked")
    assert images <= asked <= images + kills, "at most the image in hand is asked about again"


def bits(outcome: ImageOutcome) -> object:
    return outcome.id, [
        (name, array.dtype, array.tobytes())
        for meters in outcome.statistics.values()
        for meter in meters
        for name, array in meter.items()
    ]


class Killed(BaseException):
    """Stands for the end of the process: nothing but `finally` runs after it."""


@contextmanager
def killed_at(call: int) -> Iterator[None]:
    """Die at the `call`th call that changes a file; a write has then written its first half."""
    calls = count()
    with pytest.MonkeyPatch.context() as patch:

        def deadly(module: object, name: str) -> None:
            real = getattr(module, name)

            def dying(*args: object, **kwargs: object) -> object:
                if next(calls) != call:
                    return real(*args, **kwargs)
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])  # type: ignore[index, arg-type]
                raise Killed

            patch.setattr(module, name, dying)

        for name in ("open", "write", "ftruncate", "fsync", "replace"):
            deadly(os, name)
        yield


def test_a_run_killed_at_any_system_call_goes_on_from_there(tmp_path: Path) -> None:
    dataset = ToyDataset(ids=("a", "b", "c"))
    whole = run(tmp_path / "whole", dataset=dataset)
    for call in count():
        folder = tmp_path / str(call)
        try:
            with killed_at(call):
                run(folder, dataset=dataset)
        except Killed:
            model = ToyModel()
            assert same_numbers(run(folder, dataset=dataset, model=model), whole), call
            assert len(Store(folder).records()) == 1
            assert len((folder / "records.jsonl").read_text().splitlines()) == 1
        else:
            break
    assert call >= 10, "the run touches its files at least so often"


def test_what_is_finished_is_not_asked_about_again(tmp_path: Path) -> None:
    first = run(tmp_path)
    model = ToyModel()
    assert run(tmp_path, model=model) == first
    assert model.calls == []
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 1


def test_a_torn_last_line_is_cut_off_and_written_again(tmp_path: Path) -> None:
    record = run(tmp_path)
    with (tmp_path / "records.jsonl").open("a") as file:
        file.write('{"schema_version":1,"key":"half a rec')
    assert Store(tmp_path).records() == (record,)
    other = run(tmp_path, dataset=ToyDataset(name="other"))
    assert Store(tmp_path).records() == (record, other)


def test_a_damaged_line_within_a_log_is_named(tmp_path: Path) -> None:
    store, job = Store(tmp_path), assignment()
    events = work(job, store)
    for _, _event in zip(range(4), events, strict=False):
        pass
    events.close()
    log = next(tmp_path.glob("runs/*/log.jsonl"))
    lines = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join([lines[0], lines[1][:40] + b"\n", *lines[2:]]))
    with pytest.raises(DataError, match=r"log\.jsonl, line 2 is damaged.*Delete that line"):
        list(work(job, store))


# --- shared --------------------------------------------------------------------------------------


def test_two_processes_cannot_work_on_one_run(tmp_path: Path) -> None:
    store, job = Store(tmp_path), assignment()
    first = work(job, store)
    assert isinstance(next(first), Started)
    with pytest.raises(CannotWrite, match="being worked on by another process"):
        next(work(job, store))
    first.close()
    assert isinstance(list(work(job, store))[-1], Finished)


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    process = child(tmp_path / "r", 5000)
    assert process.stdout is not None
    process.stdout.readline()
    while not list(tmp_path.glob("r/runs/*/log.jsonl")):
        time.sleep(0.01)
    process.kill()
    process.wait()
    process.stdout.close()
    key = next((tmp_path / "r" / "runs").iterdir()).name
    with Store(tmp_path / "r").run(key):
        pass


def test_a_run_that_was_forgotten_by_half_is_done_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = run(tmp_path)
    unlink = Path.unlink

    def refused(path: Path, missing_ok: bool = False) -> None:
        if path.name == "statistics.npz":
            raise PermissionError(errno.EACCES, "Permission denied")
        unlink(path, missing_ok)

    with monkeypatch.context() as patched:
        patched.setattr(Path, "unlink", refused)
        with pytest.raises(CannotWrite, match="no permission"):
            Store(tmp_path).forget(record.key)
    assert not Store(tmp_path).finished([record.key])
    Store(tmp_path).forget(record.key)
    model = ToyModel()
    assert same_numbers(run(tmp_path, model=model), record)
    assert len(model.calls) == len(ToyDataset().ids)


# --- full, forbidden -----------------------------------------------------------------------------


@contextmanager
def nobody() -> Iterator[None]:
    """Root may write anywhere, so root becomes nobody for a while."""
    user = os.geteuid()
    if user == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(user)


def test_an_unwritable_folder_is_one_sentence(tmp_path: Path) -> None:
    tmp_path.chmod(0o500)
    with nobody(), pytest.raises(CannotWrite, match="no permission") as caught:
        run(tmp_path / "results")
    assert "\n" not in str(caught.value)


def test_a_folder_that_is_a_file_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "results").write_text("not a folder")
    with pytest.raises(CannotWrite, match=r"Cannot write .*results"):
        run(tmp_path / "results")


def test_a_full_disk_is_one_sentence_and_loses_nothing_that_was_finished(tmp_path: Path) -> None:
    with room(3000), pytest.raises(CannotWrite, match="no space is left") as caught:
        run(tmp_path)
    assert "\n" not in str(caught.value)
    log = next(tmp_path.glob("runs/*/log.jsonl")).read_bytes()
    done = log.count(b'"id"')
    assert done
    assert log.endswith(b"\n"), "the line that did not fit was taken back"
    model = ToyModel()
    run(tmp_path, model=model)
    assert len(model.calls) == len(ToyDataset().ids) - done


def test_results_never_go_into_the_package() -> None:
    import results

    with pytest.raises(BenchError, match="belongs to the installed package"):
        run(Path(results.__file__).parent / "mine")


# --- what is written is what is read -------------------------------------------------------------

numbers = st.one_of(
    arrays.arrays(dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4))
    for dtype in (np.int64, np.float64, np.float32, np.uint8, np.bool_, np.uint32)
)
statistics = st.dictionaries(
    st.sampled_from(["semantic", "instance"]),
    st.lists(
        st.dictionaries(st.sampled_from(["tp", "iou", "a/b"]), numbers, max_size=3), max_size=2
    ).map(tuple),
    max_size=2,
)
seconds = st.builds(Seconds, load=st.floats(0, 1e6), ask=st.floats(0, 1e6))
outcomes = st.builds(
    ImageOutcome, st.text(max_size=5), statistics, seconds, st.none() | st.text(max_size=5)
)


@given(outcomes)
def test_an_image_survives_its_line(outcome: ImageOutcome) -> None:
    line = encode_line(outcome)
    assert "\n" not in line
    assert identical(decode_line(line), outcome)


@given(st.lists(outcomes, max_size=4, unique_by=lambda o: o.id))
def test_images_survive_the_statistics_file(found: list[ImageOutcome]) -> None:
    from tempfile import TemporaryDirectory

    with TemporaryDirectory() as folder:
        path = Path(folder) / "statistics.npz"
        path.write_bytes(write_statistics(found))
        read = read_statistics(path)
    assert list(read) == [outcome.id for outcome in found]
    assert all(identical(read[outcome.id], outcome) for outcome in found)


def identical(left: ImageOutcome, right: ImageOutcome) -> bool:
    assert (left.id, left.seconds, left.failure) == (right.id, right.seconds, right.failure)
    assert {t: len(m) for t, m in left.statistics.items()} == {
        t: len(m) for t, m in right.statistics.items()
    }
    for task, meters in left.statistics.items():
        for ours, theirs in zip(meters, right.statistics[task], strict=True):
            assert ours.keys() == theirs.keys()
            for name in ours:
                assert ours[name].dtype == theirs[name].dtype
                assert ours[name].shape == theirs[name].shape
                assert ours[name].tobytes() == theirs[name].tobytes()
    return True


def test_statistics_of_objects_are_refused() -> None:
    outcome = ImageOutcome("a", {"semantic": ({"x": np.array([None])},)})
    with pytest.raises(ValueError, match="semantic/0/x holds Python objects"):
        encode_line(outcome)


# --- records -------------------------------------------------------------------------------------


def test_a_record_of_the_same_key_replaces_the_one_before(tmp_path: Path) -> None:
    first = run(tmp_path, dataset=ToyDataset(broken=frozenset({"003.png"})))
    assert first.partial
    *_, last = work(assignment(), Store(tmp_path), again=True)
    assert isinstance(last, Finished)
    Store(tmp_path).append(last.record)
    assert Store(tmp_path).records() == (last.record,)
    assert not last.record.partial
    assert len((tmp_path / "records.jsonl").read_text().splitlines()) == 2


def test_a_line_that_is_no_record_is_named(tmp_path: Path) -> None:
    (tmp_path / "records.jsonl").write_text('{"key": "x"}\n')
    with pytest.raises(DataError, match=r"records\.jsonl, line 1 is not a record of schema 1"):
        Store(tmp_path).records()


def test_failures_are_kept_beside_the_records(tmp_path: Path) -> None:
    store = Store(tmp_path)
    failure = Failure(key=None, job={"model": "x"}, reason="no weights")
    store.append_failure(failure)
    assert store.failures() == (failure,)
    assert store.records() == ()


def test_every_shipped_record_is_valid() -> None:
    assert all(record.key for record in published())


@pytest.mark.parametrize("cut", [slice(100), slice(0)])
def test_a_damaged_file_of_statistics_is_said(tmp_path: Path, cut: slice) -> None:
    path = tmp_path / "statistics.npz"
    path.write_bytes(write_statistics([])[cut])
    with pytest.raises(DataError, match=r"statistics\.npz is damaged .* run again"):
        read_statistics(path)
