"""What running frozen parts once saves: `python tests/benchmarks/bench_tuning.py`.

`xdecoder-T` with fresh weights, tuned on one image with a few objects. In each round a step that
runs the whole network and a step from kept outputs follow each other, on the same image, points
and parameters; their losses must be equal. The ratio of the medians of processor time counts, since
other work on the machine slows both. Goals: 100 times for `class-embedding`, 3 for `prompt`, 2.5
for `decoder`.
"""

import argparse
import time
from statistics import median

import numpy as np
import torch
from torch import Generator

from bench.types import Lesson, Mask, Vocabulary
from models.xdecoder.answers import XDecoder
from models.xdecoder.config import variant
from models.xdecoder.points import drawn_from
from models.xdecoder.strategies import STRATEGIES
from models.xdecoder.tensor_cache import TensorCache
from models.xdecoder.tuning import StrategyTuner, total, with_own
from models.xdecoder.views import Shown, View

VOCABULARY = Vocabulary(("bottle", "can"))


def picture(side: int, objects: int) -> Shown:
    """A smooth random image with boxes in it."""
    chance = np.random.default_rng(0)
    coarse = torch.from_numpy(chance.random((1, 3, side // 32, side // 32), np.float32))
    smooth = torch.nn.functional.interpolate(coarse, (side, side), mode="bilinear")
    image = (smooth[0] * 255).to(torch.uint8).permute(1, 2, 0).contiguous().numpy()
    masks = np.zeros((objects, side, side), bool)
    for mask in masks:
        top, left = chance.integers(0, side // 2, 2)
        mask[top : top + side // 4, left : left + side // 3] = True
    labels = tuple(index % len(VOCABULARY) for index in range(objects))
    return Shown(Lesson(image, tuple(map(Mask.encode, masks)), labels), View())


class Steps:
    """Steps of one strategy on one image.

    Args:
        model: what is tuned.
        name: the strategy.
        cache: what it keeps; one without any budget runs the whole network in every step.
    """

    def __init__(self, model: XDecoder, name: str, cache: TensorCache) -> None:
        tuner = StrategyTuner(model, model.class_embeddings, name, cache)
        own = with_own(model, tuner.names)
        self.parameters = [own.get_parameter(name) for name in tuner.names]
        self.course = tuner.course(own, VOCABULARY)
        self.weights = tuner.recipe.supervision.weights

    def step(self, shown: Shown) -> tuple[float, float]:
        """Loss, and seconds of the processor for it and all gradients."""
        for parameter in self.parameters:
            parameter.grad = None
        start = time.process_time()
        loss = total(self.course([shown], drawn_from(Generator().manual_seed(0))), self.weights)
        loss.backward()
        return float(loss.detach()), time.process_time() - start


def compare(model: XDecoder, name: str, shown: Shown, rounds: int) -> None:
    """Print median seconds of both ways, their ratio and how far apart their losses are."""
    cache = TensorCache()
    anew, kept = Steps(model, name, TensorCache(0, 0)), Steps(model, name, cache)
    kept.step(shown)  # fills the cache
    found = [(anew.step(shown), kept.step(shown), kept.step(shown)) for _ in range(rounds)]
    slow = median(first[1] for first, *_ in found)
    fast = median(one[1] for _, *both in found for one in both)
    apart = max(abs(a[0] - b[0]) / abs(a[0]) for a, b, _ in found)
    print(
        f"{name:16s} whole network {slow:6.2f} s, kept outputs {fast:7.4f} s: "
        f"{slow / fast:6.1f} times; {cache.in_memory / 1e6:6.1f} MB an image; "
        f"greatest relative difference of losses {apart:.0e}",
        flush=True,
    )


def main() -> None:
    """Compare every strategy."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--side", type=int, default=512, help="pixels of the square image")
    parser.add_argument("--objects", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    model = XDecoder(variant("xdecoder-T")).eval()
    shown = picture(options.side, options.objects)
    for name in STRATEGIES:
        compare(model, name, shown, options.rounds)


if __name__ == "__main__":
    main()
