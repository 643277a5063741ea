import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_cases import FIXTURES, check_merging, check_weights, stored

from bench.metrics.retrieval import CUTOFFS, Embedded, Retrieval

EXPECTED = stored("retrieval/expected.json")
METER = Retrieval()


def measured(name):
    file = np.load(FIXTURES / "retrieval" / f"{name}.npz")
    return [
        METER.measure(Embedded(vector, texts), [""] * len(texts))
        for vector, texts in (
            (file["image_embeds"][i], file["text_embeds"][file["text_image_ids"] == image])
            for i, image in enumerate(file["image_ids"])
        )
    ]


@pytest.mark.parametrize("name", EXPECTED)
def test_recall_is_within_what_tie_orders_allow(name):
    scores = METER.compute(measured(name))
    for key, (low, high) in EXPECTED[name]["tie_bounds_low_high"].items():
        value = 100 * scores[f"{key[:2].upper()}@{key[2:]}"].value
        assert low - 1e-4 <= value <= high + 1e-4, key


@pytest.mark.parametrize("name", ["five_captions", "uneven_captions"])
def test_recall_without_ties_is_that_of_the_reference(name):
    scores = METER.compute(measured(name))
    for key, value in EXPECTED[name]["reference"].items():
        score = scores[f"{key[:2].upper()}@{key[2:]}"]
        assert 100 * score.value == pytest.approx(value, abs=1e-4)


def test_ties_count_against_the_model():
    scores = METER.compute(measured("ties"))
    for way in ("tr1", "ir1"):
        low, _ = EXPECTED["ties"]["tie_bounds_low_high"][way]
        assert 100 * scores[f"{way[:2].upper()}@1"].value == pytest.approx(low)


@pytest.mark.parametrize("channels", [33, 512, 640])
def test_one_vector_for_everything_finds_nothing(channels):
    vector = np.random.default_rng(0).normal(size=channels)
    image = METER.measure(Embedded(vector, np.tile(vector, (3, 1))), [""] * 3)
    assert all(score.value == 0 for score in METER.compute([image] * 700).values())


def test_vectors_that_are_no_numbers_find_nothing():
    broken = METER.measure(Embedded(np.full(4, np.nan), np.full((2, 4), np.nan)), [""] * 2)
    assert all(score.value == 0 for score in METER.compute([broken] * 30).values())


WORLDS = st.tuples(
    st.integers(0, 2**32 - 1), st.lists(st.integers(0, 4), min_size=1, max_size=12), st.booleans()
)


def statistics_of(world):
    """Images with some texts each; with few values a channel there are ties."""
    seed, texts_of, coarse = world
    generator = np.random.default_rng(seed)

    def vectors(n):
        values = generator.normal(size=(n, 3))
        return np.round(values) if coarse else values

    return [METER.measure(Embedded(vectors(1)[0], vectors(n)), [""] * n) for n in texts_of]


def by_counting(statistics):
    """Recall by looking at every pair, one query at a time."""
    images = np.concatenate([s["image"] for s in statistics]).astype(float)
    texts = np.concatenate([s["texts"] for s in statistics]).astype(float)
    owner = np.repeat(np.arange(len(statistics)), [len(s["texts"]) for s in statistics])
    scores = images @ texts.T
    image_ranks = [
        1 + (scores[i, owner != i] >= scores[i, owner == i].max()).sum()
        for i in range(len(images))
        if (owner == i).any()
    ]
    text_ranks = [
        1 + (np.delete(scores[:, t], owner[t]) >= scores[owner[t], t]).sum()
        for t in range(len(texts))
    ]
    ranks = {"IR": np.array(text_ranks), "TR": np.array(image_ranks)}
    return {f"{way}@{k}": (ranks[way] <= k) for way in ranks for k in CUTOFFS}


@given(WORLDS)
def test_recall_is_that_of_counting_every_pair(world):
    world = (*world[:2], False)
    statistics = statistics_of(world)
    scores = METER.compute(statistics)
    for name, found in by_counting(statistics).items():
        assert scores[name].n == len(found)
        np.testing.assert_allclose(scores[name].value, found.mean() if len(found) else np.nan)


@given(WORLDS, st.integers(0, 12))
def test_merging_halves_equals_the_whole(world, cut):
    check_merging(METER, statistics_of(world), cut)


@given(WORLDS, st.data())
def test_a_weight_counts_a_query_so_many_times(world, data):
    statistics = statistics_of(world)
    n = len(statistics)
    check_weights(METER, statistics, data.draw(st.lists(st.integers(0, 3), min_size=n, max_size=n)))


def test_lengths_of_vectors_do_not_matter():
    statistics = statistics_of((3, [2, 1, 3, 2], False))
    longer = [
        METER.measure(Embedded(s["image"][0] * 7, s["texts"] * 0.1), [""] * len(s["texts"]))
        for s in statistics
    ]
    assert METER.compute(statistics) == METER.compute(longer)


@pytest.mark.parametrize(
    ("kind", "size"),
    [(np.float32, 1e19), (np.float32, 1e37), (np.float32, 1e-25), (np.float64, 1e300)],
)
def test_vectors_of_extreme_lengths_are_ranked_by_direction(kind, size):
    generator = np.random.default_rng(1)
    images = generator.normal(size=(40, 16))
    texts = images + generator.normal(size=images.shape) / 2

    def scores(factor):
        scaled = ((v * factor).astype(kind) for v in (images, texts))
        pairs = zip(*scaled, strict=True)
        return METER.compute([METER.measure(Embedded(i, t[None]), [""]) for i, t in pairs])

    assert scores(size) == scores(1.0)
    assert scores(size)["IR@1"].value > 0


def test_a_vector_of_zeros_stays_one_and_ordinary_ones_are_divided_by_their_length():
    vectors = np.random.default_rng(2).normal(size=(5, 8)).astype(np.float32)
    vectors[3] = 0
    found = METER.measure(Embedded(vectors[0], vectors), [""] * 5)["texts"]
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    assert found.tobytes() == (vectors / np.where(lengths > 0, lengths, 1)).tobytes()


def test_a_text_without_a_vector_is_an_error():
    with pytest.raises(ValueError, match="2 texts but 1"):
        METER.measure(Embedded(np.ones(3), np.ones((1, 3))), ["a", "b"])


def test_nothing_to_score_is_nan_over_zero():
    assert all(np.isnan(s.value) and s.n == 0 for s in METER.compute([]).values())
