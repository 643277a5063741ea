"""How VQA answers are written before they are compared: the official evaluator's normalisation.

Antol et al., «VQA: Visual question answering», ICCV 2015, and the evaluation code of its authors
for VQA v2, oddities included: the digits of `1,000` stay together though the comma goes,
apostrophes are kept, `none` is `0`, and at most 32 full stops are taken out of one answer (a flag
of `re.sub` stands where its count belongs).
"""

import re
from functools import cache

_MARKS = ';/[]"{}()=+\\_-><@`,?!'
_COMMA_IN_NUMBER = re.compile(r"\d,\d")
_FULL_STOP = re.compile(r"\.(?!\d)")
_MOST_FULL_STOPS = 32
_ARTICLES = frozenset(("a", "an", "the"))
_NUMBER_WORDS = "zero one two three four five six seven eight nine ten"
_NUMBERS = {word: str(n) for n, word in enumerate(_NUMBER_WORDS.split())} | {"none": "0"}

_SPELLED_WITHOUT = """
    'twas ain't aren't can't could've couldn't didn't doesn't don't hadn't hasn't haven't he'd he's
    how'd how'll how's isn't it'd it'll ma'am might've mightn't must've mustn't needn't not've
    o'clock oughtn't shan't should've shouldn't somebody'll somebody's someone'd someone'll
    someone's something'd something'll that's there'd there're there's they'd they'll they're
    they've wasn't we've weren't what'll what're what's what've when's where'd where's where've
    who'd who'll who's who've why'll why're why's won't would've wouldn't y'all you'd you'll you're
    you've
"""
"""Contractions told by their letters: `dont` is `don't`. (`were`, `well`, `id` are words.)"""

_SPELLED_IN_PART = """
    couldn'tve:couldn't've couldnt've:couldn't've hadn'tve:hadn't've hadnt've:hadn't've
    he'dve:he'd've hed've:he'd've it'dve:it'd've itd've:it'd've mightn'tve:mightn't've
    mightnt've:mightn't've ow's'at:'ow's'at 'ows'at:'ow's'at 'ow'sat:'ow's'at she'dve:she'd've
    shed've:she'd've shouldn'tve:shouldn't've shouldnt've:shouldn't've somebody'd:somebodyd
    somebody'dve:somebody'd've somebodyd've:somebody'd've someone'dve:someone'd've
    someoned've:someone'd've something'dve:something'd've somethingd've:something'd've
    there'dve:there'd've thered've:there'd've they'dve:they'd've theyd've:they'd've we'dve:we'd've
    wed've:we'd've who'dve:who'd've whod've:who'd've wouldn'tve:wouldn't've wouldnt've:wouldn't've
    y'all'dve:y'all'd've y'alld've:y'all'd've y'allll:y'all'll yall'd've:y'all'd've
    yall'll:y'all'll you'dve:you'd've youd've:you'd've
"""
"""Contractions with some of their apostrophes. `somebody'd` loses its own: so has the tool."""

_CONTRACTIONS = {word.replace("'", ""): word for word in _SPELLED_WITHOUT.split()} | dict(
    pair.split(":") for pair in _SPELLED_IN_PART.split()
)


def stripped(answer: str) -> str:
    """Line breaks and tabs as spaces, and none around: done to every answer."""
    return answer.replace("\n", " ").replace("\t", " ").strip()


@cache
def normalised(answer: str) -> str:
    """The answer as it is compared where annotators disagree.

    >>> normalised("The T-shirt."), normalised("1,000"), normalised("none, left/right")
    ('t shirt', '1000', '0 left right')
    """
    words = (_NUMBERS.get(word, word) for word in _without_marks(answer).lower().split())
    return " ".join(_CONTRACTIONS.get(word, word) for word in words if word not in _ARTICLES)


def _without_marks(answer: str) -> str:
    """Marks go where one stands by a space, or a number has a comma; else they become spaces."""
    number = _COMMA_IN_NUMBER.search(answer) is not None
    text = answer
    for mark in _MARKS:
        gone = number or f"{mark} " in answer or f" {mark}" in answer
        text = text.replace(mark, "" if gone else " ")
    return _FULL_STOP.sub("", text, count=_MOST_FULL_STOPS)
