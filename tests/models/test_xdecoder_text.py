"""The text encoder's shortcuts against the plain way, and the cache of class embeddings."""

import re
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from bench.errors import DataError
from bench.types import Vocabulary
from models.xdecoder.config import WORDS, TextConfig
from models.xdecoder.embeddings import ClassEmbeddings
from models.xdecoder.text import TextEncoder
from models.xdecoder.tokenizer import WordTokenizer

TOKENIZER = WordTokenizer(WORDS, context=24)
ANIMALS = Vocabulary(
    ("horse", "shoe"), prompts=(("horse",), ("shoe", "red shoe")), templates=("{}.", "a {} on sand")
)

texts = st.lists(
    st.lists(st.sampled_from(WORDS), max_size=30).map(" ".join), min_size=1, max_size=12
)


def encoder(seed: int = 0) -> TextEncoder:
    torch.manual_seed(seed)
    config = TextConfig(words=WORDS, context=24, width=32, layers=2, heads=4, feedforward=64)
    return TextEncoder(config, config.vocabulary, 16).double().eval()


ENCODER = encoder()


def plain(sentences: list[str]) -> Tensor:
    """Every text filled up to the context with end tokens, in one batch, as released."""
    ids = TOKENIZER.encode(sentences)
    filled = torch.tensor([row + [TOKENIZER.end] * (24 - len(row)) for row in ids])
    ends = (filled == TOKENIZER.end).int().argmax(dim=1)
    return ENCODER(filled)[torch.arange(len(ids)), ends]


@given(texts)
@settings(max_examples=20, deadline=None)
@torch.no_grad()
def test_texts_by_length_equal_texts_filled_up(sentences):
    torch.testing.assert_close(
        ENCODER.sentences(TOKENIZER.encode(sentences)), plain(sentences), rtol=1e-9, atol=1e-12
    )


@torch.no_grad()
def test_batches_of_one_length_are_cut_without_a_change(monkeypatch):
    sentences = [f"{a} {b}" for a in WORDS[20:25] for b in WORDS[20:25]]
    monkeypatch.setattr("models.xdecoder.text._TOKENS_AT_ONCE", 12)
    torch.testing.assert_close(ENCODER.sentences(TOKENIZER.encode(sentences)), plain(sentences))


@pytest.mark.parametrize("sharing", [2, 3, 64])
def test_what_texts_begin_with_is_encoded_once_without_a_change(sharing, monkeypatch):
    sentences = [
        template.format(name)
        for template in ("{}", "a {}", "the red {} on sand", "the red {} on a star")
        for name in (*WORDS[20:26], "red star", "blue star", "red")
    ]
    monkeypatch.setattr("models.xdecoder.text._SHARING", sharing)
    with torch.no_grad():
        found = ENCODER.sentences(TOKENIZER.encode(sentences))
        torch.testing.assert_close(found, plain(sentences), rtol=1e-9, atol=1e-12)


def test_with_gradient_texts_have_the_gradient_of_texts_filled_up():
    sentences = [f"the red {word}" for word in WORDS[20:40]]
    gradients = []
    for encode in (
        lambda: ENCODER.sentences(TOKENIZER.encode(sentences)),
        lambda: plain(sentences),
    ):
        gradients.append(torch.autograd.grad(encode().square().sum(), [ENCODER.tokens.weight])[0])
    # In training attention works in float32, whatever the weights are in.
    torch.testing.assert_close(*gradients, rtol=1e-3, atol=1e-3)


def test_no_texts_have_no_embeddings():
    assert ENCODER.sentences([]).shape == (0, 16)


@torch.no_grad()
def test_one_token_at_a_time_gives_the_states_of_the_whole():
    ids = torch.tensor(TOKENIZER.encode(["a red horse on sand", "a blue shoe on snow"]))
    whole = ENCODER(ids)
    memory = []
    for position in range(ids.shape[1]):
        state, memory = ENCODER.step(ids[:, position], position, memory)
        torch.testing.assert_close(state, whole[:, position])


def by_hand(vocabulary: Vocabulary) -> Tensor:
    """Normalise each sentence, average a class, normalise: written out."""
    rows = []
    with torch.no_grad():
        for column in vocabulary.sentences():
            states = [plain([sentence])[0] for sentence in column]
            mean = sum(state / (state.norm() + 1e-7) for state in states) / len(states)
            rows.append(mean / mean.norm())
    return torch.stack(rows)


def test_a_class_is_the_mean_of_its_sentences():
    found = ClassEmbeddings(ENCODER, TOKENIZER)(ANIMALS)
    assert found.shape == (3, 16)
    torch.testing.assert_close(found, by_hand(ANIMALS))


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many sentences each call of the encoder was given."""
    calls = []
    original = TextEncoder.sentences

    def sentences(self, texts):
        calls.append(len(texts))
        return original(self, texts)

    monkeypatch.setattr(TextEncoder, "sentences", sentences)
    return calls


def test_a_vocabulary_is_encoded_once_and_a_sentence_too(counted):
    twice = Vocabulary(("horse", "horse"), background=None)
    embeddings = ClassEmbeddings(ENCODER, TOKENIZER)
    torch.testing.assert_close(embeddings(twice), embeddings(twice))
    assert counted == [1]


def test_vocabularies_share_their_classes(counted):
    embeddings = ClassEmbeddings(ENCODER, TOKENIZER)
    both = embeddings(Vocabulary(("horse", "dog"), background=None))
    torch.testing.assert_close(embeddings(Vocabulary(("dog",), background=None)), both[1:])
    assert counted == [2]


def test_no_classes_have_no_embeddings(tmp_path: Path):
    nothing = Vocabulary((), background=None)
    for folder in (None, tmp_path, tmp_path):
        assert ClassEmbeddings(ENCODER, TOKENIZER, folder)(nothing).shape == (0, 16)


def test_a_long_encoding_says_how_far_it_is(monkeypatch, caplog):
    monkeypatch.setattr("models.xdecoder.embeddings._SECONDS", 0.0)
    monkeypatch.setattr("models.xdecoder.embeddings._AT_ONCE", 2)
    parts = Vocabulary(("horse", "dog", "cat"), background=None)
    with caplog.at_level("INFO", logger="models.xdecoder.embeddings"):
        ClassEmbeddings(ENCODER, TOKENIZER)(parts)
    said = [r.getMessage() for r in caplog.records if r.name == "models.xdecoder.embeddings"]
    assert [re.sub(r"\d+ s ", "_ s ", text) for text in said] == [
        "encoding 3 classes in 3 sentences: 2 are done, _ s are left",
        "encoding 3 classes in 3 sentences: 3 are done, _ s are left",
    ]


def test_changed_weights_forget_what_was_encoded(counted):
    changing = encoder()
    embeddings = ClassEmbeddings(changing, TOKENIZER)
    before = embeddings(ANIMALS)
    with torch.no_grad():
        changing.projection.mul_(-1)
    torch.testing.assert_close(embeddings(ANIMALS), -before)
    assert len(counted) == 2


def test_a_folder_spares_another_run_the_encoding(tmp_path: Path, counted):
    first = ClassEmbeddings(ENCODER, TOKENIZER, tmp_path)(ANIMALS)
    second = ClassEmbeddings(encoder(), TOKENIZER, tmp_path)(ANIMALS)
    assert len(counted) == 1
    torch.testing.assert_close(first, second)


def test_a_folder_keeps_weights_and_sentences_apart(tmp_path: Path, counted):
    embeddings = ClassEmbeddings(ENCODER, TOKENIZER, tmp_path)
    first = embeddings(ANIMALS)
    embeddings(Vocabulary(("zebra",)))
    other = ClassEmbeddings(encoder(seed=1), TOKENIZER, tmp_path)(ANIMALS)
    assert len(counted) == 3
    assert not torch.allclose(first, other)
    assert len(list(tmp_path.iterdir())) == 3


def test_a_broken_file_says_which(tmp_path: Path):
    ClassEmbeddings(ENCODER, TOKENIZER, tmp_path)(ANIMALS)
    (path,) = tmp_path.iterdir()
    path.write_bytes(b"half a file")
    with pytest.raises(DataError, match=path.name):
        ClassEmbeddings(ENCODER, TOKENIZER, tmp_path)(ANIMALS)
