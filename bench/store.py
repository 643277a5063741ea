"""The results folder: what runs write while they work, and what stays of them.

    records.jsonl             one line a finished run, append-only
    failures.jsonl            one line a failed attempt, append-only
    runs/<key>/log.jsonl      one line an image while the run goes on, append-only
    runs/<key>/raw.blocks     the network's raw answers where they are kept, append-only
    runs/<key>/statistics.npz every image's statistics, once it is finished
    runs/<key>/record.json    the finished run's record
    runs/<key>/intervals.json what was computed from the statistics, to be had again at once

A process may be killed between any two system calls (`bench.durable`): the same command, started
again, finds each image either written or not, asks only about those that are not, and gives the
numbers of an uninterrupted run.
"""

import json
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib.resources import files
from pathlib import Path
from typing import Any

from pydantic import JsonValue

from bench.durable import Appender, explained, lines, whole
from bench.errors import CannotWrite, DataError, UsageError
from bench.outcome import (
    ImageOutcome,
    decode_line,
    encode_line,
    read_statistics,
    write_statistics,
)
from bench.record import Kept, Record, Session

DEFAULT_FOLDER = Path("bench-results")
"""Where results go unless `--results` or `BENCH_RESULTS` says otherwise."""


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
        with _appending(self._records) as file:
            if record not in self.records():
                file.write(record.line(), sync=True)

    def failures(self) -> tuple[Failure, ...]:
        """Every failed attempt, oldest first, whether or not a later one went well."""
        return tuple(Failure.model_validate_json(line) for _, line in lines(self._failures))

    def append_failure(self, failure: Failure) -> None:
        """Keep what is known about a job that failed."""
        with _appending(self._failures) as file:
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
        with suppress(CannotWrite):
            _put(self._run(key) / "intervals.json", content)

    def copy_run(self, key: str, to: "Store") -> None:
        """Copy what is kept of a finished run's images, but for raw answers, to another folder."""
        for name in ("statistics.npz", "intervals.json"):
            source, target = self._run(key) / name, to._run(key) / name
            if source.exists():
                _put(target, source.read_bytes())

    def replace_records(self, records: Sequence[Record]) -> None:
        """Put other records in the place of all that are there: for folders of chosen runs."""
        _put(self._records, "".join(f"{record.line()}\n" for record in records).encode())

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
        with _appending(folder / "log.jsonl", exclusive=f"Run {key}") as log:
            yield Run(folder, log, again=again)

    def _run(self, key: str) -> Path:
        return self.folder / "runs" / key


class Run:
    """One run, held by this process: what is known, and a log to add to. See `Store.run`."""

    def __init__(self, folder: Path, log: Appender, *, again: bool = False) -> None:
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
        for number, line in lines(self._log.path):
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
        self._log.cut()
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
        _put(self._statistics, write_statistics([self.outcomes[id] for id in ids]))
        _put(self._record, record.line().encode())
        self._log.cut()


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
    found = [Record.parse(line, f"{path}, line {n}") for n, line in lines(path)]
    return tuple({record.key: record for record in found}.values())


def _put(path: Path, content: bytes) -> None:
    """Put a whole file in its place."""
    with whole(path) as unfinished:
        unfinished.write_bytes(content)


def _appending(path: Path, *, exclusive: str | None = None) -> Appender:
    """A file of a results folder, to add to."""
    _refuse_package(path)
    return Appender(path, exclusive=exclusive)


def _refuse_package(path: Path) -> None:
    """Keep runs out of the installed package: its records are part of what was released."""
    shipped = Path(str(files("results"))).resolve()
    if path.resolve().is_relative_to(shipped):
        raise UsageError(
            f"Results cannot go to {shipped}: it belongs to the installed package. "
            "Choose another folder with --results or BENCH_RESULTS."
        )
