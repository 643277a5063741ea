"""ROUGE-L: the longest common subsequence of a candidate and its references.

Lin, «ROUGE: a package for automatic evaluation of summaries», 2004, section 3, as pycocoevalcap
computes it: the best precision and the best recall over the references, which may come from
different ones, joined with beta = 1.2.
"""

from collections.abc import Sequence

_BETA = 1.2


def rouge_l(candidate: Sequence[str], references: Sequence[Sequence[str]]) -> float:
    """ROUGE-L of one candidate; every caption has at least one word (the empty one, if need be).

    >>> round(rouge_l(["a", "dog", "runs"], [["a", "dog"], ["dogs", "run"]]), 6)
    0.829932
    """
    common = [common_subsequence(candidate, reference) for reference in references]
    precision = max(common) / len(candidate)
    recall = max(c / len(r) for c, r in zip(common, references, strict=True))
    if not precision or not recall:
        return 0.0
    return (1 + _BETA**2) * precision * recall / (recall + _BETA**2 * precision)


def common_subsequence(left: Sequence[str], right: Sequence[str]) -> int:
    """Length of the longest common subsequence, with a row of its table in the bits of a number.

    Hyyrö, «Bit-parallel LCS-length computation revisited», 2004. Bit `i` of a row is 0 where the
    length grows at place `i` of `left`.
    """
    everything = (1 << len(left)) - 1
    places: dict[str, int] = {}
    for i, word in enumerate(left):
        places[word] = places.get(word, 0) | 1 << i
    row = everything
    for word in right:
        match = row & places.get(word, 0)
        row = (row + match | row - match) & everything
    return len(left) - row.bit_count()
