"""Token ids: CLIP's as released, and the small model's words."""

import json
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st
from xdecoder_reference import GOLDEN

from bench.errors import ExtraMissing
from models.xdecoder.config import WORDS
from models.xdecoder.tokenizer import ClipTokenizer, Tokenizer, WordTokenizer, _byte_pairs

EXAMPLES = json.loads((GOLDEN / "tokenizer_examples.json").read_text())
CLIP = ClipTokenizer()
SMALL = WordTokenizer(WORDS, context=24)


@pytest.mark.parametrize("example", EXAMPLES["examples"], ids=lambda e: repr(e["text"][:20]))
def test_clip_ids_are_the_released_ones(example):
    assert CLIP.encode([example["text"]]) == [example["ids"]]


def test_special_ids_are_the_released_ones():
    assert (CLIP.vocabulary, CLIP.start, CLIP.end, CLIP.end) == tuple(
        EXAMPLES[key] for key in ("vocab_size", "start", "end", "pad")
    )
    assert CLIP.context == EXAMPLES["context"]


@pytest.mark.parametrize("tokenizer", [CLIP, SMALL], ids=["clip", "words"])
@given(text=st.text(max_size=300))
def test_any_text_starts_and_ends_within_the_context(tokenizer, text):
    ids = tokenizer.encode([text])[0]
    assert ids[0] == tokenizer.start
    assert ids[-1] == tokenizer.end
    assert tokenizer.end not in ids[:-1]
    assert 2 <= len(ids) <= tokenizer.context
    assert all(0 <= id < tokenizer.vocabulary for id in ids)
    assert isinstance(tokenizer, Tokenizer)


@given(st.lists(st.sampled_from([w for w in WORDS if w.isalpha()]), min_size=1, max_size=20))
def test_known_words_come_back(words):
    text = " ".join(words)
    assert SMALL.decode(SMALL.encode([text.upper()])[0]) == text


def test_clip_text_comes_back_without_what_follows_its_end():
    ids = CLIP.encode(["A red  box next to a ball"])[0]
    assert CLIP.decode([*ids, 320, 320]) == "a red box next to a ball"


@pytest.mark.parametrize(
    "text", ["a dog.", "a man, a dog and a cat.", "the dog's ball.", "they're off!"]
)
def test_clip_text_comes_back_as_people_write_it(text):
    assert CLIP.decode(CLIP.encode([text])[0]) == text


def test_decoded_text_is_the_released_ones_but_for_its_special_tokens():
    stored = json.loads((GOLDEN / "tokenizer_examples.json").read_text())["decode_example"]
    released = stored["text"].replace("<|startoftext|>", "").partition("<|endoftext|>")[0].strip()
    assert CLIP.decode(stored["ids"]) == released == "a dog."


def test_special_tokens_spelled_out_are_special():
    start, end = "<|startoftext|>", "<|endoftext|>"
    assert CLIP.encode([f"dog{start}cat"]) == [[CLIP.start, 1929, CLIP.start, 2368, CLIP.end]]
    assert CLIP.encode([f"dog{end}cat"]) == CLIP.encode(["dog"])


@pytest.fixture
def without_the_wheel(monkeypatch: pytest.MonkeyPatch):
    """A Python that `instant-clip-tokenizer` has no wheel for."""
    monkeypatch.setitem(sys.modules, "instant_clip_tokenizer", None)
    _byte_pairs.cache_clear()
    yield
    _byte_pairs.cache_clear()


@pytest.mark.usefixtures("without_the_wheel")
def test_without_wheel_and_network_the_error_says_what_to_fetch(monkeypatch):
    def offline(*args, **kwargs):
        raise OSError("no network")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", offline)
    with pytest.raises(ExtraMissing, match="hf download openai/clip-vit-base-patch32"):
        ClipTokenizer()


@pytest.mark.network
@pytest.mark.usefixtures("without_the_wheel")
def test_the_hubs_vocabulary_gives_the_released_ids():
    tokenizer = ClipTokenizer()
    for example in EXAMPLES["examples"]:
        assert tokenizer.encode([example["text"]]) == [example["ids"]]
    assert tokenizer.decode(tokenizer.encode(["a red box"])[0]) == "a red box"


def test_a_word_listed_twice_is_refused():
    with pytest.raises(ValueError, match="twice"):
        WordTokenizer(["a", "a"])


def test_words_that_are_not_known_are_said_once(caplog):
    tokenizer = WordTokenizer(["a", "red", "box"])
    assert tokenizer.encode(["a Blue box", "a red dog"]) == [[0, 3, 2, 5, 1], [0, 3, 4, 2, 1]]
    tokenizer.encode(["blue"])
    tokenizer.encode(["a cat"])
    assert [said.getMessage().rpartition(": ")[2] for said in caplog.records] == [
        "blue, dog",
        "cat",
    ]
