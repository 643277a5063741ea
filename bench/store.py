"""The results folder: what runs write while they work, and what stays of them.

    records.jsonl             one line a finished run, append-only
    failures.jsonl            one line a failed attempt, append-only
    runs/<key>/log.jsonl      one line an image while the run goes on, append-only
    runs/<key>/raw.blocks     the network's raw answers where they are kept, append-only
    runs/<key>/statistics.npz every image's statistics, once it is finished
    runs/<key>/record.json    the finished run's record
    runs/<key>/intervals.json what was computed from the statistics, to be had again at once

A process may be killed between any two system calls. Lines are written whole, in one call, and a
torn last line is cut off by whoever opens the file next. Whole files are written beside their place
and renamed. So the same command, started again, finds each image either written or not, asks only
about those that are not, and gives the numbers of an uninterrupted run.

The kernel keeps the locks (`flock`): whoever is killed holds none, so no lock is ever stale.
"""

import errno
import fcntl
import json
import os
import shutil
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from bench.errors import BenchError, DataError, UsageError
from bench.outcome import (
    ImageOutcome,
    decode_line,
    encode_line,
    read_statistics,
    write_statistics,
)
from bench.record import Kept, Record, Session

PATIENCE = 1.0
"""Seconds until a locked run counts as another process's. What a killed process was just about to
start holds its lock for a moment longer than it."""
DEFAULT_FOLDER = Path("bench-results")
"""Where results go unless `--results` or `BENCH_RESULTS` says otherwise."""


class StoreError(BenchError):
    """Results cannot be written: no space, no permission."""

    exit_code = 3


class Busy(StoreError):
    """Another process is at work on this run."""


class Failure(Kept):
    """A job that failed: a row beside the records."""

    key: str | None
    """The job's key, where it got far enough to have one."""
    job: dict[str, JsonValue]
    """What was asked."""
    reason: str
    """The error, in a sentence."""
    traceback: str | None = None
    """Where it came from, unless the user can mend it."""


class Store:
    """A results folder. It is made when something is first written to it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._records = folder / "records.jsonl"
        self._failures = folder / "failures.jsonl"

    def records(self) -> tuple[Record, ...]:
        """Every finished run, oldest first; of several with one key the last."""
        return _read_records(self._records)

    def finished(self, keys: Iterable[str | None]) -> frozenset[str]:
        """Which of some runs need not be done again: those whose own folder has a record."""
        return frozenset(k for k in keys if k and (self._run(k) / "record.json").exists())

    def append(self, record: Record) -> None:
        """Keep a finished run. Writing what is already there changes nothing."""
        with _Appender(self._records) as file:
            if record not in self.records():
                file.write(record.line(), sync=True)

    def failures(self) -> tuple[Failure, ...]:
        """Every failed attempt, oldest first, whether or not a later one went well."""
        return tuple(Failure.model_validate_json(line) for _, line in _lines(self._failures))

    def append_failure(self, failure: Failure) -> None:
        """Keep what is known about a job that failed."""
        with _Appender(self._failures) as file:
            file.write(failure.model_dump_json(), sync=True)

    def statistics(self, key: str) -> Mapping[str, ImageOutcome] | None:
        """A finished run's images by id; `None` where only its record is here."""
        path = self._run(key) / "statistics.npz"
        return read_statistics(path) if path.exists() else None

    def raw(self, key: str) -> Path:
        """Where a run's raw answers are, if they are kept. See `bench.raw.RawAnswers`."""
        return self._run(key) / "raw.blocks"

    def intervals(self, key: str, how: str) -> Mapping[str, Any] | None:
        """What `keep_intervals` kept of a run, if it was computed in the same way."""
        path = self._run(key) / "intervals.json"
        try:
            kept: Mapping[str, Any] = json.loads(path.read_bytes())
        except (OSError, ValueError):
            return None
        return kept["intervals"] if kept.get("how") == how else None

    def keep_intervals(self, key: str, how: str, intervals: Mapping[str, Any]) -> None:
        """Keep intervals beside the statistics they are of; `how` says everything they rest on.

        A folder that may only be read is no error: they are computed again the next time.
        """
        content = json.dumps({"how": how, "intervals": intervals}).encode()
        with suppress(StoreError):
            _replace(self._run(key) / "intervals.json", content)

    def copy_run(self, key: str, to: "Store") -> None:
        """Copy what is kept of a finished run's images, but for raw answers, to another folder."""
        for name in ("statistics.npz", "intervals.json"):
            source, target = self._run(key) / name, to._run(key) / name
            if source.exists():
                with explained(target):
                    target.parent.mkdir(parents=True, exist_ok=True)
                _replace(target, source.read_bytes())

    def replace_records(self, records: Sequence[Record]) -> None:
        """Put other records in the place of all that are there: for folders of chosen runs."""
        with explained(self.folder):
            self.folder.mkdir(parents=True, exist_ok=True)
        _replace(self._records, "".join(f"{record.line()}\n" for record in records).encode())

    def forget(self, key: str) -> None:
        """Let a run begin anew: remove what is known of its images, raw answers too.

        Its record stays in `records.jsonl` until the run is finished again and takes its place.
        """
        with self.run(key) as run:
            run.forget()

    def drop_run(self, key: str) -> None:
        """Remove what is kept of a run's images."""
        shutil.rmtree(self._run(key), ignore_errors=True)

    @contextmanager
    def run(self, key: str, *, again: bool = False) -> Iterator["Run"]:
        """Work on a run. Until this ends, another process that tries is told so.

        An image that failed is tried anew when its run goes on. `again` lets a finished run go on.
        """
        folder = self._run(key)
        with _Appender(folder / "log.jsonl", exclusive=f"Run {key}") as log:
            yield Run(folder, log, again=again)

    def _run(self, key: str) -> Path:
        return self.folder / "runs" / key


class Run:
    """One run, held by this process: what is known, and a log to add to. See `Store.run`."""

    def __init__(self, folder: Path, log: "_Appender", *, again: bool = False) -> None:
        self._statistics = folder / "statistics.npz"
        self._record = folder / "record.json"
        self._log = log
        self.sessions: list[Session] = []
        """Who worked on it, in order."""
        if again and (record := self.record) is not None:
            (folder / "intervals.json").unlink(missing_ok=True)
            self.sessions += record.provenance.sessions if record.provenance else ()
            self._record.unlink()
        self.outcomes: dict[str, ImageOutcome] = {}
        """What is known, by image."""
        if self._statistics.exists():
            self.outcomes.update(read_statistics(self._statistics))
        self._replay()
        if self.record is None:
            self.outcomes = {id: o for id, o in self.outcomes.items() if o.failure is None}

    def _replay(self) -> None:
        for number, line in _lines(self._log.path):
            try:
                if line.startswith(b'{"session":'):
                    content = json.dumps(json.loads(line)["session"])
                    self.sessions.append(Session.model_validate_json(content))
                else:
                    outcome = decode_line(line)
                    self.outcomes[outcome.id] = outcome
            except ValueError as error:
                raise DataError(
                    f"{self._log.path}, line {number} is damaged: {error}. "
                    "Delete that line, and its image is scored again."
                ) from None

    @property
    def record(self) -> Record | None:
        """The record, if the run is finished."""
        if not self._record.exists():
            return None
        return Record.parse(self._record.read_bytes(), str(self._record))

    def begin(self, session: Session) -> None:
        """Note who works on it from here on."""
        self.sessions.append(session)
        self._log.write(f'{{"session":{session.model_dump_json()}}}')

    def write(self, outcome: ImageOutcome) -> None:
        """Keep one image: once this returns, the process may be killed."""
        self._log.write(encode_line(outcome))
        self.outcomes[outcome.id] = outcome

    def forget(self) -> None:
        """Remove everything that is kept of it."""
        self._log.clear()
        # The record first: without it a run is not finished, whatever else of it is left.
        for name in ("record.json", "statistics.npz", "intervals.json", "raw.blocks"):
            with explained(self._record.with_name(name)):
                self._record.with_name(name).unlink(missing_ok=True)
        self.outcomes.clear()
        self.sessions.clear()

    def finish(self, ids: Sequence[str], record: Record) -> None:
        """Fold the log into `statistics.npz`, in the order of `ids`, and keep the record.

        Killed before the record is in place, the run is folded again from the log.
        """
        _replace(self._statistics, write_statistics([self.outcomes[id] for id in ids]))
        _replace(self._record, record.line().encode())
        self._log.clear()


def published() -> tuple[Record, ...]:
    """The records that ship with the package: published numbers and our own reference runs.

    What several publications print alike of one system is there once; see `bench.reported`.
    """
    from bench import reported

    return (*reported.distinct(), *(record for of in shipped() for record in of.records()))


def shipped() -> tuple[Store, ...]:
    """Our own runs on the embedded world, which ship with the package: folders like any other.

    `results/measured` has those of leaderboards; `results/few-shot` a folder for each dataset of a
    sweep, of records alone.
    """
    home = Path(str(files("results")))
    sweeps = home / "few-shot"
    folders = sorted(sweeps.iterdir()) if sweeps.is_dir() else []
    return tuple(map(Store, (home / "measured", *(f for f in folders if f.is_dir()))))


# --- files ---------------------------------------------------------------------------------------


def _read_records(path: Path) -> tuple[Record, ...]:
    found = [Record.parse(line, f"{path}, line {n}") for n, line in _lines(path)]
    return tuple({record.key: record for record in found}.values())


def _lines(path: Path) -> Iterator[tuple[int, bytes]]:
    """Whole lines with their numbers from 1. What follows the last newline was torn: left out."""
    if not path.exists():
        return
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            if line.endswith(b"\n") and line.strip():
                yield number, line


class _Appender:
    """A file that is only added to, by one process at a time, whole lines at a time."""

    def __init__(self, path: Path, *, exclusive: str | None = None) -> None:
        self.path = path
        self._exclusive = exclusive
        """What to call it when refusing to share it; `None`: wait for the other to end."""

    def __enter__(self) -> "_Appender":
        with explained(self.path):
            _refuse_package(self.path)
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | os.O_CREAT, 0o644)
        try:
            with explained(self.path):
                self._lock()
                self._cut_torn_line()
        except BaseException:
            os.close(self._file)
            raise
        return self

    def __exit__(self, *_: object) -> None:
        os.close(self._file)  # and with it the lock

    def _lock(self) -> None:
        if self._exclusive is None:
            fcntl.flock(self._file, fcntl.LOCK_EX)
            return
        end = time.monotonic() + PATIENCE
        while not self._locked():
            if time.monotonic() > end:
                raise Busy(
                    f"{self._exclusive} is being worked on by another process "
                    f"({self.path} is locked). Wait for it to end, or stop it."
                )
            time.sleep(PATIENCE / 20)

    def _locked(self) -> bool:
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    def _cut_torn_line(self) -> None:
        """Cut off what follows the last newline: its writer was killed in the middle."""
        size = end = os.fstat(self._file).st_size
        while end:
            start = max(0, end - 65536)
            newline = os.pread(self._file, end - start, start).rfind(b"\n")
            if newline >= 0:
                end = start + newline + 1
                break
            end = start
        if end < size:
            os.ftruncate(self._file, end)

    def write(self, line: str, *, sync: bool = False) -> None:
        """Add one line. A line that does not fit on the disk is taken back whole."""
        content = line.encode() + b"\n"
        before = os.fstat(self._file).st_size
        with explained(self.path):
            try:
                written = os.write(self._file, content)
                if written < len(content):
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
                if sync:
                    os.fsync(self._file)
            except OSError:
                with suppress(OSError):
                    os.ftruncate(self._file, before)
                raise

    def clear(self) -> None:
        """Empty the file; it stays, because it carries the lock."""
        os.ftruncate(self._file, 0)


def _replace(path: Path, content: bytes) -> None:
    """Put a whole file in its place in one step."""
    beside = path.with_name(path.name + ".new")
    with explained(path):
        try:
            with beside.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            beside.replace(path)
        except OSError:
            with suppress(OSError):
                beside.unlink()
            raise


NO_SPACE = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
NO_PERMISSION = frozenset({errno.EACCES, errno.EPERM, errno.EROFS})


@contextmanager
def explained(path: Path, option: str = "--results or BENCH_RESULTS") -> Iterator[None]:
    """Say in a sentence why `path` cannot be written, and what to do with which option."""
    try:
        yield
    except OSError as error:
        if error.errno in NO_SPACE:
            raise StoreError(
                f"Cannot write {path}: no space is left there (disk, quota or file size limit). "
                "What was finished is kept; make room and run the same command again."
            ) from None
        if error.errno in NO_PERMISSION:
            raise StoreError(
                f"Cannot write {path}: no permission. Choose another place with {option}."
            ) from None
        raise StoreError(
            f"Cannot write {path}: {error.strerror}. Choose another place with {option}."
        ) from None


def _refuse_package(path: Path) -> None:
    """Keep runs out of the installed package: its records are part of what was released."""
    shipped = Path(str(files("results"))).resolve()
    if path.resolve().is_relative_to(shipped):
        raise UsageError(
            f"Results cannot go to {shipped}: it belongs to the installed package. "
            "Choose another folder with --results or BENCH_RESULTS."
        )
