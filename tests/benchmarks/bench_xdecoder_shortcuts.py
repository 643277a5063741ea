"""What the decoder's shortcuts save: `python tests/benchmarks/bench_xdecoder_shortcuts.py`.

`xdecoder-T` with fresh weights. In each round the plain way of `tests/models/plain_xdecoder.py`
and the one in use run after each other on the same inputs; their answers must agree. The ratio of
the medians of processor time counts, since other work on the machine slows both.

    decoder    segmentation from finished features, with the masks of the last layer
    text       the 81 prompts of one class name
    caption    50 tokens for one image, and 10 for each of a batch
"""

import argparse
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import torch
from torch import Tensor

sys.path.insert(0, str(Path(__file__).parents[1] / "models"))
import plain_xdecoder as plain  # type: ignore[import-not-found]

from models.xdecoder.answers import XDecoder
from models.xdecoder.caption import Greedy, begin
from models.xdecoder.config import variant
from models.xdecoder.masks import MaskFeatures
from models.xdecoder.prediction import ImageFeatures

Way = Callable[[], Tensor]


def compare(name: str, slow: Way, fast: Way, rounds: int) -> None:
    """Print median seconds of both ways, their ratio, and how far apart their answers are."""
    seconds: dict[Way, list[float]] = {slow: [], fast: []}
    answers: dict[Way, Tensor] = {}
    for _ in range(rounds + 1):
        for way in (slow, fast):
            start = time.process_time()
            answers[way] = way()
            seconds[way].append(time.process_time() - start)
    before, after = (median(seconds[way][1:]) for way in (slow, fast))
    apart = (answers[slow] - answers[fast]).abs().max() / answers[slow].abs().max()
    print(
        f"{name:22s} plain {before:7.3f} s, fast {after:7.3f} s: {before / after:5.1f} times; "
        f"greatest relative difference {float(apart):.0e}"
    )


def pictures(count: int, side: int) -> Tensor:
    """Smooth random images."""
    coarse = torch.rand(count, 3, side // 32, side // 32)
    images = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    return (images * 255).to(torch.uint8).permute(0, 2, 3, 1)


def decoder(model: XDecoder, side: int, rounds: int) -> None:
    """Masks between layers: every mask at stride 4, against mask features at the levels' sizes."""
    image = model.see(pictures(1, side))

    def masks(features: ImageFeatures) -> Tensor:
        decoding = model.decode(features, model.layouts.segmenting)
        return decoding.last.mask_logits

    def anew() -> ImageFeatures:
        fresh = MaskFeatures(image.masks.finest, image.masks.conv)
        return ImageFeatures(image.levels, fresh, image.pooled, image.input_size, image.padded_size)

    compare(
        f"decoder, {side} pixels",
        lambda: masks(plain.with_plain_masks(anew())),
        lambda: masks(anew()),
        rounds,
    )


def text(model: XDecoder, rounds: int) -> None:
    """Prompts filled up to 77 tokens in one batch, against batches of equal length."""
    subjects = ("a photo of a {}.", "a bad photo of the {}.", "a {} in a video game.")
    names = [f"traffic light number {index}"[: 13 + index % 9] for index in range(27)]
    ids = model.tokenizer.encode([s.format(name) for name in names for s in subjects])
    compare(
        "text, 81 prompts",
        lambda: plain.sentence_states(model, ids),
        lambda: model.text.sentences(ids),
        rounds,
    )


def caption(model: XDecoder, images: int, steps: int, rounds: int) -> None:
    """The whole decoder for each token, against one row for each token."""
    image = model.see(pictures(images, 224))
    compare(
        f"caption, {images} × {steps} tokens",
        lambda: plain.greedy(model, image, steps).double(),
        lambda: torch.tensor(Greedy(steps).write(begin(model, image))).double(),
        rounds,
    )


def main() -> None:
    """Run what was asked for."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--side", type=int, default=1024)
    parser.add_argument("--images", type=int, default=8, help="in the batch of captions")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = XDecoder(variant("xdecoder-T")).eval()
    with torch.inference_mode():
        text(model, options.rounds)
        decoder(model, options.side, options.rounds)
        caption(model, 1, 50, options.rounds)
        caption(model, options.images, 10, options.rounds)


if __name__ == "__main__":
    main()
