"""Where networks come from: the hub's cache, a folder; and what is said where they are missing."""

import json
import shutil

import pytest

transformers = pytest.importorskip("transformers", reason="the extra 'baselines' is optional")

import huggingface_hub.constants  # noqa: E402
import numpy as np  # noqa: E402
import tiny  # noqa: E402
import torch  # noqa: E402
from test_dual_encoders import clip_parts  # noqa: E402

from bench import catalog  # noqa: E402
from bench.errors import DataError, WeightsMissing  # noqa: E402
from models.baselines import blip, dual_encoders, hub, vilt  # noqa: E402

CARD = dual_encoders.CARDS["clip-b16"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    torch.manual_seed(0)
    return tiny.save(tmp_path_factory.mktemp("clip"), *clip_parts())


def test_a_cards_weights_come_from_the_hubs_cache(folder, tmp_path, monkeypatch):
    repository = tmp_path / "models--openai--clip-vit-base-patch16"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0" * 40)
    shutil.copytree(folder, repository / "snapshots" / ("0" * 40))
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_CACHE", str(tmp_path))
    cached = dual_encoders.build(CARD)
    given = dual_encoders.build(CARD, weights=folder)
    np.testing.assert_array_equal(cached.embed_texts(["a cat"]), given.embed_texts(["a cat"]))


def test_a_folder_is_a_model_by_its_path(folder):
    found = catalog.model(str(folder))
    assert found.card is not None
    assert found.card.family == "dual-encoders"
    built = found.build(device="cpu")
    assert isinstance(built, dual_encoders.DualEncoder)


def test_a_file_in_the_folder_names_it_too(folder):
    weights = folder / "model.safetensors"
    found = hub.card_of(weights, {"clip": CARD})
    assert found is not None
    assert isinstance(dual_encoders.build(found, weights=weights), dual_encoders.DualEncoder)


def test_other_folders_have_no_card(tmp_path):
    assert hub.card_of(tmp_path, {"clip": CARD}) is None
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "clap"}))
    assert hub.card_of(tmp_path, {"clip": CARD}) is None


def test_another_networks_weights_are_refused(folder):
    with pytest.raises(DataError, match="do not fit"):
        hub.network("BlipForConditionalGeneration", hub.Source(str(folder)), "cpu", "float32")


def test_missing_weights_are_refused_and_not_drawn_at_random(tmp_path):
    network, processor = clip_parts()
    tiny.save(tmp_path, processor)
    some = {k: v for k, v in network.state_dict().items() if k != "text_projection.weight"}
    network.save_pretrained(tmp_path, state_dict=some)
    with pytest.raises(
        DataError, match=r"1 weights are missing, among them text_projection\.weight"
    ):
        dual_encoders.build(CARD, weights=tmp_path)


def test_an_empty_folder_is_said_to_be_none_that_can_be_loaded(tmp_path):
    with pytest.raises(WeightsMissing, match="not a folder that transformers can load"):
        vilt.build(vilt.CARDS["vilt-vqa"], weights=tmp_path)


def test_the_network_runs_in_the_precision_asked_for(folder):
    built = dual_encoders.build(CARD, weights=folder, precision="bfloat16")
    assert built.network.dtype == torch.bfloat16
    assert built.embed_images(tiny.pictures()).dtype == np.float32
    exact = dual_encoders.build(CARD, weights=folder).embed_images(tiny.pictures())
    assert (built.embed_images(tiny.pictures()) * exact).sum(1).min() > 0.99


def test_loading_leaves_the_librarys_habits_as_they_were(folder):
    logging = transformers.utils.logging
    before = logging.get_verbosity(), logging.is_progress_bar_enabled()
    dual_encoders.build(CARD, weights=folder)
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == before


def test_what_one_family_answers_is_what_its_cards_say():
    assert {card.answers[0] for card in blip.CARDS.values()} == set(blip._KINDS)
