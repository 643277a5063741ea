"""The settings of each stage: a changed card or list of words is a change of the stage it rules."""

from bench.evaluation import Examination
from bench.fields import differing, fields
from bench.plan import vocabulary_digest
from bench.record import Record
from bench.rescore import card_of
from bench.types import Vocabulary

RULED_BY = {
    "resize": "preprocessing",
    "templates": "text",
    "strip_suffixes": "text",
    "background": "text",
    "referring": "text",
    "freed_row": "decoder",
    "captions": "decoder",
    "mask_resize": "post-processing",
    "semantic": "post-processing",
    "panoptic": "post-processing",
    "instance": "post-processing",
    "miou": "metric",
    "ap": "metric",
    "pq": "metric",
    "ciou": "metric",
}
"""By field of a protocol card, or by rule, the first stage that it decides about."""


def changed_settings(record: Record, examination: Examination) -> dict[str, list[str]]:
    """By stage, what is set otherwise than when the record was made, a clause each."""
    then, now = card_of(record), examination.protocol
    old, new = fields(then), fields(now)
    found: dict[str, list[str]] = {}
    for field in differing(then, now):
        stage = RULED_BY[field.partition(".")[0]]
        clause = f"the card's {field} was {_short(old[field])} and is {_short(new[field])}"
        found.setdefault(stage, []).append(clause)
    words = examination.dataset.vocabulary
    assert record.vocabulary is not None
    if classes_changed(record, words):
        same = sorted(record.vocabulary.names) == sorted(words.names)
        found.setdefault("text", []).append(
            "the classes are in another order" if same else "the classes are others"
        )
    elif vocabulary_digest(words) != record.vocabulary.digest and "text" not in found:
        found["text"] = ["the words that the classes are called by are others"]
    return found


def classes_changed(record: Record, vocabulary: Vocabulary) -> bool:
    """Whether labels mean something else: then no image's statistics can be compared."""
    then = record.vocabulary
    assert then is not None
    return (then.names, then.things) != (vocabulary.names, tuple(sorted(vocabulary.things)))


def _short(value: object) -> str:
    """A value of a card, in a few words: of a rule, the parts that are set."""
    if isinstance(value, dict):
        return ", ".join(f"{k} {v}" for k, v in value.items() if v is not None) or "nothing"
    return str(value)
