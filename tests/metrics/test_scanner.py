import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench.metrics.scanner import CharacterSet, Matcher, Rule, Scanner

PARTS = {"vowel": CharacterSet([(ord(c), ord(c)) for c in "aeiou"]), "pair": "ab|cd"}


def longest(pattern: str, text: str) -> int | None:
    found = Matcher([pattern], PARTS).longest(text, 0)
    return None if found is None else found[1]


def test_the_longest_match_counts_and_not_the_first_alternative():
    assert longest("a|ab|abc", "abcd") == 3
    assert re.match("a|ab|abc", "abcd").end() == 1


def test_among_equally_long_matches_the_first_rule_counts():
    matcher = Matcher(["[a-z]+", "cat", "[a-z]+!"], PARTS)
    assert matcher.longest("cat", 0) == (0, 3)
    assert matcher.longest("cat!", 0) == (2, 4)


def test_what_must_follow_counts_for_the_length_and_stays_in_the_text():
    short, long = Rule("[a-z]+[.]?"), Rule("[a-z]+", "[.] *[0-9]")
    assert Scanner([short, long], PARTS).match("no. 5", 0) == (long, 2)
    assert Scanner([short, long], PARTS).match("no. x", 0) == (short, 3)


def test_of_several_cuts_the_longest_head_is_taken():
    rule = Rule("a+", "a?b")
    assert Scanner([rule], PARTS).match("aaab", 0) == (rule, 3)


def test_given_back_characters_are_scanned_again():
    rule = Rule("cannot", give_back=3)
    assert Scanner([rule], PARTS).match("cannot", 0) == (rule, 3)


def test_literals_match_both_cases_and_classes_do_not():
    assert longest("mr", "MR") == 2
    assert longest("[m]r", "MR") is None
    assert longest("[m]r", "mR") == 2


def test_parts_are_groups_of_their_own():
    assert longest("{pair}x", "abx") == 3
    assert longest("{pair}{2}x", "abcdx") == 5
    assert longest("{vowel}+", "aeix") == 3


def test_overlapping_ranges_are_one_set():
    assert longest("[a-z.c]+", "axyz.c!") == 6
    assert longest("[^a-zc]+", "xc") is None


def test_an_unbalanced_pattern_is_an_error():
    for pattern in ("(ab", "ab)"):
        with pytest.raises(ValueError, match=r"'\(' without|unmatched"):
            Matcher([pattern], PARTS)


def test_text_no_rule_matches_is_an_error():
    with pytest.raises(ValueError, match="no rule matches"):
        Scanner([Rule("a")], PARTS).match("b", 0)


PATTERNS = st.recursive(
    st.sampled_from(["a", "b", "[ab]", "[^a]", "."]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map("".join),
        st.tuples(inner, inner).map(lambda p: f"({p[0]}|{p[1]})"),
        st.tuples(inner, st.sampled_from(["?", "*", "+", "{2}", "{1,3}"])).map(
            lambda p: f"({p[0]}){p[1]}"
        ),
    ),
    max_leaves=6,
)


@given(PATTERNS, st.text("abc", max_size=7))
def test_matches_end_exactly_where_a_full_match_of_re_says(pattern, text):
    """`re` is another kind of engine, but whether a whole string matches is the same question."""
    ends = [e for e in range(1, len(text) + 1) if re.fullmatch(pattern, text[:e])]
    matcher = Matcher([pattern], PARTS)
    assert matcher.ends(text, 0) == ends
    assert matcher.longest(text, 0) == ((0, ends[-1]) if ends else None)
