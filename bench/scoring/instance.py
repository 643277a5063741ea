"""`bench score instance`: a COCO result file against COCO (or LVIS) annotations.

Masks are scored where the results have masks (AP, AP50, …), boxes always («box AP», …; a mask's
tight box where none is stated). An image without results is one where nothing was found.
"""

import io
from collections.abc import Callable, Sequence
from contextlib import redirect_stdout
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Int

from bench.errors import DataError, UnknownName, UsageError
from bench.metrics import rle
from bench.metrics.average_precision import (
    SIZES,
    BoxAveragePrecision,
    MaskAveragePrecision,
    measures,
)
from bench.metrics.meter import Scores, Statistics
from bench.protocol import (
    AnnotationZero,
    AreaSource,
    AveragePrecision,
    ClassUse,
    DetectionArea,
    DetectionCap,
    Protocol,
)
from bench.scoring.coco_objects import CocoObjects, Row, read_coco_objects


class Engine(StrEnum):
    """What computes AP. The numbers are the same to the last digit."""

    HOTCOCO = "hotcoco"
    """The fastest, for whole files."""
    BENCH = "bench"
    """The meters of a run, image by image: the only one for LVIS, and for switches of the protocol
    that the tools do not have."""
    PYCOCOTOOLS = "pycocotools"
    """The reference."""


def score(truth: Path, predictions: Path, protocol: Protocol, engine: str | None = None) -> Scores:
    """Mask and box AP and AR, under the card's `ap`.

    `engine` is the fastest that knows what the card asks, where it is not given.
    """
    objects = read_coco_objects(truth, predictions)
    _require_something(truth, objects)
    chosen = _engine(engine, protocol.ap, objects)
    kinds = (
        (MaskAveragePrecision, BoxAveragePrecision) if objects.has_masks else (BoxAveragePrecision,)
    )
    meters = [kind(objects.names(), metric=protocol.ap, groups=objects.groups()) for kind in kinds]
    if chosen is Engine.BENCH:
        tables = [m.compute(s) for m, s in zip(meters, statistics(meters, objects), strict=True)]
    else:
        tables = _score_whole(meters, objects, protocol.ap, chosen)
    return {name: value for table in tables for name, value in table.items()}


def statistics(
    meters: Sequence[MaskAveragePrecision], objects: CocoObjects
) -> list[list[Statistics]]:
    """For each meter, the statistics of each image by rising id, which decides between ties."""
    images = [[meter.measure(said, true) for meter in meters] for said, true in objects.pairs()]
    return [list(of_meter) for of_meter in zip(*images, strict=True)] or [[] for _ in meters]


def _require_something(truth: Path, objects: CocoObjects) -> None:
    if objects.has_masks and any(not row["segmentation"] for row in objects.objects):
        raise DataError(
            f"{truth} has objects without masks, so the masks of the results cannot be scored; "
            "leave the 'segmentation' out of the results to score their boxes."
        )


def _engine(name: str | None, metric: AveragePrecision, objects: CocoObjects) -> Engine:
    """The engine asked for, if it can do what the card asks; else the fastest that can.

    Without any result there is nothing to load, which pycocotools refuses: that is scored here.
    """
    if name is not None and name not in list(Engine):
        raise UnknownName("engine", name, [engine.value for engine in Engine])
    beyond = [
        what
        for what, asked in {
            "objects that only some images were searched for (LVIS)": objects.federated,
            "a cap on detections per image": metric.cap is DetectionCap.PER_IMAGE,
            "areas counted from masks": metric.area is AreaSource.MASK,
        }.items()
        if asked
    ]
    never_found = metric.annotation_zero is AnnotationZero.NEVER_FOUND
    if name is None:
        fits = objects.results and not beyond and not never_found
        return Engine.HOTCOCO if fits else Engine.BENCH
    engine = Engine(name)
    if never_found and engine is Engine.HOTCOCO:
        beyond.append("annotation id 0 as never found")
    if beyond and engine is not Engine.BENCH:
        raise UsageError(f"Engine '{engine}' does not know {beyond[0]}; leave --engine out.")
    return engine if objects.results else Engine.BENCH


# --- engines for whole files ---------------------------------------------------------------------

Evaluate = Callable[[str], tuple[np.ndarray, np.ndarray]]
"""Precision and recall, as pycocotools lays them out, of the task `segm` or `bbox`."""


def _score_whole(
    meters: Sequence[MaskAveragePrecision],
    objects: CocoObjects,
    metric: AveragePrecision,
    engine: Engine,
) -> list[Scores]:
    """The meters' scores from an engine's curves; the files are handed to it once."""
    load = _load_hotcoco if engine is Engine.HOTCOCO else _load_pycocotools
    truth = {
        "info": {},
        "images": list(objects.images.values()),
        "categories": list(objects.categories.values()),
        "annotations": _identified(objects.objects, metric),
    }
    totals = _totals(meters[0], objects)
    by_mask = objects.has_boxes and metric.detection_area is DetectionArea.MASK
    try:
        stated = load(truth, objects.results, metric)
        of_masks = load(truth, objects.without_boxes().results, metric) if by_mask else stated
        curves = [
            stated("bbox") if isinstance(meter, BoxAveragePrecision) else of_masks("segm")
            for meter in meters
        ]
    except Exception as error:  # pycocotools raises no narrower one
        raise DataError(
            f"Engine '{engine}' cannot read the files: {error}. Mend that, or score with "
            "--engine bench."
        ) from error
    tables = []
    for meter, (precision, recall) in zip(meters, curves, strict=True):
        lanes = {
            m.lane: (recall if m.of_recall else precision)[
                ..., m.size, metric.max_dets.index(m.cap)
            ]
            for m in measures(metric.max_dets)
        }
        tables.append(meter.scores(lanes, totals))
    return tables


def _identified(rows: Sequence[Row], metric: AveragePrecision) -> list[Row]:
    """Annotations by ids from 1, unless the id 0 is meant to be never found."""
    if metric.annotation_zero is AnnotationZero.NEVER_FOUND:
        return list(rows)
    return [{**row, "id": place} for place, row in enumerate(rows, start=1)]


def _load_hotcoco(
    truth: dict[str, Any], results: list[dict[str, Any]], metric: AveragePrecision
) -> Evaluate:
    import hotcoco

    coco = hotcoco.COCO(truth)
    said = coco.load_res(results)

    def evaluate(task: str) -> tuple[np.ndarray, np.ndarray]:
        evaluation = hotcoco.COCOeval(coco, said, task)
        evaluation.params.max_dets = list(metric.max_dets)
        evaluation.params.use_cats = metric.classes is ClassUse.SEPARATE
        evaluation.evaluate()
        evaluation.accumulate()
        assert evaluation.eval is not None
        return evaluation.eval["precision"], evaluation.eval["recall"]

    return evaluate


def _load_pycocotools(
    truth: dict[str, Any], results: list[dict[str, Any]], metric: AveragePrecision
) -> Evaluate:
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    with redirect_stdout(io.StringIO()):
        coco = COCO()
        # pycocotools writes into the rows it is given.
        coco.dataset = {**truth, "annotations": [dict(row) for row in truth["annotations"]]}
        coco.createIndex()
        said = coco.loadRes(_compressed(results))

    def evaluate(task: str) -> tuple[np.ndarray, np.ndarray]:
        with redirect_stdout(io.StringIO()):
            evaluation = COCOeval(coco, said, task)
            evaluation.params.maxDets = list(metric.max_dets)
            evaluation.params.useCats = int(metric.classes is ClassUse.SEPARATE)
            evaluation.evaluate()
            evaluation.accumulate()
        return evaluation.eval["precision"], evaluation.eval["recall"]

    return evaluate


def _compressed(results: Sequence[Row]) -> list[dict[str, Any]]:
    """Copies of the results with compressed run lengths, the only ones that pycocotools loads."""
    rows = [dict(row) for row in results]
    for row in rows:
        mask = row.get("segmentation")
        if mask and isinstance(mask["counts"], list):
            counts = rle.compress(rle.from_counts(mask["counts"], *mask["size"]))
            row["segmentation"] = {**mask, "counts": counts.decode()}
    return rows


def _totals(meter: MaskAveragePrecision, objects: CocoObjects) -> Int[np.ndarray, "size class"]:
    """How many objects there are to find, by size range and class."""
    totals = np.zeros((len(SIZES), len(meter.classes)), np.int64)
    pooled = meter.metric.classes is ClassUse.POOLED
    label_of = {id: 0 if pooled else label for label, id in enumerate(objects.categories)}
    for row in objects.objects:
        if not row["iscrowd"]:
            inside = [low <= row["area"] <= high for low, high in SIZES.values()]
            totals[inside, label_of[row["category_id"]]] += 1
    return totals
