"""What trains an X-Decoder: where it begins, and what it makes of numbers that are none."""

from dataclasses import replace

import pytest
import torch

from bench.errors import DataError
from bench.train.families import recipes
from models.xdecoder.config import variant
from models.xdecoder.matcher import match
from models.xdecoder.training import learner

RECIPES = {name: recipe for name, (recipe, _) in recipes().items()}
NANO = RECIPES["nano"]


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf")])
def test_costs_that_are_no_numbers_are_matched_all_the_same(bad: float) -> None:
    costs = torch.tensor([[[[1.0, 5.0], [bad, bad], [4.0, 2.0]]]])
    found = match(costs, [2])
    assert len(found) == 2
    if not bad < 0:
        assert found.queries.tolist() == [[0, 2]]


def test_a_checkpoint_of_another_model_is_refused(tmp_path) -> None:
    learner(NANO, "cpu").model.save_pretrained(tmp_path)
    queries = replace(NANO, model=NANO.model.with_queries(51))
    with pytest.raises(DataError, match=r"decoder\.queries\.weight .* another variant"):
        learner(queries, "cpu", tmp_path)


def test_every_row_of_table_10_with_101_queries_is_tiny() -> None:
    for name in ("swin", "swin-deformable", "davit"):
        model = RECIPES[f"pretrain-T-{name}"].model
        assert model.decoder.queries == variant("xdecoder-T").decoder.queries
        assert model.name == f"xdecoder-T-{name}"


def test_the_model_without_masks_is_trained_as_long_as_the_whole() -> None:
    whole = RECIPES["pretrain-T"].settled(104_000)
    assert RECIPES["pretrain-T-vl"].settled(9_850_000).steps == whole.steps
