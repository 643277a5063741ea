"""Post-processing of one picture: `python tests/benchmarks/bench_postprocess.py`.

The plain way and the fast one on the same proposals, in alternation in one process: labels,
instances with run lengths, panoptic segments. The bar is 5 times as fast at 1024 pixels, with no
pixel changed and no more memory.

Scenes: `trained` looks like what a trained network says (discs, one query in three an object, the
others background); `random` is what random weights say (smooth masks that cover half the picture,
every query a bit of everything); `noise` is the worst case, in which bounds settle nothing.
"""

import argparse
import gc
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor
from torch.nn.functional import interpolate

from bench.postprocess import OUTPUTS, outputs, plain
from bench.postprocess.classes import class_scores
from bench.protocol import PanopticRule, Protocol
from bench.types import Proposals, Vocabulary

QUERIES = 101
CARD = Protocol(name="bench", panoptic=PanopticRule(object_mask_threshold=0.4))
WAYS = {"plain": plain.segment, "fast": outputs.segment}


def trained(height: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Discs with soft edges on a doubtful ground; one query in three is sure of a class."""
    generator = torch.Generator().manual_seed(0)
    y, x = torch.linspace(0, 1, height)[:, None], torch.linspace(0, 1, width)
    centre = torch.rand(QUERIES, 2, 1, 1, generator=generator)
    radius = 0.03 + 0.3 * torch.rand(QUERIES, 1, 1, generator=generator) ** 2
    distance = ((y - centre[:, 0]) ** 2 + (x - centre[:, 1]) ** 2).sqrt()
    masks = ((radius - distance) * 80).clamp(-12, 8) + smooth(height, width, generator)
    logits = torch.randn(QUERIES, classes + 1, generator=generator)
    labels = torch.randint(0, classes, (QUERIES,), generator=generator)
    labels[QUERIES // 3 :] = classes
    logits[range(QUERIES), labels] += 8
    return masks, logits


def random(height: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Smooth masks with the deviation that X-Decoder has with random weights."""
    generator = torch.Generator().manual_seed(1)
    logits = 4 * torch.randn(QUERIES, classes + 1, generator=generator)
    return 14 * smooth(height, width, generator), logits


def noise(height: int, width: int, classes: int) -> tuple[Tensor, Tensor]:
    """Every cell by itself."""
    generator = torch.Generator().manual_seed(2)
    logits = torch.randn(QUERIES, classes + 1, generator=generator)
    return torch.randn(QUERIES, height, width, generator=generator), logits


def smooth(height: int, width: int, generator: torch.Generator) -> Tensor:
    """Noise that changes over eight cells."""
    coarse = torch.randn(1, QUERIES, height // 8 + 2, width // 8 + 2, generator=generator)
    return interpolate(coarse, (height, width), mode="bicubic")[0]


SCENES = {
    # name: (make, classes, input size, original size)
    "trained 1024, 133 classes": (trained, 133, (1024, 1024), (1024, 1024)),
    "trained 1024, 150 classes, to 768 x 750": (trained, 150, (1000, 1024), (750, 768)),
    "trained 512, 133 classes, to 480 x 640": (trained, 133, (512, 683), (480, 640)),
    "random 1024, 12 classes": (random, 12, (1024, 1024), (1024, 1024)),
    "random 1024, 133 classes": (random, 133, (1024, 1024), (1024, 1024)),
    "noise 1024, 133 classes": (noise, 133, (1024, 1024), (1024, 1024)),
}


def run(scene: str) -> Callable[[str], dict[str, object]]:
    """A function that predicts everything for the scene, one way or the other."""
    make, classes, shown, size = SCENES[scene]
    padded = (-(-shown[0] // 32) * 32, -(-shown[1] // 32) * 32)
    masks, logits = make(padded[0] // 4, padded[1] // 4, classes)
    names = tuple(f"class {i}" for i in range(classes))
    asked = Vocabulary(names, things=frozenset(range(classes // 2)))
    found = Proposals(logits, masks, shown, padded)

    def predict(way: str) -> dict[str, object]:
        scores = class_scores(found.class_logits, asked, CARD.background)
        return WAYS[way](found, scores, asked.things, CARD, size, OUTPUTS)

    return predict


def changed_pixels(one: dict, other: dict) -> int:
    """How many pixels differ in the label map, the panoptic map and all masks together."""
    pairs = zip(one["instance"].masks, other["instance"].masks, strict=True)
    return int(
        np.sum(one["semantic"] != other["semantic"])
        + np.sum(one["panoptic"].ids != other["panoptic"].ids)
        + sum(np.sum(a.decode() != b.decode()) for a, b in pairs if a != b)
    )


def peak_megabytes(scene: str, way: str) -> int:
    """The most memory that a process of its own held, above what it held before."""
    code = (
        f"import sys; sys.path.insert(0, {sys.path[0]!r}); import bench_postprocess as b; "
        f"b.torch.set_num_threads({torch.get_num_threads()}); b.report_peak({scene!r}, {way!r})"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return int(done.stdout)


def report_peak(scene: str, way: str) -> None:
    """Print the peak of one run, after a small run has loaded what is loaded once."""
    predict = run(scene)
    run("trained 512, 133 classes, to 480 x 640")("fast")
    gc.collect()
    before = peak_kibibytes()
    predict(way)
    print((peak_kibibytes() - before) // 1024)


def peak_kibibytes() -> int:
    """The most memory this process has held (Linux; `ru_maxrss` would count its parent's)."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmHWM:")[2].split()[0])


def main() -> None:
    """Print a line a scene."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeats", type=int, default=5)
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    print(f"{'scene':42} {'plain s':>8} {'fast s':>8} {'ratio':>6} {'changed':>8} {'peak MiB':>12}")
    for scene in SCENES:
        predict = run(scene)
        changed = changed_pixels(predict("plain"), predict("fast"))
        seconds: dict[str, list[float]] = {way: [] for way in WAYS}
        for _ in range(arguments.repeats):
            for way in WAYS:
                start = time.perf_counter()
                predict(way)
                seconds[way].append(time.perf_counter() - start)
        ratio = median(p / f for p, f in zip(seconds["plain"], seconds["fast"], strict=True))
        peaks = " / ".join(str(peak_megabytes(scene, way)) for way in WAYS)
        best = [min(seconds[way]) for way in WAYS]
        print(f"{scene:42} {best[0]:8.3f} {best[1]:8.3f} {ratio:6.1f} {changed:8} {peaks:>12}")


if __name__ == "__main__":
    main()
