"""Kept answers score as the run did under its own card, and as a run would under another."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from toys import CARD, TASKS, ToyDataset, ToyModel, assignment

import bench.tasks
from bench import catalog
from bench.errors import CannotDo, DataError, UnknownName, UsageError
from bench.execute import Advanced, Finished, work
from bench.fields import PHRASES, SHOWN, altered, differing, fields, stated
from bench.plan import Job
from bench.protocol import BackgroundRule, Protocol, Resize
from bench.raw import Numbers, RawAnswers
from bench.record import Record
from bench.rescore import ONLY_ASKED, WORDS, card_of, rescore, rescoring
from bench.store import Store
from bench.types import Vocabulary
from bench.workplace import Workplace, run_job


@pytest.fixture(autouse=True)
def toy_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, place in TASKS.items():
        monkeypatch.setitem(bench.tasks.TASKS, name, place)


def ended(events: Any) -> Record:
    *_, last = events
    assert isinstance(last, Finished)
    return last.record


# --- on toys -------------------------------------------------------------------------------------


def toy_run(folder: Path, dataset: ToyDataset | None = None, *, keep: bool = True) -> Record:
    job = assignment(dataset or ToyDataset())
    return ended(work(job, Store(folder), keep_raw=Numbers.EXACT if keep else None))


def again(
    record: Record, folder: Path, card: Protocol = CARD, dataset: ToyDataset | None = None
) -> Record:
    store = Store(folder)
    return ended(work(rescoring(record, store, dataset or ToyDataset(), card), store))


def test_the_same_card_gives_the_same_scores_in_a_record_of_its_own(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    found = again(record, tmp_path)
    assert found.scores == record.scores
    assert found.images == record.images
    assert found.key != record.key
    assert found.provenance is not None
    assert found.provenance.rescored_from == record.key
    assert found.protocol.digest == record.protocol.digest


def test_nobody_is_asked_and_a_finished_rescoring_is_only_read(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    store = Store(tmp_path)
    job = rescoring(record, store, ToyDataset(), CARD)
    assert job.examination.model is None
    first = list(work(job, store))
    second = list(work(job, store))
    assert sum(isinstance(event, Advanced) for event in first) == 12
    assert not any(isinstance(event, Advanced) for event in second)
    assert first[-1] == second[-1]


def test_an_interrupted_rescoring_goes_on(tmp_path: Path) -> None:
    record, store = toy_run(tmp_path), Store(tmp_path)
    job = rescoring(record, store, ToyDataset(), CARD)
    events = work(job, store)
    for _ in range(6):  # begun, and five images
        next(events)
    events.close()
    rest = list(work(job, store))
    assert sum(isinstance(event, Advanced) for event in rest) == 7
    assert ended(rest).scores == record.scores


def test_an_unreadable_image_stays_unscored_with_its_reason(tmp_path: Path) -> None:
    record = toy_run(tmp_path, ToyDataset(broken=frozenset({"003.png"})))
    found = again(record, tmp_path, dataset=ToyDataset())  # mended since: there is no answer
    assert found.scores == record.scores
    assert found.images == record.images


def test_a_run_that_kept_nothing_says_how_to_make_it(tmp_path: Path) -> None:
    record = toy_run(tmp_path, keep=False)
    with pytest.raises(UsageError, match=r"bench run toy --model toy-model --keep-raw"):
        again(record, tmp_path)


def test_answers_to_some_images_only_are_not_scored(tmp_path: Path) -> None:
    store, job = Store(tmp_path), assignment()
    events = work(job, store, keep_raw=Numbers.EXACT)
    for _ in range(6):
        next(events)
    events.close()
    record = ended(work(job, store))
    with pytest.raises(UsageError, match="kept of 5 of 12 images"):
        again(record, tmp_path)


def test_a_rescored_run_names_the_one_to_rescore(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    with pytest.raises(UsageError, match=f"from the answers of run {record.key}"):
        again(again(record, tmp_path), tmp_path)


def test_other_data_is_refused(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    with pytest.raises(DataError, match="its fingerprint is"):
        again(record, tmp_path, dataset=ToyDataset(ids=("a", "b")))


def test_what_the_network_was_shown_cannot_change(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    card = CARD.model_copy(update={"name": "large", "resize": Resize(short=8)})
    with pytest.raises(CannotDo, match=r"otherwise: resize\. Run it: .* --protocol large"):
        again(record, tmp_path, card)


def test_words_may_change_only_where_the_same_is_asked(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    card = altered(CARD, {"strip_suffixes": ["-stuff"], "background": "kept"})
    assert again(record, tmp_path, card).scores == record.scores
    other = replace(ToyDataset(), vocabulary=Vocabulary(("dark", "bright"), (("d",), ("b",))))
    with pytest.raises(CannotDo, match="otherwise: strip_suffixes, background"):
        again(record, tmp_path, card, other)
    with pytest.raises(CannotDo, match="otherwise: vocabulary"):
        again(record, tmp_path, CARD, other)


def test_phrases_matter_to_the_task_that_asks_them(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    card = altered(CARD, {"referring.lower_case": False})
    assert again(record, tmp_path, card).scores == record.scores
    (scores,) = record.scores.values()
    asked = record.model_copy(update={"scores": {"referring": scores}})
    with pytest.raises(CannotDo, match=r"otherwise: referring\.lower_case"):
        again(asked, tmp_path, card)


def test_damage_in_the_file_is_no_score(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    path = Store(tmp_path).raw(record.key)
    content = path.read_bytes()
    blocks = content.split(b'"LightMeter":0.')
    assert len(blocks) == 13
    path.write_bytes(b'"LightMeter":0.'.join(blocks[:-1]) + b'"LightMeter":1.' + blocks[-1])
    with pytest.raises(DataError, match=r"^The raw answer to 011\.png in .* is damaged"):
        again(record, tmp_path)


# --- on drawn scenes -----------------------------------------------------------------------------


def shapes_run(folder: Path, protocol: str, numbers: Numbers | None = Numbers.EXACT) -> Record:
    place = Workplace(folder, folder / "data", keep_raw=numbers)
    job = Job(model="colour", dataset="shapes", protocol=protocol, limit=6)
    return ended(run_job(place, job, "cpu"))


def test_scenes_score_the_same_under_the_same_card(tmp_path: Path) -> None:
    record = shapes_run(tmp_path, "bench")
    found = ended(rescore(record, Store(tmp_path), card_of(record)))
    assert found.scores == record.scores
    assert set(found.scores) == {"panoptic", "instance", "semantic"}


def test_a_rescored_card_equals_a_run_under_it(tmp_path: Path) -> None:
    kept = shapes_run(tmp_path, "bench")
    run = shapes_run(tmp_path, "native", None)
    found = ended(rescore(kept, Store(tmp_path), catalog.protocol("native")))
    assert found.scores == run.scores
    assert found.scores != kept.scores
    assert found.protocol == run.protocol
    assert found.key != run.key


def test_rounded_masks_are_said_and_move_little(tmp_path: Path) -> None:
    record = shapes_run(tmp_path, "bench", Numbers.FLOAT16)
    assert RawAnswers(Store(tmp_path).raw(record.key)).rounded == 6
    found = ended(rescore(record, Store(tmp_path), card_of(record)))
    assert "6 have masks rounded to float16" in found.notes[-1]
    for task, name in (("panoptic", "PQ"), ("instance", "AP"), ("semantic", "mIoU")):
        assert found.scores[task][name].value == pytest.approx(
            record.scores[task][name].value, abs=1e-3
        )


@pytest.mark.parametrize(
    ("dataset", "model"),
    [
        ("shapes-referring", "colour"),
        pytest.param("shapes-retrieval", "xdecoder-nano", marks=pytest.mark.slow),
        pytest.param("shapes-caption", "xdecoder-nano", marks=pytest.mark.slow),
    ],
)
def test_every_task_is_rescored_from_its_answers(tmp_path: Path, dataset: str, model: str) -> None:
    place = Workplace(tmp_path, tmp_path / "data", keep_raw=Numbers.EXACT)
    weights = None if model == "colour" else "random"
    job = Job(model=model, dataset=dataset, limit=3, weights=weights)
    record = ended(run_job(place, job, "cpu"))
    assert record.scores
    assert ended(rescore(record, Store(tmp_path), card_of(record))).scores == record.scores


# --- the fields of cards -------------------------------------------------------------------------


def test_every_field_that_can_change_a_number_is_one() -> None:
    card = Protocol(name="x", resize=Resize(short=512))
    found = fields(card)
    assert found["resize"]["short"] == 512
    assert found["ap.max_dets"] == [1, 10, 100]
    assert {name.partition(".")[0] for name in found} == set(card.definition())


def test_the_named_fields_exist() -> None:
    known = set(fields(Protocol(name="x")))
    assert {*SHOWN, *WORDS, *PHRASES, *ONLY_ASKED} <= known


def test_every_background_rule_is_either_prompted_or_not() -> None:
    """A change between the two asks other words; within one the vocabulary stays."""
    assert {rule.prompts for rule in BackgroundRule} == {True, False}


def test_all_differing_fields_taken_over_give_the_other_card() -> None:
    one, other = (
        catalog.protocol(name).for_dataset("ade20k-150") for name in ("bench", "xdecoder-v1")
    )
    changed = differing(one, other)
    assert changed
    nearer = altered(one, {field: fields(other)[field] for field in changed}, other.name)
    assert nearer.digest() == other.digest()


def test_changes_are_read_as_yaml_and_checked() -> None:
    card = Protocol(name="x")
    words = ["panoptic.object_mask_threshold=0.4", "ap.max_dets=[300]", "resize={short: 512}"]
    found = altered(card, stated(words))
    assert found.panoptic.object_mask_threshold == 0.4
    assert found.ap.max_dets == (300,)
    assert found.resize.short == 512
    with pytest.raises(UnknownName, match=r"Did you mean 'instance\.top_k'"):
        altered(card, {"instance.topk": 5})
    with pytest.raises(UsageError, match=r"panoptic\.overlap_threshold: Input should be less"):
        altered(card, {"panoptic.overlap_threshold": 2})
    for word in ("top_k", "a={"):
        with pytest.raises(UsageError, match="--set takes field=value"):
            stated([word])


def test_a_card_of_another_version_is_refused(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    definition = {**(record.protocol.definition or {}), "fuzziness": 1}
    other = record.protocol.model_copy(update={"definition": definition})
    with pytest.raises(DataError, match="does not know"):
        card_of(record.model_copy(update={"protocol": other}))


def test_a_model_is_not_part_of_what_is_rescored(tmp_path: Path) -> None:
    record = toy_run(tmp_path)
    assert again(record, tmp_path).model == record.model
    assert record.model.name == ToyModel().name
