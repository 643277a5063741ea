"""FocalNet and Swin against the implementations in transformers, at tiny size."""

import re

import pytest
import torch
from torch import Tensor, nn

from models.xdecoder.backbones import Backbone, build_backbone
from models.xdecoder.config import BackboneConfig, FocalConfig, SwinConfig

transformers = pytest.importorskip(
    "transformers", reason="parity with transformers needs the extra 'baselines'"
)

DIMS = (8, 16, 32, 64)
STAGES = ["stage1", "stage2", "stage3", "stage4"]
COMMON = [
    (r"^\w+\.embeddings\.patch_embeddings\.projection", "embeddings.0.proj"),
    (r"^\w+\.embeddings\.norm", "embeddings.0.norm"),
    (r"mlp\.fc1", "feedforward.widen"),
    (r"mlp\.fc2", "feedforward.narrow"),
]
SWIN = [
    *COMMON,
    (r"^swin\.encoder\.layers\.0\.downsample\.", "embeddings.1."),
    (r"^swin\.encoder\.layers\.1\.downsample\.", "embeddings.2."),
    (r"^swin\.encoder\.layers\.2\.downsample\.", "embeddings.3."),
    (r"\.reduction\.", ".proj."),
    (r"^swin\.encoder\.layers\.(\d)\.blocks\.", r"stages.\1."),
    (r"attention\.(?:self\.query|q_proj)\.", "attention.q."),
    (r"attention\.(?:self\.key|k_proj)\.", "attention.k."),
    (r"attention\.(?:self\.value|v_proj)\.", "attention.v."),
    (r"attention\.(?:output\.dense|o_proj)\.", "attention.proj."),
    (r"intermediate\.dense", "feedforward.widen"),
    (r"\.output\.dense", ".feedforward.narrow"),
    (r"attention\..*relative_position_bias_table", "position.table"),
    ("layernorm_before", "norm1"),
    ("layernorm_after", "norm2"),
    (r"^hidden_states_norms\.stage1", "norms.0"),
    (r"^hidden_states_norms\.stage2", "norms.1"),
    (r"^hidden_states_norms\.stage3", "norms.2"),
    (r"^hidden_states_norms\.stage4", "norms.3"),
]
FOCAL = [
    *COMMON,
    (r"^focalnet\.encoder\.stages\.0\.downsample\.projection", "embeddings.1.proj"),
    (r"^focalnet\.encoder\.stages\.1\.downsample\.projection", "embeddings.2.proj"),
    (r"^focalnet\.encoder\.stages\.2\.downsample\.projection", "embeddings.3.proj"),
    (r"^focalnet\.encoder\.stages\.0\.downsample\.", "embeddings.1."),
    (r"^focalnet\.encoder\.stages\.1\.downsample\.", "embeddings.2."),
    (r"^focalnet\.encoder\.stages\.2\.downsample\.", "embeddings.3."),
    (r"^focalnet\.encoder\.stages\.(\d)\.layers\.", r"stages.\1."),
    (r"gamma_(\d)", r"scale\1"),
    (r"modulation\.projection_in", "modulation.project_in"),
    (r"modulation\.projection_context", "modulation.mix"),
    (r"modulation\.projection_out", "modulation.project_out"),
    (r"focal_layers\.(\d)\.0", r"contexts.\1"),
]


def converted(
    state: dict[str, Tensor], rules: list[tuple[str, str]], unused: str
) -> dict[str, Tensor]:
    """Their parameters by our names, with queries, keys and values in one; `unused` left out."""
    found = {}
    for name, value in state.items():
        if re.search(unused, name):
            continue
        for pattern, replacement in rules:
            name = re.sub(pattern, replacement, name)
        found[name] = value
    for name in [name for name in found if ".attention.q." in name]:
        parts = [found.pop(name.replace(".q.", f".{part}.")) for part in "qkv"]
        found[name.replace(".q.", ".qkv.")] = torch.cat(parts)
    return found


def with_the_weights_of(
    theirs: nn.Module, config: BackboneConfig, rules: list[tuple[str, str]], unused: str
) -> Backbone:
    """Draw every parameter of theirs anew, and build ours with them."""
    generator = torch.Generator().manual_seed(0)
    for parameter in theirs.parameters():
        nn.init.normal_(parameter, std=0.3, generator=generator)
    ours = build_backbone(config)
    missing = ours.load_state_dict(converted(theirs.state_dict(), rules, unused), strict=False)
    assert missing.unexpected_keys == []
    assert {name.split(".")[0] for name in missing.missing_keys} <= {"norms"}
    theirs.eval()
    return ours.eval()


def pictures() -> Tensor:
    return torch.randn((2, 3, 164, 208), generator=torch.Generator().manual_seed(1))


def test_swin_is_the_swin_of_transformers() -> None:
    config = transformers.SwinConfig(
        embed_dim=8,
        depths=[2, 2, 2, 2],
        num_heads=[1, 2, 4, 8],
        window_size=3,
        out_features=STAGES,
    )
    theirs = transformers.SwinBackbone(config)
    ours = with_the_weights_of(
        theirs,
        SwinConfig(DIMS, (2, 2, 2, 2), (1, 2, 4, 8), window=3),
        SWIN,
        unused=r"relative_position_index|^swin\.layernorm",
    )
    with torch.inference_mode():
        levels, expected = ours(pictures()), theirs(pictures()).feature_maps
    for level, feature in zip(levels, expected, strict=True):
        torch.testing.assert_close(level, feature, rtol=1e-3, atol=1e-4)


def test_focalnet_is_the_focalnet_of_transformers() -> None:
    config = transformers.FocalNetConfig(
        embed_dim=8,
        hidden_sizes=list(DIMS),
        depths=[1, 1, 2, 1],
        focal_levels=[2] * 4,
        focal_windows=[3] * 4,
        use_conv_embed=True,
        use_layerscale=True,
        use_post_layernorm=True,
        normalize_modulator=True,
        out_features=STAGES,
    )
    theirs = transformers.FocalNetBackbone(config)
    ours = with_the_weights_of(
        theirs,
        FocalConfig(DIMS, (1, 1, 2, 1), focal_levels=2),
        FOCAL,
        unused=r"^focalnet\.layernorm",
    )
    # Theirs reads a stage out after its downsampling, and without a norm.
    x = pictures().permute(0, 2, 3, 1)
    with torch.inference_mode():
        expected = theirs(pictures()).feature_maps
        x = ours.embeddings[0](x)
        for stage, step, feature in zip(
            ours.stages, [*ours.embeddings[1:], nn.Identity()], expected, strict=True
        ):
            x = step(stage(x))
            torch.testing.assert_close(x.permute(0, 3, 1, 2), feature, rtol=1e-3, atol=1e-4)
