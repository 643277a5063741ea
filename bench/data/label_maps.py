"""Label maps: an image whose pixels name classes, as 8 or 16 bits, a palette, or colours.

A palette image is read by index, never by the colour the index shows. Labels are never resized: a
map of another size than its image is an error.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int, UInt8
from pydantic import Field

from bench.data.images import open_image
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.data.values import Values, ValueTable, unlisted_values
from bench.errors import DataError, UnknownName
from bench.types import VOID, LabelMap, Vocabulary

Colour = tuple[int, int, int]


class LabelMapOptions(Values):
    """Options of the reader `label-map`."""

    files: str
    """Where the label maps are, with {id} in place of the sample's id."""
    colours: dict[str, Colour] = Field(default_factory=dict)
    """The red, green and blue of each class, for maps that name classes by colour."""
    void_colours: tuple[Colour, ...] = ()
    """Colours that are void."""


@dataclass(frozen=True)
class LabelMaps:
    """Label maps as files, by sample id."""

    root: Path
    pattern: Pattern
    index: Mapping[str, Path]
    """Where the pattern leaves the path open; else empty."""
    code: "ValueTable | ColourTable"

    def read(self, id: str, size: tuple[int, int]) -> LabelMap:
        """The label of every pixel, void as -1."""
        path = self._path(id)
        pixels = np.asarray(open_image(path))
        require_size(path, pixels, size)
        if isinstance(self.code, ColourTable):
            return self.code.labels(pixels, path)
        return self.code.labels(single_channel(pixels, path), path)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the samples' files, in the order of ids."""
        return contents(self.pattern.files_of(self.root, ids))

    def _path(self, id: str) -> Path:
        if self.pattern.exact:
            return self.root / self.pattern.fill(id)
        if id not in self.index:
            raise DataError(f"'{id}' has no label map {self.pattern.text} in {self.root}.")
        return self.index[id]


def require_size(path: Path, pixels: np.ndarray, size: tuple[int, int]) -> None:
    """Refuse truth of another size than its image."""
    if pixels.shape[:2] != size:
        raise DataError(
            f"{path} is {pixels.shape[1]}×{pixels.shape[0]}, but its image is "
            f"{size[1]}×{size[0]}: the truth would not lie on it."
        )


def single_channel(pixels: np.ndarray, path: Path) -> Int[np.ndarray, "height width"]:
    """The values of a grey image; one stored in three equal channels counts as grey."""
    if pixels.ndim == 2 and pixels.dtype.kind in "uib":
        return pixels.view(np.uint8) if pixels.dtype == bool else pixels
    if pixels.ndim == 2:
        raise DataError(f"{path} has fractions for pixels, and labels must be whole numbers.")
    if pixels.shape[2] == 3 and bool((pixels == pixels[..., :1]).all()):
        return pixels[..., 0]
    raise DataError(
        f"{path} is in colour ({pixels.shape[2]} channels): give the class of each colour in the "
        "reader's 'colours'."
    )


class ColourTable:
    """The label of every colour that is one."""

    def __init__(self, colours: Mapping[Colour, int], *, rest_is_void: bool) -> None:
        packed = {(r << 16) | (g << 8) | b: label for (r, g, b), label in colours.items()}
        self._codes = np.array(sorted(packed), np.int32)
        self._labels = np.array([packed[code] for code in sorted(packed)], np.int32)
        self._rest_is_void = rest_is_void

    def labels(
        self, pixels: UInt8[np.ndarray, "height width *channels"], path: Path
    ) -> Int[np.ndarray, "height width"]:
        """The labels of an image's colours; `DataError` naming those that are no class."""
        if pixels.ndim != 3 or pixels.shape[2] not in (3, 4):
            raise DataError(f"{path} is not in colour, and its classes are given as colours.")
        red, green, blue = (pixels[..., i].astype(np.int32) for i in range(3))
        codes = (red << 16) | (green << 8) | blue
        at = np.searchsorted(self._codes, codes).clip(max=len(self._codes) - 1)
        known = self._codes[at] == codes
        if not self._rest_is_void and not known.all():
            strange = np.unique(codes[~known]).tolist()
            raise unlisted_values(path, [((c >> 16), (c >> 8) & 255, c & 255) for c in strange])
        return np.where(known, self._labels[at], VOID)


def _colour_table(options: LabelMapOptions, vocabulary: Vocabulary) -> ColourTable:
    label_of = {name: label for label, name in enumerate(vocabulary.names)}
    table = dict.fromkeys(options.void_colours, VOID)
    for name, colour in options.colours.items():
        if name not in label_of:
            raise UnknownName("class", name, label_of, hint="It stands in the reader's 'colours'.")
        table[colour] = label_of[name]
    return ColourTable(table, rest_is_void=options.unlisted.value == "leave-out")


def open_label_maps(options: LabelMapOptions, opening: Opening) -> LabelMaps:
    """The label maps that fit a pattern, under a vocabulary."""
    home, pattern = opening.home, Pattern(options.files)
    files = dict(pattern.files(home.path))
    if not files:
        home.folder(".")
        raise home.missing(f"no {options.files} in {home.path}.")
    code: ValueTable | ColourTable
    if options.colours:
        code = _colour_table(options, opening.vocabulary)
    else:
        code = options.table(opening.vocabulary)
    return LabelMaps(home.path, pattern, {} if pattern.exact else files, code)


LABEL_MAP = Reader(
    "images whose pixels name classes",
    LabelMapOptions,
    truths={"semantic": open_label_maps},
)
