"""Segmentation end to end: `python tests/benchmarks/bench_xdecoder_segmentation.py [SIDE…]`.

`xdecoder-T` with fresh weights on a picture of SIDE × SIDE (512, then 1024): network and
post-processing, from pixels to labels, instances with run lengths and panoptic segments of 133
classes. In each round the plain way and the one in use run after each other on the same picture in
one process; the ratio of medians counts, since other work on the machine slows both. Peak memory is
that of a process of its own, above what it held with the model built. The bar is 1.6 times as
fast, with no more memory.

The plain way is the released code's arithmetic: every product a matrix product of whole maps, masks
made at stride 4 and then resized for attention, every mask resized to the picture. Both must give
every pixel the same label, up to ties within rounding: how many differ is printed.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any
from unittest.mock import patch

import numpy as np
import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import plain_xdecoder  # type: ignore[import-not-found]
from bench_postprocess import peak_kibibytes  # type: ignore[import-not-found]
from bench_xdecoder_shortcuts import pictures  # type: ignore[import-not-found]

from bench.postprocess import OUTPUTS, outputs, plain
from bench.postprocess.classes import class_scores
from bench.protocol import PanopticRule, Protocol
from bench.types import Proposals, Vocabulary
from models.xdecoder import attention
from models.xdecoder.answers import XDecoder
from models.xdecoder.backbones import pyramid
from models.xdecoder.config import variant

CLASSES = Vocabulary(tuple(f"class {i}" for i in range(133)), things=frozenset(range(80)))
CARD = Protocol(name="bench", panoptic=PanopticRule(object_mask_threshold=0.4))
PARTS = ("backbone", "pixel decoder", "decoder", "post-processing")
WAYS = {"plain": plain.segment, "fast": outputs.segment}


@contextmanager
def as_released() -> Iterator[None]:
    """The network's arithmetic the plain way."""
    with ExitStack() as stack:
        stack.enter_context(plain_xdecoder.plain_products())
        stack.enter_context(patch.object(pyramid, "HIDDEN_AT_ONCE", sys.maxsize))
        stack.enter_context(patch.object(attention, "attended", plain_xdecoder.told_attention))
        yield


class Timed:
    """One model and one picture, segmented either way."""

    def __init__(self, side: int) -> None:
        torch.manual_seed(0)
        self.model = XDecoder(variant("xdecoder-T")).eval()
        self.picture = pictures(1, side)
        # Names are encoded once for a dataset, not once an image.
        self.names = torch.randn(len(CLASSES.names) + 1, self.model.config.decoder.width)

    @torch.inference_mode()
    def segment(self, way: str) -> tuple[dict[str, Any], list[float]]:
        """What is found, and the seconds that each of `PARTS` took."""
        model, ends = self.model, [time.perf_counter()]

        def tick(*_: Any) -> None:
            ends.append(time.perf_counter())

        hooks = [part.register_forward_hook(tick) for part in (model.backbone, model.pixel_decoder)]
        with ExitStack() as stack:
            if way == "plain":
                stack.enter_context(as_released())
            image = model.see(self.picture)
            if way == "plain":
                image = plain_xdecoder.with_plain_masks(image)
            last = model.decode(image, model.layouts.segmenting).last
            logits = model.decoder.classes.logits(last.class_embeddings, self.names)
            masks = last.mask_logits
        tick()
        for hook in hooks:
            hook.remove()
        found = Proposals(logits[0], masks[0], image.input_size, image.padded_size)
        del image, last, logits, masks
        scores = class_scores(found.class_logits, CLASSES, CARD.background)
        answer = WAYS[way](found, scores, CLASSES.things, CARD, found.input_size, OUTPUTS)
        tick()
        return answer, [after - before for before, after in pairwise(ends)]


def peak_mebibytes(side: int, way: str, threads: int) -> int:
    """The most memory that a process of its own held, above what it held before."""
    code = (
        f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); "
        "import bench_xdecoder_segmentation as b; "
        f"b.torch.set_num_threads({threads}); b.report_peak({side}, {way!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def report_peak(side: int, way: str) -> None:
    """Print the peak of one run, after a small one has loaded what is loaded once."""
    Timed(64).segment(way)
    timed = Timed(side)
    before = peak_kibibytes()
    timed.segment(way)
    print((peak_kibibytes() - before) // 1024)


def main() -> None:
    """Print a line a part and size."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("sides", nargs="*", type=int, default=[512, 1024])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    for side in options.sides:
        timed = Timed(side)
        answers = {way: timed.segment(way)[0] for way in WAYS}
        seconds: dict[str, list[list[float]]] = {way: [] for way in WAYS}
        for _ in range(options.rounds):
            for way in WAYS:
                seconds[way].append(timed.segment(way)[1])
        print(f"{side} × {side}, {options.threads} threads")
        for part, index in (*zip(PARTS, range(len(PARTS)), strict=True), ("together", None)):
            slow, fast = (
                median(sum(parts) if index is None else parts[index] for parts in seconds[way])
                for way in ("plain", "fast")
            )
            print(f"  {part:16s} plain {slow:6.3f} s, fast {fast:6.3f} s: {slow / fast:5.2f} times")
        labels = [answers[way]["semantic"] for way in WAYS]
        print(f"  labels that differ: {int(np.sum(labels[0] != labels[1]))} of {labels[0].size}")
        peaks = [peak_mebibytes(side, way, options.threads) for way in WAYS]
        print(f"  peak memory      plain {peaks[0]} MiB, fast {peaks[1]} MiB")


if __name__ == "__main__":
    main()
