"""COCO annotations and a COCO result file, checked against each other, as rows and as objects.

A result is `{"image_id", "category_id", "score"}` with a `segmentation` (run lengths, compressed or
not, or polygons), a `bbox`, or both. The first one decides for the file whether there are masks
and whether boxes are stated, as in pycocotools.
"""

from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.coco_instances import crowd_of, mask_of
from bench.errors import DataError
from bench.metrics import rle
from bench.scoring.files import is_finite, is_whole, read_json, some
from bench.types import Instances, Mask, TrueInstance, TrueInstances

Row = Mapping[str, Any]

_FREQUENCIES = {"r": "APr", "c": "APc", "f": "APf"}


@dataclass(frozen=True)
class CocoObjects:
    """The truth and the results of a set of images, images and categories in the order of ids."""

    images: Mapping[int, Row]
    categories: Mapping[int, Row]
    objects: Sequence[Row]
    """Annotations with `id`, `image_id`, `category_id`, `segmentation`, `area`, `bbox`,
    `iscrowd`; ids as the file has them."""
    results: list[dict[str, Any]]

    @property
    def has_masks(self) -> bool:
        """Whether the results are masks; without any result, whether the truth is."""
        rows = self.results or self.objects
        return bool(rows) and bool(rows[0].get("segmentation"))

    @property
    def has_boxes(self) -> bool:
        """Whether the results state boxes."""
        return bool(self.results) and bool(self.results[0].get("bbox"))

    @property
    def federated(self) -> bool:
        """Whether images say which categories were looked for, as LVIS's do."""
        return any("neg_category_ids" in image for image in self.images.values())

    def names(self) -> tuple[str, ...]:
        """The categories' names; two of one name are told apart by their ids."""
        names = [str(row.get("name", id)) for id, row in self.categories.items()]
        return tuple(
            f"{name} ({id})" if names.count(name) > 1 else name
            for name, id in zip(names, self.categories, strict=True)
        )

    def groups(self) -> dict[str, frozenset[int]]:
        """LVIS's rare, common and frequent categories by the name of their score."""
        rows = list(enumerate(self.categories.values()))
        if not all(row.get("frequency") in tuple(_FREQUENCIES) for _, row in rows):
            return {}
        return {
            score: frozenset(label for label, row in rows if row["frequency"] == frequency)
            for frequency, score in _FREQUENCIES.items()
        }

    def without_boxes(self) -> "CocoObjects":
        """The same results, their boxes left out."""
        results = [{k: v for k, v in row.items() if k != "bbox"} for row in self.results]
        return replace(self, results=results)

    def pairs(self) -> Iterator[tuple[Instances, TrueInstances]]:
        """The results and the objects of each image."""
        objects, results = _by_image(self.objects), _by_image(self.results)
        for id, image in self.images.items():
            size = image["height"], image["width"]
            true = tuple(self._object(row, size) for row in objects.get(id, ()))
            yield (
                self._instances(results.get(id, ()), size),
                TrueInstances(true, self._exhaustive(image, true)),
            )

    @cached_property
    def _labels(self) -> Mapping[int, int]:
        return {id: label for label, id in enumerate(self.categories)}

    def _object(self, row: Row, size: tuple[int, int]) -> TrueInstance:
        return TrueInstance(
            id=row["id"],
            label=self._labels[row["category_id"]],
            mask=_mask(row["segmentation"], size),
            crowd=bool(row["iscrowd"]),
            area=row["area"],
            box=_corners(row["bbox"]) if row["bbox"] else None,
        )

    def _instances(self, rows: Sequence[Row], size: tuple[int, int]) -> Instances:
        masks = self.has_masks
        return Instances(
            tuple(_mask(row["segmentation"] if masks else None, size) for row in rows),
            np.array([self._labels[row["category_id"]] for row in rows], np.int64),
            np.array([row["score"] for row in rows], np.float64),
            np.array([_corners(row["bbox"]) for row in rows]).reshape(-1, 4)
            if self.has_boxes
            else None,
        )

    def _exhaustive(self, image: Row, true: Sequence[TrueInstance]) -> frozenset[int] | None:
        if not self.federated:
            return None
        partly = {self._labels[id] for id in image.get("not_exhaustive_category_ids", ())}
        without = {self._labels[id] for id in image.get("neg_category_ids", ())}
        return frozenset(without | {instance.label for instance in true}) - partly


def _by_image(rows: Sequence[Row]) -> dict[int, list[Row]]:
    found: dict[int, list[Row]] = defaultdict(list)
    for row in rows:
        found[row["image_id"]].append(row)
    return found


def _mask(segmentation: Any, size: tuple[int, int]) -> Mask:
    """A mask from run lengths or polygons; an empty one where there is none."""
    if not segmentation:
        return Mask(*size, np.array([size[0] * size[1]], np.uint32))
    if isinstance(segmentation, dict) and isinstance(segmentation.get("counts"), str):
        return rle.decompress(segmentation["counts"], *size)
    return mask_of(segmentation, size)


def _corners(box: Sequence[float]) -> tuple[float, float, float, float]:
    x, y, width, height = map(float, box)
    return x, y, x + width, y + height


# --- reading -------------------------------------------------------------------------------------


def read_coco_objects(truth: Path, predictions: Path) -> CocoObjects:
    """Read and check both files.

    Raises:
        DataError: a row lacks what it needs, names an image or a category that the truth does not
            have, or has a mask that cannot be read or does not fit its image. An image without
            results is none.
    """
    content = read_json(truth, "COCO annotations")
    if not isinstance(content, dict) or not all(
        isinstance(content.get(key), list) for key in ("images", "annotations", "categories")
    ):
        raise DataError(f"{truth}: COCO annotations have 'images', 'annotations' and 'categories'.")
    images = _by_id(truth, content["images"], "images", ("height", "width"))
    categories = _by_id(truth, content["categories"], "categories", ())
    _check_searched(truth, images, categories)
    _check(truth, content["annotations"], images, categories, "id")
    rows = _with_sound_masks(truth, content["annotations"], images, _annotation)
    objects = [_completed(truth, row, images[row["image_id"]]) for row in rows]
    results = read_json(predictions, "COCO results")
    if not isinstance(results, list):
        raise DataError(
            f"{predictions}: COCO results are a list of objects, this is "
            f"a {type(results).__name__}."
        )
    _check(predictions, results, images, categories, "score")
    results = _with_sound_masks(predictions, results, images, _result)
    found = CocoObjects(images, categories, objects, results)
    return replace(found, results=_with_run_lengths(predictions, found))


def _by_id(path: Path, rows: Sequence[Any], what: str, needed: Sequence[str]) -> dict[int, Row]:
    found = {}
    for row in rows:
        missing = [key for key in ("id", *needed) if not isinstance(row, dict) or key not in row]
        if missing:
            raise DataError(f"{path}: an entry of '{what}' has no '{missing[0]}'.")
        for key in ("id", *needed):
            if not is_whole(row[key]) or (key != "id" and row[key] < 0):
                raise DataError(
                    f"{path}: an entry of '{what}' has the '{key}' {row[key]!r:.80}, which must be "
                    "a whole number."
                )
        if row["id"] in found:
            raise DataError(f"{path}: two entries of '{what}' have the id {row['id']}.")
        found[row["id"]] = {**row, **{key: int(row[key]) for key in needed}}
    return {id: found[id] for id in sorted(found)}


def _check_searched(path: Path, images: Mapping[int, Row], categories: Mapping[int, Row]) -> None:
    """LVIS's lists of categories in each image."""
    for image in images.values():
        for key in ("neg_category_ids", "not_exhaustive_category_ids"):
            listed = image.get(key, ())
            if not isinstance(listed, list | tuple) or any(
                isinstance(id, list | dict) or id not in categories for id in listed
            ):
                raise DataError(
                    f"{path}: '{key}' of image {image['id']} should be a list of ids of "
                    f"'categories', and is {listed!r:.80}."
                )


def _check(
    path: Path,
    rows: Sequence[Any],
    images: Mapping[int, Row],
    categories: Mapping[int, Row],
    needed: str,
) -> None:
    for key, known in (("image_id", images), ("category_id", categories)):
        stated = _column(path, rows, key)
        try:
            unknown = set(stated) - known.keys()
        except TypeError:
            wrong = next(id for id in stated if not isinstance(id, int | float | str))
            raise DataError(
                f"{path}: '{key}' must be a whole number, found {wrong!r:.80}."
            ) from None
        if unknown:
            raise DataError(
                f"{path}: {len(unknown)} values of '{key}' are not in the truth: {some(unknown)}. "
                "Were these made for another split, or with other ids?"
            )
    values = _column(path, rows, needed)
    if needed == "score" and not all(is_finite(s) and not isinstance(s, bool) for s in values):
        raise DataError(f"{path}: every 'score' must be a finite number.")


def _column(path: Path, rows: Sequence[Any], key: str) -> list[Any]:
    try:
        return [row[key] for row in rows]
    except (KeyError, TypeError):
        place = next(i for i, r in enumerate(rows) if not isinstance(r, dict) or key not in r)
        raise DataError(f"{path}: entry {place} (from 0) has no '{key}'.") from None


def _completed(path: Path, row: Row, image: Row) -> Row:
    """An annotation with every field that evaluation reads."""
    size = image["height"], image["width"]
    mask = row.get("segmentation") or None
    area, box = row.get("area"), row.get("bbox")
    if box and not _is_box(box):
        raise DataError(
            f"{path}: annotation {row['id']} has the 'bbox' {box!r:.80}, which must be 4 finite "
            "numbers."
        )
    if area is not None and not is_finite(area):
        raise DataError(
            f"{path}: annotation {row['id']} has the 'area' {area!r:.80}, which must be a finite "
            "number."
        )
    if mask and (area is None or not box):
        decoded = _checked_mask(path, row, size, _annotation(0, row))
        x, y, right, bottom = rle.boxes([decoded])[0].tolist()
        area = float(decoded.area) if area is None else area
        box = box or [x, y, right - x, bottom - y]
    if area is None and box:
        area = box[2] * box[3]
    if area is None:
        raise DataError(f"{path}: annotation {row['id']} has neither a mask nor a box.")
    try:
        crowd = int(crowd_of(row))
    except ValueError as error:
        raise DataError(f"{path}: annotation {row['id']} cannot be read: {error}.") from None
    return {**row, "segmentation": mask, "area": area, "bbox": box, "iscrowd": crowd}


def _is_box(box: Any) -> bool:
    return isinstance(box, list) and len(box) == 4 and all(map(is_finite, box))


def _with_run_lengths(path: Path, objects: CocoObjects) -> list[dict[str, Any]]:
    """The results, complete, polygons as run lengths, masks left out where boxes are scored."""
    sizes = {id: (image["height"], image["width"]) for id, image in objects.images.items()}
    has_masks, has_boxes = objects.has_masks, objects.has_boxes
    results = []
    for place, row in enumerate(objects.results):
        box = row.get("bbox")
        if has_masks:
            if not row.get("segmentation"):
                raise DataError(f"{path}: result {place} has no mask, and the first one has.")
            if not isinstance(row["segmentation"], dict):
                size = sizes[row["image_id"]]
                decoded = _checked_mask(path, row, size, _result(place, row))
                counts = rle.compress(decoded).decode()
                row = {**row, "segmentation": {"size": list(size), "counts": counts}}
        elif not box:
            raise DataError(f"{path}: result {place} has neither a 'segmentation' nor a 'bbox'.")
        if has_boxes and (not isinstance(box, list) or len(box) != 4):
            raise DataError(f"{path}: result {place} has no box of 4 numbers, and the first has.")
        if box and not _is_box(box):
            raise DataError(
                f"{path}: result {place} has the 'bbox' {box!r:.80}, which must be 4 finite "
                "numbers."
            )
        unread = {key for key, read in (("segmentation", has_masks), ("bbox", box)) if not read}
        if not unread.isdisjoint(row):
            row = {key: value for key, value in row.items() if key not in unread}
        results.append(row)
    return results


# --- masks ---------------------------------------------------------------------------------------

_AT_ONCE = 512
"""Masks that are checked together, which bounds the memory for it."""


def _annotation(place: int, row: Row) -> str:
    return f"annotation {row['id']}"


def _result(place: int, row: Row) -> str:
    return f"result {place}"


def _with_sound_masks(
    path: Path, rows: list[Any], images: Mapping[int, Row], called: Callable[[int, Row], str]
) -> list[Any]:
    """The rows, where every mask fits its image; whole floats as run lengths become integers.

    Many masks are checked at once and none is decoded, so that a file takes moments. Where a batch
    has something unusual, its masks are decoded one by one, which says what it is.
    """
    sizes = {id: (image["height"], image["width"]) for id, image in images.items()}
    sound: list[Any] = []
    for start in range(0, len(rows), _AT_ONCE):
        batch = rows[start : start + _AT_ONCE]
        if not _are_sound(batch, sizes):
            batch = [
                _decodable(path, row, sizes[row["image_id"]], called(place, row))
                for place, row in enumerate(batch, start=start)
            ]
        sound += batch
    return sound


def _are_sound(rows: Sequence[Row], sizes: Mapping[int, tuple[int, int]]) -> bool:
    """Whether run lengths fill their images, and polygons are near them."""
    strings, lists, polygons = [], [], []
    in_strings, in_lists = [], []
    for row in rows:
        mask = row.get("segmentation")
        if isinstance(mask, dict) and mask:
            height, width = sizes[row["image_id"]]
            counts = mask.get("counts")
            if mask.get("size") != [height, width]:
                return False
            if isinstance(counts, str):
                strings.append(counts)
                in_strings.append(height * width)
            elif isinstance(counts, list):
                lists.append(counts)
                in_lists.append(height * width)
            else:
                return False
        elif isinstance(mask, list):
            polygons += mask
        elif mask:
            return False
    return (
        rle.strings_fill(strings, in_strings)
        and rle.lists_fill(lists, in_lists)
        and rle.polygons_near(polygons)
    )


def _decodable(path: Path, row: Row, size: tuple[int, int], what: str) -> Row:
    """The row, if it has no mask or one that can be decoded."""
    mask = row.get("segmentation")
    if not mask:
        return row
    stated = mask.get("size") if isinstance(mask, dict) else None
    if isinstance(mask, dict) and stated != list(size):
        raise DataError(
            f"{path}: {what}, a mask of image {row['image_id']}, is for height and width "
            f"{stated!r:.80}, but the truth says {list(size)}."
        )
    decoded = _checked_mask(path, row, size, what)
    if not isinstance(mask, dict):
        return row
    counts = mask["counts"]
    if isinstance(counts, list):
        counts = rle.compress(decoded).decode()
    return {**row, "segmentation": {"size": list(size), "counts": counts}}


def _checked_mask(path: Path, row: Row, size: tuple[int, int], what: str) -> Mask:
    try:
        return _mask(row["segmentation"], size)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise DataError(
            f"{path}: {what}, a mask of image {row['image_id']}, cannot be read: {error}."
        ) from None
