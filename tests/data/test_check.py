import json
import shutil

import PIL.Image
import pytest
from layouts import (
    annotation,
    coco,
    square,
    write_json,
    write_panoptic,
    write_picture,
    write_roboflow,
)
from opened import SAMPLES

from bench import catalog
from bench.data.check import Severity, check
from bench.data.images import read_image
from bench.spec import DatasetSpec
from bench.spec_check import check_specs


def report_of(path):
    return check(catalog.dataset(str(path)), root=path)


def said(report, words):
    return [f for f in report.findings if words in f.what]


def edit(root, change, split="valid"):
    file = root / split / "_annotations.coco.json"
    content = json.loads(file.read_text())
    change(content)
    file.write_text(json.dumps(content))


def test_a_plain_export_is_sound_and_counted(tmp_path):
    report = report_of(write_roboflow(tmp_path))
    assert report.sound
    assert report.counts["val"].images == 3
    assert report.counts["val"].by_class["instance"] == {"cat": 1, "dog": 2}
    assert {"split": "val", "task": "instance", "class": "dog", "n": 2, "of": "objects"} in (
        report.count_rows()
    )


def test_every_finding_says_what_it_means_for_a_score(tmp_path):
    report = report_of(write_roboflow(tmp_path))
    assert report.findings
    assert all(row["meaning"] for row in report.rows())


def test_ids_from_zero_placeholders_and_images_without_truth_are_told(tmp_path):
    report = report_of(write_roboflow(tmp_path))
    assert said(report, "an annotation id is 0")
    assert said(report, "placeholder")
    assert said(report, "1 of 3 images have no instance truth")


def test_an_annotation_id_that_is_used_twice_is_told(tmp_path):
    root = write_roboflow(tmp_path)
    edit(root, lambda c: c["annotations"][2].update(id=1))
    assert said(report_of(root), "1 annotation ids are used more than once")


def test_an_image_in_two_splits_is_found_by_its_content(tmp_path):
    root = write_roboflow(tmp_path)
    shutil.copy(root / "train" / "train-0_jpg.rf.0.jpg", root / "valid" / "valid-1_jpg.rf.1.jpg")
    (finding,) = said(report_of(root), "in more than one split")
    assert finding.severity is Severity.WARNING
    assert "train/train-0" in finding.what
    assert "val/valid-1" in finding.what


def test_an_unreadable_image_is_a_problem_and_the_others_are_counted(tmp_path):
    root = write_roboflow(tmp_path)
    (root / "valid" / "valid-1_jpg.rf.1.jpg").write_bytes(b"\xff\xd8\xff")
    report = report_of(root)
    (finding,) = said(report, "1 of 3 samples cannot be read")
    assert finding.severity is Severity.PROBLEM
    assert not report.sound
    assert report.counts["val"].by_class["instance"] == {"cat": 1, "dog": 1}


def test_masks_without_pixels_and_boxes_outside_are_counted(tmp_path):
    root = write_roboflow(tmp_path)
    edit(
        root,
        lambda c: c["annotations"].extend(
            [
                annotation(10, 0, 1, square(2, 2, 0)),
                annotation(11, 0, 1, square(10, 5, 30)),
            ]
        ),
    )
    report = report_of(root)
    assert "masks without a pixel: 1" in said(report, "without a pixel")[0].what
    assert "outside the image: 1" in said(report, "outside the image")[0].what


def test_pictures_that_are_next_to_black_are_told(tmp_path):
    root = write_roboflow(tmp_path)
    first = min(path for path in (root / "valid").iterdir() if path.suffix != ".json")
    PIL.Image.fromarray(read_image(first) // 16).save(first)
    (found,) = said(report_of(root), "images without a value of 32 or more")
    assert f"1, such as in {first.name}" in found.what
    assert "Of 16 bits the upper 8 are read" in found.meaning


def test_areas_that_are_the_boxes_are_told(tmp_path):
    root = write_roboflow(tmp_path)
    triangle = [1, 1, 9, 1, 9, 9]
    row = annotation(5, 0, 1, triangle) | {"bbox": [1, 1, 8, 8], "area": 64}
    edit(root, lambda c: c["annotations"].append(row))
    assert "ap.area" in said(report_of(root), "areas stated")[0].meaning


def test_sizes_that_disagree_are_problems(tmp_path):
    root = write_roboflow(tmp_path)
    edit(root, lambda c: c["images"][0].update(height=99))
    assert said(report_of(root), "cannot be read")[0].severity is Severity.PROBLEM


def test_crowds_are_counted(tmp_path):
    root = write_roboflow(tmp_path)
    edit(root, lambda c: c["annotations"][0].update(iscrowd=1))
    assert said(report_of(root), "1 of 3 objects are crowds")


def test_duplicate_names_are_told(tmp_path):
    root = write_roboflow(tmp_path)
    edit(root, lambda c: c["categories"][2].update(name="cat"))
    assert said(report_of(root), "are all called 'cat'")


def test_classes_that_never_appear_are_named(tmp_path):
    root = write_roboflow(tmp_path)
    edit(root, lambda c: c["annotations"].pop(0))
    assert said(report_of(root), "1 of 2 classes have no instance truth: cat")


def test_all_tasks_of_a_panoptic_folder_are_checked(tmp_path):
    report = report_of(write_panoptic(tmp_path))
    assert report.sound
    assert report.counts["val"].by_class == {
        "panoptic": {"sky-other": 1, "cat": 2},
        "semantic": {"cat": 1, "sky-other": 1},
        "instance": {"cat": 2},
    }


def test_boxes_only_is_a_problem_of_that_split(tmp_path):
    root = write_roboflow(tmp_path)
    edit(root, lambda c: [a.update(segmentation=[]) for a in c["annotations"]])
    report = report_of(root)
    assert not report.sound
    assert said(report, "boxes and no masks")
    assert "train" in report.counts


def test_a_count_other_than_the_spec_expects_is_a_problem(tmp_path):
    for name in ("a", "b"):
        write_picture(tmp_path / "images" / f"{name}.jpg")
    write_json(tmp_path / "a.json", coco(["images/a.jpg", "images/b.jpg"], []))
    split = {
        "images": {"reader": "coco-images", "json_file": "a.json", "folder": "."},
        "truth": {"instance": {"reader": "coco-instances", "json_file": "a.json"}},
        "size": 3,
    }
    spec = DatasetSpec.model_validate({"name": "tiny", "splits": {"val": split}})
    (finding,) = said(check(spec, root=tmp_path), "2 samples, and the spec expects 3")
    assert finding.severity is Severity.PROBLEM


def test_a_split_that_is_not_there_is_a_note_unless_it_is_the_scored_one(tmp_path):
    report = check(catalog.dataset("coco"), root=tmp_path)
    severities = {f.where: f.severity for f in report.findings}
    assert severities == {"val": Severity.PROBLEM, "train": Severity.NOTE}


def test_every_shipped_spec_holds_together():
    assert check_specs().findings == ()


def test_a_name_that_stands_for_nothing_is_found_in_a_users_spec(tmp_path):
    folder = tmp_path / "datasets"
    folder.mkdir()
    (folder / "mine.yaml").write_text(
        "vocabulary: coco-134\nsplits: {val: {images: {reader: files, files: '{id}.jpg'}}}\n"
    )
    (finding,) = check_specs([tmp_path]).findings
    assert "mine.yaml" in finding.where
    assert "coco-133" in finding.what


@pytest.mark.skipif(not SAMPLES.is_dir(), reason="real samples are not beside the repository")
def test_the_real_exports_are_explained():
    report = report_of(SAMPLES / "roboflow_bottles_seg")
    assert report.sound
    assert {s: c.images for s, c in report.counts.items()} == {"val": 16, "test": 16}
    assert {s: c.objects for s, c in report.counts.items()} == {"val": 56, "test": 54}
    assert not report_of(SAMPLES / "roboflow_apples_boxes_only").sound


def test_splits_that_are_parts_of_one_are_no_leak_and_anothers_are(tmp_path):
    write_roboflow(tmp_path, ("train", "valid"))
    shutil.copytree(tmp_path / "train", tmp_path / "few")
    shutil.copytree(tmp_path / "train", tmp_path / "leak")
    splits = {}
    for name, of in (("train", None), ("valid", None), ("few", "train"), ("leak", None)):
        read = {"json_file": f"{name}/_annotations.coco.json"}
        images = {"reader": "coco-images", "folder": name, **read}
        truth = {"instance": {"reader": "coco-instances", **read}}
        splits[name] = {"images": images, "truth": truth, "of": of}
    whole = DatasetSpec.model_validate({"name": "pets", "splits": splits})
    (leak,) = said(check(whole, root=tmp_path), "in more than one split")
    assert leak.what.startswith("3 images")
    del splits["leak"]
    kept = DatasetSpec.model_validate({"name": "pets", "splits": splits})
    assert not said(check(kept, root=tmp_path), "more than one split")
    assert not said(check(kept, root=tmp_path), "one split twice")


def test_a_split_of_one_that_is_not_there_is_refused():
    images = {"reader": "files", "files": "{id}.png"}
    with pytest.raises(ValueError, match="'trian'"):
        DatasetSpec.model_validate(
            {"name": "x", "splits": {"few": {"images": images, "of": "trian"}}}
        )
