"""What a run will be, before it is."""

from dataclasses import replace

import pytest
from line_task import LINE, LineFamily, Numbers

from bench.train import outlook as outlooks
from bench.train.outlook import outlook
from bench.train.processes import ALONE, Share


@pytest.fixture(autouse=True)
def _numbers(monkeypatch):
    monkeypatch.setattr(outlooks, "open_source", lambda data, root: Numbers())


def memory(*batches, share=ALONE, accumulate=1):
    parts = tuple(replace(LINE.parts[0], batch=batch) for batch in batches)
    recipe = replace(LINE, parts=parts, accumulate=accumulate)
    return outlook(recipe, LineFamily(), None, share).memory


def test_each_part_takes_the_memory_of_its_own_batch():
    single = memory(1).activations
    assert single > 0
    assert memory(8).activations == 8 * single
    assert memory(8, 2).activations == 10 * single


def test_processes_and_passes_share_a_batch():
    single = memory(1).activations
    assert memory(8, share=Share(0, 2)).activations == 4 * single
    assert memory(8, share=Share(0, 2), accumulate=2).activations == 2 * single
