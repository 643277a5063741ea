"""Objects as COCO writes them: polygons, run lengths, crowds. Roboflow's exports too.

Masks are exactly what pycocotools makes of the same annotation: several polygons are joined, and a
pixel belongs to a polygon by its rasteriser's rule. Boxes without masks are refused where a mask
is scored; an image without annotations is an image without objects.
"""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.data.categories import (
    Categories,
    CategoryOptions,
    DuplicateNames,
    labels_of,
    read_categories,
)
from bench.data.coco_json import CocoFile, ListedImage, read_coco
from bench.data.pattern import Pattern
from bench.data.source import Home, Opening, Reader, contents
from bench.errors import DataError
from bench.metrics.rle import decompress, from_counts, from_polygons
from bench.types import Mask, TrueInstance, TrueInstances, Vocabulary


class InstancesOptions(CategoryOptions):
    """Options of the reader `coco-instances`."""

    json_file: str
    """The COCO file, such as `annotations/instances_val2017.json`."""
    otherwise: str | None = None
    """The file that is read where that one is not there: an export beside a release made of it."""
    file_name: str = "{id}"
    """Its `file_name` with {id} in place of the sample's id."""
    duplicates: DuplicateNames = DuplicateNames.MERGE


@dataclass(frozen=True)
class InstancesFile:
    """The objects of a COCO file, by sample id."""

    coco: CocoFile
    images: Mapping[str, ListedImage]
    labels: Mapping[int, int | None]
    notes: tuple[str, ...] = ()

    def read(self, id: str, size: tuple[int, int]) -> TrueInstances:
        """Every object of an image; none for an image that the file does not list."""
        image = self.images.get(id)
        if image is None:
            return TrueInstances(())
        check_size(self.coco.path, image, size)
        rows = self.coco.annotations.get(image.id, ())
        found = (self._instance(row, size) for row in rows)
        return TrueInstances(tuple(instance for instance in found if instance is not None))

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The file's bytes."""
        return contents([self.coco.path])

    def _instance(self, row: Mapping[str, Any], size: tuple[int, int]) -> TrueInstance | None:
        try:
            category = row["category_id"]
            if isinstance(category, list | dict) or category not in self.labels:
                raise ValueError(f"its category {category!r} is not in 'categories'")
            label = self.labels[category]
            if label is None:
                return None
            crowd, area = crowd_of(row), row.get("area")
            return TrueInstance(
                id=int(row["id"]),
                label=label,
                mask=mask_of(row.get("segmentation"), size),
                crowd=crowd,
                area=None if area is None else float(area),
                box=_box(row.get("bbox")),
            )
        except KeyError as error:
            reason = f"it has no {error}"
        except (ValueError, TypeError, OverflowError) as error:
            reason = str(error)
        raise DataError(f"{self.coco.path}: annotation {row.get('id')} cannot be read: {reason}.")


def crowd_of(row: Mapping[str, Any]) -> bool:
    """Whether an annotation or a segment is a crowd; it is none where it does not say.

    >>> crowd_of({"iscrowd": 1}), crowd_of({})
    (True, False)
    """
    said = row.get("iscrowd")
    if said is None:  # absent, or null as some exporters write
        return False
    if said not in (0, 1):
        raise ValueError(f"its 'iscrowd' is {said!r} and must be 0 or 1")
    return bool(said)


def mask_of(segmentation: Any, size: tuple[int, int]) -> Mask:
    """The mask of a `segmentation`, polygons or run lengths, in an image of that size.

    >>> mask_of([[0, 0, 2, 0, 2, 2, 0, 2]], (3, 4)).area
    4
    """
    height, width = size
    if not segmentation:
        raise ValueError("it has a box but no polygon or run lengths, and a mask is needed")
    if not isinstance(segmentation, dict | list):
        raise ValueError(f"a mask is polygons or run lengths, not {segmentation!r:.40}")
    if isinstance(segmentation, dict):
        return _from_runs(segmentation, size)
    polygons = [polygon for polygon in map(_polygon, segmentation) if len(polygon) >= 6]
    if not polygons:
        return from_counts([height * width], height, width)
    return from_polygons(polygons, height, width)


def _polygon(numbers: Any) -> list[float]:
    """Coordinates x, y, x, y, …; fewer than three points enclose nothing, as in pycocotools."""
    if not isinstance(numbers, list) or not all(isinstance(n, int | float) for n in numbers):
        raise ValueError("a polygon must be a list of numbers")
    if len(numbers) % 2:
        raise ValueError(f"a polygon has {len(numbers)} numbers, an odd count")
    try:
        coordinates = list(map(float, numbers))
    except OverflowError:  # an integer of hundreds of digits
        coordinates = [math.inf]
    if not all(map(math.isfinite, coordinates)):
        raise ValueError("a polygon has a coordinate that is not finite")
    return coordinates


def _from_runs(segmentation: Mapping[str, Any], size: tuple[int, int]) -> Mask:
    stated, counts = segmentation.get("size", ()), segmentation.get("counts")
    stated = tuple(stated) if isinstance(stated, list) else stated
    if stated != size:
        raise ValueError(f"its run lengths are for height and width {stated}, the image has {size}")
    if isinstance(counts, str):
        return decompress(counts, *size)
    if isinstance(counts, list):
        return from_counts(counts, *size)
    raise ValueError("its run lengths have no 'counts'")


def _box(box: Sequence[float] | None) -> tuple[float, float, float, float] | None:
    if not box:
        return None
    x, y, w, h = map(float, box)
    return x, y, x + w, y + h


def check_size(path: Path, image: ListedImage, size: tuple[int, int]) -> None:
    """Refuse an image whose file has another size than the annotations were made for."""
    if image.size is not None and image.size != size:
        turned = " (turned by its EXIF orientation?)" if image.size == size[::-1] else ""
        raise DataError(
            f"{path} was made for a {image.width}×{image.height} '{image.file_name}', but the "
            f"image is {size[1]}×{size[0]}{turned}: masks would not lie on it."
        )


def _own_categories(path: Path, duplicates: DuplicateNames, home: Home) -> Categories:
    coco = home.once(read_coco, path)
    rows = (row for rows in coco.annotations.values() for row in rows)
    stated = (row.get("category_id") for row in rows)
    used: set[Any] = {id for id in stated if not isinstance(id, list | dict)}
    return read_categories(path, coco.categories, used, duplicates)


def _vocabulary(options: InstancesOptions, home: Home) -> Vocabulary:
    return _own_categories(_json_file(options, home), options.duplicates, home).vocabulary


def _json_file(options: InstancesOptions, home: Home) -> Path:
    return home.either(options.json_file, options.otherwise)


def open_instances(options: InstancesOptions, opening: Opening) -> InstancesFile:
    """The objects of a COCO file under a vocabulary."""
    home = opening.home
    coco = home.once(read_coco, _json_file(options, home))
    own = _own_categories(coco.path, options.duplicates, home)
    refuse_boxes_only(coco)
    instead = coco.path != home.path / options.json_file
    return InstancesFile(
        coco,
        coco.by_id(Pattern(options.file_name)),
        labels_of(own, opening.vocabulary, options),
        (*own.notes, *((f"read {options.otherwise}: no {options.json_file}",) if instead else ())),
    )


def refuse_boxes_only(coco: CocoFile) -> None:
    """Raise `DataError` for a file that has boxes and not one mask."""
    rows = [row for rows in coco.annotations.values() for row in rows]
    if rows and not any(row.get("segmentation") for row in rows):
        raise DataError(
            f"{coco.path} has {len(rows)} boxes and no masks: every 'segmentation' is empty. It is "
            "a detection export, and masks cannot be scored with it; export it with polygons."
        )


INSTANCES = Reader(
    "objects with masks, as COCO and Roboflow write them",
    InstancesOptions,
    truths={"instance": open_instances},
    vocabulary=_vocabulary,
)
