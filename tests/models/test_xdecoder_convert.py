"""Official checkpoints: every name consumed, every weight filled, and what does not fit refused."""

import json
import os
from pathlib import Path

import pytest
import torch
from torch import Tensor
from xdecoder_reference import manifest

from bench.errors import DataError, WeightsMissing
from models.xdecoder.answers import XDecoder
from models.xdecoder.config import NANO, VARIANTS, SwinConfig, XDecoderConfig, variant
from models.xdecoder.convert import (
    convert,
    fill,
    load_official,
    official_state_dict,
    read_official,
    recognised,
)
from models.xdecoder.names import NOT_WEIGHTS, names, to_official, to_ours

RELEASED = {
    "focalt": "xdecoder-T",
    "focall": "xdecoder-L-IN21K",
    "davitd3": "xdecoder-B",
    "davitd5": "xdecoder-L",
}


def empty(backbone: str) -> dict[str, Tensor]:
    """A released state dict without content."""
    return {n: torch.empty(shape, device="meta") for n, shape in manifest(backbone).items()}


@pytest.mark.parametrize(("backbone", "name"), RELEASED.items())
def test_every_released_name_is_consumed_and_every_weight_filled(backbone, name):
    official = empty(backbone)
    config = recognised(official)
    assert config == variant(name)
    converted = convert(official, config)
    assert converted.unknown == ()
    model = fill(config, converted, source=backbone)
    back = official_state_dict(model)
    assert {n: tuple(t.shape) for n, t in back.items()} == {
        n: shape for n, shape in manifest(backbone).items() if n not in NOT_WEIGHTS
    }


@pytest.mark.parametrize("backbone", RELEASED)
def test_names_survive_the_way_there_and_back(backbone):
    table = names(variant(RELEASED[backbone]))
    for name in manifest(backbone).keys() - NOT_WEIGHTS:
        ours = to_ours(name, table)
        assert ours is not None
        assert to_official(ours, table) == name


@pytest.fixture(scope="module")
def small() -> XDecoder:
    return XDecoder(NANO)


@pytest.fixture
def file(small: XDecoder, tmp_path: Path) -> Path:
    path = tmp_path / "official.pt"
    torch.save(official_state_dict(small), path)
    return path


def assert_same(found: XDecoder, expected: XDecoder) -> None:
    for (name, left), (_, right) in zip(
        found.state_dict().items(), expected.state_dict().items(), strict=True
    ):
        torch.testing.assert_close(left, right, msg=name)


def test_a_model_comes_back_from_an_official_file(small, file):
    assert_same(load_official(file, NANO), small)


def test_half_precision_files_fill_a_float32_model(small, tmp_path):
    path = tmp_path / "half.pt"
    torch.save({n: t.half() for n, t in official_state_dict(small).items()}, path)
    assert {p.dtype for p in load_official(path, NANO).parameters()} == {torch.float32}


@pytest.mark.parametrize("nested", [False, True])
@pytest.mark.parametrize("prefix", ["", "module."])
def test_training_snapshots_are_unwrapped(small, tmp_path, nested, prefix):
    weights = {prefix + n: t for n, t in official_state_dict(small).items()}
    path = tmp_path / "snapshot.pt"
    torch.save({"module": weights, "epoch": 3} if nested else weights, path)
    assert_same(load_official(path, NANO), small)


def test_the_number_of_queries_is_the_files(small, tmp_path):
    wide = XDecoder(NANO.with_queries(31))
    path = tmp_path / "wide.pt"
    torch.save(official_state_dict(wide), path)
    loaded = load_official(path, NANO)
    assert loaded.config.decoder.queries == 31
    assert_same(loaded, wide)


def test_missing_and_extra_weights_are_listed_and_stop(small, tmp_path):
    weights = official_state_dict(small)
    del weights["backbone_proj"]
    weights["sem_seg_head.predictor.box_embed.weight"] = torch.zeros(4)
    path = tmp_path / "odd.pt"
    torch.save(weights, path)
    with pytest.raises(DataError, match=r"lacks 1: pooled\.projection.*unexpected 1: .*box_embed"):
        load_official(path, NANO)
    with pytest.warns(UserWarning, match="lacks 1"):
        model = load_official(path, NANO, strict=False)
    torch.testing.assert_close(model.words.projection, small.words.projection)


def test_a_shape_that_does_not_fit_always_stops(small, tmp_path):
    weights = official_state_dict(small)
    weights["backbone_proj"] = torch.zeros(3, 3)
    path = tmp_path / "odd.pt"
    torch.save(weights, path)
    with pytest.raises(DataError, match=r"pooled\.projection is \(3, 3\) where"):
        load_official(path, NANO, strict=False)


class Evil:
    """Unpickling this would run a command."""

    def __reduce__(self):
        return os.system, ("true",)


@pytest.mark.parametrize("content", [{"a": Evil()}, Evil()])
def test_files_that_need_code_are_refused(tmp_path, content):
    path = tmp_path / "evil.pt"
    torch.save(content, path)
    with pytest.raises(DataError, match="would run the file's code"):
        read_official(path)


def test_other_files_are_refused_with_what_they_hold(tmp_path):
    path = tmp_path / "list.pt"
    torch.save([torch.zeros(1)], path)
    with pytest.raises(DataError, match="holds a list"):
        read_official(path)
    torch.save({"epoch": 3}, path)
    with pytest.raises(DataError, match="no state dict, but epoch"):
        read_official(path)
    (tmp_path / "text.pt").write_text("not a checkpoint")
    with pytest.raises(DataError, match="cannot be read"):
        read_official(tmp_path / "text.pt")
    with pytest.raises(WeightsMissing, match="no checkpoint at"):
        read_official(tmp_path / "absent.pt")


def test_backbones_and_other_models_are_refused():
    weights = empty("focalt")
    backbone = {n: t for n, t in weights.items() if n.startswith("backbone.")}
    with pytest.raises(DataError, match="no latent queries"):
        recognised(backbone)
    with pytest.raises(DataError, match="no released X-Decoder"):
        recognised({"conv1.weight": torch.zeros(1)})


def test_swin_has_no_official_names():
    with pytest.raises(DataError, match="no X-Decoder with a Swin"):
        names(XDecoderConfig("ours", SwinConfig()))


def test_a_model_is_saved_and_comes_back(small, tmp_path):
    small.save_pretrained(tmp_path / "nano")
    loaded = XDecoder.from_pretrained(tmp_path / "nano")
    assert loaded.config == small.config
    assert_same(loaded, small)


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_settings_survive_json(config):
    assert XDecoderConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config
