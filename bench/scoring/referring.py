"""`bench score referring`: masks of expressions, from `.npz` files.

The truth holds `gt`, the predictions `pred` (or both `masks`), an expression a row: boolean masks
`expression height width`, or those packed to bits (`numpy.packbits` of each flattened mask) with
`shape`, the three sizes. Numbers in place of booleans are 0 outside of a mask; floating point
numbers are 0 or 1, as a threshold is not ours to choose. Both may be one file. `image_ids`, where
the truth has it, says which expressions are of one image; intervals then draw images.
"""

from math import prod
from pathlib import Path

import numpy as np
from jaxtyping import Bool

from bench.errors import DataError
from bench.metrics.meter import Scores, Statistics
from bench.metrics.referring import ReferringSegmentation
from bench.protocol import Protocol
from bench.scoring.files import array, read_arrays
from bench.types import Mask

Masks = Bool[np.ndarray, "expression height width"]


def score(truth: Path, predictions: Path, protocol: Protocol) -> Scores:
    """Scores of the predicted masks, by the definition in the protocol card."""
    meter = ReferringSegmentation(protocol.ciou)
    return meter.compute(statistics(meter, truth, predictions))


def statistics(meter: ReferringSegmentation, truth: Path, predictions: Path) -> list[Statistics]:
    """The statistics of each image (of each expression, where the truth names no images)."""
    true, image_ids = _masks(truth, "gt", "true masks")
    said, _ = _masks(predictions, "pred", "predicted masks")
    if true.shape != said.shape:
        raise DataError(
            f"{predictions}: {_sizes(said)}, where {truth} has {_sizes(true)}. Predictions stand "
            f"in the truth's order, at the size of the images."
        )
    if image_ids is None:
        image_ids = np.arange(len(true))
    elif image_ids.ndim != 1:
        raise DataError(
            f"{truth}: 'image_ids' has {image_ids.ndim} dimensions and should be a list, an id for "
            "each expression."
        )
    elif len(image_ids) != len(true):
        raise DataError(f"{truth}: {len(image_ids)} 'image_ids' for {len(true)} expressions.")
    return [
        meter.measure([Mask.encode(said[i]) for i in rows], [Mask.encode(true[i]) for i in rows])
        for rows in (np.flatnonzero(image_ids == image) for image in dict.fromkeys(image_ids))
    ]


def _masks(path: Path, name: str, what: str) -> tuple[Masks, np.ndarray | None]:
    arrays = read_arrays(path, what)
    masks = array(arrays, (name, "masks"), path)
    if masks.ndim == 2 and masks.dtype == np.uint8 and "shape" in arrays:
        masks = _unpacked(masks, _shape(arrays["shape"], path), path)
    if masks.ndim != 3:
        raise DataError(
            f"{path}: '{name}' has {masks.ndim} dimensions and should be masks, 'expression height "
            f"width', or rows of bits with their 'shape'."
        )
    return _as_bits(masks, name, path), arrays.get("image_ids")


def _as_bits(masks: np.ndarray, name: str, path: Path) -> Masks:
    """Which pixels are in the masks; `DataError` where the numbers do not say so themselves."""
    inside: Masks = masks != 0
    if masks.dtype.kind in "biu":
        return inside
    if masks.dtype.kind != "f":
        raise DataError(f"{path}: '{name}' is {masks.dtype} and should be boolean masks.")
    others = masks[inside & (masks != 1)]
    if others.size:
        raise DataError(
            f"{path}: '{name}' holds {others[0]:g}, where masks are 0 and 1. Probabilities "
            "and logits become masks by your threshold: write 'masks > threshold'."
        )
    return inside


def _shape(stated: np.ndarray, path: Path) -> tuple[int, ...]:
    if stated.ndim != 1 or stated.dtype.kind not in "iu" or (stated < 0).any():
        raise DataError(
            f"{path}: 'shape' should be three whole numbers, 'expression height width', and is "
            f"{stated.tolist()!r:.80}."
        )
    return tuple(stated.tolist())


def _unpacked(bits: np.ndarray, shape: tuple[int, ...], path: Path) -> np.ndarray:
    pixels = prod(shape[1:])
    if len(shape) != 3 or len(bits) != shape[0] or bits.shape[1] != -(-pixels // 8):
        raise DataError(f"{path}: rows of bits {bits.shape} do not hold masks of 'shape' {shape}.")
    return np.unpackbits(bits, axis=1, count=pixels).reshape(shape)


def _sizes(masks: Masks) -> str:
    n, height, width = masks.shape
    return f"{n} masks of {height}×{width}"
