"""`bench score panoptic`: panoptic maps as COCO or BDD100K writes them.

COCO: a JSON file on each side, its PNG files in the folder beside it that has its name. BDD100K: a
folder of RGBA bitmasks on each side.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from bench.data.coco_instances import crowd_of
from bench.data.coco_panoptic import read_ids
from bench.errors import DataError, DataMissing, UnknownName, UsageError
from bench.metrics.meter import Scores, Statistics
from bench.metrics.panoptic import Counts, PanopticQuality
from bench.protocol import PanopticMetric, Protocol, VoidRule
from bench.scoring import bdd100k
from bench.scoring.classes import Classes, read_classes
from bench.scoring.files import check_ids, is_finite, is_whole, read_json, some
from bench.types import Panoptic, Segment


class Layout(StrEnum):
    """How panoptic maps are written."""

    COCO = "coco"
    """A JSON file with `annotations` and a folder of PNG files whose colours are segment ids."""
    BDD_BITMASK = "bdd-bitmask"
    """A folder of PNG files that hold class, attributes and id of every pixel."""


class Engine(StrEnum):
    """What reads the files and counts. The counts are the same."""

    HOTCOCO = "hotcoco"
    """Several images at once, so that sums of IoU may differ in their last digit."""
    BENCH = "bench"
    """The meter of a run, image by image: the digits of panopticapi on one core."""


def score(
    truth: Path,
    predictions: Path,
    protocol: Protocol,
    engine: str | None = None,
    layout: str | None = None,
    categories: Path | None = None,
) -> Scores:
    """PQ, SQ and RQ of all classes, things and stuff, under the card's `pq`.

    Args:
        truth: the JSON file, or the folder of bitmasks.
        predictions: likewise; every true image needs a prediction.
        protocol: the card.
        engine: the fastest that knows the layout and what the card asks, where it is not given.
        layout: `coco`, unless `bdd-bitmask` is said.
        categories: a JSON file with `categories` (`id`, `name`, `isthing`), for bitmasks of other
            classes than BDD100K's 40.
    """
    kind = _member(Layout, layout or Layout.COCO, "layout")
    chosen = None if engine is None else _member(Engine, engine, "engine")
    if kind is Layout.BDD_BITMASK:
        if chosen is Engine.HOTCOCO:
            raise UsageError("Engine 'hotcoco' reads the layout 'coco' only; leave --engine out.")
        classes = bdd100k.CLASSES if categories is None else read_classes(categories)
        metric = protocol.pq
        if metric.void is VoidRule.OF_FORMAT:
            metric = metric.model_copy(update={"void": VoidRule.BDD100K})
        meter = PanopticQuality(classes.names, classes.things, metric)
        pairs = bdd100k.pairs(truth, predictions, classes)
        return meter.compute([_measure(meter, *pair) for pair in pairs])
    if categories is not None:
        raise UsageError("A COCO panoptic file names its categories; leave --categories out.")
    files = read_coco_panoptic(truth, predictions)
    meter = PanopticQuality(files.classes.names, files.classes.things, protocol.pq)
    standard = protocol.pq in (PanopticMetric(), PanopticMetric(void=VoidRule.COCO))
    if chosen is Engine.HOTCOCO and not standard:
        raise UsageError("Engine 'hotcoco' knows the card's default 'pq' only; leave --engine out.")
    if chosen is Engine.BENCH or not standard:
        return meter.compute(list(statistics(meter, files)))
    return meter.scores(_count_with_hotcoco(meter, files))


def _member(kind: type[StrEnum], name: str, what: str) -> StrEnum:
    if name not in list(kind):
        raise UnknownName(what, name, [member.value for member in kind])
    return kind(name)


# --- COCO ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class PanopticFiles:
    """A truth and its predictions: JSON contents, and where the PNG files are."""

    classes: Classes
    truth: dict[str, Any]
    truth_folder: Path
    predictions: dict[str, Any]
    predictions_folder: Path

    def pairs(self) -> Iterator[tuple[Mapping[str, Any], Mapping[str, Any]]]:
        """The rows of each image, in the truth's order."""
        said = {row["image_id"]: row for row in self.predictions["annotations"]}
        for row in self.truth["annotations"]:
            yield said[row["image_id"]], row


def read_coco_panoptic(truth: Path, predictions: Path) -> PanopticFiles:
    """Read and check both JSON files.

    Raises:
        DataError: an image has no prediction, a segment an unknown category or no id of its own.
    """
    true, said = _content(truth, "panoptic truth"), _content(predictions, "panoptic predictions")
    classes = Classes.of(truth, true.get("categories"))
    for path, content in ((truth, true), (predictions, said)):
        _check_segments(path, content["annotations"], classes)
    asked, answered = (
        [row["image_id"] for row in content["annotations"]] for content in (true, said)
    )
    check_ids(asked, answered, thing="image", answer="prediction", path=predictions)
    return PanopticFiles(classes, true, _folder(truth), said, _folder(predictions))


def _content(path: Path, what: str) -> dict[str, Any]:
    content = read_json(path, what)
    if not isinstance(content, dict) or not isinstance(content.get("annotations"), list):
        raise DataError(f"{path}: {what} are an object with a list of 'annotations'.")
    return content


def _check_segments(path: Path, rows: list[Any], classes: Classes) -> None:
    seen = set()
    for row in rows:
        _check_fields(path, row, _OF_IMAGE, "an annotation")
        image, segments = row["image_id"], row["segments_info"]
        for segment in segments:
            _check_segment(path, segment, image)
        ids = [segment["id"] for segment in segments]
        unknown = {segment["category_id"] for segment in segments} - classes.labels.keys()
        if image in seen:
            raise DataError(f"{path} annotates image {image} twice.")
        if unknown:
            raise DataError(
                f"{path}: image {image} has segments of category {some(unknown)}, which the "
                "truth's 'categories' do not list."
            )
        if len(set(ids)) < len(ids) or 0 in ids:
            raise DataError(
                f"{path}: the segments of image {image} need ids of their own other than 0 (void)."
            )
        seen.add(image)


_OF_IMAGE = {
    "image_id": ((int, str, float), "a number or text"),
    "file_name": ((str,), "text"),
    "segments_info": ((list,), "a list"),
}
_OF_SEGMENT = {
    "id": ((int, float), "a whole number"),
    "category_id": ((int, float), "a whole number"),
}
"""The fields that are needed, and what they must be."""


def _check_fields(
    path: Path, row: Any, needed: Mapping[str, tuple[tuple[type, ...], str]], what: str
) -> None:
    if not isinstance(row, dict):
        raise DataError(f"{path}: {what} must be an object, found {row!r:.80}.")
    for key, (kinds, name) in needed.items():
        if key not in row:
            raise DataError(f"{path}: {what} needs {_listed(needed)}; '{key}' is missing.")
        if not isinstance(row[key], kinds):
            raise DataError(
                f"{path}: {what} has the '{key}' {row[key]!r:.80}, which must be {name}."
            )


def _listed(names: Iterable[str]) -> str:
    *others, last = map(repr, names)
    return f"{', '.join(others)} and {last}"


def _check_segment(path: Path, segment: Any, image: Any) -> None:
    what = f"a segment of image {image}"
    _check_fields(path, segment, _OF_SEGMENT, what)
    if not is_whole(segment["id"]) or segment["id"] < 0:
        raise DataError(
            f"{path}: {what} has the 'id' {segment['id']!r:.80}, which must be a whole number from "
            "1 on, the colour in the map."
        )
    area = segment.get("area")
    if area is not None and not (is_finite(area) and abs(area) < 2**63):
        raise DataError(
            f"{path}: {what} has the 'area' {area!r:.80}, which must be a number of pixels."
        )
    try:
        crowd_of(segment)
    except ValueError as error:
        raise DataError(f"{path}: {what} cannot be read: {error}.") from None


def _folder(path: Path) -> Path:
    folder = path.with_suffix("")
    if not folder.is_dir():
        raise DataMissing(f"The PNG files of {path} should be in {folder}, which is no folder.")
    return folder


def statistics(meter: PanopticQuality, files: PanopticFiles) -> Iterator[Statistics]:
    """The statistics of each image, in the truth's order."""
    for said, true in files.pairs():
        path = files.predictions_folder / said["file_name"]
        yield _measure(
            meter,
            _panoptic(path, said, files.classes),
            _panoptic(files.truth_folder / true["file_name"], true, files.classes),
            path,
        )


def _panoptic(path: Path, row: Mapping[str, Any], classes: Classes) -> Panoptic:
    segments = tuple(
        Segment(
            info["id"],
            classes.labels[info["category_id"]],
            crowd=crowd_of(info),
            area=info.get("area"),
        )
        for info in row["segments_info"]
    )
    return Panoptic(read_ids(path), segments)


def _measure(meter: PanopticQuality, said: Panoptic, true: Panoptic, path: Path) -> Statistics:
    if said.ids.shape != true.ids.shape:
        (height, width), (true_height, true_width) = said.ids.shape, true.ids.shape
        raise DataError(
            f"{path} is {width}×{height}, but its truth is {true_width}×{true_height}: predict at "
            "the size of the truth."
        )
    try:
        return meter.measure(said, true)
    except ValueError as error:
        raise DataError(f"{path}: {error}.") from None


def _count_with_hotcoco(meter: PanopticQuality, files: PanopticFiles) -> Counts:
    from hotcoco.panoptic import PanopticEval

    try:
        evaluation = PanopticEval(
            files.truth,
            files.predictions,
            gt_folder=files.truth_folder,
            pred_folder=files.predictions_folder,
        )
        evaluation.evaluate()
    except (OSError, RuntimeError, ValueError, KeyError, TypeError, OverflowError) as error:
        # Reading one by one says what is wrong with which file.
        for _ in statistics(meter, files):
            pass
        raise DataError(f"The panoptic maps cannot be compared: {error}.") from error
    per_class = {int(id): row for id, row in evaluation.results()["per_class"].items()}
    rows = [per_class.get(id, {}) for id in files.classes.labels]
    matched, wrong, missed, iou = (
        np.array([row.get(name, 0) for row in rows], np.float64)
        for name in ("tp", "fp", "fn", "iou")
    )
    return Counts(matched, wrong, missed, iou)
