"""`bench score retrieval`: vectors of images and texts, from `.npz` files.

The truth holds `image_ids` and, for each text, the id of its image in `text_image_ids`; the
predictions hold `image_embeds` and `text_embeds` in the same order. Both may be one file. Vectors
are compared by their cosine.
"""

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from bench.errors import DataError
from bench.metrics.meter import Scores, Statistics
from bench.metrics.retrieval import Embedded, Retrieval
from bench.protocol import Protocol
from bench.scoring.files import array, read_arrays, some


def score(truth: Path, predictions: Path, protocol: Protocol) -> Scores:
    """Recall at 1, 5 and 10, both ways. No field of the card changes it."""
    meter = Retrieval()
    return meter.compute(statistics(meter, truth, predictions))


def statistics(meter: Retrieval, truth: Path, predictions: Path) -> list[Statistics]:
    """The statistics of each image."""
    asked = read_arrays(truth, "ids of images and texts")
    image_ids = _ids(asked, "image_ids", truth)
    text_image_ids = _ids(asked, "text_image_ids", truth)
    said = read_arrays(predictions, "vectors of images and texts")
    images = _vectors(said, "image_embeds", len(image_ids), predictions, truth)
    texts = _vectors(said, "text_embeds", len(text_image_ids), predictions, truth)
    if images.shape[1] != texts.shape[1]:
        raise DataError(
            f"{predictions}: images have {images.shape[1]} channels and texts {texts.shape[1]}; "
            f"they must share one space."
        )
    for name in ("image_ids", "text_image_ids"):
        if name in said and not np.array_equal(said[name], asked[name]):
            raise DataError(
                f"{predictions}: '{name}' is not that of {truth}; bring the vectors into its order."
            )
    _check(image_ids, text_image_ids, truth)
    order = np.argsort(text_image_ids, kind="stable")
    first = np.searchsorted(text_image_ids, image_ids, side="left", sorter=order)
    last = np.searchsorted(text_image_ids, image_ids, side="right", sorter=order)
    found = []
    for image, begin, end in zip(images, first, last, strict=True):
        own = order[begin:end]
        found.append(meter.measure(Embedded(image, texts[own]), [""] * len(own)))
    return found


def _ids(arrays: Mapping[str, np.ndarray], name: str, path: Path) -> np.ndarray:
    ids = array(arrays, [name], path)
    if ids.ndim != 1:
        raise DataError(f"{path}: '{name}' has {ids.ndim} dimensions and should be a list of ids.")
    return ids


def _check(image_ids: np.ndarray, text_image_ids: np.ndarray, truth: Path) -> None:
    if len(set(image_ids.tolist())) != len(image_ids):
        raise DataError(f"{truth}: 'image_ids' has an id twice; an image stands once.")
    unknown = set(text_image_ids.tolist()) - set(image_ids.tolist())
    if unknown:
        raise DataError(
            f"{truth}: {len(unknown)} ids in 'text_image_ids' are not in 'image_ids': "
            f"{some(unknown)}."
        )


def _vectors(
    arrays: Mapping[str, np.ndarray], name: str, expected: int, path: Path, truth: Path
) -> np.ndarray:
    vectors = array(arrays, [name], path)
    if vectors.ndim != 2 or not np.issubdtype(vectors.dtype, np.floating):
        raise DataError(
            f"{path}: '{name}' is {vectors.dtype} of shape {vectors.shape} and should be floating "
            f"point numbers, a vector a row."
        )
    if len(vectors) != expected:
        raise DataError(f"{path}: {len(vectors)} rows in '{name}', where {truth} has {expected}.")
    if not np.isfinite(vectors).all():
        bad = int((~np.isfinite(vectors).all(axis=1)).sum())
        raise DataError(f"{path}: {bad} rows of '{name}' hold numbers that are not finite.")
    return vectors
