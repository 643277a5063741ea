import shutil
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_cases import check_merging, check_weights, same, stored

from bench.errors import ExtraMissing
from bench.metrics.caption import CaptionAgreement
from bench.metrics.java_captions import java_scores
from bench.metrics.ngrams import Captions, count, hashes
from bench.metrics.rouge import common_subsequence

INPUTS = stored("captions/captions.json")
EXPECTED = stored("captions/expected_pycocoevalcap.json")
NAMES = {
    "CIDEr": "CIDEr",
    "BLEU-1": "Bleu_1",
    "BLEU-2": "Bleu_2",
    "BLEU-3": "Bleu_3",
    "BLEU-4": "Bleu_4",
    "ROUGE-L": "ROUGE_L",
}
METER = CaptionAgreement()


def measured(name):
    inputs = INPUTS[name]
    return [
        METER.measure(_only(inputs["hyps"][image]), references)
        for image, references in inputs["refs"].items()
    ]


def _only(said):
    """The fixture's caption, which may stand in a list of one."""
    return said[0] if isinstance(said, list) else said


@pytest.mark.parametrize("name", INPUTS)
def test_scores_are_those_of_pycocoevalcap(name):
    scores = METER.compute(measured(name))
    assert tuple(scores) == METER.names
    for ours, theirs in NAMES.items():
        assert scores[ours].value == pytest.approx(EXPECTED[name]["corpus"][theirs], abs=1e-9)
        assert scores[ours].n == len(INPUTS[name]["refs"])


@pytest.mark.parametrize("name", INPUTS)
def test_cider_and_rouge_of_each_image_are_those_of_pycocoevalcap(name):
    for image, statistics in zip(INPUTS[name]["refs"], METER.settle(measured(name)), strict=True):
        expected = EXPECTED[name]["per_image"][image]
        assert statistics["cider"][0] == pytest.approx(expected["CIDEr"], abs=1e-9)
        assert statistics["rouge"][0] == pytest.approx(expected["ROUGE_L"], abs=1e-9)


WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "dog"]), max_size=7).map(" ".join)
IMAGES = st.lists(st.tuples(WORDS, st.lists(WORDS, min_size=1, max_size=4)), min_size=1, max_size=8)


def statistics_of(images):
    return [METER.measure_tokens(said, true) for said, true in images]


@given(IMAGES)
def test_scores_of_random_captions_are_those_of_pycocoevalcap(images):
    Bleu = pytest.importorskip("pycocoevalcap.bleu.bleu").Bleu
    Cider = pytest.importorskip("pycocoevalcap.cider.cider").Cider
    Rouge = pytest.importorskip("pycocoevalcap.rouge.rouge").Rouge
    if not any(caption.split() for _, true in images for caption in true):
        return  # the reference cannot count an empty vocabulary
    truth = {i: true for i, (_, true) in enumerate(images)}
    said = {i: [caption] for i, (caption, _) in enumerate(images)}
    scores = METER.compute(statistics_of(images))
    expected = [
        Cider().compute_score(truth, said)[0],
        *Bleu(4).compute_score(truth, said, verbose=0)[0],
        Rouge().compute_score(truth, said)[0],
    ]
    for name, value in zip(METER.names, expected, strict=True):
        assert scores[name].value == pytest.approx(float(value), abs=1e-9), name


@given(IMAGES, st.integers(0, 8))
def test_merging_halves_equals_the_whole(images, cut):
    check_merging(METER, statistics_of(images), cut)


@settings(max_examples=40)
@given(IMAGES, st.data())
def test_a_weight_counts_as_so_many_images(images, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(images), max_size=len(images)))
    check_weights(METER, statistics_of(images), weights)


@settings(max_examples=40)
@given(IMAGES, st.randoms(use_true_random=False))
def test_the_order_of_images_does_not_count(images, random):
    shuffled = list(images)
    random.shuffle(shuffled)
    assert same(METER.compute(statistics_of(images)), METER.compute(statistics_of(shuffled)))


def test_saying_the_only_reference_scores_ten_and_one():
    images = [
        (text, [text]) for text in ("a dog runs far", "two cats sleep here", "red bus on road")
    ]
    scores = METER.compute(statistics_of(images))
    assert scores["CIDEr"].value == pytest.approx(10)
    assert scores["BLEU-4"].value == pytest.approx(1)
    assert scores["ROUGE-L"].value == pytest.approx(1)


def test_nothing_to_score_is_nan_over_zero():
    for scores in (METER.compute([]), METER.compute(statistics_of([("a", ["a"])]), [0])):
        assert all(np.isnan(s.value) and s.n == 0 for s in scores.values())


def test_an_image_without_references_is_an_error():
    with pytest.raises(ValueError, match="at least one reference"):
        METER.measure("a dog", [])


@given(st.lists(st.text("abc", max_size=12).map(list), min_size=1, max_size=6))
def test_runs_of_words_are_counted_as_a_counter_counts_them(captions):
    table = Captions(
        hashes([word for caption in captions for word in caption]),
        np.array([len(caption) for caption in captions]),
        np.array([len(captions)]),
    )
    for counts in count(table):
        for number, caption in enumerate(captions):
            runs = Counter(
                tuple(caption[i : i + counts.n]) for i in range(len(caption) - counts.n + 1)
            )
            assert sorted(counts.count[counts.caption == number]) == sorted(runs.values())


@given(st.text("abcd", max_size=20), st.text("abcd", max_size=20))
def test_the_common_subsequence_is_that_of_the_full_table(left, right):
    table = np.zeros((len(left) + 1, len(right) + 1), int)
    for i, a in enumerate(left):
        for j, b in enumerate(right):
            table[i + 1, j + 1] = (
                table[i, j] + 1 if a == b else max(table[i, j + 1], table[i + 1, j])
            )
    assert common_subsequence(list(left), list(right)) == table[-1, -1]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="METEOR needs Java")
# pycocoevalcap leaves its Java process and pipes open when it is collected
@pytest.mark.filterwarnings(
    "ignore::pytest.PytestUnraisableExceptionWarning", "ignore::ResourceWarning"
)
def test_meteor_is_that_of_the_reference_and_spice_is_said_to_be_absent():
    inputs = INPUTS["random5"]
    images = list(inputs["refs"])
    said = [_only(inputs["hyps"][image]) for image in images]
    scores = java_scores(said, [inputs["refs"][i] for i in images])
    expected = EXPECTED["random5"]["corpus"]
    assert scores["METEOR"].value == pytest.approx(expected["METEOR"], abs=1e-9)
    assert scores["CIDEr"].value == pytest.approx(expected["CIDEr"], abs=1e-9)
    assert (scores["SPICE"].n == 0) == bool(np.isnan(scores["SPICE"].value))


def test_without_java_meteor_says_what_to_install(monkeypatch):
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ExtraMissing, match="Java"):
        java_scores(["a"], [["a"]])
