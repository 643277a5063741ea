"""The suites of the paper run on its datasets in miniature, and every column gets a number."""

import numpy as np
import pytest
from distributions import SEGINW, WRITERS

from bench import catalog, tasks
from bench.data.opening import open_dataset
from bench.evaluation import examine

PAPER = ["openvocab", "table1"]
"""Between them they have every dataset of the paper but the 25 of Segmentation in the Wild."""


class Everything:
    """Does every task, by colour where it can and at random where it cannot."""

    def __init__(self):
        colour = catalog.model("colour").build(device="cpu")
        self.propose, self.refer = colour.propose, colour.refer

    def embed_images(self, images):
        return np.stack([np.resize(image.mean((0, 1)), 8) for image in images])

    def embed_texts(self, texts):
        return np.stack([np.resize(list(map(ord, text)), 8).astype(float) for text in texts])

    def caption(self, images):
        return ["a picture in words"] * len(images)

    def answer(self, images, questions):
        return [["yes"] * len(asked) for asked in questions]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """One data folder that holds all of them."""
    root = tmp_path_factory.mktemp("data")
    for write in {*WRITERS.values()} - {WRITERS[name] for name in SEGINW[2:]}:
        write(root)
    return root


def headlines(member, data, card):
    """The headline score of every task that a member of a suite is scored on."""
    spec = catalog.dataset(member.dataset)
    dataset = open_dataset(
        spec, root=data, protocol=card, split=member.split, tasks=member.tasks or None
    )
    asked = examine(Everything(), dataset, card.for_dataset(spec.name))
    outcomes = list(asked.outcomes(batch_size=2))
    assert all(outcome.failure is None for outcome in outcomes)
    found = asked.score(outcomes)
    assert set(found) == set(dataset.tasks)
    return {task: found[task][tasks.task(task).headline] for task in found}


@pytest.mark.parametrize("name", PAPER)
def test_every_member_of_a_suite_gives_its_scores(name, data):
    card = catalog.protocol("native")
    for member in catalog.suite(name).members:
        for task, score in headlines(member, data, card).items():
            assert score.n > 0, (member, task)
            assert np.isfinite(score.value), (member, task)


def test_the_other_tables_are_parts_of_these():
    known = {m.dataset for name in PAPER for m in catalog.suite(name).members}
    for number in (2, 3, 4, 5, 6, 7, 9, 10, 11):
        assert {m.dataset for m in catalog.suite(f"table{number}").members} <= known
    for number in (13, 14, 15):
        assert [m.dataset for m in catalog.suite(f"table{number}").members] == [
            m.dataset for m in catalog.suite("seginw").members
        ]


def test_a_dataset_of_the_wild_is_asked_under_the_shipped_card(data):
    member = next(m for m in catalog.suite("seginw").members if m.dataset == SEGINW[0])
    (score,) = headlines(member, data, catalog.protocol("bench")).values()
    assert score.n == 2


def test_cityscapes_ap_and_cocos_ap_come_from_one_question(data):
    dataset = open_dataset(
        catalog.dataset("cityscapes"), root=data, protocol=catalog.protocol("native")
    )
    asked = examine(Everything(), dataset, catalog.protocol("native"))
    assert {task.name for served in asked.questions.values() for task in served} == {
        "semantic", "instance", "panoptic", "cityscapes-instance",
    }  # fmt: skip
    assert len(asked.questions) == 1
    found = asked.score(list(asked.outcomes()))
    assert found["instance"].keys() >= {"AP", "AP50", "AR100"}
    assert found["cityscapes-instance"].keys() == {"AP", "AP50"}
