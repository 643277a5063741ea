"""A page says what the records say, is one sound document, loads nothing and escapes all names."""

import re
from base64 import b64decode, b64encode
from hashlib import sha256
from html.parser import HTMLParser
from importlib.resources import files
from itertools import pairwise

import pytest
from page_world import COLOURS, INSTANCES, all_records, page_of

from bench.errors import CannotWrite
from bench.report.page import render, write
from bench.report.page.pictures import LARGEST, SIDE

VOID = {"meta", "img", "input", "br", "path", "line", "link"}
"""Elements without an end, among them those of SVG that are written without one."""


class Document(HTMLParser):
    """The elements of a page with their attributes, each closed where it should be."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.inside: list[str] = []
        self.texts: list[tuple[str, str]] = []
        """Texts with the element they are directly in."""
        self.feed(text)
        self.close()
        assert self.inside == []

    def handle_starttag(self, tag, attributes):
        assert len({name for name, _ in attributes}) == len(attributes), f"{tag} says one twice"
        self.elements.append((tag, {name: value or "" for name, value in attributes}))
        if tag not in VOID:
            self.inside.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.elements.append((tag, {name: value or "" for name, value in attributes}))

    def handle_endtag(self, tag):
        assert self.inside, f"</{tag}> ends nothing"
        assert self.inside.pop() == tag, self.getpos()

    def handle_data(self, data):
        self.texts.append((self.inside[-1] if self.inside else "", data))

    def all(self, tag: str) -> list[dict[str, str]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def said(self, tag: str) -> list[str]:
        return [text.strip() for inside, text in self.texts if inside == tag and text.strip()]


@pytest.fixture(scope="module")
def document(page_text):
    return Document(page_text)


# --- one sound document --------------------------------------------------------------------------


def test_every_reference_points_at_one_element(document):
    ids = [attributes["id"] for _, attributes in document.elements if "id" in attributes]
    assert len(set(ids)) == len(ids)
    for _, attributes in document.elements:
        for name in ("aria-labelledby", "aria-describedby"):
            assert set(attributes.get(name, "").split()) <= set(ids)
        if attributes.get("href", "").startswith("#"):
            assert attributes["href"][1:] in ids
        for name in ("data-board", "data-rows"):
            assert attributes.get(name, ids[0]) in ids


def test_it_has_landmarks_a_language_and_headings_in_order(document):
    for tag in ("header", "nav", "main", "footer", "title"):
        assert len(document.all(tag)) >= 1, tag
    assert document.all("html") == [{"lang": "en"}]
    levels = [int(tag[1]) for tag, _ in document.elements if re.fullmatch(r"h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_every_table_has_a_caption_and_every_heading_a_scope(document):
    assert len(document.all("caption")) == len(document.all("table")) > 5
    assert {attributes.get("scope") for attributes in document.all("th")} == {
        *("col", "colgroup", "row")
    }
    sorted_ = [th["aria-sort"] for th in document.all("th") if "aria-sort" in th]
    assert set(sorted_) == {"none", "descending"}


def test_rows_of_a_table_are_equally_wide(page_text):
    for table in re.findall(r"<tbody>(.*?)</tbody>", page_text, re.DOTALL):
        rows = re.findall(r"<tr.*?</tr>", table, re.DOTALL)
        assert len({len(re.findall(r"<t[hd]\b", row)) for row in rows}) == 1


def test_every_picture_says_what_it_shows(document):
    pictures = [img for img in document.all("img") if img["src"] != "data:,"]
    assert len(pictures) > 20
    assert all(img["alt"] for img in pictures)
    drawn = [svg for svg in document.all("svg") if "aria-hidden" not in svg]
    assert drawn
    assert all(svg["role"] == "img" for svg in drawn)


# --- alone in the world --------------------------------------------------------------------------


def test_it_loads_nothing(document, page_text):
    for tag, attributes in document.elements:
        assert tag not in ("link", "iframe", "object", "embed", "base", "source")
        assert attributes.get("src", "data:").startswith("data:")
        assert attributes.get("href", "#").startswith("#")
        assert "srcset" not in attributes
    for part in ("page.css", "page.js"):
        text = files("bench.report.page").joinpath(part).read_text()
        assert not re.search(r"https?:|@import|url\(|fetch\(|XMLHttp|import\(", text)
        assert text in page_text


def test_its_policy_allows_its_own_script_and_style_alone(document, page_text):
    (policy,) = [m["content"] for m in document.all("meta") if "http-equiv" in m]
    assert "default-src 'none'" in policy
    for tag, directive in (("script", "script-src"), ("style", "style-src-elem")):
        (content,) = re.findall(rf"<{tag}>(.*?)</{tag}>", page_text, re.DOTALL)
        fingerprint = b64encode(sha256(content.encode()).digest()).decode()
        assert f"{directive} 'sha256-{fingerprint}'" in policy


def test_names_cannot_become_code(document, page_text):
    assert len(document.all("script")) == 1
    assert "<script>alert" not in page_text
    assert "<img src=x" not in page_text
    assert "<u>" not in page_text
    assert not any("onerror" in attributes for _, attributes in document.elements)
    assert set(COLOURS) <= set(document.said("th"))
    assert INSTANCES in document.said("h3")


def test_a_title_is_escaped_too(page_store):
    hostile = "</title><script>alert(3)</script>"
    text = render(page_of(page_store, store_records(page_store)[:1], title=hostile, images=0))
    assert Document(text).said("h1") == [hostile]


def store_records(store):
    return list(store.records())


def test_the_same_runs_give_the_same_bytes(page_store, page_text):
    assert render(page_of(page_store)) == page_text


def test_pictures_are_small(page):
    exhibits = [
        exhibit
        for part in page.datasets
        for gallery in part.galleries
        for exhibit in (*gallery.best, *gallery.worst)
    ]
    assert exhibits
    for exhibit in exhibits:
        for picture in (exhibit.image, exhibit.truth, exhibit.prediction):
            assert picture is None or max(picture.width, picture.height) <= SIDE
            assert len(b64decode(picture.address.partition(",")[2])) <= LARGEST


# --- what it says --------------------------------------------------------------------------------


def test_the_leaderboard_has_the_scores_of_the_records(page, page_store):
    records = all_records(page_store)
    column = next(i for i, c in enumerate(page.board.columns) if c.dataset == INSTANCES)
    said = {cell.number.value for s in page.board.systems for cell in [s.cells[column]]}
    own = [r.scores["instance"]["AP"].value for r in records[:2]]
    assert {*own, (0.4 + 0.6) / 2, 0.8} <= said


def test_every_run_has_its_card_and_its_command(page, page_store):
    assert {run.record.key for run in page.runs} == {r.key for r in all_records(page_store)}
    commands = {run.record.key: run.command for run in page.runs}
    first = store_records(page_store)[0]
    assert commands[first.key].startswith("bench run ")
    assert "--model colour" in commands[first.key]
    assert "--shots all --tune prompt" in commands[f"all-0-{first.key}"]


def test_a_partial_run_is_on_the_page_and_not_on_the_leaderboard(page_store):
    whole = store_records(page_store)[0]
    images = whole.images.model_copy(update={"limit": 5})
    partial = whole.model_copy(update={"images": images, "partial": True})
    page = page_of(page_store, [partial], images=0)
    assert page.board.systems == ()
    text = render(page)
    assert "No run here is complete" in text
    assert 'class="tag">partial' in text
    assert any("Partial" in caution.text for caution in page.summary.cautions)


# --- the file ------------------------------------------------------------------------------------


def test_a_page_replaces_the_one_before_it_in_one_step(page, page_text, tmp_path):
    path = tmp_path / "deep" / "report.html"
    assert write(page, path) == len(page_text.encode())
    path.write_text("older")
    write(page, path)
    assert path.read_text() == page_text
    assert [file.name for file in path.parent.iterdir()] == ["report.html"]


def test_a_page_that_cannot_be_written_leaves_nothing_behind(page, tmp_path):
    (tmp_path / "report.html").mkdir()
    (tmp_path / "report.html" / "kept").touch()
    with pytest.raises(CannotWrite, match="Choose another place with --out"):
        write(page, tmp_path / "report.html")
    assert [file.name for file in tmp_path.iterdir()] == ["report.html"]


# --- colours -------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Relative luminance of `#rrggbb` (WCAG 2.2)."""
    digits = colour.lstrip("#")
    digits = "".join(2 * d for d in digits) if len(digits) == 3 else digits
    parts = [int(digits[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one: str, other: str) -> float:
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_everything_is_readable_in_light_in_dark_and_on_paper():
    style = files("bench.report.page").joinpath("page.css").read_text()
    schemes = re.findall(r":root \{(.*?)\}", style, re.DOTALL)
    assert len(schemes) == 3
    for scheme in schemes:
        colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]+)", scheme))
        for ground in ("paper", "sheet", "tint"):
            for text in ("ink", "quiet", "accent"):
                assert contrast(colours[text], colours[ground]) >= 4.5, (text, ground)
        assert contrast(colours["ink"], colours["bar"]) >= 4.5
        for text in ("ink", "warn", "quiet"):
            assert contrast(colours[text], colours["warn-tint"]) >= 4.5
        for line in range(8):
            assert contrast(colours[f"s{line}"], colours["paper"]) >= 3
