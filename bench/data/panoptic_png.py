"""Panoptic truth in one PNG a picture: class and object are both in the pixel's value.

Three encodings are in use: COCO's two-channel form, Cityscapes' instance ids, BDD100K's bitmasks.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

import numpy as np
from jaxtyping import Bool, Int

from bench.data.images import open_image
from bench.data.label_maps import require_size, single_channel
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.data.values import Values, ValueTable, unlisted_values
from bench.errors import DataError
from bench.types import VOID, Panoptic, Segment


class Encoding(StrEnum):
    """What a pixel says."""

    TWO_CHANNEL = "two-channel"
    """Red is the class, green the number of the object (panopticapi's second format)."""
    CITYSCAPES = "cityscapes"
    """Class × 1000 + number for an object; the class alone for stuff and for groups of things."""
    BDD_BITMASK = "bdd-bitmask"
    """Red is the class, green its attributes (1 ignored, 2 crowd), blue and alpha the id."""


@dataclass(frozen=True)
class Coded:
    """Pixels split into segments: an id a pixel, and for each id its class value and crowd bit."""

    ids: Int[np.ndarray, "height width"]
    shown: Int[np.ndarray, " segment"]
    values: Int[np.ndarray, " segment"]
    crowd: Bool[np.ndarray, " segment"]


def _two_channel(pixels: np.ndarray, path: Path) -> Coded:
    if pixels.ndim != 3:
        raise DataError(f"{path} is not in the two-channel form: it needs red and green.")
    ids = (pixels[..., 0].astype(np.int32) << 8) | pixels[..., 1]
    shown = _shown(ids)
    return Coded(ids, shown, shown >> 8, np.zeros(len(shown), bool))


def _cityscapes(pixels: np.ndarray, path: Path) -> Coded:
    # One more than the value, so that the class 0 (unlabeled) is not taken for void's id.
    ids = single_channel(pixels, path).astype(np.int32) + 1
    shown = _shown(ids)
    single = shown > 1000
    return Coded(ids, shown, np.where(single, (shown - 1) // 1000, shown - 1), ~single)


def _bdd_bitmask(pixels: np.ndarray, path: Path) -> Coded:
    if pixels.ndim != 3 or pixels.shape[2] != 4:
        raise DataError(f"{path} is not a BDD100K bitmask: it needs red, green, blue and alpha.")
    ids = (pixels[..., 2].astype(np.int32) << 8) | pixels[..., 3]
    shown = _shown(ids)
    coded = np.zeros((2, int(ids.max()) + 1), np.uint8)
    coded[:, ids.ravel()] = pixels[..., :2].reshape(-1, 2).T
    value, attributes = coded[:, shown]
    return Coded(ids, shown, value.astype(np.int32), (attributes & 3) > 0)


def _shown(ids: Int[np.ndarray, "height width"]) -> Int[np.ndarray, " segment"]:
    return np.flatnonzero(np.bincount(ids.ravel()))[int(not ids.all()) :]


_DECODE: dict[Encoding, Callable[[np.ndarray, Path], Coded]] = {
    Encoding.TWO_CHANNEL: _two_channel,
    Encoding.CITYSCAPES: _cityscapes,
    Encoding.BDD_BITMASK: _bdd_bitmask,
}


class PanopticPngOptions(Values):
    """Options of the reader `panoptic-png`."""

    files: str
    """Where the PNG files are, with {id} in place of the sample's id."""
    encoding: Encoding


@dataclass(frozen=True)
class PanopticPngs:
    """Segments as one PNG a sample."""

    root: Path
    pattern: Pattern
    encoding: Encoding
    table: ValueTable
    things: frozenset[int]

    def read(self, id: str, size: tuple[int, int]) -> Panoptic:
        """The segments of an image."""
        path = self.root / self.pattern.fill(id)
        coded = _DECODE[self.encoding](np.asarray(open_image(path)), path)
        require_size(path, coded.ids, size)
        segments, void = [], []
        for shown, value, crowd in zip(
            coded.shown.tolist(), coded.values.tolist(), coded.crowd.tolist(), strict=True
        ):
            label = self.table.label(value)
            if label is None:
                raise unlisted_values(path, [value])
            if label == VOID:
                void.append(shown)
            else:
                segments.append(Segment(shown, label, crowd=crowd and label in self.things))
        ids = coded.ids
        if void:
            ids[np.isin(ids, void)] = 0
        return Panoptic(ids, tuple(segments))

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the samples' files, in the order of ids."""
        return contents(self.pattern.files_of(self.root, ids))


def open_panoptic_pngs(options: PanopticPngOptions, opening: Opening) -> PanopticPngs:
    """The PNG files that fit a pattern, under a vocabulary."""
    home, pattern = opening.home, Pattern(options.files)
    if not pattern.fits_any(home.path):
        home.folder(".")
        raise home.missing(f"no {options.files} in {home.path}.")
    table = options.table(opening.vocabulary)
    return PanopticPngs(home.path, pattern, options.encoding, table, opening.vocabulary.things)


PANOPTIC_PNG = Reader(
    "segments as one PNG a picture: two-channel, Cityscapes, BDD100K",
    PanopticPngOptions,
    truths={"panoptic": open_panoptic_pngs},
)
