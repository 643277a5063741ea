import numpy as np
import pytest
from layouts import SIZE, write_picture
from opened import SAMPLES, opened
from PIL import Image

from bench.errors import DataError, DataMissing, UnknownName
from bench.types import VOID

NAMES = ["sky", "road", "car"]
needs_samples = pytest.mark.skipif(
    not SAMPLES.is_dir(), reason="real samples are not beside the repository"
)


def read(root, image, *, suffix="png", vocabulary=NAMES, **options):
    write_picture(root / "images" / "a.jpg")
    (root / "labels").mkdir(exist_ok=True)
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    image.save(root / "labels" / f"a.{suffix}")
    split = {
        "images": {"reader": "files", "files": "images/{id}.jpg"},
        "truth": {
            "semantic": {"reader": "label-map", "files": f"labels/{{id}}.{suffix}", **options}
        },
    }
    return opened(root, split, vocabulary=vocabulary).load("a").truths["semantic"]


def values(*rows, dtype=np.uint8):
    """A label map whose first rows have these values, the others the first of them."""
    found = np.full(SIZE, rows[0], dtype)
    for i, value in enumerate(rows):
        found[i] = value
    return found


def test_values_from_zero_are_labels_and_ignored_ones_void(tmp_path):
    found = read(tmp_path, values(0, 2, 1, 255), ignore=[255])
    assert found[:4, 0].tolist() == [0, 2, 1, VOID]


def test_values_from_one_are_shifted_and_zero_is_void(tmp_path):
    assert read(tmp_path, values(1, 0, 3), offset=1, ignore=[0])[:3, 0].tolist() == [0, VOID, 2]


@pytest.mark.parametrize("suffix", ["png", "tif"])
def test_sixteen_bits_are_read_whole(tmp_path, suffix):
    image = values(1000, 65535, 1002, dtype=np.uint16)
    found = read(tmp_path, image, suffix=suffix, offset=1000, ignore=[65535])
    assert found[:3, 0].tolist() == [0, VOID, 2]


def test_a_palette_is_read_by_index_and_not_by_colour(tmp_path):
    image = Image.new("P", SIZE[::-1])
    image.putdata(values(0, 2, 1).ravel().tolist())
    image.putpalette([9, 9, 9, 0, 0, 0, 255, 0, 0])
    assert read(tmp_path, image)[:3, 0].tolist() == [0, 2, 1]


def test_a_table_names_the_class_of_each_value_and_null_is_void(tmp_path):
    table = {7: "road", 26: "car", 0: None}
    assert read(tmp_path, values(7, 0, 26), values=table)[:3, 0].tolist() == [1, VOID, 2]


def test_colours_name_classes(tmp_path):
    pixels = np.zeros((*SIZE, 3), np.uint8)
    pixels[0], pixels[1] = (70, 130, 180), (128, 64, 128)
    colours = {"sky": [70, 130, 180], "road": [128, 64, 128]}
    found = read(tmp_path, pixels, colours=colours, void_colours=[[0, 0, 0]])
    assert found[:3, 0].tolist() == [0, 1, VOID]
    with pytest.raises(DataError, match=r"value \(0, 0, 0\), which is neither"):
        read(tmp_path, pixels, colours=colours)


def test_grey_stored_in_three_channels_counts_as_grey(tmp_path):
    pixels = np.repeat(values(0, 2)[..., None], 3, axis=2)
    assert read(tmp_path, pixels)[:2, 0].tolist() == [0, 2]


def test_a_value_that_is_no_class_is_an_error_or_void_as_the_spec_says(tmp_path):
    with pytest.raises(DataError, match=r"a\.png has the value 3, 200, which is neither"):
        read(tmp_path, values(0, 3, 200))
    assert read(tmp_path, values(0, 3, 200), unlisted="leave-out")[:3, 0].tolist() == [
        0,
        VOID,
        VOID,
    ]


@pytest.mark.parametrize("strange", [-1, 2**31 - 1])
def test_values_far_from_any_class_are_told_like_others(tmp_path, strange):
    image = values(0, strange, 1, dtype=np.int32)
    with pytest.raises(DataError, match=f"has the value {strange}, which is neither"):
        read(tmp_path, image, suffix="tif")
    found = read(tmp_path, image, suffix="tif", unlisted="leave-out")
    assert found[:3, 0].tolist() == [0, VOID, 1]


@pytest.mark.parametrize(
    ("image", "reason"),
    [
        (Image.new("L", (5, 5)), "is 5×5, but its image is 16×12"),
        (Image.new("RGB", SIZE[::-1], (1, 2, 3)), "is in colour"),
        (Image.new("RGBA", SIZE[::-1]), r"4 channels"),
    ],
)
def test_what_cannot_be_labels_is_refused_with_the_reason(tmp_path, image, reason):
    with pytest.raises(DataError, match=reason):
        read(tmp_path, image)


def test_fractions_are_no_labels(tmp_path):
    with pytest.raises(DataError, match="fractions"):
        read(tmp_path, np.zeros(SIZE, np.float32), suffix="tif")


def test_a_table_that_names_no_class_of_the_vocabulary_suggests_one(tmp_path):
    with pytest.raises(UnknownName, match="Did you mean 'road'"):
        read(tmp_path, values(0), values={0: "roda"})


def test_one_missing_label_map_fails_alone_and_all_missing_fail_at_once(tmp_path):
    read(tmp_path, values(0))
    write_picture(tmp_path / "images" / "b.jpg")
    split = {
        "images": {"reader": "files", "files": "images/{id}.jpg"},
        "truth": {"semantic": {"reader": "label-map", "files": "labels/{id}.png"}},
    }
    with pytest.raises(DataError, match=r"b\.png is missing"):
        opened(tmp_path, split, vocabulary=NAMES).load("b")
    (tmp_path / "labels" / "a.png").unlink()
    with pytest.raises(DataMissing, match="no labels/"):
        opened(tmp_path, split, vocabulary=NAMES)


@needs_samples
def test_the_real_scene_parsing_sample_counts_from_one():
    root = SAMPLES / "ade20k_scene_parsing"
    split = {
        "images": {"reader": "files", "files": "images/{id}.jpg"},
        "truth": {
            "semantic": {
                "reader": "label-map", "files": "annotations/{id}.png", "offset": 1, "ignore": [0]
            }
        },
    }  # fmt: skip
    dataset = opened(root, split, vocabulary="ade20k-150")
    for sample in dataset:
        stored = np.asarray(Image.open(root / "annotations" / f"{sample.id}.png")).astype(int)
        np.testing.assert_array_equal(sample.truths["semantic"], stored - 1)
    first = dataset.load("ADE_val_00000001").truths["semantic"]
    assert dataset.vocabulary.names[first[0, 0]] == "sky"


@needs_samples
def test_the_real_street_frame_gives_one_label_map_from_ids_and_from_train_ids():
    root = SAMPLES / "cityscapes_small"
    ids = {7: "road", 8: "sidewalk", 11: "building", 13: "fence", 17: "pole", 20: "traffic sign",
           21: "vegetation", 23: "sky", 24: "person", 26: "car"}  # fmt: skip
    train = {"road": 0, "sidewalk": 1, "building": 2, "fence": 4, "pole": 5, "traffic sign": 7,
             "vegetation": 8, "sky": 10, "person": 11, "car": 13}  # fmt: skip

    def label_map(kind, table):
        split = {
            "images": {"reader": "files", "files": "leftImg8bit/{id}_leftImg8bit.png"},
            "truth": {
                "semantic": {
                    "reader": "label-map", "files": f"gtFine/{{id}}_gtFine_{kind}.png",
                    "values": table, "unlisted": "leave-out",
                }
            },
        }  # fmt: skip
        dataset = opened(root, split, vocabulary=list(train))
        assert dataset.ids == ("frankfurt_000000_000294",)
        return dataset.load(dataset.ids[0]).truths["semantic"]

    from_ids = label_map("labelIds", ids)
    from_train_ids = label_map("labelTrainIds", {v: k for k, v in train.items()})
    assert (from_ids >= 0).mean() > 0.5
    # The sample's two maps were made small one by one, so a few edges differ.
    assert (from_ids == from_train_ids).mean() > 0.997


@needs_samples
def test_the_real_bdd_label_map_holds_cars_and_void():
    root = SAMPLES / "bdd100k_panoptic"
    vocabulary = [f"class {i}" for i in range(19)]
    split = {
        "images": {"reader": "files", "files": "{id}_mask.png"},
        "truth": {"semantic": {"reader": "label-map", "files": "{id}_mask.png", "ignore": [255]}},
    }
    sample = opened(root, split, vocabulary=vocabulary).load("semseg")
    assert np.unique(sample.truths["semantic"]).tolist() == [VOID, 13]
