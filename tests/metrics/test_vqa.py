import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from text_cases import check_merging, check_weights, stored

from bench.metrics.vqa import ANSWER_TYPES, AnswerAccuracy, HumanAnswers, accuracy
from bench.metrics.vqa_answers import normalised

EXPECTED = stored("vqa/expected_vqa_eval.json")
METER = AnswerAccuracy()


def measured():
    said = {row["question_id"]: row["answer"] for row in stored("vqa/results.json")}
    return {
        row["question_id"]: METER.measure(
            [said[row["question_id"]]],
            [
                HumanAnswers(
                    tuple(answer["answer"] for answer in row["answers"]),
                    row["answer_type"],
                    row["question_type"],
                )
            ],
        )
        for row in stored("vqa/annotations.json")["annotations"]
    }


def test_accuracies_are_those_of_the_official_evaluator():
    scores = METER.compute(list(measured().values()))
    expected = EXPECTED["accuracy"]
    assert round(100 * scores["accuracy"].value, 4) == expected["overall"]
    by_type = {kind: round(100 * v, 4) for kind, v in scores["accuracy"].by_class.items()}
    assert by_type == expected["perQuestionType"]
    for kind in ANSWER_TYPES:
        assert round(100 * scores[f"accuracy {kind}"].value, 4) == expected["perAnswerType"][kind]


def test_each_answer_is_as_right_as_the_official_evaluator_says():
    for question, statistics in measured().items():
        value = EXPECTED["per_question"][str(question)]
        assert round(100 * statistics["accuracy"][0], 4) == value


@pytest.mark.parametrize(
    ("written", "compared"),
    [
        ("The dog", "dog"),
        ("none", "0"),
        ("Ten", "10"),
        ("1,000 dogs", "1000 dogs"),
        ("1,000/2", "10002"),
        ("left/right", "left right"),
        ("left /right", "left right"),
        ("u.s.", "us"),
        ("3.5", "3.5"),
        ("wont", "won't"),
        ("yall'll", "y'all'll"),
        ("somebody'd", "somebodyd"),
        ("were", "were"),
        ("." * 40, "." * 8),
    ],
)
def test_an_answer_is_normalised_as_by_the_official_evaluator(written, compared):
    assert normalised(written) == compared


@pytest.mark.parametrize(
    ("agreeing", "value"), [(0, 0), (1, 0.3), (2, 0.6), (3, 0.9), (4, 1), (10, 1)]
)
def test_accuracy_grows_by_the_people_who_agree(agreeing, value):
    answers = ["red"] * agreeing + ["blue"] * (10 - agreeing)
    assert accuracy("red", answers) == pytest.approx(value)


def test_unanimous_answers_are_compared_as_written():
    assert accuracy("the dog", ["dog"] * 10) == 0
    assert accuracy("the dog", ["dog"] * 9 + ["cat"]) == 1


WORDS = st.sampled_from(["red", "Red.", "two", "2", "the dog", "dog", "no", "10:30", ""])
QUESTIONS = st.tuples(
    WORDS, st.lists(WORDS, min_size=1, max_size=10), st.sampled_from([*ANSWER_TYPES, ""])
)
IMAGES = st.lists(st.lists(QUESTIONS, max_size=3), min_size=1, max_size=6)


def statistics_of(images):
    return [
        METER.measure(
            [said for said, _, _ in image],
            [HumanAnswers(tuple(true), kind, kind and "what " + kind) for _, true, kind in image],
        )
        for image in images
    ]


@given(WORDS, st.lists(WORDS, min_size=1, max_size=10), st.randoms(use_true_random=False))
def test_the_order_of_people_does_not_count(said, answers, random):
    shuffled = list(answers)
    random.shuffle(shuffled)
    assert accuracy(said, answers) == accuracy(said, shuffled)
    assert 0 <= accuracy(said, answers) <= 1


@given(IMAGES, st.integers(0, 6))
def test_merging_halves_equals_the_whole(images, cut):
    check_merging(METER, statistics_of(images), cut)


@settings(max_examples=40)
@given(IMAGES, st.data())
def test_a_weight_counts_as_so_many_images(images, data):
    weights = data.draw(st.lists(st.integers(0, 3), min_size=len(images), max_size=len(images)))
    check_weights(METER, statistics_of(images), weights)


def test_nothing_to_score_is_nan_over_zero():
    assert all(np.isnan(s.value) and s.n == 0 for s in METER.compute([]).values())


def test_an_answer_too_few_is_an_error():
    with pytest.raises(ValueError, match="1 questions but 0 answers"):
        METER.measure([], [HumanAnswers(("a",))])
