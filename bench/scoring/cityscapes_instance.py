"""`bench score cityscapes-instance`: predictions as the Cityscapes server takes them.

The truth is a folder of `*_gtFine_instanceIds.png` (in folders of cities, or not). The predictions
are a folder with a text file for each image, named as it up to `_gtFine`; its lines are the path of
a mask's image, beside the text file, a Cityscapes label id and a confidence.
"""

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
    return [
        meter.measure(_instances(found, predictions), _pixels(path).astype(np.int32))
        for path, found in chosen.items()
        if found is not None
    ]


def _list_of(truth: Path, lists: list[Path]) -> Path | None:
    """The text file with the predictions for an image."""
    stem = truth.name.removesuffix(_TRUTH)
    found = [path for path in lists if path.name.startswith(stem)]
    if len(found) > 1:
        raise DataError(f"{stem} has several lists of predictions: {some(map(str, found))}.")
    return found[0] if found else None


def _instances(path: Path, root: Path) -> Instances:
    """The predictions in a text file, of the classes that are scored."""
    numbers = {label_id: number for number, label_id in enumerate(CLASSES.values())}
    masks, labels, confidences = [], [], []
    for number, line in enumerate(path.read_text().splitlines(), start=1):
        try:
            name, label_id, confidence = line.split(" ")
            label, value = int(float(label_id)), float(confidence)
        except ValueError:
            raise DataError(
                f"{path}:{number}: a line is 'mask.png label-id confidence', not {line!r}."
            ) from None
        file = (path.parent / name).resolve()
        if not file.is_relative_to(root.resolve()):
            raise DataError(f"{path}:{number}: the mask {name} is outside of {root}.")
        if label in numbers:
            masks.append(Mask.encode(_pixels(file, "L") != 0))
            labels.append(numbers[label])
            confidences.append(value)
    return Instances(tuple(masks), np.array(labels, np.int64), np.array(confidences, np.float64))


def _pixels(path: Path, mode: str | None = None) -> Int[np.ndarray, "height width"]:
    try:
        with Image.open(path) as image:
            return np.array(image.convert(mode) if mode else image)
    except FileNotFoundError:
        raise DataMissing(f"There is no mask {path}.") from None
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"{path}: this image cannot be read: {error}.") from None
