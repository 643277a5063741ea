"""BLEU-1 to BLEU-4 of a whole set of captions.

Papineni, Roukos, Ward and Zhu, «BLEU: a method for automatic evaluation of machine translation»,
ACL 2002, as pycocoevalcap computes it: precisions are of sums over the set, not means over images,
the reference length is the one closest to the candidate's (the shorter of two), and small constants
keep quotients of zero finite.
"""

import numpy as np
from jaxtyping import Float, Int

from bench.metrics.ngrams import LONGEST, Captions, Counts

_SMALL = 1e-9
_TINY = 1e-15


def clipped_matches(captions: Captions, tables: list[Counts]) -> Int[np.ndarray, "image 4"]:
    """Runs of each candidate that a reference holds, each at most as often as one reference."""
    matches = np.zeros((len(captions.per_image), LONGEST), np.int64)
    for table in tables:
        image = captions.image[table.caption]
        key = image * table.runs + table.run
        is_reference = captions.is_reference[table.caption]
        held, place = np.unique(key[is_reference], return_inverse=True)
        most = np.zeros(len(held), np.int64)
        np.maximum.at(most, place, table.count[is_reference])
        said, said_count = key[~is_reference], table.count[~is_reference]
        at = np.minimum(np.searchsorted(held, said), max(len(held) - 1, 0))
        both = held[at] == said if len(held) else np.zeros(len(said), bool)
        matched = np.minimum(said_count[both], most[at[both]])
        matches[:, table.n - 1] = np.bincount(
            image[~is_reference][both], matched, len(captions.per_image)
        )
    return matches


def closest_lengths(captions: Captions) -> Int[np.ndarray, " image"]:
    """The length of the reference closest in length to each candidate, the shorter of two."""
    said = captions.lengths[captions.candidate][captions.image]
    far = np.abs(captions.lengths - said)
    far[captions.candidate] = np.iinfo(np.int32).max
    order = np.lexsort((captions.lengths, far, captions.image))
    first: Int[np.ndarray, " image"] = captions.lengths[order[captions.candidate]]
    return first


def bleu(
    matches: Int[np.ndarray, "set 4"],
    possible: Int[np.ndarray, "set 4"],
    lengths: Int[np.ndarray, "set 2"],
) -> Float[np.ndarray, "4 set"]:
    """BLEU-1 to BLEU-4 of several sets, from sums over each.

    Args:
        matches: runs of one to four words that references hold.
        possible: all runs of the candidates.
        lengths: words of the candidates, and of their closest references.
    """
    precision = (matches + _TINY) / (possible + _SMALL)
    mean = np.cumprod(precision, axis=1).T ** (1 / np.arange(1, LONGEST + 1))[:, None]
    ratio = (lengths[:, 0] + _TINY) / (lengths[:, 1] + _SMALL)
    brevity = np.exp(1 - 1 / np.minimum(ratio, 1))
    scores: Float[np.ndarray, "4 set"] = mean * brevity
    return scores
