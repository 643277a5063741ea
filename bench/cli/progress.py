"""How far a run is: a bar with rate and time left on a terminal, plain lines elsewhere."""

import logging
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

EVERY = 10.0
"""Seconds between plain lines."""

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

    Before the first image a model may be loaded or tuned and names encoded: the time that is left
    goes by the images after it, as soon as there is one.
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
        self._start = self._last = self._first = clock()

    def advance(self) -> None:
        """One more image is done."""
        self._now += 1
        now = self._clock()
        count, since = self._now - self._before, self._first
        if count == 1:
            self._first, since = now, self._start
        if now - self._last >= EVERY:
            self._last = now
            rate = max(count - 1, 1) / (now - since) if now > since else 0.0
            left = duration((self._total - self._now) / rate) if rate else "unknown time"
            self._say(f"{self._now}/{self._total}, {pace(rate)}, {left} left")

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
