"""Panoptic truth as COCO writes it: a JSON file of segments and a PNG a picture of their ids.

An id is R + 256 G + 65536 B, and 0 is void. The readers `from-panoptic` give the label map and the
objects that follow from the same segments, without reading them again.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int, UInt8

from bench.data.categories import Categories, CategoryOptions, labels_of, read_categories
from bench.data.coco_instances import check_size, crowd_of
from bench.data.coco_json import CocoFile, ListedImage, read_coco
from bench.data.images import open_image
from bench.data.label_maps import require_size
from bench.data.pattern import Pattern
from bench.data.source import Derived, Home, Opening, Reader, contents
from bench.errors import DataError
from bench.protocol import Strict
from bench.types import (
    VOID,
    LabelMap,
    Mask,
    Panoptic,
    Segment,
    TrueInstance,
    TrueInstances,
    Vocabulary,
)


class PanopticOptions(CategoryOptions):
    """Options of the reader `coco-panoptic`."""

    json_file: str
    """The COCO file, such as `annotations/panoptic_val2017.json`."""
    folder: str
    """Where its PNG files are."""
    file_name: str = "{id}"
    """The `file_name` of its images with {id} in place of the sample's id."""


@dataclass(frozen=True)
class PanopticFiles:
    """Segments by sample id."""

    coco: CocoFile
    folder: Path
    images: Mapping[str, ListedImage]
    labels: Mapping[int, int | None]
    notes: tuple[str, ...] = ()

    def read(self, id: str, size: tuple[int, int]) -> Panoptic:
        """The segments of an image; all void for an image that the file does not list."""
        image = self.images.get(id)
        rows = self.coco.annotations.get(image.id, ()) if image else ()
        if image is None or not rows:
            return Panoptic(np.zeros(size, np.int32), ())
        check_size(self.coco.path, image, size)
        if len(rows) > 1:
            raise DataError(f"{self.coco.path} annotates image {image.id} twice.")
        path = self.folder / self._png(rows[0])
        ids = read_ids(path)
        require_size(path, ids, size)
        segments, left_out = self._segments(rows[0])
        return Panoptic(_checked(ids, segments, left_out, path), segments)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the JSON file, then of every PNG in its order."""
        rows = (row for rows in self.coco.annotations.values() for row in rows)
        return contents([self.coco.path, *(self.folder / self._png(row) for row in rows)])

    def _png(self, row: Mapping[str, Any]) -> str:
        if not isinstance(row.get("file_name"), str):
            raise DataError(f"{self.coco.path}: the annotation of {row['image_id']} names no file.")
        return str(row["file_name"])

    def _segments(self, row: Mapping[str, Any]) -> tuple[tuple[Segment, ...], list[int]]:
        segments, left_out = [], []
        try:
            for info in row["segments_info"]:
                if info["category_id"] not in self.labels:
                    raise ValueError(f"category {info['category_id']} is not in 'categories'")
                label = self.labels[info["category_id"]]
                if label is None:
                    left_out.append(int(info["id"]))
                else:
                    crowd = crowd_of(info)
                    segments.append(
                        Segment(int(info["id"]), label, crowd=crowd, area=info.get("area"))
                    )
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"{self.coco.path}: the segments of {row['file_name']} cannot be read: {error}."
            ) from error
        return tuple(segments), left_out


def read_ids(path: Path) -> Int[np.ndarray, "height width"]:
    """The segment id of every pixel of a panoptic PNG."""
    pixels = np.asarray(open_image(path))
    if pixels.ndim != 3 or pixels.shape[2] < 3 or pixels.dtype != np.uint8:
        raise DataError(f"{path} is not a panoptic PNG: it needs red, green and blue.")
    return ids_of(pixels)


def ids_of(pixels: UInt8[np.ndarray, "height width channel"]) -> Int[np.ndarray, "height width"]:
    """R + 256 G + 65536 B.

    >>> ids_of(np.array([[[1, 2, 0]]], np.uint8)).tolist()
    [[513]]
    """
    ids = pixels[..., 2].astype(np.int32)
    for channel in (1, 0):
        ids <<= 8
        ids |= pixels[..., channel]
    return ids


def _checked(
    ids: Int[np.ndarray, "height width"],
    segments: tuple[Segment, ...],
    left_out: list[int],
    path: Path,
) -> Int[np.ndarray, "height width"]:
    """The map with left-out segments void; `DataError` for a pixel of a segment nobody lists."""
    # Runs of equal ids are few: look at their first pixels, not at all.
    flat = ids.ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    shown = set(np.unique(flat[starts]).tolist()) - {0}
    if strange := sorted(shown - {segment.id for segment in segments} - set(left_out)):
        raise DataError(f"{path} shows segment {strange[0]}, which the JSON file does not list.")
    if left_out:
        ids[np.isin(ids, left_out)] = 0
    return ids


def label_map(panoptic: Panoptic) -> LabelMap:
    """The label of every pixel of a panoptic truth; crowds are of their class, void is -1."""
    ids = np.array([0, *(segment.id for segment in panoptic.segments)], np.int64)
    labels = np.array([VOID, *(segment.label for segment in panoptic.segments)], np.int32)
    order = np.argsort(ids)
    flat = panoptic.ids.ravel()
    starts = np.concatenate(([0], np.flatnonzero(flat[1:] != flat[:-1]) + 1))
    lengths = np.diff(np.append(starts, flat.size))
    at = order[np.searchsorted(ids[order], flat[starts])]
    return np.repeat(labels[at], lengths).reshape(panoptic.ids.shape)


def objects(panoptic: Panoptic, things: frozenset[int]) -> TrueInstances:
    """The objects of a panoptic truth: its segments of countable classes, as far as visible."""
    return TrueInstances(
        tuple(
            TrueInstance(s.id, s.label, Mask.encode(panoptic.ids == s.id), crowd=s.crowd)
            for s in panoptic.segments
            if s.label in things
        )
    )


def open_panoptic(options: PanopticOptions, opening: Opening) -> PanopticFiles:
    """The segments of a COCO panoptic file under a vocabulary."""
    home = opening.home
    coco = home.once(read_coco, home.file(options.json_file))
    images = coco.by_id(Pattern(options.file_name))
    own = _own_categories(coco)
    labels = labels_of(own, opening.vocabulary, options)
    return PanopticFiles(coco, home.folder(options.folder), images, labels, own.notes)


def _own_categories(coco: CocoFile) -> Categories:
    """All of them: a panoptic file has no placeholder."""
    used = {category.id for category in coco.categories}
    return read_categories(coco.path, coco.categories, used)


def _vocabulary(options: PanopticOptions, home: Home) -> Vocabulary:
    return _own_categories(home.once(read_coco, home.file(options.json_file))).vocabulary


PANOPTIC = Reader(
    "segments as a JSON file and PNG files, as COCO writes them",
    PanopticOptions,
    truths={"panoptic": open_panoptic},
    vocabulary=_vocabulary,
)


class NoOptions(Strict):
    """A reader without options."""


def _semantic(options: NoOptions, opening: Opening) -> Derived:
    return Derived("panoptic", label_map)


def _instance(options: NoOptions, opening: Opening) -> Derived:
    things = opening.vocabulary.things
    return Derived("panoptic", lambda truth: objects(truth, things))


FROM_PANOPTIC = Reader(
    "what follows from the panoptic truth of the same split",
    NoOptions,
    truths={"semantic": _semantic, "instance": _instance},
)
