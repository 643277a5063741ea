"""The journal of a run as a picture: every loss over the steps."""

from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from bench.report import style
from bench.trained import journal

if TYPE_CHECKING:
    from matplotlib.figure import Figure

PLOT_FILE = "losses.svg"
POINTS = 300
"""At most so many points a line; each is the mean of the steps around it."""


def plot(folder: Path) -> Path | None:
    """Draw the losses of the run in a folder into it; `None` where it has no steps yet."""
    figure = losses(folder)
    if figure is None:
        return None
    path = folder / PLOT_FILE
    style.write(figure, path)
    return path


def losses(folder: Path) -> "Figure | None":
    """A panel for each loss of the run in a folder; `None` where it has no steps yet."""
    rows = journal(folder)
    names = [name for name in dict.fromkeys(chain(*rows)) if name not in _BESIDE]
    if not names:
        return None
    columns = min(3, len(names))
    lines = -(-len(names) // columns)
    with style.applied():
        figure = style.blank(4 * columns, 2.4 * lines)
        panels = np.ravel(figure.subplots(lines, columns, squeeze=False))
        for axes, name in zip(panels, names, strict=False):
            having = [row for row in rows if name in row]  # no phrases in a step, no loss of them
            steps, values = _smoothed(
                [row["step"] for row in having], [row[name] for row in having]
            )
            axes.plot(steps, values, color=style.colour(0), linewidth=1)
            axes.set_title(name.replace("_", " "))
        for axes in panels[len(names) :]:
            axes.remove()
        for axes in panels[: len(names)][-columns:]:
            axes.set_xlabel("step")
    return figure


_BESIDE = ("step", "rate", "seconds")


def _smoothed(steps: list[int], values: list[float]) -> tuple[list[float], list[float]]:
    """Means of so many steps that few enough points are left."""
    pieces = np.array_split(np.arange(len(steps)), min(POINTS, len(steps)))
    return (
        [float(np.mean([steps[i] for i in piece])) for piece in pieces],
        [float(np.mean([values[i] for i in piece])) for piece in pieces],
    )
