"""`shapes-in-the-wild` on disk: what Roboflow writes, with masks that lose nothing."""

import json
from concurrent.futures import ThreadPoolExecutor
from contextlib import redirect_stdout
from io import StringIO

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from bench.data.shapes import Split, draw, scene
from bench.data.shapes.export import ANNOTATIONS, STAMP, annotation, export, outlines
from bench.data.shapes.suite import SUITE, TEST, TRAIN, VALID
from bench.errors import DataMissing

# pycocotools passes arrays around in a way that numpy 2 warns about; nothing of ours does.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

PARTS = {"train": TRAIN, "valid": VALID, "test": TEST}

masks = arrays(bool, st.tuples(st.integers(1, 9), st.integers(1, 9))).filter(np.any)


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    root = tmp_path_factory.mktemp("wild")
    export(root)
    return root


def opened(root, dataset, part):
    with redirect_stdout(StringIO()):
        return COCO(root / dataset.name / part / ANNOTATIONS)


def test_there_are_at_least_five_datasets_with_vocabularies_of_their_own():
    assert len(SUITE) >= 5
    assert len({d.categories for d in SUITE}) == len({d.world for d in SUITE}) == len(SUITE)


@pytest.mark.parametrize("dataset", SUITE, ids=lambda d: d.name)
def test_an_export_looks_like_one_of_roboflow(root, dataset):
    for part, n in PARTS.items():
        content = json.loads((root / dataset.name / part / ANNOTATIONS).read_text())
        assert set(content) == {"info", "licenses", "categories", "images", "annotations"}
        assert content["categories"][0] == {
            "id": 0, "name": dataset.name, "supercategory": "none",
        }  # fmt: skip
        names = [c["name"] for c in content["categories"][1:]]
        assert names == [c.name for c in dataset.categories]
        assert [i["id"] for i in content["images"]] == list(range(n))
        assert [a["id"] for a in content["annotations"]] == list(range(len(content["annotations"])))
        assert all(a["category_id"] > 0 for a in content["annotations"])
        for image in content["images"]:
            with Image.open(root / dataset.name / part / image["file_name"]) as picture:
                assert picture.size == (image["width"], image["height"])


@pytest.mark.parametrize("dataset", SUITE, ids=lambda d: d.name)
def test_the_reference_tool_reads_the_masks_that_were_drawn(root, dataset):
    coco = opened(root, dataset, "valid")
    for id, image in coco.imgs.items():
        found = scene(dataset.world, Split.VAL, TRAIN + id)
        assert image["extra"]["name"] == f"val-{TRAIN + id:06d}.png"
        ids = draw(found).ids
        drawn = {
            (ids == number).tobytes(): category.name
            for number, thing in enumerate(found.things, start=1)
            for category in dataset.categories
            if category.holds(thing)
        }
        read = {
            coco.annToMask(a).astype(bool).tobytes(): coco.cats[a["category_id"]]["name"]
            for a in coco.imgToAnns[id]
        }
        assert read == drawn


@pytest.mark.parametrize("dataset", SUITE, ids=lambda d: d.name)
def test_every_class_has_examples_to_learn_and_to_score(root, dataset):
    for part, least in (("train", 5), ("valid", 2)):
        coco = opened(root, dataset, part)
        for id in range(1, len(dataset.categories) + 1):
            assert len(coco.getImgIds(catIds=[id])) >= least, (part, coco.cats[id]["name"])


def test_no_image_is_in_two_splits(root):
    for dataset in SUITE:
        pixels = [
            np.asarray(Image.open(path)).tobytes()
            for path in sorted((root / dataset.name).rglob("*.png"))
        ]
        assert len(pixels) == len(set(pixels)) == TRAIN + VALID + TEST


def test_a_finished_export_is_left_alone_and_a_damaged_one_written_again(root):
    before = {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()}
    assert export(root) == tuple(root / d.name for d in SUITE)
    assert {p: p.stat().st_mtime_ns for p in root.rglob("*") if p.is_file()} == before
    first = root / SUITE[0].name
    written = (first / "valid" / ANNOTATIONS).read_bytes()
    (first / STAMP).unlink()
    (first / "valid" / ANNOTATIONS).write_text("cut off")
    export(root)
    assert (first / "valid" / ANNOTATIONS).read_bytes() == written
    assert sorted(p.name for p in root.iterdir()) == sorted(d.name for d in SUITE)


def test_processes_that_write_at_once_do_not_disturb_each_other(tmp_path, monkeypatch):
    monkeypatch.setattr("bench.data.shapes.export.SUITE", SUITE[:2])
    with ThreadPoolExecutor(3) as pool:
        written = list(pool.map(export, [tmp_path] * 3))
    assert len(set(written)) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(d.name for d in SUITE[:2])
    assert all((folder / STAMP).exists() for folder in written[0])


def test_a_folder_that_cannot_be_written_is_one_clear_sentence(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(DataMissing, match="could not be written to"):
        export(tmp_path / "file")


@given(masks)
def test_outlines_hold_exactly_the_mask(mask):
    """Signed areas add up to the pixels, and the reference tool fills them to the same mask."""
    loops = outlines(mask)
    areas = [
        int((x * np.roll(y, -1) - np.roll(x, -1) * y).sum()) // 2 for x, y in (p.T for p in loops)
    ]
    assert sum(areas) == mask.sum()
    height, width = mask.shape
    shape = annotation(mask)["segmentation"]
    if isinstance(shape, dict):
        assert min(areas) < 0
        rle = {"size": shape["size"], "counts": shape["counts"].encode()}
    else:
        assert min(areas) > 0
        rle = coco_mask.merge(coco_mask.frPyObjects(shape, height, width))
    assert np.array_equal(coco_mask.decode(rle).astype(bool), mask)


@given(masks)
def test_boxes_and_areas_are_those_of_the_mask(mask):
    said = annotation(mask)
    rle = coco_mask.encode(np.asfortranarray(mask.astype(np.uint8)))
    assert said["bbox"] == coco_mask.toBbox(rle).tolist()
    assert said["area"] == coco_mask.area(rle)
