"""`bench score cityscapes-instance`: predictions as the Cityscapes server takes them.

The truth is a folder of `*_gtFine_instanceIds.png` (in folders of cities, or not). The predictions
are a folder with a text file for each image, named as it up to `_gtFine`; its lines are the path of
a mask's image, beside the text file, a Cityscapes label id and a confidence.
"""

from math import isfinite
from pathlib import Path

import numpy as np
from jaxtyping import Int
from PIL import Image, UnidentifiedImageError

from bench.errors import DataError, DataMissing
from bench.metrics.cityscapes_instance import CLASSES, CityscapesInstanceAP
from bench.metrics.meter import Scores, Statistics
from bench.protocol import Protocol
from bench.scoring.files import some
from bench.types import Instances, Mask

_TRUTH = "_gtFine_instanceIds.png"


def score(truth: Path, predictions: Path, protocol: Protocol) -> Scores:
    """Cityscapes AP and AP50. No field of the card changes it."""
    meter = CityscapesInstanceAP()
    return meter.compute(statistics(meter, truth, predictions))


def statistics(meter: CityscapesInstanceAP, truth: Path, predictions: Path) -> list[Statistics]:
    """The statistics of each image, in the order of their names."""
    maps = sorted(truth.rglob(f"*{_TRUTH}")) if truth.is_dir() else [truth]
    if not maps or not maps[0].is_file():
        raise DataMissing(f"There is no *{_TRUTH} under {truth}.")
    if not predictions.is_dir():
        raise DataMissing(f"There is no folder {predictions} with predictions.")
    lists = sorted(predictions.rglob("*.txt"))
    chosen = {path: _list_of(path, lists) for path in maps}
    missing = [path.name.removesuffix(_TRUTH) for path, found in chosen.items() if found is None]
    if missing:
        raise DataError(
            f"{predictions}: {len(missing)} of {len(maps)} images have no text file: "
            f"{some(missing)}. An image without predictions needs an empty one."
        )
    measured = []
    for path, found in chosen.items():
        if found is not None:
            ids = _pixels(path).astype(np.int32)
            if ids.ndim != 2:
                raise DataError(f"{path}: a map of ids has one channel, this has {ids.shape[2]}.")
            measured.append(meter.measure(_instances(found, predictions, ids.shape), ids))
    return measured


def _list_of(truth: Path, lists: list[Path]) -> Path | None:
    """The text file with the predictions for an image."""
    stem = truth.name.removesuffix(_TRUTH)
    found = [path for path in lists if path.name.startswith(stem)]
    if len(found) > 1:
        raise DataError(f"{stem} has several lists of predictions: {some(map(str, found))}.")
    return found[0] if found else None


def _instances(path: Path, root: Path, size: tuple[int, ...]) -> Instances:
    """The predictions in a text file, of the classes that are scored; masks are of that size."""
    numbers = {label_id: number for number, label_id in enumerate(CLASSES.values())}
    masks, labels, confidences = [], [], []
    for number, line in enumerate(_lines(path), start=1):
        try:
            name, label_id, confidence = line.split(" ")
            label, value = int(float(label_id)), float(confidence)
            if not isfinite(value):
                raise ValueError
        except (ValueError, OverflowError):
            raise DataError(
                f"{path}:{number}: a line is 'mask.png label-id confidence', the two of them "
                f"finite numbers, not {line!r}."
            ) from None
        file = (path.parent / name).resolve()
        if not file.is_relative_to(root.resolve()):
            raise DataError(f"{path}:{number}: the mask {name} is outside of {root}.")
        if label in numbers:
            pixels = _pixels(file, "L")
            if pixels.shape != size:
                raise DataError(
                    f"{path}:{number}: the mask {file} is {pixels.shape[1]}×{pixels.shape[0]}, but "
                    f"its truth is {size[1]}×{size[0]}: predict at the size of the truth."
                )
            masks.append(Mask.encode(pixels != 0))
            labels.append(numbers[label])
            confidences.append(value)
    return Instances(tuple(masks), np.array(labels, np.int64), np.array(confidences, np.float64))


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text("utf-8").splitlines()
    except UnicodeDecodeError as error:
        raise DataError(
            f"{path}: this should be a list of predictions as UTF-8, and cannot be read: {error}."
        ) from None


def _pixels(path: Path, mode: str | None = None) -> Int[np.ndarray, "height width"]:
    try:
        with Image.open(path) as image:
            return np.array(image.convert(mode) if mode else image)
    except (FileNotFoundError, IsADirectoryError):
        raise DataMissing(f"There is no mask {path}.") from None
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path}: this image cannot be read: {error}.") from None
