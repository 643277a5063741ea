"""What the fast paths save: `python tests/benchmarks/bench_xdecoder_features.py [SIDE]`.

Focal-T and its pixel decoder on a picture of SIDE × SIDE (1024), two threads, fresh weights. In
each round the same modules run twice: with every product a matrix product of whole maps, and as
they are. The paths must agree; the ratio of their medians is what counts, since other work on the
machine slows both.
"""

import statistics
import sys
import time

import torch
from torch import Tensor

from models.xdecoder import linear
from models.xdecoder.backbones import build_backbone, pyramid
from models.xdecoder.config import FOCAL_T, PixelDecoderConfig
from models.xdecoder.pixel_decoder import build_pixel_decoder

ROUNDS = 5
FAST = (linear.SMALL_PRODUCT, pyramid.HIDDEN_AT_ONCE)
PLAIN = (sys.maxsize, sys.maxsize)


def main(side: int) -> None:
    """Print median seconds of both paths, their ratio, and how far apart the features are."""
    torch.set_num_threads(2)
    torch.manual_seed(0)
    backbone = build_backbone(FOCAL_T).eval()
    decoder = build_pixel_decoder(PixelDecoderConfig(), backbone.channels).eval()
    picture = torch.randn(1, 3, side, side)
    seconds: dict[str, list[tuple[float, float]]] = {"plain": [], "fast": []}
    features: dict[str, tuple[Tensor, ...]] = {}
    for _ in range(ROUNDS + 1):
        for name, (small, at_once) in (("plain", PLAIN), ("fast", FAST)):
            linear.SMALL_PRODUCT, pyramid.HIDDEN_AT_ONCE = small, at_once
            with torch.inference_mode():
                start = time.perf_counter()
                levels = backbone(picture)
                middle = time.perf_counter()
                features[name] = decoder(levels)
                end = time.perf_counter()
            seconds[name].append((middle - start, end - middle))
    for part, index in (("backbone", 0), ("pixel decoder", 1)):
        plain, fast = (
            statistics.median(round_[index] for round_ in seconds[name][1:])
            for name in ("plain", "fast")
        )
        print(f"{part:14s} plain {plain:.3f} s, fast {fast:.3f} s: {plain / fast:.2f} times")
    apart = max(
        ((a - b).abs().max() / a.abs().max()).item()
        for a, b in zip(features["plain"], features["fast"], strict=True)
    )
    print(f"greatest relative difference of a feature: {apart:.1e}")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1024)
