"""Image-text retrieval: recall at 1, 5 and 10, both ways.

IR@k: the share of texts whose image is among the k images closest to the text. TR@k: the share of
images with one of their own texts among the k texts closest to the image. Closeness is the cosine.
The gallery is all images, or all texts, of the set (5,000 and 25,010 for COCO's Karpathy test).

Ties count against the model: an answer's rank is one more than the number of wrong candidates that
score at least as high. A model that gives every candidate one vector thus scores 0, whatever order
a sort would have left them in. The same rule makes a score that is not a number a miss.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Float32, Float64, Int

from bench.metrics.meter import Score, Scores, Statistics, repeats

CUTOFFS = (1, 5, 10)
_RANKS = {"IR": "text_ranks", "TR": "image_rank"}
"""What is ranked for each way of asking."""
_BLOCK = 512
"""Queries compared with the gallery at once: 512 × 25,000 scores are 51 MB."""


@dataclass(frozen=True)
class Embedded:
    """An image and its texts as vectors of one space; their lengths do not matter."""

    image: Float[np.ndarray, " channel"]
    texts: Float[np.ndarray, "text channel"]


class Retrieval:
    """Ranks every text's image and every image's texts in one gallery.

    Statistics of an image are its vectors, so nothing is embedded twice; they turn into ranks when
    the set is known (`settle`). With weights, images are drawn as queries, each with its texts,
    and the gallery stays whole. `n` counts queries: texts for IR, images with texts for TR.
    """

    @property
    def names(self) -> tuple[str, ...]:
        """Image retrieval first, as the tables have it."""
        return (*(f"IR@{k}" for k in CUTOFFS), *(f"TR@{k}" for k in CUTOFFS))

    def measure(self, prediction: Embedded, truth: Sequence[str]) -> Statistics:
        """The vectors of an image and of its texts, scaled to length 1."""
        if len(prediction.texts) != len(truth):
            raise ValueError(f"{len(truth)} texts but {len(prediction.texts)} text vectors")
        return {"image": _unit(prediction.image[None]), "texts": _unit(prediction.texts)}

    def settle(self, statistics: Sequence[Statistics]) -> list[Statistics]:
        """Every image's rank for its best text, and the rank of each of its texts; 1 is best."""
        if not statistics or "text_ranks" in statistics[0]:  # nothing to do, or done
            return list(statistics)
        texts_of = np.array([len(image["texts"]) for image in statistics])
        images = np.concatenate([image["image"] for image in statistics])
        texts = np.concatenate([image["texts"] for image in statistics])
        text_ranks = np.split(rank_images(images, texts, texts_of), np.cumsum(texts_of)[:-1])
        image_ranks = rank_texts(images, texts, texts_of)
        return [
            {"image_rank": image_ranks[i : i + 1][: texts_of[i]], "text_ranks": text_ranks[i]}
            for i in range(len(statistics))
        ]

    def compute(
        self, statistics: Sequence[Statistics], weights: Sequence[int] | None = None
    ) -> Scores:
        """Recall over queries; the texts of image `i`, and the image, count `weights[i]` times."""
        statistics = self.settle(statistics)
        counts = repeats(statistics, weights)
        values = self.resample(statistics, counts[None])
        n = {
            way: sum(
                int(c) * len(image[ranks]) for c, image in zip(counts, statistics, strict=True)
            )
            for way, ranks in _RANKS.items()
        }
        return {name: Score(float(v[0]), n[name[:2]]) for name, v in values.items()}

    def resample(
        self, statistics: Sequence[Statistics], weights: Int[np.ndarray, "draw image"]
    ) -> dict[str, Float[np.ndarray, " draw"]]:
        """Every score under each row of weights; the gallery is that of `statistics`."""
        statistics = self.settle(statistics)
        scores = {}
        for way, name in _RANKS.items():
            ranks = [image[name] for image in statistics]
            asked = weights @ np.array([len(r) for r in ranks], np.int64)
            for k in CUTOFFS:
                found = weights @ np.array([np.count_nonzero(r <= k) for r in ranks], np.int64)
                with np.errstate(invalid="ignore"):
                    scores[f"{way}@{k}"] = found / asked
        return scores


def rank_images(
    images: Float32[np.ndarray, "image channel"],
    texts: Float32[np.ndarray, "text channel"],
    texts_of: Int[np.ndarray, " image"],
) -> Int[np.ndarray, " text"]:
    """For each text, the rank of its image among all images.

    Texts stand in the order of their images, `texts_of[i]` of them for image `i`.
    """
    owner = np.repeat(np.arange(len(images)), texts_of)
    ranks = np.empty(len(texts), np.int64)
    for start, scores in _compared(texts, images):
        block = slice(start, start + _BLOCK)
        own = np.take_along_axis(scores, owner[block, None], axis=1)
        ranks[block] = _at_least(scores, own)
    return ranks


def rank_texts(
    images: Float32[np.ndarray, "image channel"],
    texts: Float32[np.ndarray, "text channel"],
    texts_of: Int[np.ndarray, " image"],
) -> Int[np.ndarray, " image"]:
    """For each image, the rank of its best text among all texts that are not its own."""
    bounds = np.concatenate(([0], np.cumsum(texts_of)))
    ranks = np.empty(len(images), np.int64)
    for start, scores in _compared(images, texts):
        own = [
            scores[row, bounds[start + row] : bounds[start + row + 1]] for row in range(len(scores))
        ]
        best = np.array([[np.fmax.reduce(s, initial=-np.inf)] for s in own], np.float32)
        own_at_least = [int(_at_least(s[None], b[None])[0]) for s, b in zip(own, best, strict=True)]
        ranks[start : start + _BLOCK] = _at_least(scores, best) - own_at_least + 1
    return ranks


def _compared(
    queries: Float32[np.ndarray, "query channel"], gallery: Float32[np.ndarray, "candidate channel"]
) -> Iterator[tuple[int, Float32[np.ndarray, "block candidate"]]]:
    """Scores of a block of queries at a time, with the place of its first.

    Equal vectors get equal scores: a product's last bit may depend on a column's place in the
    matrix, which would break ties at random, so each distinct vector is multiplied once.
    """
    places: dict[bytes, int] = {}
    column = np.array([places.setdefault(v.tobytes(), len(places)) for v in gallery], np.int64)
    distinct = gallery
    if len(places) < len(gallery):
        distinct = np.empty((len(places), gallery.shape[1]), np.float32)
        distinct[column] = gallery
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ distinct.T
        yield start, scores if distinct is gallery else scores[:, column]


def _at_least(
    scores: Float32[np.ndarray, "query candidate"], own: Float32[np.ndarray, "query 1"]
) -> Int[np.ndarray, " query"]:
    """How many candidates do not score less than `own`; those that are no number among them."""
    less = np.count_nonzero(scores < own, axis=1)
    at_least: Int[np.ndarray, " query"] = scores.shape[1] - less
    return at_least


def _unit(vectors: Float[np.ndarray, "vector channel"]) -> Float32[np.ndarray, "vector channel"]:
    with np.errstate(over="ignore", under="ignore", invalid="ignore"):
        single = np.asarray(vectors, np.float32)
        lengths = np.linalg.norm(single, axis=1, keepdims=True)
        unit: Float32[np.ndarray, "vector channel"] = single / np.where(lengths > 0, lengths, 1)
        low, high = _SQUARED_SAFELY
        extreme = ~((lengths >= low) & (lengths <= high))[:, 0]
        if extreme.any():
            unit[extreme] = _unit_of_extremes(np.asarray(vectors, np.float64)[extreme])
    return unit


_SQUARED_SAFELY = 1e-15, 1e15
"""Lengths whose square single precision holds with all its digits."""


def _unit_of_extremes(
    vectors: Float64[np.ndarray, "vector channel"],
) -> Float64[np.ndarray, "vector channel"]:
    """Vectors of any length as those of length 1; one of zeros stays."""
    greatest = np.abs(vectors).max(axis=1, initial=0, keepdims=True)
    scaled = vectors / np.where(greatest > 0, greatest, 1)
    lengths = np.linalg.norm(scaled, axis=1, keepdims=True)
    unit: Float64[np.ndarray, "vector channel"] = scaled / np.where(lengths > 0, lengths, 1)
    return unit
