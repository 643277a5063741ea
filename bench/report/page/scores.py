"""Tables of one dataset: every score of every run on it, and every class's."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from bench import tasks
from bench.record import Record
from bench.report.table import Number

CELLS = 24_000
"""A table of classes has at most so many numbers: a browser shows them without a pause."""

Bounds = Callable[[Record], Mapping[tuple[str, str], tuple[float, float]]]
"""record -> 95 % bounds by task and score."""


@dataclass(frozen=True, slots=True)
class ScoreRow:
    """A score, with a number for each run."""

    name: str
    headline: bool
    numbers: tuple[Number, ...]
    counts: tuple[int | None, ...]

    @property
    def count(self) -> int | None:
        """How many things were counted, where that is the same for every run."""
        return self.counts[0] if len(set(self.counts)) == 1 else None


@dataclass(frozen=True)
class TaskScores:
    """The scores of a task."""

    title: str
    rows: tuple[ScoreRow, ...]


@dataclass(frozen=True, slots=True)
class ClassRow:
    """A class, with its score of each task and run."""

    name: str
    thing: bool
    values: tuple[float | None, ...]
    """In percent; `None`: nothing to score. Runs go round within each task."""


@dataclass(frozen=True)
class ClassTable:
    """What each class scores."""

    groups: tuple[tuple[str, str, int], ...]
    """Task, its headline, and how many runs have it: each is a column."""
    runs: tuple[str, ...]
    """The run of each column, all groups through."""
    rows: tuple[ClassRow, ...]
    mixed: bool
    """Whether there are both things and stuff."""
    left_out: int
    """So many runs had no place."""


def score_tables(records: Sequence[Record], bounds: Bounds) -> tuple[TaskScores, ...]:
    """Every score that any of the runs has, by task."""
    known = [bounds(record) for record in records]
    found = []
    for task in dict.fromkeys(task for record in records for task in record.scores):
        names = dict.fromkeys(name for r in records for name in r.scores.get(task, {}))
        rows = []
        for place, name in enumerate(names):
            scores = [record.scores.get(task, {}).get(name) for record in records]
            numbers = tuple(
                Number(
                    float("nan") if score is None or score.value is None else score.value,
                    bounds=of_run.get((task, name)) or (score.interval if score else None),
                )
                for score, of_run in zip(scores, known, strict=True)
            )
            counts = tuple(score.n if score else None for score in scores)
            rows.append(ScoreRow(name, place == 0, numbers, counts))
        found.append(TaskScores(title_of(task), tuple(rows)))
    return tuple(found)


def title_of(task: str) -> str:
    """What a task is called in a heading; its name where this version does not know it."""
    return tasks.task(task).title if task in tasks.TASKS else task


def class_table(records: Sequence[Record], names: Mapping[str, str]) -> ClassTable | None:
    """The headline of every task by class, of as many runs as have a place; `None`: no classes."""
    columns: dict[tuple[str, str], list[tuple[Record, Mapping[str, float | None]]]] = {}
    things: dict[str, bool] = {}
    for record in records:
        for task, scores in record.scores.items():
            name, headline = next(iter(scores.items()))
            if headline.by_class:
                columns.setdefault((task, name), []).append((record, headline.by_class))
                things |= _things(record, headline.by_class)
    if not columns:
        return None
    room = max(1, CELLS // (len(things) * len(columns)))
    shown = {key: of_task[:room] for key, of_task in columns.items()}
    rows = tuple(
        ClassRow(
            name,
            thing,
            tuple(_percent(by.get(name)) for of_task in shown.values() for _, by in of_task),
        )
        for name, thing in things.items()
    )
    return ClassTable(
        tuple((task, name, len(of)) for (task, name), of in shown.items()),
        tuple(names[record.key] for of_task in shown.values() for record, _ in of_task),
        rows,
        len(set(things.values())) > 1,
        max(0, max(map(len, columns.values())) - room),
    )


def _things(record: Record, by_class: Mapping[str, float | None]) -> dict[str, bool]:
    """The classes of a score, with whether each can be counted."""
    words = record.vocabulary
    countable = {words.names[label] for label in words.things} if words else set()
    return {name: name in countable for name in by_class}


def _percent(value: float | None) -> float | None:
    return None if value is None else round(100 * value, 1)
