"""The shipped model does every task of the embedded world, and does it well."""

from dataclasses import replace

import pytest

import bench
from models.xdecoder.answers import XDecoder

FEW = {
    # dataset: (task, score, at least, images)
    "shapes": ("panoptic", "PQ", 0.65, 8),
    "shapes-referring": ("referring", "cIoU", 0.75, 6),
    "shapes-relations": ("referring", "cIoU", 0.15, 6),
    "shapes-retrieval": ("retrieval", "IR@1", 0.9, 20),
    "shapes-caption": ("caption", "CIDEr", 2.5, 8),
}
"""Well below what it reaches on all images, and far above what guessing does."""


@pytest.fixture(scope="module")
def nano():
    return bench.load_model("xdecoder-nano")


@pytest.mark.parametrize("dataset", FEW)
def test_every_task_of_the_embedded_world_is_done(nano, dataset):
    task, score, least, images = FEW[dataset]
    record = bench.evaluate(nano, dataset, limit=images)
    assert record.images.scored == images
    assert record.scores[task][score].value > least


def test_one_pass_scores_three_tasks(nano):
    record = bench.evaluate(nano, "shapes", limit=8)
    assert record.scores["instance"]["AP"].value > 0.3
    assert record.scores["semantic"]["mIoU"].value > 0.6


def test_with_an_answer_head_it_answers_questions(nano):
    answers = ("yes", "no", "red", "circle", "2")
    able = XDecoder(replace(nano.config, answers=answers)).eval()
    able.load_state_dict(nano.state_dict(), strict=False)
    record = bench.evaluate(able, "shapes-vqa", limit=4)
    assert 0 <= record.scores["vqa"]["accuracy"].value <= 1
    sample = bench.load_dataset("shapes-vqa").load(bench.load_dataset("shapes-vqa").ids[0])
    said = able.answer([sample.image], [["what color is the circle?", "is there a ring?"]])
    assert set(said[0]) <= set(answers)
