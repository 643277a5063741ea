"""A printed table beside what is measured here: which runs stand for its numbers, and what of it.

A number is held against the card it is about, or against a model that a person names; in the
embedded world its counterpart stands for the dataset.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, cached_property

from bench import catalog
from bench.claims import FINETUNED, Claim
from bench.measured import Measurement, Measurements
from bench.plan import Job
from bench.printed import PrintedTable
from bench.record import Origin, Record, Tuning
from bench.reproduction.counterparts import Counterpart, counterpart, tuned_counterpart

NEAREST = ("xdecoder-T", "pretrain-T")
"""The card, or else the recipe, that a model is put beside of which the paper prints nothing."""
LARGEST = "xdecoder-L"
"""The card where a table has neither."""


@dataclass(frozen=True)
class Line:
    """A printed number and what is measured for it here."""

    row: int
    column: int
    claim: Claim
    model: str
    """Who is asked."""
    asked: Counterpart
    tuning: Tuning | None
    """How it is tuned first."""
    protocol: str | None
    trained: str | None = None
    """The recipe that makes the model first; `None`: it can be asked as it is."""

    def jobs(self, seeds: int, limit: int | None = None) -> Iterator[Job]:
        """What is to be run for it; nothing for a model that is to be trained first."""
        if self.trained is not None:
            return
        draws = range(seeds) if self.tuning else (0,)
        for dataset, split in members(self.asked.dataset, self.asked.split):
            for draw in draws:
                tuning = self.tuning and self.tuning.model_copy(update={"draw_seed": draw})
                stated = {
                    "split": split,
                    "protocol": self.protocol,
                    "tasks": (self.asked.task,),
                    "tuning": tuning,
                    "limit": limit,
                }
                given = {name: value for name, value in stated.items() if value is not None}
                yield Job.model_validate(
                    {
                        "model": self.model,
                        "dataset": dataset,
                        **given,
                        "origins": dict.fromkeys(given, Origin.SPEC),
                    }
                )


@cache
def members(dataset: str, split: str) -> tuple[tuple[str, str], ...]:
    """The datasets and splits that a name stands for: a suite's, or itself."""
    if dataset not in catalog.suites():
        return ((dataset, split),)
    return tuple(
        (member.dataset, member.split or catalog.dataset(member.dataset).split()[0])
        for member in catalog.suite(dataset).members
    )


@dataclass(frozen=True)
class Comparison:
    """A printed table and the lines that can stand beside its numbers."""

    printed: PrintedTable
    lines: tuple[Line, ...]
    embedded: bool

    @cached_property
    def by_place(self) -> Mapping[tuple[int, int], Line]:
        """Lines by row and column."""
        return {(line.row, line.column): line for line in self.lines}

    def jobs(self, seeds: int, limit: int | None = None) -> tuple[Job, ...]:
        """All that is to be run, the tasks of a dataset in one job."""
        found: dict[str, Job] = {}
        for line in self.lines:
            for job in line.jobs(seeds, limit):
                same = job.model_copy(update={"tasks": ()}).model_dump_json()
                known = found.get(same, job)
                tasks = dict.fromkeys((*known.tasks, *job.tasks))
                found[same] = job.model_copy(update={"tasks": tuple(tasks)})
        return tuple(found.values())


def comparison(
    printed: PrintedTable, model: str | None, *, embedded: bool, trained: Sequence[Record] = ()
) -> Comparison:
    """The lines of a table.

    Args:
        printed: the table.
        model: who is held against it; `None`: each system of ours against its own numbers.
        embedded: counterparts in the embedded world are asked about.
        trained: records, among which those of models that were trained by a row's recipe are
            taken for it.
    """
    cells = [
        (place, column, Claim(printed.name, printed.columns[column].name, cell, cell.record))
        for place, row in enumerate(printed.rows)
        for column, cell in enumerate(row.cells)
        if cell.record is not None
    ]
    if model is not None:
        rows = _rows_for(model, cells)
        cells = [cell for cell in cells if cell[0] in rows]
    made = {
        record.model.trained.recipe: record.model.name
        for record in trained
        if record.model.trained is not None and not record.reported
    }
    matching = _Matching(model, embedded, made, frozenset(catalog.models()))
    lines = (matching.line(*cell) for cell in cells)
    return Comparison(printed, tuple(line for line in lines if line is not None), embedded)


_Place = tuple[int, int, Claim]


def _rows_for(model: str, cells: Sequence[_Place]) -> set[int]:
    """The rows that are about a model, or about the nearest to it."""
    card, recipe = NEAREST
    wanted = (("card", model), ("card", card), ("recipe", recipe), ("card", LARGEST))
    for what, name in wanted:
        rows = {row for row, _, claim in cells if name == _named(claim)[what]}
        if rows:
            return rows
    return set()


def _named(claim: Claim) -> dict[str, str | None]:
    publication = claim.record.publication
    return {"card": claim.card, "recipe": publication.recipe if publication else None}


@dataclass(frozen=True)
class _Matching:
    """Who is held against printed numbers; see `comparison`."""

    model: str | None
    embedded: bool
    made: Mapping[str, str]
    """By recipe, the model that was trained by it."""
    cards: frozenset[str]

    def line(self, row: int, column: int, claim: Claim) -> Line | None:
        """What stands beside a number; `None`: nothing of ours does."""
        used, cell, tuning = claim.record.dataset, claim.cell, _few_shots(claim)
        if self.embedded:
            assert self.model is not None
            find = counterpart if tuning is None else tuned_counterpart
            found = find(used.name, cell.task, cell.score)
            return Line(row, column, claim, self.model, found, tuning, None) if found else None
        asked = Counterpart(used.name, used.split, cell.task, cell.score)
        if self.model is not None:
            return Line(row, column, claim, self.model, asked, tuning, claim.protocol)
        who = self._who(claim)
        if who is None:
            return None
        model, trained = who
        if trained is None and model != claim.record.model.name:
            tuning = None  # the model itself is the tuned one
        return Line(row, column, claim, model, asked, tuning, claim.protocol, trained)

    def _who(self, claim: Claim) -> tuple[str, str | None] | None:
        """The model of ours for a claim, and the recipe that is still to make it."""
        recipe = _named(claim)["recipe"]
        if recipe is not None and recipe in self.made:
            return self.made[recipe], None
        if claim.card not in self.cards:
            return None if recipe is None else (claim.card, recipe)
        its_own = claim.card == claim.record.model.name
        return claim.card, recipe if its_own and claim.record.tuning else None


def _few_shots(claim: Claim) -> Tuning | None:
    """How the model is tuned here; a checkpoint that was finetuned is asked as it is."""
    tuning = claim.record.tuning
    return None if tuning is None or tuning.strategy == FINETUNED else tuning


def value_of(line: Line, where: Iterable[Measurements]) -> Measurement | None:
    """What was measured for a line, in the first place that has it."""
    for measurements in where:
        found = measurements.of(
            line.model,
            line.asked.dataset,
            line.asked.split,
            line.asked.task,
            line.asked.score,
            tuning=line.tuning,
            protocol=line.protocol,
        )
        if found is not None:
            return found
    return None
