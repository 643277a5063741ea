"""`bench score semantic`: a folder of label maps against another.

Label maps are PNG or TIFF files with 8 or 16 bits a pixel (grey, or a palette read by index); files
of one name, whatever their suffix, belong together. A pixel's value is its class, counted from 0.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.data.images import open_image
from bench.data.label_maps import single_channel
from bench.errors import DataError, DataMissing, UsageError
from bench.metrics.meter import Scores, Statistics
from bench.metrics.semantic import MeanIoU
from bench.protocol import Protocol
from bench.scoring.classes import read_names
from bench.scoring.files import check_ids
from bench.types import VOID, LabelMap

SUFFIXES = (".png", ".tif", ".tiff")

_ANY = 1 << 16
"""As many classes as a label map can tell apart."""
_MOST = 10_000
"""Classes of which a table of all pairs fits into memory (0.8 GB)."""


def score(
    truth: Path,
    predictions: Path,
    protocol: Protocol,
    class_count: int | None = None,
    ignore_label: int | None = None,
    categories: Path | None = None,
) -> Scores:
    """mIoU, fwIoU, pAcc and mAcc, under the card's `miou`.

    Args:
        truth: the folder of true label maps.
        predictions: the folder of predicted ones; every true one needs one.
        protocol: the card.
        class_count: how many classes there are; a greater value is an error. Where it is not given
            there are as many as labels occur, which changes no score.
        ignore_label: the value of pixels that are not scored; where it is not given 255 in maps of
            8 bits and 65535 in maps of 16. A prediction of it claims no class, and is a miss.
        categories: the names of the classes, in their order.
    """
    names = None if categories is None else read_names(categories)
    if names is not None and class_count not in (None, len(names)):
        raise UsageError(
            f"{categories} names {len(names)} classes, but --class-count says {class_count}."
        )
    limit = class_count if names is None else len(names)
    if limit is not None and limit > _MOST:
        raise UsageError(f"{limit} classes are more than the {_MOST} that can be scored at once.")
    labels = Labels(limit, ignore_label)
    statistics = list(_measured(truth, predictions, labels, protocol))
    if names is None:
        names = [str(label) for label in range(limit or _seen(statistics))]
    return MeanIoU(names, protocol.miou).compute(statistics)


@dataclass(frozen=True)
class Labels:
    """What the values of pixels mean."""

    count: int | None
    """How many classes there are; any value may be one where absent."""
    ignored: int | None
    """The value that claims no class; the greatest that fits where absent."""

    def read(self, path: Path) -> LabelMap:
        """The label map of a file, with -1 for the ignored value."""
        pixels = single_channel(np.asarray(open_image(path)), path)
        ignored = np.iinfo(pixels.dtype).max if self.ignored is None else self.ignored
        labels = np.where(pixels == ignored, VOID, pixels.astype(np.int32))
        if self.count is not None and labels.size and labels.max() >= self.count:
            raise DataError(
                f"{path} has the value {labels.max()}, which is neither one of {self.count} "
                f"classes counted from 0 nor the ignored value {ignored} (--ignore-label)."
            )
        if self.count is None and labels.size and labels.max() >= _MOST:
            raise DataError(
                f"{path} has the value {labels.max()}, and {_MOST} classes are the most that can "
                "be scored: is it a map of classes, or one of instances or depth? Say the value "
                "of pixels without a class with --ignore-label."
            )
        return labels


def _measured(
    truth: Path, predictions: Path, labels: Labels, protocol: Protocol
) -> Iterator[Statistics]:
    """The statistics of each image, by name."""
    true_maps, said_maps = _maps(truth), _maps(predictions)
    check_ids(true_maps, said_maps, thing="image", answer="label map", path=predictions)
    meter = MeanIoU([""] * (labels.count or _ANY), protocol.miou)
    for name, path in true_maps.items():
        true, said = labels.read(path), labels.read(said_maps[name])
        if true.shape != said.shape:
            raise DataError(
                f"{said_maps[name]} is {said.shape[1]}×{said.shape[0]}, but its truth is "
                f"{true.shape[1]}×{true.shape[0]}: predict at the size of the truth."
            )
        yield meter.measure(said, true)


def _maps(folder: Path) -> dict[str, Path]:
    """The label maps under a folder, by their path in it without the suffix."""
    if not folder.is_dir():
        raise DataMissing(f"There is no folder {folder} of label maps.")
    found: dict[str, Path] = {}
    for path in sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES):
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in found:
            raise DataError(f"{found[name]} and {path} are two label maps of one image.")
        found[name] = path
    if not found:
        raise DataMissing(f"{folder} holds no label maps ({', '.join(SUFFIXES)}).")
    return found


def _seen(statistics: Sequence[Statistics]) -> int:
    """One more than the greatest label that occurs."""
    labels = [image[side] for image in statistics for side in ("true", "said")]
    return max((int(part.max()) + 1 for part in labels if part.size), default=0)
