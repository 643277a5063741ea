"""Numbers that several tables print alike are one source; those that differ stay apart."""

import json
from collections import defaultdict

from bench import reported
from bench.record import Record
from bench.reprints import joined


def printed(table: int, numbers: dict[str, float], model: str = "x", **changes: object) -> Record:
    """What a table prints of a model on one dataset, by score."""
    content = {
        "key": f"table{table}-{model}-{sorted(numbers)}",
        "reported": True,
        "source": f"A paper, Table {table}",
        "model": {"name": model},
        "dataset": {"name": "d", "split": "val"},
        "protocol": {"name": "unknown"},
        "scores": {"panoptic": {name: {"value": value} for name, value in numbers.items()}},
        "notes": [f"note {table}"],
    }
    return Record.parse(json.dumps({**content, **changes}), "here")


def sources(records: tuple[Record, ...]) -> list[str]:
    return [str(record.source) for record in records]


def test_tables_that_agree_are_one_source_with_all_numbers_and_notes() -> None:
    (one,) = joined([printed(2, {"PQ": 0.5, "SQ": 0.8}), printed(10, {"PQ": 0.5, "RQ": 0.6})])
    assert one.source == "A paper, Tables 2 and 10"
    values = {name: score.value for name, score in one.scores["panoptic"].items()}
    assert values == {"PQ": 0.5, "SQ": 0.8, "RQ": 0.6}
    assert one.notes == ("note 2", "note 10")


def test_tables_that_differ_anywhere_stay_apart() -> None:
    found = joined([printed(1, {"PQ": 0.5, "SQ": 0.8}), printed(3, {"PQ": 0.5, "SQ": 0.7})])
    assert sources(found) == ["A paper, Table 1", "A paper, Table 3"]


def test_tables_with_nothing_in_common_stay_apart_until_a_third_shows_both() -> None:
    first, second = printed(1, {"PQ": 0.5}), printed(2, {"SQ": 0.8})
    assert len(joined([first, second])) == 2
    (one,) = joined([first, second, printed(3, {"PQ": 0.5, "SQ": 0.8})])
    assert one.source == "A paper, Tables 1, 2 and 3"


def test_systems_and_tunings_are_never_joined() -> None:
    tuned = {"tuning": {"shots": "5", "strategy": "prompt"}}
    found = joined(
        [
            printed(1, {"PQ": 0.5}),
            printed(2, {"PQ": 0.5}, model="y"),
            printed(3, {"PQ": 0.5}, **tuned),
            printed(4, {"PQ": 0.5}, protocol={"name": "bench"}),
        ]
    )
    assert len(found) == 4


def test_joining_loses_no_number_and_changes_none() -> None:
    def numbers(records: tuple[Record, ...]) -> dict[tuple[object, ...], set[float | None]]:
        found = defaultdict(set)
        for record in records:
            for task, scores in record.scores.items():
                for name, score in scores.items():
                    who = (record.model.name, record.protocol.name, record.tuning)
                    place = (record.dataset.name, record.dataset.split, task, name)
                    found[str(who), place].add(score.value)
        return found

    assert numbers(reported.distinct()) == numbers(reported.records())
    assert len(reported.distinct()) < len(reported.records())
    assert len({record.key for record in reported.distinct()}) == len(reported.distinct())
