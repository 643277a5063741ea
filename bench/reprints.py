"""Reprints: numbers of one system that several tables show.

The X-Decoder paper prints its zero-shot results in up to three tables, and other papers copy them.
Where all that two tables print of a system in common is the same, they are one source.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from bench.record import Record, RecordedScore

_Place = tuple[str, str, str, str]
"""Dataset, split, task and score."""


_Numbers = dict[_Place, float | None]


@dataclass
class _Source:
    """What tables that agree print of one system."""

    names: list[str]
    numbers: _Numbers
    records: list[Record]

    def overlaps(self, other: "_Source") -> bool:
        """Whether something is printed in both."""
        return not self.numbers.keys().isdisjoint(other.numbers)

    def agrees(self, other: "_Source") -> bool:
        """Whether nothing is printed differently."""
        common = self.numbers.keys() & other.numbers.keys()
        return all(self.numbers[place] == other.numbers[place] for place in common)

    def take(self, other: "_Source") -> None:
        """Count the tables of another source to this one."""
        self.names += other.names
        self.numbers.update(other.numbers)
        self.records += other.records


def joined(records: Iterable[Record]) -> tuple[Record, ...]:
    """Published records, with reprints as one record whose source names all the tables.

    Tables of one source overlap and agree. A joined record has the key and the publication of its
    first table, and the notes of all.
    """
    systems: dict[object, dict[str, list[Record]]] = {}
    for record in records:
        tuning = record.tuning
        tuned = (tuning.shots, tuning.strategy) if tuning else None
        system = (record.model.name, record.protocol.name, tuned)
        systems.setdefault(system, {}).setdefault(str(record.source), []).append(record)
    return tuple(
        record
        for by_table in systems.values()
        for source in _sources(by_table)
        for record in _of_source(source)
    )


def _sources(by_table: dict[str, list[Record]]) -> list[_Source]:
    found: list[_Source] = []
    for name, records in by_table.items():
        table = _Source([name], _numbers(records), list(records))
        met = [source for source in found if source.overlaps(table) and source.agrees(table)]
        if not met:
            found.append(table)
            continue
        first, *others = met
        first.take(table)
        for other in others:  # which had nothing in common with the first until now
            if first.agrees(other):
                first.take(other)
                found.remove(other)
    return found


def _numbers(records: Iterable[Record]) -> _Numbers:
    return {
        (record.dataset.name, record.dataset.split, task, name): score.value
        for record in records
        for task, scores in record.scores.items()
        for name, score in scores.items()
    }


def _of_source(source: _Source) -> list[Record]:
    """A record for each dataset and split of a source, in the order of the tables."""
    if len(source.names) == 1:
        return source.records
    places: dict[tuple[str, str], list[Record]] = {}
    for record in source.records:
        places.setdefault((record.dataset.name, record.dataset.split), []).append(record)
    name = together(source.names)
    return [_merged(records, name) for records in places.values()]


def _merged(records: Sequence[Record], source: str) -> Record:
    scores: dict[str, dict[str, RecordedScore]] = {}
    for record in records:
        for task, of_task in record.scores.items():
            for name, score in of_task.items():
                scores.setdefault(task, {}).setdefault(name, score)
    notes = dict.fromkeys(note for record in records for note in record.notes)
    return records[0].model_copy(update={"scores": scores, "source": source, "notes": tuple(notes)})


def together(names: Sequence[str]) -> str:
    """Sources as one; tables of one publication under its name.

    >>> together(["A paper, Table 10", "A paper, Table 2", "Another, Table 1"])
    'A paper, Tables 2 and 10; Another, Table 1'
    """
    tables: dict[str, list[str]] = {}
    for name in names:
        publication, _, number = name.rpartition(", Table ")
        tables.setdefault(publication or name, []).extend([number] if publication else [])
    return "; ".join(_listed(publication, numbers) for publication, numbers in tables.items())


def _listed(publication: str, numbers: Sequence[str]) -> str:
    if len(numbers) < 2:
        return ", Table ".join((publication, *numbers))
    numbers = sorted(numbers, key=lambda number: (len(number), number))
    return f"{publication}, Tables {', '.join(numbers[:-1])} and {numbers[-1]}"
