"""Small pictures that a page carries within itself."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass
from io import BytesIO

from bench.report.overlay import Colours, Region, thumbnail
from bench.types import Image

SIDE = 440
"""The longer side of a picture, in pixels."""
LARGEST = 48_000
"""The most bytes of a picture, where the lowest quality fits them."""
QUALITIES = (82, 68, 52, 36)


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a data address, with its size in pixels."""

    address: str
    width: int
    height: int


def picture(image: Image, regions: Sequence[Region], colours: Colours) -> Picture:
    """The image under its regions as WebP, at the best quality that is small enough."""
    drawn = thumbnail(image, regions, colours=colours, side=SIDE)
    for quality in QUALITIES:
        file = BytesIO()
        drawn.save(file, "WEBP", quality=quality, method=4)
        if file.tell() <= LARGEST:
            break
    address = f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"
    return Picture(address, *drawn.size)
