"""The table of query groups, against the prose of the paper and of the fact sheet."""

import pytest
import torch

from models.xdecoder.config import DecoderConfig
from models.xdecoder.groups import CAPTION, IMAGE, OBJECTS, PHRASE, REFERRED, Layout, layouts

SIZES = {"objects": 3, "image": 1, "referred": 3, "phrase": 2, "caption": 4, "question": 4}
TABLE = layouts(DecoderConfig())


def sees(layout: Layout, row: str, column: str) -> set[bool]:
    """The different entries of one block of the self-attention mask."""
    rows = layout.rows(SIZES)
    return set(rows.sight()[rows.of(row), rows.of(column)].flatten().tolist())


def test_objects_and_image_query_never_see_each_other():
    for layout in (TABLE.segmenting, TABLE.captioning, TABLE.referring, TABLE.everything):
        assert sees(layout, "objects", "objects") == {True}
        assert sees(layout, "image", "image") == {True}
        assert sees(layout, "objects", "image") == {False}
        assert sees(layout, "image", "objects") == {False}


@pytest.mark.parametrize("layout", [TABLE.captioning, TABLE.answering, TABLE.referring])
def test_texts_are_invisible_to_objects_and_image_query(layout):
    for text in layout.groups[2:]:
        assert sees(layout, "objects", text.name) == {False}
        assert sees(layout, "image", text.name) == {False}


def test_referred_queries_and_phrase_see_each_other_and_nothing_else():
    for row in ("referred", "phrase"):
        for column in ("referred", "phrase"):
            assert sees(TABLE.referring, row, column) == {True}
        for column in ("objects", "image"):
            assert sees(TABLE.referring, row, column) == {False}


def test_a_caption_token_sees_the_picture_and_the_tokens_up_to_itself():
    assert sees(TABLE.captioning, "caption", "objects") == {True}
    assert sees(TABLE.captioning, "caption", "image") == {True}
    rows = TABLE.captioning.rows(SIZES)
    own = rows.sight()[rows.of("caption"), rows.of("caption")]
    torch.testing.assert_close(own, torch.ones(4, 4, dtype=torch.bool).tril())


def test_a_question_token_sees_the_whole_question():
    assert sees(TABLE.answering, "question", "question") == {True}


@pytest.mark.parametrize(
    ("settings", "row", "column"),
    [
        ({"caption_sees_image": False}, "caption", "image"),
        ({"caption_sees_objects": False}, "caption", "objects"),
        ({"referred_sees_phrase": False}, "referred", "phrase"),
    ],
)
def test_an_ablation_of_table_4_takes_one_sight_away(settings, row, column):
    ablated = layouts(DecoderConfig(**settings))
    before, after = (t.everything.rows(SIZES).sight() for t in (TABLE, ablated))
    rows = TABLE.everything.rows(SIZES)
    expected = before.clone()
    expected[rows.of(row), rows.of(column)] = False
    torch.testing.assert_close(after, expected)
    assert not torch.equal(before, after)


def test_rows_of_groups_are_consecutive():
    rows = TABLE.everything.rows(SIZES)
    assert rows.masked == 7
    assert rows.looking == 11
    assert rows.total == 13
    assert rows.of("phrase") == slice(11, 13)


def test_groups_out_of_order_are_refused():
    with pytest.raises(ValueError, match="own mask, everywhere, nowhere"):
        Layout((OBJECTS, IMAGE, PHRASE, CAPTION))


def test_a_layout_knows_its_groups():
    assert REFERRED in TABLE.referring
    assert REFERRED not in TABLE.segmenting
    assert TABLE.group("question").name == "question"
    with pytest.raises(KeyError):
        TABLE.group("answers")
