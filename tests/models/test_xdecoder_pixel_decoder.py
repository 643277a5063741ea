"""The pixel decoders against the released model, naive arithmetic and their interface."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from xdecoder_reference import assert_agrees, filled, golden, manifest, pixels, renamed

from models.xdecoder import names
from models.xdecoder.backbones import Levels, build_backbone
from models.xdecoder.config import FOCAL_T, PixelDecoderConfig
from models.xdecoder.deformable import POINTS, DeformableAttention, place_centres
from models.xdecoder.pixel_decoder import PixelDecoder, add_enlarged, build_pixel_decoder
from models.xdecoder.position import sine_position

LEVEL_CHANNELS = {
    "focalt": (96, 192, 384, 768),
    "focall": (192, 384, 768, 1536),
    "davitd3": (128, 256, 512, 1024),
    "davitd5": (256, 512, 1024, 2048),
}
PLAIN = PixelDecoderConfig(width=64, mask_width=24, layers=2, heads=4, feedforward=48)
DEFORMABLE = PixelDecoderConfig(
    width=64, mask_width=24, layers=2, heads=4, feedforward=48, deformable=True
)
CHANNELS = (4, 6, 8, 10)


def noise(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed))


def some_levels(height: int, width: int, batch: int = 1) -> Levels:
    return Levels(
        *(
            noise(batch, channels, math.ceil(height / stride), math.ceil(width / stride))
            for channels, stride in zip(CHANNELS, (4, 8, 16, 32), strict=True)
        )
    )


def test_focal_t_gives_the_released_maps_and_mask_features() -> None:
    backbone = build_backbone(FOCAL_T).eval()
    backbone.load_state_dict(filled("focalt", "backbone.", "backbone.", names.FOCAL))
    decoder = PixelDecoder(PixelDecoderConfig(), backbone.channels).eval()
    official = "sem_seg_head.pixel_decoder."
    decoder.load_state_dict(filled("focalt", official, "pixel_decoder.", names.PIXEL_DECODER))
    with torch.inference_mode():
        levels = backbone(pixels(384, 512, seed=0))
        encoded = decoder.encode(levels.res5)
        features = decoder(levels)
        mask_features = decoder.mask_conv(features.stride4)
    released = golden("focalt_features_384x512")
    assert_agrees(encoded[0], released, "encoder_out", 16)
    assert_agrees(features.stride32[0], released, "multi_scale_0", 16)
    assert_agrees(features.stride16[0], released, "multi_scale_1", 16, 2, 2)
    assert_agrees(features.stride8[0], released, "multi_scale_2", 16, 4, 4)
    assert_agrees(mask_features[0], released, "mask_features", 16, 8, 8)


@pytest.mark.parametrize("variant", LEVEL_CHANNELS)
def test_every_released_entry_is_one_parameter_of_equal_shape(variant: str) -> None:
    with torch.device("meta"):
        decoder = PixelDecoder(PixelDecoderConfig(), LEVEL_CHANNELS[variant])
    ours = {f"pixel_decoder.{name}": tuple(x.shape) for name, x in decoder.state_dict().items()}
    released = [(n, s) for n, s in manifest(variant).items() if ".pixel_decoder." in n]
    assert len(released) == len(ours)
    rules = names.PIXEL_DECODER
    assert {renamed(name, rules): shape for name, shape in released} == ours


@pytest.mark.parametrize("config", [PLAIN, DEFORMABLE], ids=["plain", "deformable"])
@settings(max_examples=8)
@given(height=st.integers(32, 130), width=st.integers(32, 130))
def test_features_keep_the_grids_of_the_levels(
    config: PixelDecoderConfig, height: int, width: int
) -> None:
    decoder = build_pixel_decoder(config, CHANNELS)
    levels = some_levels(height, width)
    with torch.inference_mode():
        features = decoder(levels)
        mask_features = decoder.mask_conv(features.stride4)
    for feature, level in zip(features, reversed(levels), strict=True):
        assert feature.shape == (1, 64, *level.shape[2:])
    assert mask_features.shape == (1, 24, *levels.res2.shape[2:])


@pytest.mark.parametrize("config", [PLAIN, DEFORMABLE], ids=["plain", "deformable"])
def test_a_batch_gives_what_its_images_give_one_by_one(config: PixelDecoderConfig) -> None:
    decoder = build_pixel_decoder(config, CHANNELS)
    levels = some_levels(96, 64, batch=3)
    with torch.inference_mode():
        together = decoder(levels)
        alone = [decoder(Levels(*(x[i : i + 1] for x in levels))) for i in range(3)]
    for feature, *parts in zip(together, *alone, strict=True):
        torch.testing.assert_close(feature, torch.cat(parts), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("config", [PLAIN, DEFORMABLE], ids=["plain", "deformable"])
def test_every_parameter_learns(config: PixelDecoderConfig) -> None:
    decoder = build_pixel_decoder(config, CHANNELS)
    features = decoder(some_levels(96, 64))
    loss = sum(feature.square().mean() for feature in features)
    (loss + decoder.mask_conv(features.stride4).square().mean()).backward()
    assert [n for n, p in decoder.named_parameters() if p.grad is None] == []


@given(
    coarse=st.tuples(st.integers(1, 5), st.integers(1, 5)),
    fine=st.tuples(st.integers(1, 10), st.integers(1, 10)),
    double=st.booleans(),
)
def test_adding_an_enlarged_map_is_adding_its_nearest_neighbours(
    coarse: tuple[int, int], fine: tuple[int, int], double: bool
) -> None:
    if double:
        fine = (2 * coarse[0], 2 * coarse[1])
    above, level = noise(2, 3, *coarse), noise(2, 3, *fine, seed=1)
    expected = level + torch.nn.functional.interpolate(above, fine, mode="nearest")
    for layout in (torch.contiguous_format, torch.channels_last):
        found = add_enlarged(level.clone(memory_format=layout), above)
        torch.testing.assert_close(found, expected, rtol=0, atol=0)


def test_the_sine_position_is_the_formula_place_by_place() -> None:
    code = sine_position(3, 5, 16)
    for row in range(3):
        for column in range(5):
            expected = []
            for step, last in ((row + 1, 3), (column + 1, 5)):
                for slot in range(8):
                    angle = step / (last + 1e-6) * 2 * math.pi / 10000 ** (2 * (slot // 2) / 8)
                    expected.append(math.cos(angle) if slot % 2 else math.sin(angle))
            np.testing.assert_allclose(code[row, column].numpy(), expected, rtol=0, atol=1e-5)


def read_point(values: Tensor, x: float, y: float) -> Tensor:
    """The value at (x, y) in places, between the four nearest; zero around the map."""
    total = torch.zeros(len(values))
    for column in (math.floor(x), math.floor(x) + 1):
        for row in (math.floor(y), math.floor(y) + 1):
            if 0 <= row < values.shape[1] and 0 <= column < values.shape[2]:
                weight = (1 - abs(x - column)) * (1 - abs(y - row))
                total = total + weight * values[:, row, column]
    return total


def test_deformable_attention_reads_and_weighs_points_one_by_one() -> None:
    heads, width, sizes = 2, 8, [(2, 3), (4, 5)]
    attention = DeformableAttention(width, heads, len(sizes))
    for index, parameter in enumerate(attention.parameters()):
        parameter.data = noise(*parameter.shape, seed=index) * 0.5
    count = sum(h * w for h, w in sizes)
    queries, tokens = noise(1, count, width, seed=10), noise(1, count, width, seed=11)
    centres = torch.cat([place_centres(*size) for size in sizes])
    with torch.inference_mode():
        found = attention(queries, tokens, centres, sizes)
        values = attention.value(tokens)[0]
        offsets = attention.offsets(queries)[0].view(count, heads, len(sizes), POINTS, 2)
        weights = attention.weights(queries)[0].view(count, heads, -1).softmax(-1)
        weights = weights.view(count, heads, len(sizes), POINTS)
        read = torch.zeros(count, width)
        for query in range(count):
            for head in range(heads):
                own = slice(4 * head, 4 * head + 4)
                first = 0
                for level, (h, w) in enumerate(sizes):
                    part = values[first : first + h * w, own].T.view(4, h, w)
                    first += h * w
                    for point in range(POINTS):
                        dx, dy = offsets[query, head, level, point].tolist()
                        x = centres[query, 0].item() * w + dx - 0.5
                        y = centres[query, 1].item() * h + dy - 0.5
                        weight = weights[query, head, level, point]
                        read[query, own] += weight * read_point(part, x, y)
        expected = attention.proj(read)
    torch.testing.assert_close(found[0], expected, rtol=1e-4, atol=1e-4)


def test_a_fresh_deformable_head_looks_in_a_direction_of_its_own() -> None:
    attention = DeformableAttention(16, heads=8, levels=3)
    attention.look_around()
    offsets = attention.offsets(torch.zeros(16)).view(8, 3, POINTS, 2)
    distance = offsets.abs().amax(-1)
    torch.testing.assert_close(distance, torch.arange(1.0, 5.0).expand(8, 3, 4))
    assert len({tuple(x) for x in offsets[:, 0, 0].round(decimals=3).tolist()}) == 8


@pytest.mark.parametrize("config", [PLAIN, DEFORMABLE], ids=["plain", "deformable"])
def test_half_precision_stays_within_its_rounding(config: PixelDecoderConfig) -> None:
    single = build_pixel_decoder(config, CHANNELS)
    half = build_pixel_decoder(config, CHANNELS).bfloat16()
    half.load_state_dict(single.state_dict())
    levels = some_levels(320, 256)
    with torch.inference_mode():
        expected = single(levels)
        found = half(Levels(*(level.bfloat16() for level in levels)))
    for ours, theirs in zip(found, expected, strict=True):
        assert ours.dtype == torch.bfloat16
        assert (ours.float() - theirs).abs().mean() < 0.03 * theirs.abs().mean()
