"""How far a run is: a bar with rate and time left on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from shutil import disk_usage
from typing import TextIO

from bench.cli.options import note

EVERY = 10.0
"""Seconds between plain lines."""
LINES = 18
"""How many lines back the rate reaches: three minutes."""

Advance = Callable[[], None]


@contextmanager
def progress(title: str, total: int, *, done: int = 0, quiet: bool = False) -> Iterator[Advance]:
    """Show how many of `total` images are done; call what this yields once an image.

    `done` images were finished before and count neither for the rate nor for the time left.
    """
    if quiet:
        yield lambda: None
    elif sys.stderr.isatty():
        with _bar(title, total, done) as advance:
            yield advance
    else:
        lines = PlainLines(title, total, done)
        yield lines.advance
        lines.close()


@contextmanager
def _bar(title: str, total: int, done: int) -> Iterator[Advance]:
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.text import Text

    class Rate(ProgressColumn):
        def render(self, task: Task) -> Text:
            speed = task.finished_speed or task.speed
            return Text(pace(speed) if speed else "", style="dim")

    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        Rate(),
        TimeRemainingColumn(elapsed_when_finished=True),
    )
    with Progress(*columns, console=Console(stderr=True)) as bar:
        task = bar.add_task(title, total=total, completed=done)
        yield lambda: bar.advance(task)


class PlainLines:
    """Progress for logs and pipes: a line now and then, and one at the end.

    The time that is left goes by the last minutes, so a machine that was busy for a while is
    forgiven. Before the first image a model may be loaded or tuned and names encoded: that counts
    only until there is a second image.
    """

    def __init__(
        self,
        title: str,
        total: int,
        done: int = 0,
        *,
        file: TextIO | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._title, self._total, self._before, self._now = title, total, done, done
        self._file = file or sys.stderr
        self._clock = clock
        self._start = self._last = clock()
        self._marks = deque([(self._start, done)], maxlen=LINES)
        """When so many were done, at each of the last lines."""

    def advance(self) -> None:
        """One more image is done."""
        self._now += 1
        now = self._clock()
        if now - self._last >= EVERY:
            self._last = now
            since, count = self._marks[0]
            rate = (self._now - count) / (now - since)
            left = duration((self._total - self._now) / rate)
            self._say(f"{self._now}/{self._total}, {pace(rate)}, {left} left")
            self._marks.append((now, self._now))
        if self._now == self._before + 1:
            self._marks[0] = (now, self._now)

    def close(self) -> None:
        """The work ended, whether or not it is complete."""
        took = duration(self._clock() - self._start)
        self._say(f"{self._now}/{self._total} in {took}, {pace(self._rate())}")

    def _rate(self) -> float:
        elapsed = self._clock() - self._start
        return (self._now - self._before) / elapsed if elapsed > 0 else 0.0

    def _say(self, text: str) -> None:
        print(f"{self._title}: {text}", file=self._file, flush=True)


def pace(rate: float) -> str:
    """How fast things come, in the unit that has digits to show.

    >>> pace(12.34), pace(0.024), pace(0.0)
    ('12.3/s', '41.7 s each', 'none yet')
    """
    if rate == 0:
        return "none yet"
    return f"{rate:.1f}/s" if rate >= 1 else f"{1 / rate:.1f} s each"


def duration(seconds: float) -> str:
    """Seconds in words a person reads at a glance.

    >>> duration(4.2), duration(75), duration(7322)
    ('4 s', '1 min 15 s', '2 h 2 min')
    """
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


class Shown:
    """Progress of the jobs that are running, one line each."""

    def __init__(self, quiet: bool, results: Path) -> None:
        self._quiet, self._results = quiet, results
        self._running: dict[str, tuple[ExitStack, Advance]] = {}
        self._left: dict[str, int] = {}
        """Images of jobs that keep raw answers, until their size is known and said."""
        self._due: dict[str, int] = {}
        """Images until a line is complete."""

    def __enter__(self) -> "Shown":
        return self

    def __exit__(self, *_: object) -> None:
        for title in [*self._running]:
            self._close(title)

    def event(self, event: object) -> None:
        """Show what happened."""
        from bench.execute import Advanced, Failed, Finished, Started

        match event:
            case Started(job, images, done):
                if done < images:
                    stack = ExitStack()
                    shown = progress(job.title, images, done=done, quiet=self._quiet)
                    self._running[job.title] = stack, stack.enter_context(shown)
                    self._left[job.title] = self._due[job.title] = images - done
            case Advanced(job, id, reason, raw):
                if raw is not None and (left := self._left.pop(job.title, 0)):
                    note(f"{job.title}: {raw_budget(raw, left, self._results)}", quiet=self._quiet)
                if reason is not None:
                    note(f"{job.title}: {id} left out: {reason}", quiet=self._quiet)
                self._running[job.title][1]()
                self._due[job.title] -= 1
                if not self._due[job.title]:
                    self._close(job.title)
            case Finished(job, _):
                self._close(job.title)
            case Failed(job, why):
                self._close(job.title)
                note(f"{job.title}: failed: {why.reason}", quiet=self._quiet)

    def _close(self, title: str) -> None:
        if title in self._running:
            self._running.pop(title)[0].close()


def raw_budget(an_image: int, images: int, folder: Path) -> str:
    """What raw answers take, judged by the first, and whether there is room for them."""
    free, whole = disk_usage(folder).free, an_image * images
    enough = "" if whole < free else ", which is not enough"
    return (
        f"raw answers take {in_bytes(an_image)} an image, about {in_bytes(whole)} in all; "
        f"{in_bytes(free)} are free{enough}"
    )


def in_bytes(size: float) -> str:
    """A size as a person reads it.

    >>> in_bytes(3276), in_bytes(5_500_000), in_bytes(27.5e9)
    ('3.3 kB', '5.5 MB', '27.5 GB')
    """
    for unit in ("B", "kB", "MB"):
        if size < 999.95:
            return f"{size:.0f} B" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} GB"


@contextmanager
def heard(quiet: bool) -> Iterator[None]:
    """Say what models log of work that takes long before the first answer, as text encoding."""
    log, saying = logging.getLogger("models"), _Saying()
    level = log.level
    if not quiet:
        log.addHandler(saying)
        log.setLevel(logging.INFO)
    try:
        yield
    finally:
        log.removeHandler(saying)
        log.setLevel(level)


class _Saying(logging.Handler):
    """Says what is logged, where progress is shown."""

    def emit(self, record: logging.LogRecord) -> None:
        print(record.getMessage(), file=sys.stderr)
