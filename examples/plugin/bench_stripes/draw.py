"""Draw the dataset `two-tone`: `python -m bench_stripes.draw DATA`, DATA being the data folder."""

import sys
from pathlib import Path

import numpy as np
from PIL import Image

N = 8
VOID_VALUE = 255


def draw(data: Path) -> None:
    """Write images and label maps; a pixel in a hundred is noise that the model gets wrong."""
    home = data / "two-tone"
    for part in ("images", "labels"):
        (home / part).mkdir(parents=True, exist_ok=True)
    for index in range(N):
        generator = np.random.default_rng(index)
        labels = (np.arange(60)[:, None] // generator.integers(4, 12) % 2).repeat(80, axis=1)
        colours = np.array([generator.integers(0, 90, 3), generator.integers(160, 256, 3)])
        shown = np.where(generator.random(labels.shape) < 0.01, 1 - labels, labels)
        labels[0] = VOID_VALUE
        Image.fromarray(colours[shown].astype(np.uint8)).save(home / f"images/{index}.png")
        Image.fromarray(labels.astype(np.uint8)).save(home / f"labels/{index}.png")


if __name__ == "__main__":
    draw(Path(sys.argv[1] if len(sys.argv) > 1 else "data"))
