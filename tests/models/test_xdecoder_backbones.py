"""FocalNet, DaViT and Swin against the released model, naive arithmetic and their symmetries."""

import math
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from xdecoder_reference import assert_agrees, filled, golden, manifest, pixels, renamed

from models.xdecoder import names
from models.xdecoder.backbones import Backbone, build_backbone, davit, pyramid
from models.xdecoder.backbones.pyramid import DropPath, FeedForward
from models.xdecoder.backbones.swin import SwinBlock, torn_apart
from models.xdecoder.backbones.window import WindowAttention, join_windows, split_windows
from models.xdecoder.config import (
    DAVIT_D3,
    DAVIT_D5,
    FOCAL_L,
    FOCAL_T,
    BackboneConfig,
    DaViTConfig,
    FocalConfig,
    SwinConfig,
)

OFFICIAL = {
    "focalt": (FOCAL_T, names.FOCAL),
    "focall": (FOCAL_L, names.FOCAL),
    "davitd3": (DAVIT_D3, names.DAVIT),
    "davitd5": (DAVIT_D5, names.DAVIT),
}
DIMS = (8, 16, 32, 64)
TINY: dict[str, BackboneConfig] = {
    "focal": FocalConfig(DIMS, (1, 1, 1, 1), focal_levels=2),
    "focal with local convolutions": FocalConfig(
        DIMS, (1, 1, 1, 1), depthwise_residuals=True, stem_padding=3
    ),
    "davit": DaViTConfig(DIMS, (1, 1, 1, 1), (1, 2, 4, 8), downsampling_kernel=2),
    "davit that overlaps": DaViTConfig(DIMS, (1, 1, 1, 1), (1, 2, 4, 8), window=3),
    "swin": SwinConfig(DIMS, (2, 2, 2, 2), (1, 2, 4, 8), window=3),
}


def shaken(module: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The module with every parameter drawn anew, so that none hides behind a start at 0 or 1."""
    generator = torch.Generator().manual_seed(seed)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3, generator=generator)
    return module.eval()


def tiny(name: str) -> Backbone:
    backbone = shaken(build_backbone(TINY[name]))
    assert isinstance(backbone, Backbone)
    return backbone


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def test_focal_t_gives_the_released_levels() -> None:
    backbone = build_backbone(FOCAL_T).eval()
    backbone.load_state_dict(filled("focalt", "backbone.", "backbone.", names.FOCAL))
    with torch.inference_mode():
        levels = backbone(pixels(384, 512, seed=0))
    released = golden("focalt_features_384x512")
    assert_agrees(levels.res2[0], released, "res2", 8, 8, 8)
    assert_agrees(levels.res3[0], released, "res3", 16, 4, 4)
    assert_agrees(levels.res4[0], released, "res4", 16, 4, 4)
    assert_agrees(levels.res5[0], released, "res5", 16, 2, 2)


TINY_RELEASED = {
    "tiny_focal": (FocalConfig(DIMS, (1, 1, 2, 1), focal_levels=4), names.FOCAL),
    "tiny_davit_d3": (
        DaViTConfig(DIMS, (1, 1, 2, 1), (1, 2, 4, 8), downsampling_kernel=2),
        names.DAVIT,
    ),
    "tiny_davit_d5": (DaViTConfig(DIMS, (1, 1, 2, 1), (1, 2, 4, 8)), names.DAVIT),
}


@pytest.mark.parametrize("flavour", TINY_RELEASED)
def test_other_flavours_give_the_levels_of_the_released_code_at_tiny_size(flavour: str) -> None:
    config, rules = TINY_RELEASED[flavour]
    backbone = build_backbone(config).eval()
    backbone.load_state_dict(filled(flavour, "backbone.", "backbone.", rules))
    with torch.inference_mode():
        levels = backbone(pixels(160, 224, seed=3))
    released = golden("tiny_backbones_160x224")
    assert_agrees(levels.res2[0], released, f"{flavour}.res2", 1, 4, 4)
    assert_agrees(levels.res3[0], released, f"{flavour}.res3", 1, 2, 2)
    assert_agrees(levels.res4[0], released, f"{flavour}.res4")
    assert_agrees(levels.res5[0], released, f"{flavour}.res5")


@pytest.mark.parametrize("variant", OFFICIAL)
def test_every_released_entry_is_one_parameter_of_equal_shape(variant: str) -> None:
    config, rules = OFFICIAL[variant]
    with torch.device("meta"):
        backbone = build_backbone(config)
    ours = {f"backbone.{name}": tuple(x.shape) for name, x in backbone.state_dict().items()}
    released = [(n, s) for n, s in manifest(variant).items() if n.startswith("backbone.")]
    assert len(released) == len(ours)
    assert {renamed(name, rules): shape for name, shape in released} == ours


@pytest.mark.parametrize("name", TINY)
@settings(max_examples=8)
@given(height=st.integers(32, 100), width=st.integers(32, 100))
def test_levels_have_the_size_over_the_stride_rounded_up(
    name: str, height: int, width: int
) -> None:
    with torch.inference_mode():
        levels = tiny(name)(noise(1, 3, height, width))
    for level, channels, stride in zip(levels, DIMS, (4, 8, 16, 32), strict=True):
        assert level.shape == (1, channels, math.ceil(height / stride), math.ceil(width / stride))
        assert level.isfinite().all()


@pytest.mark.parametrize("name", TINY)
def test_a_batch_gives_what_its_images_give_one_by_one(name: str) -> None:
    backbone, images = tiny(name), noise(3, 3, 64, 96)
    with torch.inference_mode():
        together = backbone(images)
        alone = [backbone(image[None]) for image in images]
    for level, *parts in zip(together, *alone, strict=True):
        torch.testing.assert_close(level, torch.cat(parts), rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", TINY)
def test_recomputing_activations_changes_no_gradient(name: str) -> None:
    gradients = []
    for recompute in (False, True):
        backbone = shaken(build_backbone(TINY[name], recompute=recompute)).train()
        for module in backbone.modules():
            if isinstance(module, DropPath):
                module.rate = 0.0
        sum(level.square().mean() for level in backbone(noise(2, 3, 64, 64))).backward()
        gradients.append([parameter.grad for parameter in backbone.parameters()])
    for kept, again in zip(*gradients, strict=True):
        torch.testing.assert_close(kept, again)


@pytest.mark.parametrize("name", TINY)
def test_every_parameter_is_used(name: str) -> None:
    backbone = shaken(build_backbone(TINY[name]))
    sum(level.square().mean() for level in backbone(noise(1, 3, 64, 64))).backward()
    unused = [n for n, p in backbone.named_parameters() if p.grad is None or not p.grad.any()]
    # A bias that moves every key alike moves no softmax; DaViT's and Swin's share it with others.
    assert not unused


@pytest.mark.parametrize("at_once", [1, 20000])
def test_bands_of_rows_change_no_feature(at_once: int, monkeypatch: pytest.MonkeyPatch) -> None:
    feedforward, x = shaken(FeedForward(8, 32)), noise(2, 17, 13, 8)
    whole = feedforward.transform(x)
    monkeypatch.setattr(pyramid, "HIDDEN_AT_ONCE", at_once)
    with torch.inference_mode():
        torch.testing.assert_close(feedforward(x), whole)
    torch.testing.assert_close(feedforward(x), whole)


def test_drop_path_grows_evenly_over_all_blocks() -> None:
    backbone = build_backbone(replace(FOCAL_T, dims=DIMS))
    rates = [module.rate for module in backbone.modules() if isinstance(module, DropPath)]
    np.testing.assert_allclose(rates, np.linspace(0, 0.3, 12))
    davit_rates = [
        m.rate
        for m in build_backbone(DaViTConfig(DIMS, (1, 1, 9, 1), (1, 2, 4, 8))).modules()
        if isinstance(m, DropPath)
    ]
    np.testing.assert_allclose(davit_rates, np.linspace(0, 0.3, 24))


def test_drop_path_keeps_the_mean_and_rests_outside_of_training() -> None:
    drop, branch = DropPath(0.25), torch.ones(4000, 2)
    torch.manual_seed(0)
    dropped = drop(branch)
    torch.testing.assert_close(dropped.unique(), torch.tensor((0, 1 / 0.75)))
    assert torch.equal(dropped[:, 0], dropped[:, 1])
    assert dropped.mean().item() == pytest.approx(1, abs=0.05)
    assert drop.eval()(branch) is branch


@given(rows=st.integers(1, 3), columns=st.integers(1, 3), side=st.integers(1, 4))
def test_joining_windows_undoes_splitting(rows: int, columns: int, side: int) -> None:
    x = noise(2, rows * side, columns * side, 5)
    windows = split_windows(x, side)
    assert torch.equal(windows[0].view(side, side, 5), x[0, :side, :side])
    assert torch.equal(join_windows(windows, side, *x.shape[1:3]), x)


def test_window_attention_is_attention_within_each_window_of_the_padded_map() -> None:
    attention = shaken(WindowAttention(8, heads=2, side=3))
    x = noise(1, 5, 4, 8)
    padded = torch.zeros(6, 6, 8)
    padded[:5, :4] = x[0]
    expected = torch.zeros(6, 6, 8)
    for top in (0, 3):
        for left in (0, 3):
            places = padded[top : top + 3, left : left + 3].reshape(9, 8)
            query, key, value = attention.qkv(places).split(8, dim=-1)
            heads = []
            for head in (slice(0, 4), slice(4, 8)):
                logits = query[:, head] @ key[:, head].T / 2
                heads.append(logits.softmax(-1) @ value[:, head])
            joined = attention.proj(torch.cat(heads, dim=-1))
            expected[top : top + 3, left : left + 3] = joined.view(3, 3, 8)
    torch.testing.assert_close(attention(x)[0], expected[:5, :4])


def test_channel_attention_is_attention_between_the_channels_of_a_group() -> None:
    attention = shaken(davit.ChannelAttention(6, groups=2))
    x = noise(1, 3, 5, 6)
    query, key, value = attention.qkv(x.view(15, 6)).split(6, dim=-1)
    groups = []
    for group in (slice(0, 3), slice(3, 6)):
        logits = query[:, group].T @ key[:, group] / math.sqrt(15)
        groups.append((logits.softmax(-1) @ value[:, group].T).T)
    expected = attention.proj(torch.cat(groups, dim=-1))
    torch.testing.assert_close(attention(x).view(15, 6), expected)


def test_shifted_windows_keep_apart_what_only_the_shift_brought_together() -> None:
    height, width, window, shift = 8, 12, 4, 2
    y, x = np.mgrid[:height, :width]
    # Where each place of the shifted map was before, and thus which pairs are close in the map.
    y, x = (y + shift) % height, (x + shift) % width
    apart = torn_apart(height, width, window, shift).numpy()
    for index, (top, left) in enumerate(product((0, 4), (0, 4, 8))):
        rows = y[top : top + 4, left : left + 4].ravel()
        columns = x[top : top + 4, left : left + 4].ravel()
        far = abs(rows[:, None] - rows) >= window
        far |= abs(columns[:, None] - columns) >= window
        np.testing.assert_array_equal(apart[index], far)


def test_a_shifted_block_spreads_a_change_no_further_than_its_window() -> None:
    block = shaken(SwinBlock(8, 2, 4, shift=2, hidden=16, drop_path=0.0))
    before = noise(1, 8, 8, 8)
    for y, x in ((0, 0), (3, 3), (7, 1)):
        after = before.clone()
        after[0, y, x] = noise(8, seed=1)
        with torch.inference_mode():
            changed = (block(after) - block(before)).abs().amax(-1)[0] > 0
        rows = [row for row in range(8) if (row + 2) // 4 == (y + 2) // 4]
        columns = [column for column in range(8) if (column + 2) // 4 == (x + 2) // 4]
        expected = torch.zeros(8, 8, dtype=torch.bool)
        expected[np.ix_(rows, columns)] = True
        assert torch.equal(changed, expected)
