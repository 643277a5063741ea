"""Several protocol cards, one pass: the model is asked once, each run is as if it were alone."""

from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import CARD, TASKS, ToyDataset, ToyModel, assignment

import bench.tasks
from bench.errors import AnswerFailed
from bench.evaluation import examine
from bench.execute import Assignment, Event, Failed, Finished, work
from bench.executors import Inline, execute
from bench.fields import altered
from bench.plan import Contents, Job, Plan, Planned
from bench.raw import Numbers, RawAnswers
from bench.record import Record, Tuning
from bench.store import Store

STRICT = altered(CARD, {"panoptic.overlap_threshold": 0.5}, "strict")
LARGE = altered(CARD, {"resize": {"short": 8}}, "large")


@pytest.fixture(autouse=True)
def toy_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bench.tasks, "TASKS", {**bench.tasks.TASKS, **TASKS})


def under(card: Any, model: ToyModel, dataset: ToyDataset | None = None) -> Assignment:
    """The toy job under a card."""
    plain = assignment(dataset, model)
    examined = examine(model, plain.examination.dataset, card, name=model.name)
    job = plain.job.model_copy(update={"protocol": card.name})
    return replace(plain, job=job, examination=examined)


def records(events: Iterable[Event]) -> list[Record]:
    return [event.record for event in events if isinstance(event, Finished)]


def asked(model: ToyModel) -> int:
    return sum(map(len, model.calls))


# --- one pass ------------------------------------------------------------------------------------


def test_the_model_is_asked_once_for_all_cards(tmp_path: Path) -> None:
    model = ToyModel()
    both = records(work(under(CARD, model), Store(tmp_path), also=[under(STRICT, model)]))
    assert asked(model) == len(ToyDataset().ids)
    assert [record.protocol.name for record in both] == ["toy", "strict"]


def test_each_run_is_as_if_it_were_alone(tmp_path: Path) -> None:
    model, broken = ToyModel(), ToyDataset(broken=frozenset({"003.png"}))
    jobs = [under(card, model, broken) for card in (CARD, STRICT)]
    together = records(work(jobs[0], Store(tmp_path / "together"), also=jobs[1:]))
    for job, record in zip(jobs, together, strict=True):
        (alone,) = records(work(job, Store(tmp_path / "alone")))
        skipped = {"provenance", "key"}
        assert record.key == alone.key
        assert record.model_dump(exclude=skipped) == alone.model_dump(exclude=skipped)
        ours = Store(tmp_path / "together").statistics(record.key)
        theirs = Store(tmp_path / "alone").statistics(record.key)
        assert ours is not None
        assert theirs is not None
        assert [(o.id, o.failure) for o in ours.values()] == [
            (o.id, o.failure) for o in theirs.values()
        ]


def test_a_shared_session_names_the_runs_it_was_shared_with(tmp_path: Path) -> None:
    model = ToyModel()
    both = records(work(under(CARD, model), Store(tmp_path), also=[under(STRICT, model)]))
    named = [record.provenance.sessions[0].shared_with for record in both if record.provenance]
    assert named == [(both[1].key,), (both[0].key,)]


def test_a_stopped_pass_goes_on_for_every_card(tmp_path: Path) -> None:
    model = ToyModel(fails_on=5)
    with pytest.raises(AnswerFailed):
        list(work(under(CARD, model), Store(tmp_path), also=[under(STRICT, model)]))
    model.calls.clear()
    model.fails_on = None
    both = records(work(under(CARD, model), Store(tmp_path), also=[under(STRICT, model)]))
    assert asked(model) == len(ToyDataset().ids) - 5
    assert [record.images.scored for record in both if record.images] == [12, 12]


def test_a_card_that_is_done_is_not_asked_for_again(tmp_path: Path) -> None:
    model = ToyModel()
    list(work(under(CARD, model), Store(tmp_path)))
    model.calls.clear()
    first, second = under(CARD, model), under(STRICT, model)
    assert len(records(work(first, Store(tmp_path), also=[second]))) == 2
    assert asked(model) == len(ToyDataset().ids)
    model.calls.clear()
    assert len(records(work(first, Store(tmp_path), also=[second]))) == 2
    assert asked(model) == 0


def test_raw_answers_are_kept_with_the_first_card(tmp_path: Path) -> None:
    model, store = ToyModel(), Store(tmp_path)
    jobs = [under(card, model) for card in (CARD, STRICT)]
    both = records(work(jobs[0], store, also=jobs[1:], keep_raw=Numbers.EXACT))
    assert [len(RawAnswers(store.raw(record.key))) for record in both] == [12, 0]


# --- what can share a pass -----------------------------------------------------------------------


def planned(card: Any, **job: Any) -> Planned:
    made = under(card, ToyModel())
    return Planned(made.job.model_copy(update=job), made.contents)


def test_cards_that_differ_after_the_network_share_a_pass() -> None:
    (job,) = Plan((planned(CARD), planned(STRICT))).passes()
    assert [each.protocol for each in job.apart()] == ["toy", "strict"]


def test_cards_that_show_the_network_something_else_do_not() -> None:
    found = Plan((planned(CARD), planned(LARGE), planned(STRICT))).passes()
    assert [[each.protocol for each in job.apart()] for job in found] == [
        ["toy", "strict"],
        ["large"],
    ]


def test_other_models_words_and_tunings_do_not() -> None:
    tuned = Tuning(shots="5", strategy="prompt")
    others = [planned(STRICT, **change) for change in (
        {"model": "another"}, {"vocabulary": "words"}, {"tuning": tuned}, {"weights": "random"},
    )]  # fmt: skip
    assert len(Plan((planned(CARD), *others)).passes()) == 5


def test_a_pass_that_fails_fails_for_every_card(tmp_path: Path) -> None:
    def do(job: Job, device: str) -> Any:
        raise ZeroDivisionError("a bug")
        yield

    plan, store = Plan((planned(CARD), planned(STRICT))), Store(tmp_path)
    failed = [e for e in execute(plan, do, Inline(), store) if isinstance(e, Failed)]
    assert [event.job.protocol for event in failed] == ["toy", "strict"]
    assert [failure.key for failure in store.failures()] == [item.key for item in plan]


def test_what_decides_the_asking_is_in_no_key() -> None:
    contents = under(CARD, ToyModel()).contents
    assert replace(contents, asking="other").key == contents.key
    assert isinstance(contents.question, Contents)
