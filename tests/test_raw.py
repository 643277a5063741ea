"""Raw answers survive being written, killed, torn and damaged; rounded ones say so."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import fields, is_dataclass
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from toys import TASKS, ToyDataset, ToyModel, assignment, room

import bench.tasks
from bench.errors import CannotDo, CannotWrite, DataError
from bench.execute import Advanced, Finished, Started, work
from bench.metrics.retrieval import Embedded
from bench.raw import Numbers, RawAnswers, decode, encode
from bench.record import Record
from bench.store import Store
from bench.types import Instances, Mask, Panoptic, Proposals, ReferredMask, Segment


@pytest.fixture(autouse=True)
def toy_tasks(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, place in TASKS.items():
        monkeypatch.setitem(bench.tasks.TASKS, name, place)


def proposals(queries: int = 5, dtype: torch.dtype = torch.float32) -> Proposals:
    generator = torch.Generator().manual_seed(queries)
    masks = torch.randn(queries, 6, 8, generator=generator) * 5
    classes = torch.randn(queries, 4, generator=generator)
    return Proposals(classes.to(dtype), masks.to(dtype), (20, 30), (24, 32))


def same(one: Any, other: Any) -> bool:
    """Whether two values are of one type, shape and bits, all the way down."""
    if type(one) is not type(other):
        return False
    if isinstance(one, torch.Tensor):
        return one.dtype == other.dtype and torch.equal(one, other)
    if isinstance(one, np.ndarray):
        alike = one.dtype == other.dtype and one.shape == other.shape
        return alike and one.tobytes() == other.tobytes()
    if is_dataclass(one):
        return all(same(getattr(one, f.name), getattr(other, f.name)) for f in fields(one))
    if isinstance(one, list | tuple):
        return len(one) == len(other) and all(map(same, one, other))
    return bool(one == other)


# --- one image as bytes --------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("queries", [0, 1, 7])
def test_proposals_come_back_bit_for_bit(queries: int, dtype: torch.dtype) -> None:
    answer = proposals(queries, dtype)
    assert same(decode(encode({"Proposer": answer}))["Proposer"], answer)


def test_every_kind_of_answer_comes_back() -> None:
    mask = Mask.encode(np.eye(3, dtype=bool))
    said = {
        "ReferringSegmenter": [ReferredMask(torch.ones(2, 3), 0.25, (8, 12), (8, 12))],
        "InstanceSegmenter": Instances((mask,), np.array([1]), np.array([0.5]), None),
        "PanopticSegmenter": Panoptic(np.eye(3, dtype=np.int32), (Segment(1, 0, 0.5),)),
        "SemanticSegmenter": np.full((2, 2), -1, np.int32),
        "ImageTextEncoder": Embedded(np.ones(4, np.float32), np.zeros((5, 4), np.float32)),
        "Captioner": "two «stars»\nand a ring",
        "QuestionAnswerer": ["yes", "2"],
    }
    found = decode(encode(said))
    assert found.keys() == said.keys()
    assert all(same(found[name], said[name]) for name in said)


@given(
    arrays.arrays(
        st.sampled_from([np.float32, np.int64, np.uint8, np.float16, np.bool_]),
        arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=9),
    )
)
def test_arrays_come_back_whatever_they_hold(array: np.ndarray) -> None:
    assert same(decode(encode({"q": array}))["q"], array)


def test_an_array_in_any_order_of_memory_comes_back() -> None:
    array = np.arange(12, dtype=np.float32).reshape(3, 4).T
    assert np.array_equal(decode(encode({"q": array}))["q"], array)


def test_what_shrinks_takes_less_and_what_does_not_takes_no_more() -> None:
    flat, noise = np.full(100_000, 12.0, np.float32), np.random.default_rng(0).bytes(400_000)
    assert len(encode({"q": flat})) < 0.02 * flat.nbytes
    assert len(encode({"q": np.frombuffer(noise, np.float32)})) < 1.001 * len(noise)


def test_float16_rounds_masks_and_nothing_else() -> None:
    answer = proposals()
    answer.mask_logits[0, 0, 0] = 1e6  # beyond what float16 holds
    found = decode(encode({"Proposer": answer}, Numbers.FLOAT16))["Proposer"]
    assert same(found.class_logits, answer.class_logits)
    assert found.mask_logits.dtype is torch.float32
    assert torch.equal(found.mask_logits, answer.mask_logits.clamp(-65504, 65504).half().float())
    exact, rounded = (len(encode({"q": proposals(50)}, numbers)) for numbers in Numbers)
    assert rounded < 0.7 * exact


def test_an_answer_of_an_unknown_type_is_refused() -> None:
    with pytest.raises(CannotDo, match="type set cannot be kept; run without --keep-raw"):
        encode({"q": {1, 2}})


@pytest.mark.parametrize("content", [b"", b"{}junk", b'{"q":{"Nothing":{}}}\n', b'{"q":{"a":1}}'])
def test_other_bytes_are_no_raw_answer(content: bytes) -> None:
    with pytest.raises(ValueError, match=r".+"):
        decode(content)


# --- the file of a run ---------------------------------------------------------------------------


def test_the_last_block_of_an_image_counts(tmp_path: Path) -> None:
    answers = RawAnswers(tmp_path / "raw")
    for word in ("first", "second"):
        answers.append("a", encode({"q": word}), Numbers.EXACT)
    answers.append("b", encode({"q": "other"}), Numbers.FLOAT16)
    for found in (answers, RawAnswers(tmp_path / "raw")):
        assert found.read("a") == {"q": "second"}
        assert (len(found), found.rounded) == (2, 1)
        assert found.has("b")
        assert not found.has("b", Numbers.EXACT)
        assert found.has("a", Numbers.FLOAT16), "more exact than asked for"


def test_a_file_torn_anywhere_loses_its_last_block_only(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    answers = RawAnswers(path)
    first = answers.append("a", encode({"q": "kept"}), Numbers.EXACT)
    answers.append("b", encode({"q": "torn"}), Numbers.EXACT)
    whole = path.read_bytes()
    for length in range(first, len(whole)):
        path.write_bytes(whole[:length])
        torn = RawAnswers(path)
        assert not torn.has("b"), length
        torn.append("c", encode({"q": "new"}), Numbers.EXACT)
        found = RawAnswers(path)
        assert (found.read("a"), found.read("c")) == ({"q": "kept"}, {"q": "new"})


def test_damage_is_named_and_not_scored(tmp_path: Path) -> None:
    path = tmp_path / "raw"
    RawAnswers(path).append("a", encode({"q": "12345678"}), Numbers.EXACT)
    path.write_bytes(path.read_bytes().replace(b"12345678", b"12345679"))
    with pytest.raises(DataError, match=r"raw answer to a in .* is damaged"):
        RawAnswers(path).read("a")
    path.write_bytes(b"no block\n" + path.read_bytes())
    with pytest.raises(DataError, match="is damaged at byte 0"):
        RawAnswers(path)


def test_a_full_disk_is_one_sentence_and_takes_the_block_back(tmp_path: Path) -> None:
    answers = RawAnswers(tmp_path / "raw")
    size = answers.append("a", encode({"q": "kept"}), Numbers.EXACT)
    noise = np.random.default_rng(0).bytes(50_000)
    with room(20_000), pytest.raises(CannotWrite, match="no space is left there"):
        answers.append("b", encode({"q": np.frombuffer(noise, np.uint8)}), Numbers.EXACT)
    assert (tmp_path / "raw").stat().st_size == size
    answers.append("b", encode({"q": "fits"}), Numbers.EXACT)
    assert RawAnswers(tmp_path / "raw").read("b") == {"q": "fits"}


# --- kept while a run goes on --------------------------------------------------------------------


def run(folder: Path, keep_raw: Numbers | None = Numbers.EXACT, **kwargs: Any) -> Record:
    store = Store(folder)
    *_, last = work(assignment(**kwargs), store, keep_raw=keep_raw)
    assert isinstance(last, Finished)
    store.append(last.record)
    return last.record


def kept(folder: Path, record: Record) -> RawAnswers:
    return RawAnswers(Store(folder).raw(record.key))


def test_keeping_changes_no_number_and_keeps_every_image(tmp_path: Path) -> None:
    plain, keeping = run(tmp_path / "plain", None), run(tmp_path / "kept")
    assert (plain.key, plain.scores) == (keeping.key, keeping.scores)
    assert not Store(tmp_path / "plain").raw(plain.key).exists()
    answers = kept(tmp_path / "kept", keeping)
    assert len(answers) == 12
    assert all(0 < answers.read(id)["LightMeter"] < 1 for id in ToyDataset().ids)


def test_each_image_says_how_much_it_takes(tmp_path: Path) -> None:
    events = list(work(assignment(batch_size=4), Store(tmp_path), keep_raw=Numbers.EXACT))
    sizes = [event.raw for event in events if isinstance(event, Advanced)]
    assert all(sizes)
    (path,) = tmp_path.glob("runs/*/raw.blocks")
    assert sum(size or 0 for size in sizes) == path.stat().st_size


def test_a_finished_run_without_raw_answers_is_asked_again_for_them(tmp_path: Path) -> None:
    first, model = run(tmp_path, None), ToyModel()
    second = run(tmp_path, model=model)
    assert len(model.calls) == 12
    assert second.scores == first.scores
    assert Store(tmp_path).records() == (second,)
    model = ToyModel()
    assert run(tmp_path, model=model) == second
    assert model.calls == []


def test_rounded_answers_are_asked_for_again_where_exact_ones_are_wanted(tmp_path: Path) -> None:
    run(tmp_path, Numbers.FLOAT16)
    model = ToyModel()
    record = run(tmp_path, Numbers.EXACT, model=model)
    assert len(model.calls) == 12
    assert kept(tmp_path, record).rounded == 0


def test_images_done_without_them_are_counted_as_to_do(tmp_path: Path) -> None:
    store, job = Store(tmp_path), assignment()
    events = work(job, store)
    for _ in range(6):  # begun, and five images
        next(events)
    events.close()
    begun = next(work(job, store, keep_raw=Numbers.EXACT))
    assert isinstance(begun, Started)
    assert (begun.images, begun.done) == (12, 0)


def test_an_unreadable_image_has_no_raw_answer_and_is_no_reason_to_ask_again(
    tmp_path: Path,
) -> None:
    broken = ToyDataset(broken=frozenset({"003.png"}))
    record = run(tmp_path, dataset=broken)
    assert not kept(tmp_path, record).has("003.png")
    model = ToyModel()
    assert run(tmp_path, dataset=broken, model=model) == record
    assert model.calls == []


class Killed(BaseException):
    """Stands for the end of the process: nothing but `finally` runs after it."""


@contextmanager
def killed_at(call: int) -> Iterator[None]:
    """Die at the `call`th call that changes a file; a write has then written its first half."""
    calls = count()
    with pytest.MonkeyPatch.context() as patch:

        def deadly(name: str) -> None:
            real = getattr(os, name)

            def dying(*args: Any, **kwargs: Any) -> Any:
                if next(calls) != call:
                    return real(*args, **kwargs)
                if name == "write":
                    real(args[0], args[1][: len(args[1]) // 2])
                raise Killed

            patch.setattr(os, name, dying)

        for name in ("open", "write", "ftruncate", "fsync", "replace"):
            deadly(name)
        yield


def test_a_run_killed_at_any_system_call_goes_on_with_its_raw_answers(tmp_path: Path) -> None:
    dataset = ToyDataset(ids=("a", "b", "c"))
    whole = run(tmp_path / "whole", dataset=dataset)
    answers = kept(tmp_path / "whole", whole)
    for call in count():
        folder = tmp_path / str(call)
        try:
            with killed_at(call):
                run(folder, dataset=dataset)
        except Killed:
            record = run(folder, dataset=dataset)
            assert record.scores == whole.scores, call
            again = kept(folder, record)
            assert [again.read(id) for id in dataset.ids] == [answers.read(i) for i in dataset.ids]
        else:
            break
    assert call >= 20, "the run touches its files at least so often"
