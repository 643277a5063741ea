"""The way from one card to another adds up, field by field."""

from collections.abc import Callable
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import catalog
from bench.execute import Finished
from bench.explain import Explanation, explain, headlines, walk
from bench.fields import altered, differing, fields
from bench.plan import Job
from bench.protocol import Protocol
from bench.raw import Numbers
from bench.record import Record
from bench.rescore import card_of, dataset_of, needing_a_run, rescore
from bench.store import Store
from bench.workplace import Workplace, run_job

START = Protocol(name="start")
CHANGES = {
    "resize": {"short": 512},
    "background": "kept",
    "mask_resize": "bilinear",
    "panoptic.object_mask_threshold": 0.4,
    "instance.top_k": 7,
    "ap.max_dets": [5],
    "pq.void": "bdd100k",
}

changes = st.sets(st.sampled_from(sorted(CHANGES)))


@given(changes)
def test_a_walk_changes_one_field_a_step_in_the_order_of_the_card(names: set[str]) -> None:
    end = altered(START, {name: CHANGES[name] for name in names}, "end")
    way = walk(START, end, lambda card: True)
    assert [change.field for change, _ in way.steps] == [f for f in fields(START) if f in names]
    card = START
    for change, nearer in way.steps:
        assert differing(card, nearer) == [change.field]
        assert fields(nearer)[change.field] == change.after != change.before
        card = nearer
    assert way.end.definition() == end.definition()
    assert way.needing_a_run == ()


@given(changes, changes)
def test_what_needs_a_run_is_listed_and_left_as_it_was(
    names: set[str], unreachable: set[str]
) -> None:
    end = altered(START, {name: CHANGES[name] for name in names}, "end")
    way = walk(START, end, lambda card: not {*differing(START, card)} & unreachable)
    assert {change.field for change in way.needing_a_run} == names & unreachable
    assert {*differing(way.end, end)} == names & unreachable
    assert {change.field for change, _ in way.steps} == names - unreachable


def test_a_way_to_the_same_card_has_no_steps(shapes: "Shapes") -> None:
    found = shapes.explained("bench")
    assert found.steps == ()
    assert set(found.total.values()) == {Fraction(0)}


# --- on drawn scenes -----------------------------------------------------------------------------


class Shapes:
    """A run of the colour baseline on six scenes, and what explains it."""

    def __init__(self, folder: Path) -> None:
        self.store, self.scored = Store(folder), list[str]()
        place = Workplace(folder, folder / "data", keep_raw=Numbers.EXACT)
        *_, last = run_job(place, Job(model="colour", dataset="shapes", limit=6), "cpu")
        assert isinstance(last, Finished)
        self.record = last.record

    def score(self, card: Protocol) -> Record:
        self.scored.append(card.name)
        *_, last = rescore(self.record, self.store, card)
        assert isinstance(last, Finished)
        return last.record

    def reachable(self, card: Protocol) -> bool:
        return not needing_a_run(self.record, card, dataset_of(self.record, card).vocabulary)

    def explained(self, to: str) -> Explanation:
        end = catalog.protocol(to).for_dataset("shapes")
        return explain(walk(card_of(self.record), end, self.reachable), self.score)


@pytest.fixture(scope="module")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Shapes:
    return Shapes(tmp_path_factory.mktemp("results"))


@pytest.mark.parametrize("to", ["native", "xdecoder-v2", "xdecoder-2022"])
def test_the_steps_add_up_to_the_whole_exactly(shapes: Shapes, to: str) -> None:
    found = shapes.explained(to)
    assert found.before == headlines(shapes.record)
    for score, total in found.total.items():
        assert total is not None
        moved = [step.moved[score] or Fraction(0) for step in found.steps]
        assert sum(moved, Fraction(0)) == total
        assert Fraction(found.before[score] or 0) + total == Fraction(found.after[score] or 0)
    assert any(total for total in found.total.values()), "the cards differ in what they score"


def test_the_end_scores_as_the_other_card_does(shapes: Shapes) -> None:
    found = shapes.explained("native")
    card = catalog.protocol("native")
    assert not found.needing_a_run
    assert found.end.name == "native"
    assert found.after == headlines(shapes.score(card))


def test_what_needs_a_run_is_told_apart_on_real_cards(shapes: Shapes) -> None:
    found = shapes.explained("xdecoder-v2")
    assert [change.field for change in found.needing_a_run] == ["templates"]
    assert "strip_suffixes" not in {step.change.field for step in found.steps}
    assert found.end.templates == "none"


def test_fields_of_asking_alone_move_nothing_and_are_not_scored(shapes: Shapes) -> None:
    shapes.scored.clear()
    found = shapes.explained("native")
    idle = {"strip_suffixes", "referring.lower_case"}
    assert idle <= {step.change.field for step in found.steps}
    for step in found.steps:
        if step.change.field in idle:
            assert set(step.moved.values()) == {Fraction(0)}
    assert len(shapes.scored) == 1 + len(found.steps) - len(idle)


def test_where_there_is_nothing_to_score_nothing_is_said_to_move(shapes: Shapes) -> None:
    nothing = {task: {} for task in shapes.record.scores}

    def blank(card: Protocol) -> Record:
        scores = {
            task: {name: score.model_copy(update={"value": None}) for name, score in of.items()}
            for task, of in shapes.record.scores.items()
        }
        return shapes.record.model_copy(update={"scores": scores})

    score: Callable[[Protocol], Record] = blank
    end = altered(START, {"instance.top_k": 7})
    found = explain(walk(START, end, lambda card: True), score)
    assert len(found.total) == len(nothing)
    assert set(found.total.values()) == {None}
