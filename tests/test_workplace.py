"""Names become models and datasets, and the same work is done by name and by hand."""

import doctest
import importlib
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest
import torch

import bench
from bench.errors import CannotDo, UsageError
from bench.execute import Failed, Finished
from bench.executors import Inline, execute
from bench.identity import weights_digest
from bench.plan import Job, sweep
from bench.record import Origin
from bench.store import Store
from bench.workplace import Workplace, evaluate, load_dataset, run_job


def place(folder: Path) -> Workplace:
    return Workplace(results=folder / "results", data=folder / "data")


def test_a_plan_names_what_a_job_leaves_to_its_defaults_and_who_decided_it(tmp_path: Path) -> None:
    (planned,) = place(tmp_path).plan([Job(model="colour", dataset="shapes", limit=3)])
    job = planned.job
    assert (job.split, job.protocol) == ("val", "bench")
    assert job.settings()["split"].origin is Origin.SPEC
    assert planned.contents is not None
    assert planned.contents.images == 3


def test_what_a_person_asks_for_stays_their_decision(tmp_path: Path) -> None:
    asked = Job(
        model="colour",
        dataset="shapes",
        protocol="native",
        limit=3,
        origins={"protocol": Origin.COMMAND_LINE},
    )
    (planned,) = place(tmp_path).plan([asked])
    assert planned.job.protocol == "native"
    assert planned.job.settings()["protocol"].origin is Origin.COMMAND_LINE


def test_the_key_of_a_plan_is_the_key_of_its_record(tmp_path: Path) -> None:
    where = place(tmp_path)
    plan = where.plan(sweep(["colour"], ["shapes"], template=three()))
    store = Store(where.results)
    *_, last = execute(plan, partial(run_job, where), Inline(), store)
    assert isinstance(last, Finished)
    assert last.record.key == plan.jobs[0].key
    assert len(plan.without(store.finished(planned.key for planned in plan))) == 0


def three() -> Job:
    return Job(model="", dataset="", tasks=("semantic",), limit=3)


def test_an_unknown_name_is_a_failed_row_with_advice(tmp_path: Path) -> None:
    where = place(tmp_path)
    plan = where.plan(sweep(["colour"], ["shaeps", "shapes"], template=three()))
    store = Store(where.results)
    events = list(execute(plan, partial(run_job, where), Inline(), store))
    (failed,) = (event for event in events if isinstance(event, Failed))
    assert "Did you mean 'shapes'" in failed.failure.reason
    assert len(store.records()) == 1


def test_a_limit_that_leaves_nothing_out_is_no_limit(tmp_path: Path) -> None:
    where = place(tmp_path)
    whole, limited = (
        where.plan(
            [
                Job(model="colour", dataset="shapes"),
                Job(model="colour", dataset="shapes", limit=10**6, split="val"),
            ]
        ),
        where.plan([Job(model="colour", dataset="shapes", limit=3)]),
    )
    assert len(whole) == 1, "both are the whole split"
    assert whole.jobs[0].key != limited.jobs[0].key


def test_by_hand_and_by_name_are_the_same_run() -> None:
    by_name = evaluate("colour", "shapes", tasks=["semantic"], limit=3)
    dataset = load_dataset("shapes", tasks=["semantic"])
    by_hand = evaluate(bench.load_model("colour"), dataset, limit=3)
    assert by_hand.scores == by_name.scores
    assert by_hand.dataset.fingerprint == by_name.dataset.fingerprint
    assert by_name.partial


def test_a_kept_run_is_only_read_the_second_time(tmp_path: Path) -> None:
    first = evaluate("colour", "shapes", tasks=["semantic"], limit=3, results=tmp_path)
    again = evaluate("colour", "shapes", tasks=["semantic"], limit=3, results=tmp_path)
    assert again == first
    shipped = set(bench.results(tmp_path / "none")["run"])
    assert set(bench.results(tmp_path)["run"]) - shipped == {first.key}


def test_equal_data_of_two_names_are_two_runs(tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / "datasets").mkdir(exist_ok=True)
        (tmp_path / "datasets" / f"{name}.yaml").write_text(f"include: shapes\ntitle: {name}\n")
    where = replace(place(tmp_path), specs=(tmp_path,))
    jobs = [Job(model="colour", dataset=name, limit=1) for name in ("one", "two", "shapes")]
    keys = [planned.contents.key for planned in where.plan(jobs) if planned.contents]
    assert len(set(keys)) == 3


def test_folders_may_be_given_as_text(tmp_path: Path) -> None:
    (tmp_path / "datasets").mkdir()
    (tmp_path / "datasets" / "mine.yaml").write_text("include: shapes\ntitle: Mine\n")
    folders = {"data": str(tmp_path), "specs": [str(tmp_path)]}
    record = evaluate("colour", "mine", limit=1, results=str(tmp_path / "kept"), **folders)
    assert record.key in set(bench.results(str(tmp_path / "kept"))["run"])
    assert repr(load_dataset("mine", **folders)).startswith("Dataset('mine', split='val': 500 ")


def test_a_limit_of_nothing_is_refused() -> None:
    with pytest.raises(UsageError, match="at least one image"):
        evaluate("colour", "shapes", limit=0)


def test_what_readers_decided_about_files_is_in_the_record() -> None:
    dataset = replace(load_dataset("shapes", tasks=["semantic"]), notes=("Two names are one.",))
    assert evaluate("colour", dataset, limit=1).notes == ("Two names are one.",)


def test_a_model_that_cannot_segment_is_refused_with_what_it_would_need() -> None:
    with pytest.raises(CannotDo, match="Proposer or SemanticSegmenter"):
        evaluate(object(), "shapes", tasks=["semantic"], limit=1)


def test_a_precision_a_model_does_not_offer_is_refused(tmp_path: Path) -> None:
    job = Job(model="colour", dataset="shapes", precision="float8", limit=1)
    (planned,) = place(tmp_path).plan([job])
    assert str(planned.problem) == "Model 'colour' runs in float32 only, not in float8."


# --- who a model is ------------------------------------------------------------------------------


def network(seed: int = 0) -> torch.nn.Module:
    torch.manual_seed(seed)
    return torch.nn.Sequential(torch.nn.Linear(3, 2), torch.nn.BatchNorm1d(2))


def test_the_digest_of_weights_is_of_their_numbers(tmp_path: Path) -> None:
    model, copy = network(), network(1)
    assert weights_digest(model) != weights_digest(copy)
    torch.save(model.state_dict(), tmp_path / "x.pt")
    copy.load_state_dict(torch.load(tmp_path / "x.pt"))
    assert weights_digest(model) == weights_digest(copy)


def test_one_changed_number_or_type_changes_the_digest() -> None:
    model = network()
    before = weights_digest(model)
    assert weights_digest(model.double()) != before
    model = network()
    with torch.no_grad():
        model[0].bias[1] += 1e-6  # type: ignore[index, operator]
    assert weights_digest(model) != before


def test_a_model_may_state_its_own_digest() -> None:
    model = network()
    model.weights_digest = "abc"  # type: ignore[assignment]
    assert weights_digest(model) == "abc"


def test_a_model_without_weights_has_no_digest() -> None:
    assert weights_digest(object()) is None


@pytest.mark.parametrize(
    "module",
    ["bench", "bench.workplace", "bench.plan", "bench.outcome", "bench.report.frame",
     "bench.report.table"],
)  # fmt: skip
def test_examples_run(module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found = doctest.testmod(importlib.import_module(module))
    assert found.attempted
    assert not found.failed


def test_an_unknown_attribute_of_bench_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="no attribute 'evaluat'"):
        bench.evaluat  # noqa: B018


def test_a_checkpoint_of_no_family_is_refused(tmp_path: Path) -> None:
    (tmp_path / "x.pt").write_bytes(b"")
    with pytest.raises(UsageError, match="not a checkpoint of a known family"):
        bench.load_model(str(tmp_path / "x.pt"))


def test_shots_need_a_dataset_that_has_more_than_the_scored_part() -> None:
    with pytest.raises(UsageError, match="Give its name, spec or folder"):
        evaluate("colour", load_dataset("shapes"), shots=5)


def test_a_model_that_cannot_be_tuned_says_so() -> None:
    with pytest.raises(CannotDo, match="cannot be tuned with few shots"):
        evaluate("colour", "shapes", tasks=["semantic"], shots=5, limit=1)
