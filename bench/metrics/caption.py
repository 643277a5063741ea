"""Captioning: CIDEr, BLEU-1 to BLEU-4 and ROUGE-L, without Java.

Equal to pycocoevalcap with its Java tokeniser (`bench.metrics.ptb`). METEOR and SPICE are Java
programs themselves: `bench.metrics.java_captions` runs them where Java is.
"""

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float, Int

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
        if not statistics or "cider" in statistics[0]:  # nothing to do, or done
            return list(statistics)
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
        values = self.resample(statistics, counts[None])
        return {name: Score(float(v[0]), int(counts.sum())) for name, v in values.items()}

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Every score under each row of weights; word frequencies are those of `statistics`."""
        if not statistics:
            return {name: np.full(len(weights), np.nan) for name in self.names}
        statistics = self.settle(statistics)

        def total(name: str) -> np.ndarray:
            """The weighted sum of a statistic over images."""
            total: np.ndarray = weights @ np.stack([image[name] for image in statistics])
            return total

        n = weights.sum(axis=1)
        with np.errstate(invalid="ignore"):
            cider_mean, rouge_mean = total("cider")[:, 0] / n, total("rouge")[:, 0] / n
        bleus = np.where(n > 0, bleu(total("matches"), total("possible"), total("lengths")), np.nan)
        return dict(zip(self.names, (cider_mean, *bleus, rouge_mean), strict=True))
