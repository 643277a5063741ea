"""Where jobs run: in this process, in one process a device, or on Ray.

An executor maps one top-level function over jobs and hands back what happens as it happens. The
function writes a run's own folder; the records are appended by the one who called `execute`.
"""

import os
import signal
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, Protocol

from bench.errors import AnswerFailed, BenchError, Busy, CannotWrite, ExtraMissing
from bench.execute import Event, Failed, Finished
from bench.plan import Job, Plan
from bench.store import Failure, Store

Do = Callable[[Job, str], Iterator[Event]]
"""(job, device) -> what happens. A top-level function, or a `partial` of one, so that it can be
sent to another process."""


class Executor(Protocol):
    """Does jobs somewhere."""

    def map(self, do: Do, jobs: Sequence[Job]) -> Iterator[Event]:
        """What happens in each job, mixed where several run at once.

        Every job ends with one `Finished` or `Failed`. Closing the iterator stops the work.
        """
        ...


def execute(
    plan: Plan, do: Do, executor: Executor, store: Store, *, fail_fast: bool = False
) -> Iterator[Event]:
    """Do a plan, keeping records and failures as they come.

    A failed job is a row beside the records and the others go on, unless `fail_fast`.

    Raises:
        CannotWrite: results cannot be written; no other job would do better.
    """
    hopeless = (
        Failed(planned.job, failure(planned.job, str(planned.problem)))
        for planned in plan
        if planned.problem is not None
    )
    hopeful = Plan(tuple(planned for planned in plan if planned.problem is None))
    keys = {planned.job.model_dump_json(): planned.key for planned in hopeful}
    finished: set[str] = set()
    for event in chain(hopeless, executor.map(do, hopeful.passes())):
        if not isinstance(event, Failed):
            if isinstance(event, Finished):
                finished.add(event.job.model_dump_json())
                store.append(event.record)
            yield event
            continue
        for job in event.job.apart():  # whatever shared its pass failed with it
            if (name := job.model_dump_json()) not in finished:
                row = {"key": keys.get(name), "job": job.model_dump(mode="json")}
                failed = event.failure.model_copy(update=row)
                store.append_failure(failed)
                yield Failed(job, failed)
        if fail_fast:
            return


def failure(job: Job, reason: str, error: BaseException | None = None) -> Failure:
    """A row for a job that failed; with the traceback of an `error` no user can mend."""
    trace = "".join(traceback.format_exception(error)) if error else None
    return Failure(key=None, job=job.model_dump(mode="json"), reason=reason, traceback=trace)


def guarded(do: Do, job: Job, device: str) -> Iterator[Event]:
    """Do one job; an exception is a `Failed` event, except where results cannot be written."""
    try:
        yield from do(job, device)
    except Busy as error:
        yield Failed(job, failure(job, str(error)))
    except CannotWrite:
        raise
    except AnswerFailed as error:
        yield Failed(job, failure(job, str(error), error))
    except BenchError as error:
        yield Failed(job, failure(job, str(error)))
    except Exception as error:
        yield Failed(job, failure(job, f"{type(error).__name__}: {error}", error))


# --- in this process -----------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Inline:
    """One job after the other, here."""

    device: str = "cpu"

    def map(self, do: Do, jobs: Sequence[Job]) -> Iterator[Event]:
        """What happens in each job, in their order."""
        for job in jobs:
            yield from guarded(do, job, self.device)


# --- in one process a device ---------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Processes:
    """One fresh process for each of `devices`; whoever is free takes the next job."""

    devices: tuple[str, ...]

    def map(self, do: Do, jobs: Sequence[Job]) -> Iterator[Event]:
        """What happens in each job, mixed. A process that dies is replaced; its job failed."""
        left = list(reversed(jobs))
        crew = [_Worker(do, device, len(self.devices)) for device in self.devices[: len(jobs)]]
        try:
            for worker in crew:
                worker.take(left.pop())
            while busy := [worker for worker in crew if worker.job is not None]:
                ready = wait([worker.pipe for worker in busy])
                for worker in (worker for worker in busy if worker.pipe in ready):
                    yield from worker.events()
                    if worker.job is None and left:
                        worker.take(left.pop())
        finally:
            for worker in crew:
                worker.stop()


class _Worker:
    """A process and what it is doing."""

    def __init__(self, do: Do, device: str, crew: int) -> None:
        self._do, self._device, self._crew = do, device, crew
        self.job: Job | None = None
        self.pipe, self._process = self._start()

    def _start(self) -> tuple[Connection, SpawnProcess]:
        context = get_context("spawn")  # a forked copy of a CUDA process cannot use CUDA
        ours, theirs = context.Pipe()
        process = context.Process(
            target=_serve, args=(theirs, self._do, self._device, self._crew), daemon=True
        )
        with _interrupts_held():
            process.start()
        theirs.close()
        return ours, process

    def take(self, job: Job) -> None:
        """Start on a job."""
        self.job = job
        if not self._process.is_alive():
            self.pipe, self._process = self._start()
        self.pipe.send(job)

    def events(self) -> Iterator[Event]:
        """The next thing that happened; `job` is `None` once that was the end of it."""
        assert self.job is not None
        try:
            event: Event | CannotWrite | None = self.pipe.recv()
        except (EOFError, ConnectionError):
            job, self.job = self.job, None
            self._process.join()
            code = self._process.exitcode
            how = f"was killed by signal {-code}" if code and code < 0 else f"exited with {code}"
            yield Failed(
                job,
                failure(
                    job,
                    f"The process that did it {how}, perhaps for lack of memory. "
                    "What was finished is kept.",
                ),
            )
            return
        if isinstance(event, CannotWrite):
            raise event
        if event is None:
            self.job = None
        else:
            yield event

    def stop(self) -> None:
        """End the process, in the middle of a job if need be: nothing that was kept is lost."""
        self._process.terminate()
        self._process.join()
        self.pipe.close()


@contextmanager
def _interrupts_held() -> Iterator[None]:
    """Hold Ctrl-C back, here and in a process that starts meanwhile, until each can answer it."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})


def _serve(pipe: Connection, do: Do, device: str, crew: int) -> None:
    """Do the jobs that come through the pipe until it ends: the life of a worker process."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent hears it too, and stops us
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    if device == "cpu":
        os.environ.setdefault("OMP_NUM_THREADS", str(max(1, (os.cpu_count() or 1) // crew)))
    while True:
        try:
            job = pipe.recv()
        except EOFError:
            return
        try:
            for event in guarded(do, job, device):
                pipe.send(event)
        except CannotWrite as error:
            pipe.send(error)
            return
        pipe.send(None)


# --- on Ray --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class OnRay:
    """Each job is a Ray task. The results folder must be the same for every node."""

    gpus: float = 0.0
    """How many a job needs; fractions share one."""
    address: str | None = None
    """Of a running cluster; `None`: that of the environment (`RAY_ADDRESS`), or a local one."""

    def map(self, do: Do, jobs: Sequence[Job]) -> Iterator[Event]:
        """What happens in each job, mixed. Ray decides how many run at once."""
        ray = _ray()
        began = not ray.is_initialized()
        if began:
            ray.init(address=self.address, log_to_driver=False, include_dashboard=False)
        device = "cuda" if self.gpus else "cpu"
        task = ray.remote(num_gpus=self.gpus, num_returns="streaming", max_retries=0)(_listed)
        running: dict[Any, Job] = {task.remote(do, job, device): job for job in jobs}
        try:
            while running:
                (stream,), _ = ray.wait(list(running), num_returns=1)
                yield from self._next(ray, stream, running)
        finally:
            for stream in running:
                ray.cancel(stream, force=True)
            if began:
                ray.shutdown()

    def _next(self, ray: Any, stream: Any, running: dict[Any, Job]) -> Iterator[Event]:
        """The next event of a stream; it is dropped from `running` at its end."""
        try:
            event = ray.get(next(stream))
        except StopIteration:
            del running[stream]
            return
        except ray.exceptions.RayError as error:
            job = running.pop(stream)
            yield Failed(job, failure(job, f"Ray lost it: {error}".splitlines()[0]))
            return
        if isinstance(event, CannotWrite):
            raise event
        yield event


def _listed(do: Do, job: Job, device: str) -> Iterator[Event | CannotWrite]:
    """Do one job; a `CannotWrite` is handed over as a value, unwrapped."""
    try:
        yield from guarded(do, job, device)
    except CannotWrite as error:
        yield error


def _ray() -> Any:
    try:
        import ray
    except ImportError:
        raise ExtraMissing(
            "The executor 'ray' needs the package ray: pip install 'bench-openvocab[ray]'."
        ) from None
    return ray
