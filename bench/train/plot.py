"""The journal of a run as a picture: every loss over the steps."""

import json
from pathlib import Path

import numpy as np

from bench.train.journal import JOURNAL_FILE, read_lines

PLOT_FILE = "losses.svg"
POINTS = 300
"""At most so many points a line; each is the mean of the steps around it."""


def plot(folder: Path) -> Path | None:
    """Draw the losses of the run in a folder; `None` where it has no steps yet."""
    from matplotlib.figure import Figure

    rows = [json.loads(line) for line in read_lines(folder / JOURNAL_FILE)]
    names = [name for name in (rows[0] if rows else ()) if name not in _BESIDE]
    if not names:
        return None
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    figure = Figure(figsize=(4 * columns, 2.4 * lines), layout="constrained")
    for axes, name in zip(
        np.ravel(figure.subplots(lines, columns, squeeze=False)), names, strict=False
    ):
        steps, values = _smoothed([row["step"] for row in rows], [row[name] for row in rows])
        axes.plot(steps, values, linewidth=1)
        axes.set_title(name.replace("_", " "), fontsize=9)
        axes.tick_params(labelsize=7)
        axes.grid(alpha=0.3)
    path = folder / PLOT_FILE
    figure.savefig(path)
    return path


_BESIDE = ("step", "rate", "seconds")


def _smoothed(steps: list[int], values: list[float]) -> tuple[list[float], list[float]]:
    """Means of so many steps that few enough points are left."""
    pieces = np.array_split(np.arange(len(steps)), min(POINTS, len(steps)))
    return (
        [float(np.mean([steps[i] for i in piece])) for piece in pieces],
        [float(np.mean([values[i] for i in piece])) for piece in pieces],
    )
