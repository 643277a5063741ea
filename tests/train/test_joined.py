"""COCO as pretraining sees it: segments, expressions and captions joined, evaluated images out."""

from dataclasses import replace

import coco_files
import numpy as np
import pytest

from bench.data.joined import AnnotatedImages, CaptionedImages
from bench.errors import DataError, DataMissing, UsageError
from bench.recipe import Annotated, Captioned, Exact, Split
from models.xdecoder.batch import PhraseSource
from models.xdecoder.batching import Paired, Segmented
from models.xdecoder.recipes.pretraining import COCO

SMALL = replace(COCO, view=Exact(16))


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    coco_files.write(folder)
    return folder


def examples(source):
    """By the number of the image."""
    found = source.examples(range(len(source)), np.random.default_rng(0))
    return dict(zip(source.ids, found.examples, strict=True)), found.vocabulary


def test_images_that_are_evaluated_on_are_left_out_and_counted(root):
    source = AnnotatedImages.open(SMALL, root)
    assert source.ids == ("000000000139.jpg",)
    assert source.notes == (
        "1 of 1 images of refcocog val were among them and are left out",
        "1 of 1 images of coco-retrieval val were among them and are left out",
        "1 of 1 images of coco-retrieval test were among them and are left out",
    )


def test_all_that_is_said_of_an_image_is_joined(root):
    found, vocabulary = examples(AnnotatedImages.open(SMALL, root))
    example = found["000000000139.jpg"]
    assert example.captions == ("caption 0 of 139", "caption 1 of 139")
    assert [pointed.texts for pointed in example.phrases] == [
        (f"left person of {name}", "the left one") for name in ("refcoco", "refcoco+", "refcocog")
    ]
    person = example.ids == 1
    assert all((pointed.mask == person).mean() > 0.9 for pointed in example.phrases)
    names = {vocabulary.names[segment.label] for segment in example.segments}
    assert names == set(coco_files.CATEGORIES)
    assert vocabulary.background == "background"
    assert len(vocabulary.templates) == 81
    assert ("sky",) in vocabulary.prompts


def test_the_released_grounding_file_is_read(root):
    data = replace(SMALL, phrases=(), grounding="coco/annotations/grounding_train2017.json")
    found, _ = examples(AnnotatedImages.open(data, root))
    (pointed,) = found["000000000139.jpg"].phrases
    assert pointed.texts == ("The Small One", "top left")
    assert pointed.mask[:4, :4].all()
    assert not pointed.mask[8:].any()


def test_only_images_with_phrases_where_asked(root):
    data = replace(SMALL, without=(), phrases=(Split("refcocog"),), only_with_phrases=True)
    assert AnnotatedImages.open(data, root).ids == ("000000000139.jpg",)


def test_a_label_map_gives_a_segment_a_class(tmp_path):
    data = Annotated(Split("shapes", "train"), Exact(32))
    source = AnnotatedImages.open(data, tmp_path)
    example = source.examples([0], np.random.default_rng(0)).examples[0]
    assert {s.id for s in example.segments} >= set(np.unique(example.ids)) - {0}


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (replace(SMALL, captions="coco/none.json"), DataMissing, r"none\.json"),
        (replace(SMALL, of=Split("shapes-caption", "val")), UsageError, "no panoptic or semantic"),
        (replace(SMALL, without=(Split("coco"),)), DataError, "left out"),
    ],
)
def test_what_cannot_be_trained_on_is_said(root, data, error, said):
    with pytest.raises(error, match=said):
        AnnotatedImages.open(data, root)


def test_captions_alone_are_pairs(root):
    source = CaptionedImages.open(Captioned(Split("shapes-caption", "val"), Exact(20)), root)
    said = [len(*s.truths.values()) for s in source.dataset]
    assert len(source) == sum(said) > len(said), "an image with several captions is several pairs"
    data = source.examples([3, 4], np.random.default_rng(0))
    batch = Paired()(data, np.random.default_rng(1))
    assert batch.images.shape == (2, 20, 20, 3)
    assert all(text in of.captions for text, of in zip(batch.captions, data.examples, strict=True))


# --- batches of them -----------------------------------------------------------------------------


def test_a_batch_asks_for_phrases_or_else_for_names(root):
    source = AnnotatedImages.open(replace(SMALL, without=(), phrases=(Split("refcocog"),)), root)
    data = source.examples(range(4), np.random.default_rng(0))
    batch = Segmented(phrases=4)(data, np.random.default_rng(0))
    assert batch.classes[-1].key == "background"
    assert [len(objects.labels) for objects in batch.objects] == [2, 2, 2, 2]  # a crowd is void
    written, *named = batch.phrases
    assert written.source is PhraseSource.WRITTEN
    assert written.concepts[0].text in {"left person of refcocog", "the left one"}
    for image, phrases in zip(batch.objects[1:], named, strict=True):
        assert phrases.source is PhraseSource.CLASS_NAMES
        keys = {concept.key for concept in phrases.concepts}
        assert keys <= {batch.classes[int(label)].key for label in image.labels}


def test_class_names_are_put_into_templates(root):
    source = AnnotatedImages.open(replace(SMALL, phrases=()), root)
    data = source.examples([0], np.random.default_rng(0))
    texts = {Segmented()(data, np.random.default_rng(n)).classes[0].text for n in range(20)}
    assert len(texts) > 10
    assert all("person" in text for text in texts)


def test_nouns_need_someone_to_find_them(root):
    source = AnnotatedImages.open(SMALL, root)
    data = source.examples([0], np.random.default_rng(0))
    with pytest.raises(ValueError, match="nobody looked for them"):
        Segmented(nouns=True)(data, np.random.default_rng(0))
