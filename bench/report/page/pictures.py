"""Small pictures that a page carries within itself."""

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from io import BytesIO

from bench.report.overlay import Colours, Region, thumbnail
from bench.types import Image

SIDE = 440
"""The longer side of a picture, in pixels."""
LARGEST = 48_000
"""The most bytes of a picture, where the lowest quality fits them."""
QUALITIES = (82, 68, 52, 36)
EFFORT = 2
"""How hard WebP tries, of 6: more takes twice the time for a few percent of the bytes."""


@dataclass(frozen=True, slots=True)
class Picture:
    """A picture as a data address, with its size in pixels."""

    address: str
    width: int
    height: int


@dataclass
class Painter:
    """Makes the pictures of one dataset, in which a class has one colour."""

    _colours: Colours = field(default_factory=Colours)
    _made: dict[tuple[str, str], Picture] = field(default_factory=dict)

    def picture(self, image: Image, regions: Sequence[Region]) -> Picture:
        """The image under its regions as WebP, at the best quality that is small enough."""
        drawn = thumbnail(image, regions, colours=self._colours, side=SIDE)
        for quality in QUALITIES:
            file = BytesIO()
            drawn.save(file, "WEBP", quality=quality, method=EFFORT)
            if file.tell() <= LARGEST:
                break
        address = f"data:image/webp;base64,{b64encode(file.getvalue()).decode()}"
        return Picture(address, *drawn.size)

    def shared(self, id: str, what: str, image: Image, regions: Sequence[Region]) -> Picture:
        """The same for what several runs show of an image, such as its truth: made once."""
        if (id, what) not in self._made:
            self._made[id, what] = self.picture(image, regions)
        return self._made[id, what]
