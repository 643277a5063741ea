"""What is wrong with a spec is said in one sentence, with the line and the right name."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bench import catalog
from bench.data.source import READERS, reader
from bench.document import merged, read_document
from bench.errors import UsageError
from bench.spec import DatasetSpec, SuiteSpec, VocabularySpec

GOOD = """\
title: Streets
home: streets
vocabulary: [road, sky]
splits:
  val:
    images: {reader: files, files: "images/{id}.jpg"}
    truth:
      semantic:
        reader: label-map
        files: "labels/{id}.png"
        offset: 1
        ignore: [0]
    size: 500
source: {page: "https://example.org/streets", licence: CC-BY-4.0}
"""


def load(tmp_path, text, kind=catalog.DATASET, name="streets", **others):
    for other, content in {name: text, **others}.items():
        folder = tmp_path / kind.folder
        folder.mkdir(exist_ok=True)
        (folder / f"{other}.yaml").write_text(content)
    return catalog.spec(kind, name, [tmp_path])


def wrong(tmp_path, text, kind=catalog.DATASET, **others):
    with pytest.raises(UsageError) as caught:
        load(tmp_path, text, kind, **others)
    message = str(caught.value)
    assert "\n" not in message
    return message.replace(f"{tmp_path}/{kind.folder}/", "")


def test_a_dataset_is_one_file(tmp_path):
    spec = load(tmp_path, GOOD)
    name, split = spec.split()
    assert (spec.name, name, split.size) == ("streets", "val", 500)
    assert split.truth["semantic"].options.ignore == (0,)


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("title:", "titel:", "streets.yaml:1: unknown key 'titel'. Did you mean 'title'?"),
        ("size: 500", "sizes: 500", "streets.yaml:13: unknown key 'sizes' in 'splits.val'. Did"),
        (
            "offset:",
            "ofset:",
            "streets.yaml:11: unknown key 'ofset' in 'splits.val.truth.s",
        ),
        ("offset:", "ofset:", "Did you mean 'offset'"),
        ("size: 500", "size: many", "streets.yaml:13: 'splits.val.size' must be a valid integer"),
        ("size: 500", "size: 0", "'splits.val.size' must be greater than 0, found 0"),
        ("label-map", "label-maps", "streets.yaml:8: 'splits.val.truth.semantic': Unknown reader"),
        ("label-map", "label-maps", "Did you mean 'label-map'"),
        ("semantic:", "semantics:", "Unknown task 'semantics'. Did you mean 'semantic'"),
        ("reader: label-map", "reader: files", "unknown key 'offset'"),
        ("reader: files, ", "reader: shapes, ", "unknown key 'files'"),
        (
            '        files: "labels/{id}.png"\n',
            "",
            "truth.semantic' needs the key 'files'",
        ),
        ("title: Streets", "title: 12", "streets.yaml:1: 'title' must be text, and 12 is not: put"),
        (
            "title: Streets",
            "title: true",
            "and true is not: put it in quotes",
        ),
        ("[road, sky]", "[road, road]", "the class 'road' stands at 0 and at 1"),
        (
            "home: streets",
            "home: streets\nhome: s",
            "streets.yaml:3: the key 'home' stands here",
        ),
        ("home: streets", "default_split: vall", "Unknown split 'vall'. Did you mean 'val'"),
        ("home: streets", "generator: shape", "Unknown generator 'shape'"),
        ("home: streets", "name: roads", "calls itself 'roads', but its file says 'streets'"),
        ("page:", "pgae:", "streets.yaml:14: unknown key 'pgae' in 'source'. Did you mean 'page'?"),
        ("[road, sky]", "[road, sky", "this is not YAML"),
        (
            "[road, sky]",
            "{class: [road]}",
            "unknown key 'class' in 'vocabulary'. Did you mean",
        ),
    ],
)
def test_what_is_wrong_is_one_sentence_with_the_line(tmp_path, old, new, sentence):
    assert old in GOOD
    assert sentence in wrong(tmp_path, GOOD.replace(old, new, 1))


@pytest.mark.parametrize(
    ("kind", "text", "sentence"),
    [
        (
            catalog.PROTOCOL,
            "resize: {shrt: 5}",
            "unknown key 'shrt' in 'resize'. Did you mean",
        ),
        (catalog.PROTOCOL, "background: promted", "Did you mean 'prompted'"),
        (catalog.PROTOCOL, "panoptic:\n  object_mask_threshold: 2", "streets.yaml:2: "),
        (catalog.PROTOCOL, "resize: {short: 5, exact: [1, 2]}", "give either 'exact' or 'short'"),
        (catalog.SUITE, "members: [{dataset: coco, tasks: [pq]}]", "Unknown task 'pq'"),
        (catalog.SUITE, "members: []", "'members'"),
        (catalog.VOCABULARY, "classes: [cat, {nmae: dog}]", "unknown key 'nmae' in 'classes.1'"),
        (catalog.VOCABULARY, "classes: [1, 2]", "'classes.0'"),
        (catalog.TEMPLATES, "sentences: ['a photo']", "a template has one '{}'"),
        (catalog.TEMPLATES, "- a photo of {}", "a spec is a list of keys"),
    ],
)
def test_every_kind_of_spec_is_as_strict(tmp_path, kind, text, sentence):
    assert sentence in wrong(tmp_path, text, kind)


def test_words_that_yaml_takes_for_truths_are_words(tmp_path):
    spec = load(tmp_path, GOOD.replace("[road, sky]", "[no, on, off, y, 12:30, 1_000]"))
    assert spec.vocabulary.vocabulary().names == ("no", "on", "off", "y", "12:30", "1_000")


# --- include -------------------------------------------------------------------------------------


def test_a_variant_states_what_differs(tmp_path):
    variant = "include: base\nhome: other\nsplits: {val: {truth: {semantic: {offset: 0}}, size: 5}}"
    spec = load(tmp_path, variant, base=GOOD)
    _, split = spec.split()
    assert (spec.name, spec.home, split.size) == ("streets", "other", 5)
    options = split.truth["semantic"].options
    assert (options.offset, options.ignore, options.files) == (0, (0,), "labels/{id}.png")


def test_null_takes_out_what_was_included(tmp_path):
    spec = load(tmp_path, "include: base\nsplits: {val: {size: null}}", base=GOOD)
    assert spec.split()[1].size is None


def test_another_reader_brings_its_own_options(tmp_path):
    other = "include: base\nsplits: {val: {truth: {semantic: {reader: from-panoptic}}}}"
    spec = load(tmp_path, other, base=GOOD)
    assert spec.split()[1].truth["semantic"].reader == "from-panoptic"


def test_a_card_that_changes_the_resize_rule_replaces_it(tmp_path):
    base = "resize: {short: 800, long: 1333}"
    card = load(tmp_path, "include: base\nresize: {short: 512}", catalog.PROTOCOL, base=base)
    assert (card.resize.short, card.resize.long) == (512, None)


def test_a_mistake_in_what_is_included_is_found_where_it_stands(tmp_path):
    message = wrong(tmp_path, "include: base\ntitle: x", base=GOOD.replace("size:", "sizes:"))
    assert message.startswith("base.yaml:13: unknown key 'sizes'")


def test_a_mistake_in_the_variant_is_found_in_the_variant(tmp_path):
    variant = "include: base\nsplits:\n  val:\n    sizes: 3\n"
    assert wrong(tmp_path, variant, base=GOOD).startswith("streets.yaml:4: unknown key 'sizes'")


def test_specs_that_include_each_other_are_told_so(tmp_path):
    message = wrong(tmp_path, "include: b", b="include: c", c="include: streets")
    assert "specs include each other" in message


def test_including_nothing_suggests_something(tmp_path):
    message = wrong(tmp_path, "title: x\ninclude: bass", base=GOOD)
    assert message.startswith("streets.yaml:2: Unknown dataset 'bass'. Did you mean 'base'")


leaves = st.integers(0, 9) | st.text("abc", max_size=3)
trees = st.dictionaries(
    st.sampled_from("pqrs"),
    st.recursive(leaves, lambda inner: st.dictionaries(st.sampled_from("pqrs"), inner, max_size=3)),
    max_size=4,
)


@given(trees, trees)
def test_merging_keeps_every_change_and_everything_else(base, change):
    import json

    documents = (read_document(json.dumps(tree), "x") for tree in (base, change))
    result = merged(*documents).content

    def holds(part, whole):
        if isinstance(part, dict) and isinstance(whole, dict):
            return all(k in whole and holds(v, whole[k]) for k, v in part.items())
        return part == whole

    assert holds(change, result)
    assert holds({k: v for k, v in base.items() if k not in change}, result)


# --- digests -------------------------------------------------------------------------------------


def test_the_digest_is_of_content_and_not_of_order_comments_or_prose(tmp_path):
    first = load(tmp_path, GOOD)
    lines = GOOD.splitlines()
    moved = "\n".join(["# said otherwise", *lines[1:3], "about: x", *lines[3:13], "title: Roads"])
    assert load(tmp_path, moved).digest() == first.digest()


@pytest.mark.parametrize(
    ("old", "new"), [("offset: 1", "offset: 0"), ("[road, sky]", "[sky, road]"), ("labels/", "l/")]
)
def test_the_digest_changes_with_what_is_read(tmp_path, old, new):
    assert load(tmp_path, GOOD).digest() != load(tmp_path, GOOD.replace(old, new)).digest()


@pytest.mark.parametrize("kind", catalog.KINDS, ids=lambda kind: kind.noun)
def test_shipped_specs_survive_being_written_and_read_again(kind):
    for name in catalog.claims(kind):
        spec = catalog.spec(kind, name)
        again = kind.model.model_validate(spec.model_dump(mode="json"))
        assert again == spec
        assert again.digest() == spec.digest()


# --- schemas and readers -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", catalog.KINDS, ids=lambda kind: kind.noun)
def test_every_kind_has_a_json_schema(kind):
    schema = kind.model.model_json_schema()
    assert schema["additionalProperties"] is False


def test_the_schema_of_a_dataset_has_every_reader_with_its_options():
    schema = DatasetSpec.model_json_schema()
    choices = schema["$defs"]["Reading"]["oneOf"]
    assert {choice["properties"]["reader"]["const"] for choice in choices} == set(READERS)
    label_map = next(c for c in choices if c["properties"]["reader"]["const"] == "label-map")
    assert {"files", "offset", "ignore", "colours"} <= set(label_map["properties"])


@pytest.mark.parametrize("name", READERS)
def test_every_reader_says_what_it_is_and_gives_something(name):
    found = reader(name)
    assert found.about
    assert found.gives


def test_words_and_things_of_a_vocabulary_follow_its_classes():
    spec = VocabularySpec.model_validate(
        {
            "name": "v",
            "things": True,
            "classes": ["cat", {"name": "sky", "thing": False, "prompts": ["blue sky", "sky"]}],
        }
    )
    vocabulary = spec.vocabulary()
    assert vocabulary.things == {0}
    assert vocabulary.prompts == (("cat",), ("blue sky", "sky"))


def test_a_suite_names_datasets_in_short_or_with_what_differs():
    suite = SuiteSpec.model_validate(
        {"name": "s", "members": ["coco", {"dataset": "ade20k-150", "tasks": ["semantic"]}]}
    )
    assert [m.dataset for m in suite.members] == ["coco", "ade20k-150"]
    assert suite.members[1].tasks == ("semantic",)
