"""Which rows and columns suites and datasets by name mean."""

import pytest
from test_table import measured

from bench.report.columns import as_asked, shown
from bench.report.frame import scores


def rows(*splits: str, dataset: str = "shapes-pairs"):
    return scores([measured("m", dataset, 0.5, split=split) for split in splits])


def test_each_split_that_a_suite_asks_for_is_there_once() -> None:
    found = as_asked(rows("val", "unseen"), shown(["shapes-open"]))
    assert sorted(found["dataset"]) == ["shapes-pairs", "shapes-pairs/unseen"]


@pytest.mark.parametrize("split", ["val", "unseen"])
def test_a_split_keeps_its_name_whoever_ran_the_other(split: str) -> None:
    found = as_asked(rows(split), shown(["shapes-open"]))
    assert list(found["dataset"]) == ["shapes-pairs" if split == "val" else "shapes-pairs/unseen"]


def test_a_split_that_a_mean_does_not_ask_for_is_left_out() -> None:
    wild = "shapes-in-the-wild-harbour"
    found = as_asked(rows("val", "train", dataset=wild), shown(["shapes-in-the-wild"]))
    assert list(found["split"]) == ["val"]
