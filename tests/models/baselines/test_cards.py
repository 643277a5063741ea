"""The baselines' cards: read without transformers, true about what is built; needs no extra."""

import subprocess
import sys
from importlib import import_module

import pytest

import bench.types
from bench import catalog
from bench.errors import ExtraMissing, WeightsMissing
from models import FAMILIES
from models.card import HubRepository

BASELINES = {
    name: import_module(module)
    for name, module in FAMILIES.items()
    if module.startswith("models.baselines.") and name != "colour"
}
CARDS = [(family, card) for family, of in BASELINES.items() for card in of.CARDS.values()]


def test_listing_models_loads_neither_torch_nor_transformers():
    script = "from bench import catalog; catalog.models(); import sys; print('torch' in sys.modules"
    script += " or 'transformers' in sys.modules)"
    out = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert out.stdout.strip() == "False"


@pytest.mark.parametrize(("family", "card"), CARDS, ids=[card.name for _, card in CARDS])
def test_a_card_is_complete_and_its_family_is_known(family, card):
    assert card.family == family
    assert isinstance(card.weights, HubRepository)
    assert card.licence
    assert card.trained_on
    assert card.about
    assert catalog.protocol(card.protocol).name == card.protocol
    assert all(hasattr(bench.types, protocol) for protocol in card.answers)


@pytest.mark.parametrize(("family", "card"), CARDS, ids=[card.name for _, card in CARDS])
def test_what_is_missing_is_said_with_what_to_do(family, card, monkeypatch, tmp_path):
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(
        (ExtraMissing, WeightsMissing), match=r"pip install|hf download|torchvision"
    ):
        BASELINES[family].build(card)


def test_names_are_one_familys_alone():
    assert len({card.name for _, card in CARDS}) == len(CARDS)
