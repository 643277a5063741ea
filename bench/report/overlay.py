"""Pictures of what a model said about an image: coloured regions, outlines, names and a legend.

Colour alone never carries the meaning: every region of some size bears its name, and regions are
parted by a dark and a light line. Colours are of a palette that people with any colour vision can
tell apart (Okabe and Ito 2008, with lighter and darker ones behind); a class keeps its colour in
all pictures of one `Colours`, so the frames of a video do not flicker.
"""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, field, replace
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float, UInt8
from PIL import Image as Pillow
from PIL import ImageDraw, ImageFont
from scipy import ndimage

from bench.types import Image, Mask

Colour = tuple[int, int, int]

PALETTE: tuple[Colour, ...] = (
    (0, 114, 178),  # blue
    (230, 159, 0),  # orange
    (0, 158, 115),  # bluish green
    (204, 121, 167),  # reddish purple
    (86, 180, 233),  # sky blue
    (213, 94, 0),  # vermilion
    (240, 228, 66),  # yellow
    (136, 34, 85),  # wine
    (153, 221, 187),  # mint
    (51, 34, 136),  # indigo
    (187, 187, 187),  # grey
    (102, 68, 34),  # brown
)

SMALLEST_SIDE = 720
"""A picture whose longer side has fewer pixels is enlarged by a whole factor, to be readable."""
THUMBNAIL_LETTERS = 19
"""The height of names in small pictures, in pixels."""
NAMED_SHARE = 0.003
"""Regions smaller than this share of the image get no name inside; the legend has them."""
LEGEND_ROWS = 24
OPACITY = 0.5
PAPER: Colour = (255, 255, 255)
INK: Colour = (25, 25, 25)
ALARM: Colour = (178, 24, 43)


@dataclass(frozen=True)
class Region:
    """A part of an image that something was said about."""

    mask: Mask
    name: str
    key: Hashable
    """Regions with one key have one colour; a class's label."""
    score: float | None = None

    @property
    def text(self) -> str:
        """The name, and the score where there is one."""
        return self.name if self.score is None else f"{self.name} {self.score:.2f}"


@dataclass
class Colours:
    """Hands out colours: the palette in order, then the same hues lighter and darker."""

    given: dict[Hashable, Colour] = field(default_factory=dict)

    def of(self, key: Hashable) -> Colour:
        """The colour of `key`, the same each time.

        >>> colours = Colours()
        >>> colours.of("cat") == colours.of("cat") != colours.of("dog")
        True
        """
        if key not in self.given:
            round_, index = divmod(len(self.given), len(PALETTE))
            target = (PAPER, INK)[round_ % 2] if round_ else PALETTE[index]
            share = min(0.3 * ((round_ + 1) // 2), 0.7)
            self.given[key] = _mixed(PALETTE[index], target, share)
        return self.given[key]


def draw(
    image: Image,
    regions: Sequence[Region] = (),
    *,
    colours: Colours,
    title: str = "",
    lines: Sequence[str] = (),
    warnings: Sequence[str] = (),
) -> Pillow.Image:
    """The image under its regions, with a legend beside it and texts below.

    Args:
        image: as it was asked about.
        regions: drawn in their order, later ones on top.
        colours: keep one for all pictures of a run.
        title: a line above.
        lines: what was said in words, below.
        warnings: what nobody may overlook, above and in red.
    """
    height, width = image.shape[:2]
    factor = max(1, -(-SMALLEST_SIDE // max(height, width)))
    size = max(13, round(factor * max(height, width) / 62))
    picture = _overlaid(image, regions, colours, factor, size)
    rows = _legend_rows(regions, colours, height * width)
    return _framed(picture, rows, title, lines, warnings, size)


def thumbnail(
    image: Image, regions: Sequence[Region] = (), *, colours: Colours, side: int
) -> Pillow.Image:
    """The image under its regions with their names and nothing beside it, small.

    A larger image is shrunk until its longer side is `side`; a smaller one is enlarged by the
    largest whole factor that keeps it within.
    """
    height, width = image.shape[:2]
    factor = max(1, side // max(height, width))
    if max(height, width) > side:
        scale = side / max(height, width)
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        picture = Pillow.fromarray(image).resize((columns, rows), Pillow.Resampling.LANCZOS)
        image = np.asarray(picture)
        regions = [replace(r, mask=_shrunk(r.mask, rows, columns)) for r in regions]
    return _overlaid(image, regions, colours, factor, THUMBNAIL_LETTERS)


# --- regions -------------------------------------------------------------------------------------


def _overlaid(
    image: Image, regions: Sequence[Region], colours: Colours, factor: int, size: int
) -> Pillow.Image:
    """The enlarged image under its regions, with names in letters of so many pixels."""
    picture = Pillow.fromarray(_painted(_enlarged(image, factor), regions, colours, factor))
    _name_regions(picture, regions, colours, factor, size)
    return picture


def _shrunk(mask: Mask, rows: int, columns: int) -> Mask:
    """The mask as a grid of so many rows and columns sees it at the centres of its cells."""
    row = (np.arange(rows) + 0.5) * mask.height / rows
    column = (np.arange(columns) + 0.5) * mask.width / columns
    return Mask.encode(mask.decode()[np.ix_(row.astype(int), column.astype(int))])


def _enlarged(image: Image, factor: int) -> Image:
    return image.repeat(factor, axis=0).repeat(factor, axis=1)


def _painted(
    canvas: Image, regions: Sequence[Region], colours: Colours, factor: int
) -> UInt8[np.ndarray, "height width 3"]:
    """Regions blended over the image, each in a dark line and a light one inside it."""
    blended = canvas.astype(np.float32)
    thickness = max(1, round(max(canvas.shape) / 700))
    for region in regions:
        mask = _grown(region.mask.decode(), factor)
        if not mask.any():
            continue
        colour = np.array(colours.of(region.key), np.float32)
        blended[mask] = (1 - OPACITY) * blended[mask] + OPACITY * colour
        core = ndimage.binary_erosion(mask, iterations=thickness, border_value=1)
        inner = ndimage.binary_erosion(core, iterations=thickness, border_value=1)
        blended[mask & ~core] = np.array(_mixed(colours.of(region.key), INK, 0.75))
        blended[core & ~inner] = np.array(_mixed(colours.of(region.key), PAPER, 0.6))
    return blended.round().astype(np.uint8)


def _grown(mask: Bool[np.ndarray, "height width"], factor: int) -> Bool[np.ndarray, "tall wide"]:
    return mask.repeat(factor, axis=0).repeat(factor, axis=1)


def _name_regions(
    picture: Pillow.Image, regions: Sequence[Region], colours: Colours, factor: int, size: int
) -> None:
    """Names at the deepest point of each region that is large enough and has room left."""
    pen, font = ImageDraw.Draw(picture), _font(size)
    taken: list[tuple[float, float, float, float]] = []
    for region in sorted(regions, key=lambda region: -region.mask.area):
        if region.mask.area < NAMED_SHARE * region.mask.height * region.mask.width:
            continue
        x, y = (factor * (place + 0.5) for place in _deepest(region.mask))
        left, top, right, bottom = pen.textbbox((0, 0), region.text, font=font)
        wide, tall = right - left + size * 0.6, bottom - top + size * 0.4
        x = min(max(x, wide / 2), picture.width - wide / 2)
        y = min(max(y, tall / 2), picture.height - tall / 2)
        box = (x - wide / 2, y - tall / 2, x + wide / 2, y + tall / 2)
        if wide > picture.width or any(_overlap(box, other) for other in taken):
            continue
        taken.append(box)
        colour = colours.of(region.key)
        pen.rounded_rectangle(box, radius=size * 0.25, fill=colour, outline=_contrast(colour))
        pen.text((x, y), region.text, font=font, fill=_contrast(colour), anchor="mm")


def _deepest(mask: Mask) -> tuple[float, float]:
    """A point (x, y) deep inside a mask: of those nearly as deep as any, the most central."""
    step = max(1, max(mask.height, mask.width) // 256)
    grid = mask.decode()[::step, ::step]
    if not grid.any():
        step, grid = 1, mask.decode()
    depth: Float[np.ndarray, "height width"] = ndimage.distance_transform_edt(np.pad(grid, 1))
    depth = depth[1:-1, 1:-1]
    deep = np.argwhere(depth >= 0.9 * depth.max())
    centre = np.argwhere(grid).mean(axis=0)
    y, x = deep[np.linalg.norm(deep - centre, axis=1).argmin()]
    return float(x) * step, float(y) * step


def _overlap(a: tuple[float, ...], b: tuple[float, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]


# --- legend and texts ----------------------------------------------------------------------------


def _legend_rows(
    regions: Sequence[Region], colours: Colours, pixels: int
) -> list[tuple[Colour | None, str]]:
    """A row a key, the largest first: its colour, its name, how many regions and their share."""
    found: dict[Hashable, tuple[str, int, int]] = {}
    for region in regions:
        name, count, area = found.get(region.key, (region.name, 0, 0))
        found[region.key] = name, count + 1, area + region.mask.area
    ordered = sorted(found.items(), key=lambda item: -item[1][2])
    rows: list[tuple[Colour | None, str]] = []
    for key, (name, count, area) in ordered[:LEGEND_ROWS]:
        times = f" ×{count}" if count > 1 else ""
        rows.append((colours.of(key), f"{name}{times}  {100 * area / pixels:.1f}%"))
    if len(ordered) > LEGEND_ROWS:
        rows.append((None, f"and {len(ordered) - LEGEND_ROWS} more"))
    return rows


def _framed(
    picture: Pillow.Image,
    rows: Sequence[tuple[Colour | None, str]],
    title: str,
    lines: Sequence[str],
    warnings: Sequence[str],
    size: int,
) -> Pillow.Image:
    """The picture on paper: title and warnings above, legend at its right, texts below."""
    font, gap, step = _font(size), size // 2, round(size * 1.5)
    legend = max((round(font.getlength(text)) + 2 * step for _, text in rows), default=0)
    wide = picture.width + legend
    above = [
        *((line, ALARM) for text in warnings for line in _wrapped(text, font, wide - 2 * gap)),
        *((line, INK) for line in _wrapped(title, font, wide - 2 * gap)),
    ]
    below = [line for text in lines for line in _wrapped(text, font, wide - 2 * gap)]
    top = gap + step * len(above) if above else 0
    bottom = gap + step * len(below) if below else 0
    tall = max(picture.height, step * len(rows) + gap)
    sheet = Pillow.new("RGB", (wide, top + tall + bottom), PAPER)
    sheet.paste(picture, (0, top))
    pen = ImageDraw.Draw(sheet)
    for index, (line, colour) in enumerate(above):
        pen.text((gap, gap // 2 + index * step), line, font=font, fill=colour)
    for index, (swatch, text) in enumerate(rows):
        x, y = picture.width + gap, top + gap + index * step
        if swatch is not None:
            pen.rectangle((x, y, x + size, y + size), fill=swatch, outline=INK)
        pen.text((x + step, y + size / 2), text, font=font, fill=INK, anchor="lm")
    for index, line in enumerate(below):
        pen.text((gap, top + tall + gap // 2 + index * step), line, font=font, fill=INK)
    return sheet


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """The words of a text in lines that fit."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and font.getlength(longer) <= width:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


@lru_cache
def _font(size: int) -> ImageFont.FreeTypeFont:
    """DejaVu Sans, which matplotlib brings: it has the letters of most scripts."""
    found = find_spec("matplotlib")
    assert found is not None
    assert found.submodule_search_locations is not None
    folder = Path(found.submodule_search_locations[0]) / "mpl-data" / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / "DejaVuSans.ttf"), size)


def _mixed(colour: Colour, other: Colour, share: float) -> Colour:
    """`share` of `other` in `colour`."""
    red, green, blue = (
        round((1 - share) * a + share * b) for a, b in zip(colour, other, strict=True)
    )
    return red, green, blue


def _contrast(colour: Colour) -> Colour:
    """Black or white, whichever is read better on `colour` (relative luminance of sRGB)."""
    luminance = 0.2126 * colour[0] + 0.7152 * colour[1] + 0.0722 * colour[2]
    return INK if luminance > 120 else PAPER
