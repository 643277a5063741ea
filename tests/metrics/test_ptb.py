import random
import shutil
import string

import pytest
from hypothesis import given
from hypothesis import strategies as st
from text_cases import stored

from bench.metrics.ptb import DROPPED, tokenise, tokenise_alone

HARD = stored("captions/ptb_hard.json")
PAIRS = stored("captions/ptb_pairs.json")


@pytest.mark.parametrize("cases", [PAIRS, HARD], ids=["captions", "hard"])
def test_tokens_are_those_of_the_java_tokeniser(cases):
    for raw, said, true in zip(
        cases["raw"], tokenise(cases["raw"]), cases["tokenized"], strict=True
    ):
        assert said == true, ascii(raw)


@pytest.mark.parametrize(("text", "tokens"), HARD["at_end_of_text"])
def test_the_end_of_the_text_is_no_line_break(text, tokens):
    assert tokenise([text]) == [tokens]


def test_the_next_caption_can_change_the_last_token():
    assert tokenise(["plan B.", "The end"])[0] == "plan b"
    assert tokenise(["plan B.", "the end"])[0] == "plan b."


def test_alone_a_caption_reads_as_before_a_line_that_changes_nothing():
    for raw in HARD["raw"]:
        assert tokenise_alone(raw) == tokenise([raw, "", "then"])[0]


@pytest.mark.parametrize("sign", ["\n", "\r", "\r\n", "\v", "\f", "\u2028", "\u2029"])
def test_a_line_break_inside_a_caption_is_a_space(sign):
    assert tokenise([f"first{sign}A", "second"]) == ["first a", "second"]


@given(st.lists(st.text(max_size=30), max_size=6))
def test_any_text_gives_one_line_a_caption_without_dropped_marks(captions):
    lines = tokenise(captions)
    assert len(lines) == len(captions)
    assert not DROPPED & {token for line in lines for token in line.split(" ")}


@given(st.lists(st.text(string.ascii_lowercase, min_size=2, max_size=8), min_size=1, max_size=9))
def test_plain_words_are_their_own_tokens(words):
    split = {"cannot", "gonna", "gotta", "lemme", "gimme", "wanna"}
    words = [word for word in words if word not in split]
    assert tokenise([" ".join(words)]) == [" ".join(words)]


WORDS = (
    "a the man's isn't can't cannot don't y'all 'tis rock 'n' O'Brien Mr. St. Co. etc. e.g. p.m. "
    "U.S. Ph.D. no. fig. Ft. B. I. A The He In $5 US$5 1,000 1/2 3.5 -5 #1 '90s 5'10\" 12:30 "
    "555-1234 (555) t-shirt x-ray -- ... . , ; : ! ? \" ' `` '' ( ) [ ] { } < > <b> &amp; &quot; "
    "http://a.com www.b.org c.com d@e.com f.txt :) :-( ;D ^_^ café 北京 – — … “ ” ‘ ’ ½ € £ ² 😀 "
    "\u00ad \u00a0 \u3000 @me #tag a/b C++ AT&T * _ = + % & / \\ | ~ ^"
)
GLUE = [" "] * 8 + ["", "", "", "  ", ".", ",", "'", "-", "/", ". "]


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("java") is None, reason="the reference tokeniser needs Java")
@pytest.mark.parametrize("seed", range(3))
def test_tokens_of_random_text_are_those_of_the_java_tokeniser(seed):
    ptbtokenizer = pytest.importorskip(
        "pycocoevalcap.tokenizer.ptbtokenizer", reason="pycocoevalcap ships the reference"
    )
    choose = random.Random(seed)
    captions = [
        "".join(
            choose.choice(WORDS.split(" ")) + choose.choice(GLUE)
            if choose.random() < 0.9
            else choose.choice(string.printable[:95])
            for _ in range(choose.randint(1, 8))
        )
        for _ in range(5000)
    ]
    rows = {i: [{"caption": caption}] for i, caption in enumerate(captions)}
    true = ptbtokenizer.PTBTokenizer().tokenize(rows)
    for i, said in enumerate(tokenise(captions)):
        assert said == true[i][0], ascii(captions[i])
