"""CIDEr: how well a candidate's weighted runs of words agree with its references'.

Vedantam, Lawrence Zitnick and Parikh, «CIDEr: Consensus-based image description evaluation», CVPR
2015, section 4 and (length penalty, clipping, factor 10) the CIDEr-D of its appendix, computed as
pycocoevalcap does. Unbounded above 1: 10 is perfect agreement. Two things it does that the paper
does not say: the lengths of the penalty count pairs of words, and document frequencies come from
the references of the evaluated set, so a score depends on which images are in it, and a set of one
image scores 0.
"""

import numpy as np
from jaxtyping import Float, Int

from bench.metrics.ngrams import LONGEST, Captions, Counts

_SIGMA = 6.0
_SCALE = 10.0


def cider(captions: Captions, tables: list[Counts]) -> Float[np.ndarray, " image"]:
    """CIDEr of each image's candidate, with document frequencies of this set."""
    references = np.flatnonzero(captions.is_reference)
    similarity = np.zeros(len(captions.lengths))
    for table in tables:
        similarity += _similarity(captions, table)
    pairs = np.maximum(captions.lengths - 1, 0)
    delta = pairs[captions.candidate][captions.image] - pairs
    similarity *= np.exp(-(delta.astype(float) ** 2) / (2 * _SIGMA**2))
    images = len(captions.per_image)
    total = np.bincount(captions.image[references], similarity[references], images)
    scores: Float[np.ndarray, " image"] = _SCALE * total / LONGEST / (captions.per_image - 1)
    return scores


def _similarity(captions: Captions, table: Counts) -> Float[np.ndarray, " caption"]:
    """Cosine between each reference and its image's candidate, over runs of one length."""
    image = captions.image[table.caption]
    true = captions.is_reference[table.caption]
    key = image * table.runs + table.run
    rarity = _rarity(np.unique(key[true]) % table.runs, table.runs, len(captions.per_image))
    weight = table.count * rarity[table.run]
    norm = np.sqrt(np.bincount(table.caption, weight**2, len(captions.lengths)))

    said_key, said_weight = key[~true], weight[~true]  # rows are in the order of keys
    if not len(said_key):
        return np.zeros(len(captions.lengths))
    place = np.minimum(np.searchsorted(said_key, key[true]), len(said_key) - 1)
    both = said_key[place] == key[true]
    true_weight = weight[true][both]
    shared = np.minimum(said_weight[place[both]], true_weight) * true_weight
    agreement = np.bincount(table.caption[true][both], shared, len(captions.lengths))
    scale = norm * norm[captions.candidate][captions.image]
    cosine: Float[np.ndarray, " caption"] = agreement / np.where(scale > 0, scale, 1)
    return cosine


def _rarity(seen: Int[np.ndarray, " pair"], runs: int, images: int) -> Float[np.ndarray, " run"]:
    """log(images / images whose references hold the run), by run.

    `seen` has a run once for every image whose references hold it.
    """
    frequency = np.bincount(seen, minlength=runs)
    rarity: Float[np.ndarray, " run"] = np.log(images) - np.log(np.maximum(frequency, 1))
    return rarity
