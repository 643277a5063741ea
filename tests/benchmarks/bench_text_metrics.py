"""How long the text metrics take, beside the tools they agree with. A command, not a test.

    python tests/benchmarks/bench_text_metrics.py [--images 5000]

Each tool and ours score the same made-up inputs in this process, in turn, and the fastest of some
rounds counts: on a busy machine the ratio says more than the seconds.
"""

import argparse
import contextlib
import io
import random
import shutil
import time
from collections.abc import Callable, Sequence

import numpy as np

from bench.metrics.caption import CaptionAgreement
from bench.metrics.ptb import tokenise
from bench.metrics.retrieval import Embedded, Retrieval
from bench.metrics.vqa import HumanAnswers, accuracy
from bench.stats import intervals

ROUNDS = 3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--images", type=int, default=5000)
    images = parser.parse_args().images
    captions(images)
    retrieval(images)
    answers(images)


def captions(images: int) -> None:
    """Tokens and scores of one candidate and five references an image."""
    choose = random.Random(0)
    words = ["".join(choose.choices("aeinorst", k=choose.randint(2, 9))) for _ in range(3000)]
    weights = [1 / (n + 1) for n in range(len(words))]

    def sentence() -> str:
        said = choose.choices(words, weights, k=choose.randint(8, 13))
        return f"A {' '.join(said)}."

    references = [[sentence() for _ in range(5)] for _ in range(images)]
    candidates = [" ".join(choose.choice(of).split()[:9]) + "." for of in references]
    flat = [caption for of in references for caption in of]
    meter = CaptionAgreement()

    compare(f"tokens of {len(flat)} captions", lambda: tokenise(flat), java_tokeniser(flat))
    said = tokenise(candidates)
    tokens = tokenise(flat)
    true = [tokens[5 * i : 5 * i + 5] for i in range(images)]

    def ours() -> object:
        return meter.compute([meter.measure_tokens(*pair) for pair in zip(said, true, strict=True)])

    compare(f"CIDEr, BLEU, ROUGE-L of {images} images", ours, pycocoevalcap(said, true))
    statistics = [meter.measure_tokens(*pair) for pair in zip(said, true, strict=True)]
    compare("their intervals, 1000 draws", lambda: intervals(meter, statistics), None)


def java_tokeniser(captions: Sequence[str]) -> Callable[[], object] | None:
    if shutil.which("java") is None:
        return None
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    rows = {i: [{"caption": caption}] for i, caption in enumerate(captions)}
    return lambda: PTBTokenizer().tokenize(rows)


def pycocoevalcap(said: Sequence[str], true: Sequence[list[str]]) -> Callable[[], object]:
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.rouge.rouge import Rouge

    truth, results = dict(enumerate(true)), {i: [caption] for i, caption in enumerate(said)}

    def score() -> object:
        Cider().compute_score(truth, results)
        Bleu(4).compute_score(truth, results, verbose=0)
        return Rouge().compute_score(truth, results)

    return score


def retrieval(images: int) -> None:
    """Ranks among all images and five texts each, beside a full sort of the scores."""
    generator = np.random.default_rng(0)
    vectors = generator.normal(size=(images, 512)).astype(np.float32)
    texts = vectors.repeat(5, 0) + 10 * generator.normal(size=(5 * images, 512)).astype(np.float32)
    meter = Retrieval()
    statistics = [
        meter.measure(Embedded(vectors[i], texts[5 * i : 5 * i + 5]), [""] * 5)
        for i in range(images)
    ]

    def by_sorting() -> object:
        scores = vectors @ texts.T
        return np.argsort(-scores, axis=1), np.argsort(-scores, axis=0)

    fits = images <= 2000  # beyond, the sorts alone need gigabytes
    compare(
        f"retrieval of {images} × {5 * images}",
        lambda: meter.compute(statistics),
        by_sorting if fits else None,
    )
    fixed = meter.settle(statistics)
    compare("its intervals, 1000 draws", lambda: intervals(meter, fixed), None)


def answers(images: int) -> None:
    choose = random.Random(0)
    words = [f"{n} things" for n in range(50)] + ["yes", "no", "two", "the red one", "it's"]
    questions = [
        (choose.choice(words), HumanAnswers(tuple(choose.choices(words[-8:], k=10))))
        for _ in range(5 * images)
    ]
    compare(
        f"VQA of {len(questions)} questions",
        lambda: [accuracy(said, true.answers) for said, true in questions],
        None,
    )


def compare(what: str, ours: Callable[[], object], theirs: Callable[[], object] | None) -> None:
    """Print the fastest round of each, and the ratio."""
    best = [np.inf, np.inf]
    for _ in range(ROUNDS):
        for i, call in enumerate((ours, theirs)):
            if call is not None:
                start = time.perf_counter()
                with contextlib.redirect_stdout(io.StringIO()):
                    call()
                best[i] = min(best[i], time.perf_counter() - start)
    line = f"{what:45} {best[0]:8.2f} s"
    print(
        line if theirs is None else f"{line}  reference {best[1]:8.2f} s  ×{best[1] / best[0]:.1f}"
    )


if __name__ == "__main__":
    main()
