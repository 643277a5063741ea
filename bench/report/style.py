"""How every figure looks, and how it is written.

Colours are Okabe and Ito's (2008), which people with any colour vision tell apart; a series has a
marker and a dash of its own too, so a figure can be read in grey. What is measured is filled and
drawn through, what was published elsewhere is hollow and dotted.

The same figure gives the same bytes: no date, no version, ids from a fixed salt. Text in SVG stays
text, to be searched and read aloud.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.durable import whole
from bench.report.overlay import INK, PALETTE, PAPER, Colour

if TYPE_CHECKING:
    from matplotlib.figure import Figure

ON_WHITE = (0, 5, 2, 3, 1, 4, 7, 9, 11)
"""Which colours of the palette a thin line on white can have, the most different first."""
MARKERS = ("o", "s", "^", "D", "v", "P", "X", "*", "h")
DASHES = ("-", (0, (5, 1.5)), (0, (3, 1, 1, 1)), (0, (7, 2, 2, 2)))
PUBLISHED = (0, (1, 1.5))
DPI = 160
ACROSS = 4
"""Panels in a row, at most."""


def hexadecimal(colour: Colour) -> str:
    """A colour as matplotlib and browsers spell it.

    >>> hexadecimal((0, 114, 178))
    '#0072b2'
    """
    return "#{:02x}{:02x}{:02x}".format(*colour)


GREY = "#767676"
DARK, WHITE = hexadecimal(INK), hexadecimal(PAPER)


def colour(series: int) -> str:
    """The colour of a series by its number; after the last one they begin anew."""
    return hexadecimal(PALETTE[ON_WHITE[series % len(ON_WHITE)]])


def line(series: int, *, published: bool = False) -> dict[str, Any]:
    """How the line of a series is drawn."""
    round_ = series // len(ON_WHITE)
    return {
        "color": colour(series),
        "marker": MARKERS[series % len(MARKERS)],
        "linestyle": PUBLISHED if published else DASHES[(series + round_) % len(DASHES)],
        "markerfacecolor": WHITE if published else colour(series),
        "markeredgecolor": colour(series),
    }


def bar(series: int, *, published: bool = False) -> dict[str, Any]:
    """How the bars of a series are drawn."""
    own = colour(series)
    if published:
        return {"facecolor": WHITE, "edgecolor": own, "hatch": "////"}
    return {"facecolor": own, "edgecolor": own}


@contextmanager
def applied() -> Iterator[None]:
    """Make and write figures inside of this."""
    import matplotlib as mpl

    with mpl.rc_context():
        mpl.rcdefaults()  # whatever a person's own settings are
        parameters: Any = mpl.rcParams
        parameters.update(_SETTINGS)
        yield


_SETTINGS: dict[str, Any] = {
    "font.family": "DejaVu Sans",  # it comes with matplotlib
    "font.size": 8,
    "axes.titlesize": 9,
    "axes.titlelocation": "left",
    "axes.labelsize": 8,
    "axes.edgecolor": GREY,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "xtick.color": GREY,
    "ytick.color": GREY,
    "xtick.labelcolor": DARK,
    "ytick.labelcolor": DARK,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "hatch.linewidth": 0.5,
    "legend.fontsize": 7.5,
    "legend.frameon": False,
    "svg.fonttype": "none",
    "svg.hashsalt": "bench",
}


def blank(width: float, height: float) -> "Figure":
    """An empty figure of that many inches, whose parts make room for each other."""
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def grid(count: int) -> tuple[int, int]:
    """How many panels stand beside each other, and in how many rows: few places stay empty.

    >>> grid(3), grid(5), grid(8)
    ((3, 1), (3, 2), (4, 2))
    """
    if count <= ACROSS:
        return count, 1
    wide = min((ACROSS, ACROSS - 1), key=lambda wide: -count % wide)
    return wide, -(-count // wide)


def save(figure: "Figure", folder: Path, name: str) -> tuple[Path, Path]:
    """Write a figure as PNG and SVG; where they are.

    Raises:
        CannotWrite: they cannot be written.
    """
    paths = folder / f"{name}.png", folder / f"{name}.svg"
    for path in paths:
        write(figure, path)
    return paths


def write(figure: "Figure", path: Path) -> None:
    """Write a figure in the format that the path ends with.

    Raises:
        CannotWrite: it cannot be written.
    """
    unstated = {".png": {"Software": None}, ".svg": {"Date": None, "Creator": None}}
    kind = path.suffix.lstrip(".")
    with whole(path, "--out or --figures") as unfinished, applied():
        figure.savefig(unfinished, format=kind, dpi=DPI, metadata=unstated[path.suffix])
