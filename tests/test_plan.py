"""Keys are made of content, plans of jobs."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.errors import DataMissing
from bench.plan import Contents, Job, plan, sweep, tunings, vocabulary_digest
from bench.record import Origin, Tuning
from bench.types import Vocabulary

CONTENTS = Contents(
    model="family",
    weights="aa",
    dataset="bb",
    vocabulary="cc",
    protocol="dd",
    tasks=("semantic", "panoptic"),
    precision="float32",
    tuning=None,
    images=10,
)


@pytest.mark.parametrize(
    "change",
    [
        {"model": "other"},
        {"weights": None},
        {"dataset": "b2"},
        {"vocabulary": "c2"},
        {"protocol": "d2"},
        {"tasks": ("semantic",)},
        {"precision": "bfloat16"},
        {"tuning": Tuning(shots="5", strategy="prompt")},
        {"tuning": Tuning(shots="5", strategy="prompt", train_seed=1)},
    ],
    ids=str,
)
def test_whatever_can_change_a_number_changes_the_key(change: dict[str, object]) -> None:
    others = {CONTENTS.key, replace(CONTENTS, tuning=Tuning(shots="1", strategy="prompt")).key}
    assert replace(CONTENTS, **change).key not in others  # type: ignore[arg-type]


def test_the_order_of_tasks_and_the_count_of_images_change_no_key() -> None:
    assert replace(CONTENTS, tasks=("panoptic", "semantic"), images=11).key == CONTENTS.key


def test_keys_are_the_same_in_every_process() -> None:
    assert CONTENTS.key == "a0204ce4fad6a376"


def contents(job: Job) -> Contents:
    if job.dataset == "gone":
        raise DataMissing("Dataset 'gone' is not under data.")
    return replace(CONTENTS, model=job.model, dataset=job.dataset)


def resolve(job: Job) -> tuple[Job, Contents]:
    return job, contents(job)


@given(st.sets(st.sampled_from("abcd")), st.sets(st.sampled_from("abcd")))
def test_what_is_left_is_the_plan_minus_the_store(names: set[str], done: set[str]) -> None:
    whole = plan(sweep(["m"], sorted(names)), resolve)
    keys = {contents(Job(model="m", dataset=name)).key for name in done}
    left = whole.without(keys)
    assert {planned.job.dataset for planned in left} == names - done
    assert left.images == 10 * len(names - done)


def test_a_job_that_cannot_be_resolved_stays_in_the_plan_with_its_problem() -> None:
    found = plan(sweep(["m"], ["a", "gone"]), resolve)
    assert [str(planned.problem) for planned in found] == [
        "None",
        "Dataset 'gone' is not under data.",
    ]
    assert len(found.without({planned.key for planned in found if planned.key})) == 1


def test_two_jobs_of_one_content_are_one() -> None:
    assert len(plan(sweep(["m"], ["a", "a"]), resolve)) == 1


def test_zero_shots_are_one_job_whatever_the_seeds() -> None:
    found = tunings(["0", "5"], ["prompt"], draw_seeds=range(3), train_seeds=range(2))
    assert found[0] is None
    assert len(found) == 1 + 3 * 2


def test_every_setting_says_who_decided_it() -> None:
    settings = Job(model="m", dataset="d", origins={"model": Origin.COMMAND_LINE}).settings()
    assert settings["model"].origin is Origin.COMMAND_LINE
    assert settings["precision"].origin is Origin.DEFAULT
    assert "origins" not in settings


def test_every_part_of_a_vocabulary_is_in_its_digest() -> None:
    whole = Vocabulary(("cat", "sky"), things=frozenset({0}))
    others = [
        replace(whole, names=("dog", "sky")),
        replace(whole, prompts=(("cat", "kitten"), ("sky",))),
        replace(whole, things=frozenset()),
        replace(whole, templates=("a {}.",)),
        replace(whole, background=None),
    ]
    assert len({vocabulary_digest(v) for v in [whole, *others]}) == 6
