"""From one protocol card to another, one field at a time: how much each field moves the scores.

The fields are taken in the order of the card (`bench.protocol.Protocol`): from the network's side
to the metrics' side, as the data flows. Each step changes one field more and scores the same kept
answers, so the steps add up to the whole difference, whatever the fields do to each other. Another
order could share the difference out otherwise; the sum stays.

A field that decides what the network answers cannot be changed without asking it. It is listed and
stays as it was, so the walk ends at the other card but for these fields.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Any

from bench import tasks
from bench.fields import altered, differing, fields
from bench.protocol import Protocol
from bench.record import Record
from bench.rescore import ONLY_ASKED

Scores = Mapping[tuple[str, str], float | None]
"""Headline scores by task and name; `None` where there is nothing to score."""


@dataclass(frozen=True, slots=True)
class Change:
    """One field of a card that gets another value."""

    field: str
    before: Any
    after: Any


@dataclass(frozen=True, slots=True)
class Walk:
    """Cards between two cards, each one field nearer to the other."""

    start: Protocol
    steps: tuple[tuple[Change, Protocol], ...]
    """Each change with the card that it leads to."""
    needing_a_run: tuple[Change, ...]
    """Changes that no kept answer can show; left out."""

    @property
    def end(self) -> Protocol:
        """Where the walk arrives."""
        return self.steps[-1][1] if self.steps else self.start


@dataclass(frozen=True, slots=True)
class Step:
    """A change and the scores after it."""

    change: Change
    scores: Scores
    moved: Mapping[tuple[str, str], Fraction | None]
    """By how much, exactly: after minus before. `None` where one of the two is nothing."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """What the way from one card to another did to the headline scores."""

    start: Protocol
    end: Protocol
    before: Scores
    steps: tuple[Step, ...]
    needing_a_run: tuple[Change, ...]

    @property
    def after(self) -> Scores:
        """The scores where the walk arrives."""
        return self.steps[-1].scores if self.steps else self.before

    @property
    def total(self) -> dict[tuple[str, str], Fraction | None]:
        """The whole difference; the steps add up to it exactly."""
        return _moved(self.before, self.after)


def walk(start: Protocol, end: Protocol, reachable: Callable[[Protocol], bool]) -> Walk:
    """The way from `start` to `end`, both resolved for one dataset.

    `reachable` says whether the kept answers are those that a card would have got.
    """
    card, wanted = start, fields(end)
    steps: list[tuple[Change, Protocol]] = []
    left: list[Change] = []
    for field in differing(start, end):
        change = Change(field, fields(card)[field], wanted[field])
        nearer = altered(card, {field: wanted[field]}, f"{start.name} towards {end.name}")
        if reachable(nearer):
            card = nearer
            steps.append((change, card))
        else:
            left.append(change)
    if steps and not left:
        steps[-1] = steps[-1][0], altered(card, {}, end.name)
    return Walk(start, tuple(steps), tuple(left))


def explain(way: Walk, scored: Callable[[Protocol], Record]) -> Explanation:
    """Score the kept answers at every step of a walk; `scored` gives the record under a card."""
    before = now = headlines(scored(way.start))
    steps: list[Step] = []
    for change, card in way.steps:
        after = now if change.field in ONLY_ASKED else headlines(scored(card))
        steps.append(Step(change, after, _moved(now, after)))
        now = after
    return Explanation(way.start, way.end, before, tuple(steps), way.needing_a_run)


def headlines(record: Record) -> dict[tuple[str, str], float | None]:
    """The score that each task is ranked by."""
    names = {task: tasks.task(task).headline for task in record.scores}
    return {(task, name): record.scores[task][name].value for task, name in names.items()}


def _moved(before: Scores, after: Scores) -> dict[tuple[str, str], Fraction | None]:
    found: dict[tuple[str, str], Fraction | None] = {}
    for score, old in before.items():
        new = after[score]
        known = old is not None and new is not None
        found[score] = Fraction(new) - Fraction(old) if known else None  # type: ignore[arg-type]
    return found
