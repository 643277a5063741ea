"""What is said about disagreements names things that there are."""

import re
from importlib.resources import files

import pytest

from bench import catalog
from bench.tasks import TASKS

TEXT = files("dataset_specs").joinpath("DISAGREEMENTS.md").read_text("utf-8")
KNOWN = (
    *catalog.datasets(), *catalog.vocabularies(), *catalog.suites(), *catalog.protocols(), *TASKS,
)  # fmt: skip


@pytest.mark.parametrize("row", [line for line in TEXT.splitlines() if line.startswith("| ")][1:])
def test_every_settlement_names_what_it_is_settled_by(row):
    settled = row.strip("| ").rpartition(" | ")[2]
    quoted = re.findall(r"`([^`]+)`", settled)
    names = [word for word in quoted if re.fullmatch(r"[a-z]+[a-z0-9]*-[\w-]+", word)]
    values = {"last-class", "left-out", "never-found", "val-derived"}
    assert [name for name in names if name not in {*KNOWN, *values}] == []


def test_released_thresholds_are_those_of_the_cards():
    kept = {
        card: catalog.protocol(card).for_dataset("cityscapes").panoptic.object_mask_threshold
        for card in ("xdecoder-2022", "xdecoder-v1", "xdecoder-v2", "bench")
    }
    assert kept == {"xdecoder-2022": 0.4, "xdecoder-v1": 0.8, "xdecoder-v2": 0.8, "bench": 0.4}
