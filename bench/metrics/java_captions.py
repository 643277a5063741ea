"""Captioning scores by the reference programs themselves, which need Java.

METEOR and SPICE exist as Java programs only; pycocoevalcap ships the first and downloads parts of
the second. Nothing is downloaded here: SPICE is scored where those parts are already there. CIDEr,
BLEU and ROUGE-L are computed too, from the Java tokeniser's tokens: a cross-check of ours.
"""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from bench.errors import ExtraMissing
from bench.metrics.meter import Score, Scores
from bench.metrics.ptb import one_line

NAMES = ("CIDEr", "BLEU-1", "BLEU-2", "BLEU-3", "BLEU-4", "ROUGE-L", "METEOR", "SPICE")


def java_scores(candidates: Sequence[str], references: Sequence[Sequence[str]]) -> Scores:
    """The scores of pycocoevalcap, one candidate and some references an image.

    SPICE is NaN over 0 images where its models are not installed.

    Raises:
        ExtraMissing: there is no Java.
    """
    if shutil.which("java") is None:
        raise ExtraMissing(
            "METEOR and SPICE are Java programs and there is no 'java' on the path. Install a Java "
            "runtime, or leave out --engine: CIDEr, BLEU and ROUGE-L need none."
        )
    from pycocoevalcap.bleu.bleu import Bleu
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.meteor.meteor import Meteor
    from pycocoevalcap.rouge.rouge import Rouge
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    truth = PTBTokenizer().tokenize(_rows(references))
    said = PTBTokenizer().tokenize(_rows([[candidate] for candidate in candidates]))
    values = [
        Cider().compute_score(truth, said)[0],
        *Bleu(4).compute_score(truth, said, verbose=0)[0],
        Rouge().compute_score(truth, said)[0],
        Meteor().compute_score(truth, said)[0],
        _spice(truth, said),
    ]
    return {
        name: Score(float(value), 0 if np.isnan(value) else len(candidates))
        for name, value in zip(NAMES, values, strict=True)
    }


def _rows(captions: Sequence[Sequence[str]]) -> dict[int, list[dict[str, str]]]:
    """As pycocoevalcap takes them, with the line breaks that put it out of step as spaces."""
    return {
        image: [{"caption": one_line(caption)} for caption in of_image]
        for image, of_image in enumerate(captions)
    }


def _spice(truth: Any, said: Any) -> float:
    """SPICE, or NaN where its language models are not there."""
    from pycocoevalcap.spice import spice

    libraries = Path(spice.__file__).parent / "lib"
    if not list(libraries.glob("stanford-corenlp-*-models.jar")):
        return float("nan")
    return float(spice.Spice().compute_score(truth, said)[0])
