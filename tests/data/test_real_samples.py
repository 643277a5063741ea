"""Real files of the datasets, where this checkout has them beside it."""

import json

import numpy as np
import pytest
from opened import SAMPLES, opened

from bench import catalog
from bench.data.ade20k_full import object_indices
from bench.data.coco_panoptic import label_map
from bench.data.images import open_image

pytestmark = pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not beside it")
ADE = SAMPLES / "ade20k_full_record"
BDD = SAMPLES / "bdd100k_panoptic"
CITY = SAMPLES / "cityscapes_small"


def truth_of(name, split="val"):
    """How the shipped spec reads its truth."""
    return catalog.dataset(name).splits[split].truth


def reading(name, task, files, split="val"):
    """The shipped reading of a task, of files that lie elsewhere."""
    return {**truth_of(name, split)[task].model_dump(mode="json"), "files": files}


def test_a_record_of_the_full_ade20k_shows_the_objects_that_its_json_names():
    folder = ADE / "ADE20K_2021_17_01/images/ADE/training/urban/street"
    rows = json.loads((folder / "ADE_train_00016964.json").read_text("latin1"))
    named = {
        row["name_ndx"]: row["name"]
        for row in rows["annotation"]["object"]
        if row["parts"]["part_level"] == 0
    }
    spec = catalog.dataset("ade20k-847")
    dataset = opened(
        ADE / spec.home,
        {
            "images": {"reader": "files", "files": "images/ADE/training/{id}.jpg"},
            "truth": {"semantic": truth_of("ade20k-847", "train")["semantic"].model_dump()},
        },
        vocabulary="ade20k-847",
    )
    (sample,) = dataset
    seg = folder / "ADE_train_00016964_seg.png"
    indices = object_indices(np.asarray(open_image(seg)), seg)
    shown = {
        (index, dataset.vocabulary.names[label] if label >= 0 else None)
        for index, label in {
            *zip(indices.ravel().tolist(), sample.truths["semantic"].ravel().tolist(), strict=True)
        }
    }
    scored = {(index, name) for index, name in shown if name is not None}
    assert len(scored) > 8
    assert all(named[index] == name for index, name in scored)
    assert {index for index, name in shown if name is None} <= {0, *named}


def test_the_2016_conversion_reads_the_same_object_numbers():
    """The 150 classes were made from the full set by a table of these numbers."""
    folder = SAMPLES / "ade20k_scene_parsing/convert_from_full"
    raw, made = (folder / f"ADE_train_00000970_{kind}.png" for kind in ("raw", "challenge"))
    rows = (folder / "mapFromADE.txt").read_text().split("\n")
    pairs = [list(map(int, row.split()[:2])) for row in rows if row.strip()]
    table = np.zeros(1 << 13, int)
    for label, index in pairs:
        table[index] = label
    indices = object_indices(np.asarray(open_image(raw)), raw)
    expected = np.asarray(open_image(made))
    height, width = expected.shape
    rows = (np.arange(height) * indices.shape[0] // height)[:, None]
    columns = np.arange(width) * indices.shape[1] // width
    agree = table[indices[rows, columns]] == expected
    assert agree.mean() > 0.98  # the challenge's files are smaller: edges were resampled


def test_a_frame_of_cityscapes_is_one_truth_in_all_its_files():
    files = "gtFine/{id}_gtFine_"
    split = {
        "images": {"reader": "files", "files": "leftImg8bit/{id}_leftImg8bit.png"},
        "truth": {
            "semantic": reading("cityscapes", "semantic", f"{files}labelIds.png"),
            "panoptic": reading("cityscapes", "panoptic", f"{files}instanceIds.png"),
            "cityscapes-instance": reading(
                "cityscapes", "cityscapes-instance", f"{files}instanceIds.png"
            ),
        },
    }
    (sample,) = opened(CITY, split, vocabulary="cityscapes-19")
    derived = {
        **split,
        "truth": {
            "semantic": reading(
                "cityscapes", "semantic", f"{files}labelTrainIds.png", "val-derived"
            )
        },
    }
    (other,) = opened(CITY, derived, vocabulary="cityscapes-19")
    semantic, panoptic = sample.truths["semantic"], sample.truths["panoptic"]
    # The sample was made smaller, each file on its own: edges were resampled differently.
    assert (semantic == other.truths["semantic"]).mean() > 0.995
    assert np.array_equal(label_map(panoptic), semantic)
    names = catalog.vocabulary("cityscapes-19").vocabulary().names
    objects = [names[s.label] for s in panoptic.segments if s.id > 1000]
    assert sorted(objects) == ["car"] * 3 + ["person"] * 4
    assert set(np.unique(sample.truths["cityscapes-instance"]).tolist()) >= {24003, 26002, 7}


def test_bitmasks_of_bdd_are_what_its_toolkit_makes_of_them(tmp_path):
    row = json.loads((BDD / "bdd_to_coco/coco/panseg_coco.json").read_text())
    names = catalog.vocabulary("bdd-40").vocabulary().names
    categories = [{"id": i + 1, "name": n, "isthing": int(i >= 30)} for i, n in enumerate(names)]
    image = {"id": row["image_id"], "file_name": "panseg_mask.png", "height": 720, "width": 1280}
    content = {"images": [image], "annotations": [row], "categories": categories}
    (tmp_path / "pan.json").write_text(json.dumps(content))
    coco = {
        **truth_of("bdd-pano", "val-derived")["panoptic"].model_dump(mode="json"),
        "json_file": str(tmp_path / "pan.json"),
        "folder": "coco",
    }
    truths = [
        opened(
            BDD / "bdd_to_coco",
            {
                "images": {"reader": "files", "files": f"{folder}/{{id}}.png"},
                "truth": {"panoptic": how},
            },
            vocabulary="bdd-40",
        )
        .load("panseg_mask")
        .truths["panoptic"]
        for folder, how in (
            ("coco", coco),
            ("bdd100k", reading("bdd-pano", "panoptic", "bdd100k/{id}.png")),
        )
    ]
    assert np.array_equal(truths[0].ids, truths[1].ids)
    found = [sorted((s.id, s.label, s.crowd) for s in truth.segments) for truth in truths]
    assert found[0] == found[1]
    assert len(truths[0].segments) == len(row["segments_info"])


def test_a_label_image_of_bdd_is_read_by_train_id():
    split = {
        "images": {"reader": "files", "files": "{name}_mask.png"},
        "truth": {"semantic": reading("bdd-sem", "semantic", "{name}_mask.png")},
    }
    (sample,) = opened(BDD, split, vocabulary="cityscapes-19")
    assert set(np.unique(sample.truths["semantic"]).tolist()) == {-1, 13}


def test_the_synthetic_cityscapes_tree_is_read_city_by_city():
    root = SAMPLES / "synthetic_fixtures/cityscapes_dataset"
    split = {
        "images": {"reader": "files", "files": "imgsFine/leftImg8bit/val/{id}_leftImg8bit.png"},
        "truth": {"panoptic": truth_of("cityscapes")["panoptic"].model_dump()},
    }
    (sample,) = opened(root, split, vocabulary="cityscapes-19")
    assert sample.id == "defaultcity/defaultcity_000001_000019"


def test_captions_of_a_coco_file_are_read():
    root = SAMPLES / "synthetic_fixtures/coco_dataset"
    captions = {"reader": "coco-captions", "json_file": "annotations/captions_val.json"}
    images = {"reader": "coco-images", "json_file": captions["json_file"], "folder": "images/val"}
    dataset = opened(root, {"images": images, "prompts": captions, "truth": {"caption": captions}})
    for sample in dataset:
        assert sample.truths["caption"] == sample.prompt
        assert all(isinstance(text, str) and text for text in sample.prompt)
