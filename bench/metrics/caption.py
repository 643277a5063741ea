"""Captioning: CIDEr, BLEU-1 to BLEU-4 and ROUGE-L, without Java.

Equal to pycocoevalcap with its Java tokeniser (`bench.metrics.ptb`). METEOR and SPICE are Java
programs themselves: `bench.metrics.java_captions` runs them where Java is.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from bench.metrics.bleu import bleu, clipped_matches, closest_lengths
from bench.metrics.cider import cider
from bench.metrics.meter import Score, Scores, Statistics, repeats
from bench.metrics.ngrams import LONGEST, Captions, count, hashes
from bench.metrics.ptb import tokenise_alone
from bench.metrics.rouge import rouge_l


class CaptionAgreement:
    """Scores one caption an image against its references. `n` counts images.

    CIDEr weighs words by how rare they are in the references of the whole set, so images are only
    scored when the set is known (`settle`); with weights, those frequencies stay the whole set's.
    CIDEr is no fraction: 10 is perfect agreement.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """The scores, CIDEr first."""
        return ("CIDEr", *(f"BLEU-{n}" for n in range(1, LONGEST + 1)), "ROUGE-L")

    def measure(self, prediction: str, truth: Sequence[str]) -> Statistics:
        """The words of an image's caption and references, and their ROUGE-L.

        Captions are tokenised one by one; see `measure_tokens` for captions that already are.
        """
        return self.measure_tokens(tokenise_alone(prediction), [tokenise_alone(t) for t in truth])

    def measure_tokens(self, prediction: str, truth: Sequence[str]) -> Statistics:
        """The same for captions as tokens parted by spaces.

        A no-break space inside a token parts words for CIDEr and BLEU and not for ROUGE-L, and to
        ROUGE-L an empty caption is one empty word: as in pycocoevalcap.
        """
        if not truth:
            raise ValueError("an image needs at least one reference caption")
        captions = [caption.split() for caption in (prediction, *truth)]
        return {
            "words": hashes([word for caption in captions for word in caption]),
            "lengths": np.array([len(caption) for caption in captions], np.int64),
            "rouge": np.array([rouge_l(prediction.split(" "), [t.split(" ") for t in truth])]),
        }

    def settle(self, statistics: Sequence[Statistics]) -> list[Statistics]:
        """CIDEr and ROUGE-L of each image, and the sums that BLEU is made of."""
        if not statistics:
            return []
        captions = Captions(
            np.concatenate([image["words"] for image in statistics]),
            np.concatenate([image["lengths"] for image in statistics]),
            np.array([len(image["lengths"]) for image in statistics], np.int64),
        )
        tables = count(captions)
        scores = cider(captions, tables)
        matches = clipped_matches(captions, tables)
        closest = closest_lengths(captions)
        length = captions.lengths[captions.candidate]
        return [
            {
                "cider": scores[i : i + 1],
                "rouge": image["rouge"],
                "matches": matches[i],
                "possible": np.maximum(length[i] - np.arange(LONGEST), 0),
                "lengths": np.array([length[i], closest[i]]),
            }
            for i, image in enumerate(statistics)
        ]

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Scores of a set in which image `i` stands `weights[i]` times."""
        counts = repeats(statistics, weights)
        if statistics and "cider" not in statistics[0]:
            statistics = self.settle(statistics)
        n = int(counts.sum())
        if not n:
            return {name: Score(np.nan, 0) for name in self.names}
        length, closest = _sum(statistics, "lengths", counts)
        bleus = bleu(
            _sum(statistics, "matches", counts),
            _sum(statistics, "possible", counts),
            int(length),
            int(closest),
        )
        means = {
            name: float(np.concatenate([image[name] for image in statistics]) @ counts) / n
            for name in ("cider", "rouge")
        }
        return {
            name: Score(value, n)
            for name, value in zip(
                self.names, (means["cider"], *bleus, means["rouge"]), strict=True
            )
        }


def _sum(
    statistics: Sequence[Statistics], name: str, counts: Int[np.ndarray, " image"]
) -> Int[np.ndarray, " number"]:
    total: Int[np.ndarray, " number"] = counts @ np.stack([image[name] for image in statistics])
    return total
