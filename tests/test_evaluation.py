"""The runner asks each question once per image and blames whom it should."""

import threading
import time
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st
from toys import CARD, TASKS, Closeness, ToyDataset, ToyModel, picture

import bench.tasks
from bench.errors import AnswerFailed, CannotDo, DataError
from bench.evaluation import examine
from bench.protocol import Protocol as Card
from bench.tasks import task
from bench.types import Image, Sample


@pytest.fixture(autouse=True, scope="module")
def toy_tasks() -> object:
    with pytest.MonkeyPatch.context() as patch:
        for name, place in TASKS.items():
            patch.setitem(bench.tasks.TASKS, name, place)
        yield


def test_tasks_that_share_a_question_share_its_answer() -> None:
    model = ToyModel()
    asked = examine(model, ToyDataset(tasks=("brightness", "glow")), CARD)
    outcomes = list(asked.outcomes())
    assert len(model.calls) == len(outcomes) == 12
    assert all(set(outcome.statistics) == {"brightness", "glow"} for outcome in outcomes)


def test_a_task_the_model_cannot_do_is_reported() -> None:
    asked = examine(ToyModel(), ToyDataset(tasks=("painting", "brightness")), CARD)
    assert set(asked.meters) == {"brightness"}
    assert "Painter" in asked.unanswered["painting"]


def test_a_model_that_can_do_nothing_is_refused_before_any_image_is_read() -> None:
    class Unreadable(ToyDataset):
        def load(self, id: str) -> Sample:
            raise AssertionError

    with pytest.raises(CannotDo, match=r"'ToyModel' can do nothing that 'toy' asks.*Painter"):
        examine(ToyModel(), Unreadable(tasks=("painting",)), CARD)


def test_a_task_without_truth_is_refused() -> None:
    with pytest.raises(CannotDo, match="no truth for task 'glow', only for brightness"):
        examine(ToyModel(), ToyDataset(), CARD, ["glow"])


def test_images_are_shown_as_the_card_says() -> None:
    model = ToyModel()
    list(examine(model, ToyDataset(), CARD).outcomes())
    assert model.calls[0] == [(4, 6, 3)]


@pytest.mark.parametrize("batch_size", [1, 2, 5, 100])
def test_a_batch_holds_images_of_one_size_and_every_image_is_asked_once(batch_size: int) -> None:
    sizes = {f"{n:03}.png": (3 + n % 3, 5) for n in range(12)}
    model, dataset = ToyModel(), ToyDataset(sizes=sizes)
    outcomes = list(examine(model, dataset, Card(name="as-is")).outcomes(batch_size=batch_size))
    assert sorted(outcome.id for outcome in outcomes) == list(dataset.ids)
    assert all(len(set(call)) == 1 and len(call) <= batch_size for call in model.calls)
    assert len(model.calls) == {1: 12, 2: 6, 5: 3, 100: 3}[batch_size]


@given(st.integers(1, 6), st.lists(st.integers(1, 4), min_size=1, max_size=25))
def test_scores_do_not_depend_on_batches(batch_size: int, heights: list[int]) -> None:
    ids = tuple(str(n) for n in range(len(heights)))
    sizes = {id: (height, 2) for id, height in zip(ids, heights, strict=True)}
    asked = examine(ToyModel(), ToyDataset(ids=ids, sizes=sizes), Card(name="as-is"))
    assert asked.score(asked.outcomes(batch_size=batch_size)) == asked.score(asked.outcomes())


def test_only_so_many_images_wait_for_others_of_their_size() -> None:
    ids = tuple(str(n) for n in range(40))
    read: list[str] = []

    class Watched(ToyDataset):
        def load(self, id: str) -> Sample:
            read.append(id)
            return super().load(id)

    dataset = Watched(ids=ids, sizes={id: (2 + n, 3) for n, id in enumerate(ids)})
    outcomes = examine(ToyModel(), dataset, Card(name="as-is")).outcomes(batch_size=4)
    assert next(outcomes).id == "0"
    assert len(read) <= 16 + 3
    outcomes.close()


def test_scores_are_computed_in_the_datasets_order() -> None:
    seen: list[object] = []

    class Watching(Closeness):
        def compute(
            self, statistics: Sequence[object], weights: object = None
        ) -> dict[str, object]:
            seen.extend(statistics)
            return {}

    asked = examine(ToyModel(), ToyDataset(), CARD)
    asked.meters["brightness"][0].__class__ = Watching
    outcomes = list(asked.outcomes())
    asked.score(reversed(outcomes))
    assert seen == [outcome.statistics["brightness"][0] for outcome in outcomes]


def test_an_unreadable_image_is_an_outcome_and_the_others_go_on() -> None:
    asked = examine(ToyModel(), ToyDataset(broken=frozenset({"004.png"})), CARD)
    outcomes = {outcome.id: outcome for outcome in asked.outcomes()}
    assert len(outcomes) == 12
    assert outcomes["004.png"].failure == "004.png is truncated after 17 bytes."
    assert outcomes["004.png"].statistics == {}
    assert asked.score(outcomes.values())["brightness"]["closeness"].n == 11


def test_fail_fast_stops_at_the_first_unreadable_image() -> None:
    model = ToyModel()
    asked = examine(model, ToyDataset(broken=frozenset({"004.png"})), CARD)
    with pytest.raises(DataError, match=r"004\.png is truncated"):
        list(asked.outcomes(fail_fast=True))
    assert len(model.calls) == 4


def test_an_exception_in_the_model_names_the_image_and_keeps_those_before() -> None:
    outcomes = examine(ToyModel(fails_on=3), ToyDataset(), CARD).outcomes()
    assert [next(outcomes).id for _ in range(3)] == ["000.png", "001.png", "002.png"]
    with pytest.raises(AnswerFailed, match=r"'ToyModel' failed on image '003.png'.*bulb") as caught:
        next(outcomes)
    assert isinstance(caught.value.__cause__, RuntimeError)


def test_running_out_of_memory_in_a_batch_advises_a_smaller_one() -> None:
    class Greedy(ToyModel):
        def brightness(self, images: Sequence[Image]) -> Sequence[float]:
            raise MemoryError

    with pytest.raises(AnswerFailed, match=r"4 images from '000.png' on.*smaller --batch-size"):
        list(examine(Greedy(), ToyDataset(), CARD).outcomes(batch_size=4))


def test_a_model_that_skips_an_image_of_a_batch_is_caught() -> None:
    class Lazy(ToyModel):
        def brightness(self, images: Sequence[Image]) -> Sequence[float]:
            return super().brightness(images)[1:]

    with pytest.raises(AnswerFailed, match="1 answers to 2 images"):
        list(examine(Lazy(), ToyDataset(), CARD).outcomes(batch_size=2))


def test_stopping_early_ends_the_loading_thread() -> None:
    outcomes = examine(ToyModel(), ToyDataset(), CARD).outcomes()
    next(outcomes)
    outcomes.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("bench-load")]


def test_the_next_image_is_read_while_the_model_works() -> None:
    class Slow(ToyDataset):
        def load(self, id: str) -> Sample:
            time.sleep(0.02)
            return Sample(id, picture(id), self.vocabulary, {"brightness": 0.0})

    class SlowModel(ToyModel):
        def brightness(self, images: Sequence[Image]) -> Sequence[float]:
            time.sleep(0.02)
            return super().brightness(images)

    start = time.perf_counter()
    outcomes = list(examine(SlowModel(), Slow(), CARD).outcomes())
    wall = time.perf_counter() - start
    spent = sum(o.seconds.load + o.seconds.ask for o in outcomes)
    assert spent > 1.3 * wall


def test_two_meters_of_a_task_cannot_give_one_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = examine(ToyModel(), ToyDataset(), CARD)
    asked.meters["brightness"] += (Closeness(),)  # type: ignore[index]
    with pytest.raises(ValueError, match="both give"):
        asked.score(asked.outcomes())


def test_the_tasks_of_segmentation_share_one_question() -> None:
    pytest.importorskip("bench.metrics.panoptic")
    names = ("semantic", "instance", "panoptic")
    assert len({task(name).questions[0] for name in names}) == 1
