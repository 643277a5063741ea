import numpy as np
import pytest
from layouts import SIZE, annotation, coco, square, write_json, write_picture, write_roboflow
from opened import CARD, opened, opened_folder
from PIL import Image

from bench import catalog
from bench.data.images import read_image
from bench.data.opening import open_dataset
from bench.data.pattern import Pattern
from bench.errors import DataError, DataMissing, UnknownName, UsageError
from bench.protocol import BackgroundRule, Protocol
from bench.spec import DatasetSpec, VocabularySpec

# --- images --------------------------------------------------------------------------------------


def test_an_image_stored_on_its_side_is_read_upright(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (*SIZE, 3), np.uint8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # to be turned a quarter clockwise
    image.save(tmp_path / "x.png", exif=exif)
    np.testing.assert_array_equal(read_image(tmp_path / "x.png"), np.rot90(pixels, -1))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "CMYK", "1", "I;16"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    grey = np.full(SIZE, 200, np.uint8)
    if mode == "I;16":
        image = Image.fromarray(grey.astype(np.uint16) << 8)
    else:
        image = Image.fromarray(np.repeat(grey[..., None], 3, 2))
        image = image.quantize(4) if mode == "P" else image.convert(mode)
    path = tmp_path / ("x.tif" if mode == "CMYK" else "x.png")
    image.save(path)
    found = read_image(path)
    assert (found.shape, found.dtype) == ((*SIZE, 3), np.uint8)
    assert found.flags.writeable
    if mode != "1":
        assert abs(found.astype(int) - 200).max() <= 3


@pytest.mark.parametrize("suffix", ["jpg", "png", "tif", "bmp", "gif", "webp"])
def test_a_truncated_image_names_its_file(tmp_path, suffix):
    path = tmp_path / f"x.{suffix}"
    write_picture(path, size=(64, 64))
    path.write_bytes(path.read_bytes()[: path.stat().st_size * 2 // 3])
    with pytest.raises(DataError, match=rf"x\.{suffix} is (a broken|not an) image"):
        read_image(path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "the file is empty"), (b"<html>", "not an image that can be read")],
)
def test_what_is_no_image_says_so(tmp_path, content, reason):
    (tmp_path / "x.jpg").write_bytes(content)
    with pytest.raises(DataError, match=reason):
        read_image(tmp_path / "x.jpg")


def test_fractions_for_pixels_are_refused_for_they_have_no_range(tmp_path):
    Image.fromarray(np.full(SIZE, 0.5, np.float32)).save(tmp_path / "x.tif")
    with pytest.raises(DataError, match=r"x\.tif has fractions for pixels"):
        read_image(tmp_path / "x.tif")


# --- patterns ------------------------------------------------------------------------------------


def test_a_pattern_finds_ids_with_folders_in_them_in_order(tmp_path):
    for name in ("b/2_left.png", "a/1_left.png", "a/1_right.png"):
        write_picture(tmp_path / "val" / name)
    pattern = Pattern("val/{id}_left.png")
    found = dict(pattern.files(tmp_path))
    assert list(found) == ["a/1", "b/2"]
    assert all(tmp_path / pattern.fill(id) == path for id, path in found.items())


@pytest.mark.parametrize("text", ["val/x.png", "{id}/{id}.png", "{id}_{city}.png"])
def test_a_pattern_needs_one_gap_for_the_id(text):
    with pytest.raises(ValueError, match=r"\{id\}"):
        Pattern(text)


# --- datasets ------------------------------------------------------------------------------------

FILES = {"images": {"reader": "files", "files": "images/{id}.jpg"}}


def test_ids_are_sorted_and_hidden_or_foreign_files_are_no_samples(tmp_path):
    for name in ("b.jpg", "a.jpg", ".c.jpg"):
        write_picture(tmp_path / "images" / name)
    (tmp_path / "images" / "notes.txt").write_text("")
    assert opened(tmp_path, FILES).ids == ("a", "b")


def test_a_list_says_which_images_count_and_in_which_order(tmp_path):
    for name in ("a", "b", "c"):
        write_picture(tmp_path / "images" / f"{name}.jpg")
    (tmp_path / "val.txt").write_text("c\n\na\n")
    split = {"images": {**FILES["images"], "list": "val.txt"}}
    assert opened(tmp_path, split).ids == ("c", "a")


def test_two_files_for_one_sample_are_an_error(tmp_path):
    for suffix in ("jpg", "png"):
        write_picture(tmp_path / "images" / f"a.{suffix}")
    split = {"images": {"reader": "files", "files": "images/{id}.*"}}
    with pytest.raises(DataError, match=r"a\.jpg and .*a\.png are both images of 'a'"):
        opened(tmp_path, split)


def test_missing_data_says_where_and_where_to_get_it(tmp_path):
    spec = DatasetSpec.model_validate(
        {
            "name": "streets", "home": "streets", "splits": {"val": FILES},
            "source": {"page": "https://example.org/streets", "terms": "accept the terms there"},
        }
    )  # fmt: skip
    with pytest.raises(DataMissing) as caught:
        open_dataset(spec, root=tmp_path, protocol=CARD)
    for part in ("'streets'", str(tmp_path / "streets"), "example.org", "accept", "BENCH_DATA"):
        assert part in str(caught.value)


def test_a_subset_has_its_own_order_and_fingerprint(tmp_path):
    dataset = opened_folder(write_roboflow(tmp_path))
    part = dataset.subset(dataset.ids[2:0:-1])
    assert part.ids == dataset.ids[2:0:-1]
    assert [sample.id for sample in part] == list(part.ids)
    assert part.fingerprint != dataset.fingerprint
    with pytest.raises(ValueError, match="no sample 'x'"):
        dataset.subset(["x"])


def test_the_fingerprint_is_of_content_and_not_of_place_or_name(tmp_path):
    here, there = (write_roboflow(tmp_path / place) for place in ("here", "there"))
    assert opened_folder(here).fingerprint == opened_folder(there).fingerprint


@pytest.mark.parametrize(
    "change",
    [
        lambda root: write_picture(root / "valid" / "valid-0_jpg.rf.0.jpg", size=(40, 40)),
        lambda root: (root / "valid" / "valid-2_jpg.rf.2.jpg").unlink(),
        lambda root: (root / "valid/_annotations.coco.json").write_text(
            (root / "valid/_annotations.coco.json").read_text().replace("[1, 1,", "[1, 2,")
        ),
    ],
)
def test_the_fingerprint_changes_with_images_and_annotations(tmp_path, change):
    root = write_roboflow(tmp_path)
    before = opened_folder(root).fingerprint
    change(root)
    assert opened_folder(root).fingerprint != before


def test_equal_images_have_equal_digests_whatever_their_names(tmp_path):
    for name, seed in (("a", 0), ("b", 1), ("c", 0)):
        write_picture(tmp_path / "images" / f"{name}.jpg", seed=seed)
    dataset = opened(tmp_path, FILES)
    assert dataset.digest_of("a") == dataset.digest_of("c") != dataset.digest_of("b")


# --- vocabularies --------------------------------------------------------------------------------


def pets(tmp_path, **more):
    spec = catalog.dataset(str(write_roboflow(tmp_path / "pets")))
    return open_dataset(spec, root=tmp_path, **({"protocol": CARD} | more))


def test_a_card_decides_templates_suffixes_and_background(tmp_path):
    card = Protocol(name="card", templates="photo", strip_suffixes=("at",))
    asked = pets(tmp_path, protocol=card).vocabulary
    assert asked.sentences() == (
        ("a photo of a c.",), ("a photo of a dog.",), ("a photo of a background.",)
    )  # fmt: skip
    assert asked.names == ("cat", "dog")
    silent = Protocol(name="card", background=BackgroundRule.LAST_CLASS)
    assert pets(tmp_path, protocol=silent).vocabulary.columns == 2


def test_another_vocabulary_prompts_the_same_classes_with_other_words(tmp_path):
    other = VocabularySpec.model_validate(
        {"name": "kind", "classes": [{"name": "cat", "prompts": ["kitty", "cat"]}, "dog"]}
    )
    assert pets(tmp_path, vocabulary=other).vocabulary.prompts == (("kitty", "cat"), ("dog",))


def test_the_vocabulary_of_another_dataset_is_refused(tmp_path):
    other = VocabularySpec.model_validate({"name": "two", "classes": ["dog", "cat"]})
    with pytest.raises(UsageError, match=r"'two' has 2 classes.*'dog' is not 'cat'"):
        pets(tmp_path, vocabulary=other)


def test_unknown_splits_and_tasks_suggest_near_ones(tmp_path):
    with pytest.raises(UnknownName, match=r"split of 'pets' 'vall'. Did you mean 'val'"):
        pets(tmp_path, split="vall")
    with pytest.raises(UnknownName, match=r"task of 'pets'.* 'instances'. Did you mean 'insta"):
        pets(tmp_path, tasks=["instances"])


# --- drawn ---------------------------------------------------------------------------------------


def test_shapes_need_no_files_and_have_all_three_tasks(tmp_path):
    dataset = open_dataset(catalog.dataset("shapes"), root=tmp_path / "nowhere", protocol=CARD)
    sample = dataset.load(dataset.ids[0])
    assert set(sample.truths) == {"panoptic", "instance", "semantic"}
    assert sample.truths["semantic"].shape == sample.size


@pytest.mark.parametrize("name", [n for n in catalog.datasets() if n.startswith("shapes")])
def test_drawn_datasets_have_the_size_their_specs_expect(name, drawn_root):
    spec = catalog.dataset(name)
    for split, part in spec.splits.items():
        dataset = open_dataset(spec, root=drawn_root, split=split, protocol=CARD)
        assert len(dataset) == part.size
        assert dataset.load(dataset.ids[-1]).truths


@pytest.fixture(scope="module")
def drawn_root(tmp_path_factory):
    return tmp_path_factory.mktemp("drawn")


def test_a_file_of_windows_paths_is_read(tmp_path):
    write_picture(tmp_path / "sub" / "x.png")
    content = coco(["sub\\x.png"], [annotation(1, 0, 1, square(1, 1, 4))])
    write_json(tmp_path / "a.json", content)
    split = {"images": {"reader": "coco-images", "json_file": "a.json", "folder": "."}}
    assert opened(tmp_path, split).ids == ("sub/x.png",)
