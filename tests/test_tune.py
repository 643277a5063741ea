"""Few shots end to end: a model is tuned where images are left to ask about, and runs say on what.

The model is `xdecoder-nano` with random weights and a few steps: what is held here is the way a
sweep is done, not what tuning gains.
"""

from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from data.layouts import annotation, coco, square, write_json, write_picture

import bench
from bench.data.dataset import Dataset
from bench.data.folder import sniff
from bench.data.opening import open_dataset
from bench.data.support import Support
from bench.errors import CannotDo, DataError
from bench.execute import Advanced, Finished
from bench.executors import Inline, execute
from bench.plan import Job, Plan, sweep, tunings
from bench.protocol import Protocol, Resize
from bench.record import Record, Tuning
from bench.report.frame import scores
from bench.store import Store
from bench.tune import FewShots, lessons, seed_of, tuner_of
from bench.types import Lesson, Vocabulary
from bench.workplace import Workplace, run_job
from models.xdecoder.strategies import STRATEGIES
from models.xdecoder.tuning import StrategyTuner

WILD = "shapes-in-the-wild-night-watch"
CARD = Protocol(name="plain", resize=Resize(short=24))


@pytest.fixture
def tuned(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every strategy makes three steps; the list says which were tuned."""
    for name, strategy in STRATEGIES.items():
        recipe = replace(strategy.recipe, steps=3, epochs=1)
        monkeypatch.setitem(STRATEGIES, name, replace(strategy, recipe=recipe))
    done: list[str] = []
    tune = StrategyTuner.tune

    def noted(self: StrategyTuner, *arguments: object, **more: object) -> object:
        done.append(self.strategy.about)
        return tune(self, *arguments, **more)

    monkeypatch.setattr(StrategyTuner, "tune", noted)
    return done


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("data")


def jobs(*strategies: str, shots: str = "2", dataset: str = WILD, **more: object) -> list[Job]:
    template = Job(model="", dataset="", limit=3, weights="random")
    settings = tunings(shots.split(","), strategies, **more)
    return list(sweep(["xdecoder-nano"], [dataset], template=template, tunings=settings))


def done(place: Workplace, plan: Plan) -> list[Record]:
    events = list(execute(plan, partial(run_job, place), Inline(), Store(place.results)))
    ended = [event for event in events if isinstance(event, Finished)]
    assert len(ended) == len(plan), [getattr(e, "failure", None) for e in events[-1:]]
    return [event.record for event in ended]


# --- a sweep -------------------------------------------------------------------------------------


def test_a_sweep_tunes_by_every_strategy_and_its_records_say_on_what(
    tmp_path: Path, data: Path, tuned: list[str]
) -> None:
    place = Workplace(results=tmp_path, data=data)
    plan = place.plan(jobs(*STRATEGIES, shots="0,2"))
    assert not tuned, "planning tunes nothing"
    zero, *few = records = done(place, plan)
    assert len(tuned) == len(STRATEGIES)
    assert [record.key for record in records] == [planned.key for planned in plan]
    assert len({record.key for record in records}) == 4
    assert (zero.tuning, zero.tuned) == (None, None)
    for record, name in zip(few, STRATEGIES, strict=True):
        assert record.tuning is not None
        assert record.tuned is not None
        assert (record.tuning.shots, record.tuning.strategy) == ("2", name)
        assert record.tuning.recipe["steps"] == 3
        assert len(record.tuned.support) == 2
        assert (record.tuned.split, record.tuned.drawn) == ("train", True)
        assert record.tuned.seconds > 0
        assert record.model == zero.model, "it is the model that was tuned which is named"
    assert len({record.tuned.support for record in few if record.tuned}) == 1
    counts = [record.tuned.parameters for record in few if record.tuned]
    assert counts == sorted(set(counts)), "each strategy tunes more than the one before"

    done(place, place.plan(jobs(*STRATEGIES, shots="0,2")))
    assert len(tuned) == len(STRATEGIES), "what is finished is not tuned again"
    frame = scores(Store(tmp_path).records())
    assert {("0", ""), ("2", "prompt")} <= set(zip(frame["shots"], frame["strategy"], strict=True))

    by_hand = bench.evaluate(
        bench.load_model("xdecoder-nano", seed=0), WILD, shots=2, tune="prompt", limit=3, data=data
    )
    one = few[list(STRATEGIES).index("prompt")]
    assert by_hand.tuning == one.tuning
    assert by_hand.tuned is not None
    assert by_hand.tuned.support == (one.tuned.support if one.tuned else None)
    assert by_hand.scores == one.scores


def test_a_run_that_was_stopped_gives_the_same_scores(
    tmp_path: Path, data: Path, tuned: list[str]
) -> None:
    whole, broken = (Workplace(results=tmp_path / n, data=data) for n in ("whole", "broken"))
    (job,) = jobs("class-embedding")
    (record,) = done(whole, whole.plan([job]))
    run = run_job(broken, job, "cpu")
    while not isinstance(next(run), Advanced):
        pass
    run.close()
    (again,) = done(broken, broken.plan([job]))
    assert again.scores == record.scores
    assert len(again.provenance.sessions) == 2
    assert len(tuned) == 3


def test_keys_tell_draws_seeds_and_units_apart_but_not_whole_sets(
    tmp_path: Path, data: Path, tuned: list[str]
) -> None:
    place = Workplace(results=tmp_path, data=data)
    plan = place.plan(
        [
            *jobs("prompt", shots="1,2", draw_seeds=(0, 1), train_seeds=(0, 1)),
            *jobs("prompt", shots="1,2", unit="images-per-class"),
        ]
    )
    assert all(planned.problem is None for planned in plan)
    assert len({planned.key for planned in plan}) == 10
    supports = {planned.job.tuning.support for planned in plan if planned.job.tuning}
    assert len(supports) == 6, "a training seed draws nothing"


def test_what_cannot_be_tuned_is_said_in_the_plan(tmp_path: Path, data: Path) -> None:
    place = Workplace(results=tmp_path, data=data)
    colour = jobs("prompt")[0].model_copy(update={"model": "colour", "weights": None})
    many = jobs("prompt", shots="1000")[0]
    alone = str(export(tmp_path / "alone", valid=["a.png"]))
    plan = place.plan([colour, many, *jobs("promt"), *jobs("prompt", dataset=alone)])
    problems = [str(planned.problem) for planned in plan]
    assert "Model 'colour' cannot be tuned" in problems[0]
    assert "only 33 of the 40 images" in problems[1]
    assert "Did you mean 'prompt'" in problems[2]
    assert "'alone' has no images to tune on" in problems[3]


# --- a person's own folder -----------------------------------------------------------------------


def export(root: Path, **parts: list[str]) -> Path:
    """An export with two objects in every image; images of one name are one image."""
    for part, names in parts.items():
        for name in names:
            write_picture(root / part / name, seed=sum(name.encode()), size=(12, 16))
        rows = [
            annotation(2 * i + k, i, 1 + k, square(1 + 6 * k, 2, 5))
            for i in range(len(names))
            for k in (0, 1)
        ]
        write_json(root / part / "_annotations.coco.json", coco(names, rows))
    return root


def test_a_folder_with_train_and_valid_parts_is_tuned_and_scored(
    tmp_path: Path, tuned: list[str]
) -> None:
    folder = export(tmp_path / "mine", train=["a.png", "b.png"], valid=["c.png"])
    place = Workplace(results=tmp_path / "results")
    (record,) = done(place, place.plan(jobs("class-embedding", shots="1", dataset=str(folder))))
    assert record.tuned is not None
    assert record.tuned.support[0] in ("a.png", "b.png")
    assert record.dataset.split == "val"


def test_a_folder_whose_parts_share_an_image_is_refused(tmp_path: Path) -> None:
    folder = export(tmp_path / "mine", train=["a.png"], valid=["a.png", "b.png"])
    place = Workplace(results=tmp_path / "results")
    (planned,) = place.plan(jobs("class-embedding", shots="all", dataset=str(folder)))
    assert "which is scored" in str(planned.problem)


# --- what is learned from ------------------------------------------------------------------------


def train_part(root: Path) -> Dataset:
    export(root, train=["a.png", "b.png"])
    return open_dataset(sniff(root), root=root, protocol=CARD, split="train")


def test_lessons_have_the_size_the_network_is_shown_and_labels_of_the_scored_words(
    tmp_path: Path,
) -> None:
    found = lessons(train_part(tmp_path), Vocabulary(("dog", "bird", "cat")), CARD)
    assert [lesson.image.shape for lesson in found] == [(24, 32, 3)] * 2
    assert [lesson.labels for lesson in found] == [(2, 0)] * 2
    assert {(mask.height, mask.width) for lesson in found for mask in lesson.masks} == {(12, 16)}


def test_a_class_that_is_not_scored_cannot_be_learned(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="other classes in 'train' than are scored: 'dog'"):
        lessons(train_part(tmp_path), Vocabulary(("cat",)), CARD)


def test_seeds_of_draw_and_training_both_count() -> None:
    seeds = {
        seed_of(Tuning(shots="1", strategy="s", draw_seed=draw, train_seed=train))
        for draw in range(4)
        for train in range(4)
    }
    assert len(seeds) == 16


# --- any model -----------------------------------------------------------------------------------


@dataclass(frozen=True)
class Mean:
    """Learns how bright images are."""

    brightness: float = 0.5
    parameters: int = 1

    @property
    def settings(self) -> dict[str, int]:
        return {"steps": 1}

    def tuner(self, strategy: str) -> "Mean":
        return self

    def tune(self, lessons: list[Lesson], vocabulary: Vocabulary, *, seed: int) -> "Mean":
        return Mean(float(np.mean([lesson.image.mean() for lesson in lessons])))


def test_any_model_with_a_tuner_can_be_tuned(tmp_path: Path) -> None:
    support, model = Support(train_part(tmp_path), drawn=True), Mean()
    tuning = Tuning(shots="all", strategy="mean")
    words = support.dataset.vocabulary
    few = FewShots(tuner_of(model, "mean", "mean"), support, tuning, words, CARD)
    other, found = few.tune()
    assert model.brightness == 0.5
    assert 100 < other.brightness < 155
    assert (found.parameters, found.support) == (1, support.dataset.ids)
    assert few.resolved.recipe == {"steps": 1}
    assert few.resolved.support == support.dataset.fingerprint


def test_a_model_without_one_is_refused() -> None:
    with pytest.raises(CannotDo, match="'colour' cannot be tuned"):
        tuner_of(bench.load_model("colour"), "colour", "prompt")
