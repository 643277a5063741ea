"""Every dataset of the paper is read as its distributors ship it."""

import zlib
from fnmatch import fnmatchcase

import numpy as np
import pytest
from distributions import SEGINW, WRITERS, write_cityscapes, write_seginw
from PIL import Image

from bench import catalog, tasks
from bench.data.check import Severity, check
from bench.data.opening import open_dataset
from bench.errors import DataError, DataMissing
from bench.metrics.meter import Accumulator
from bench.metrics.retrieval import Embedded
from bench.types import Instances, Mask, Panoptic

OTHERS = sorted(set(WRITERS) - set(SEGINW))
SOME = [*OTHERS, "seginw-Strawberry", "seginw-Trash"]
CARD = catalog.protocol("bench")

TABLE_8 = {
    "ade20k-150": 2000, "ade20k-847": 2000, "voc-20": 1449, "context-59": 5105,
    "context-459": 5105, "sunrgbd-37": 5050, "scannet-20": 5436, "scannet-41": 5436,
    "cityscapes": 500, "bdd-sem": 1000, "bdd-pano": 1000,
}  # fmt: skip
CLASSES = {
    "ade20k-150": 150, "ade20k-847": 847, "voc-20": 20, "voc-21": 21, "context-59": 59,
    "context-459": 459, "sunrgbd-37": 37, "scannet-20": 20, "scannet-41": 40, "cityscapes": 19,
    "bdd-sem": 19, "bdd-pano": 40, "coco": 133,
}  # fmt: skip


def opened(name, root, split=None, **more):
    return open_dataset(catalog.dataset(name), root=root, protocol=CARD, split=split, **more)


def written_splits(name, root):
    """The splits whose files are there."""
    for split in catalog.dataset(name).splits:
        try:
            yield opened(name, root, split)
        except DataMissing:
            continue


# --- what a perfect model would say --------------------------------------------------------------


def perfect_instances(truth):
    real = [i for i in truth.instances if not i.crowd]
    labels = np.array([i.label for i in real], np.int64)
    return Instances(tuple(i.mask for i in real), labels, np.linspace(0.9, 0.5, len(real)))


def perfect_regions(truth):
    ids = [i for i in np.unique(truth).tolist() if i >= 1000]
    names = catalog.vocabulary("cityscapes-19").vocabulary().names
    assert {i // 1000 for i in ids} == {26}
    labels = np.full(len(ids), names.index("car"))
    return Instances(tuple(Mask.encode(truth == i) for i in ids), labels, np.ones(len(ids)))


def perfect_panoptic(truth):
    kept = tuple(s for s in truth.segments if not s.crowd)
    crowds = [s.id for s in truth.segments if s.crowd]
    return Panoptic(np.where(np.isin(truth.ids, crowds), 0, truth.ids), kept)


def perfect_embedding(truth):
    """Each text's vector is its image's own."""
    vector = np.random.default_rng(zlib.crc32(truth[0].encode())).normal(size=16)
    return Embedded(vector, np.tile(vector, (len(truth), 1)))


PERFECT = {
    "semantic": lambda truth: np.maximum(truth, 0),
    "instance": perfect_instances,
    "panoptic": perfect_panoptic,
    "cityscapes-instance": perfect_regions,
    "referring": lambda truth: truth,
    "retrieval": perfect_embedding,
    "caption": lambda truth: truth[0],
    "vqa": lambda truth: ["yes"] * len(truth),
}


def test_every_shipped_dataset_has_a_miniature():
    shipped = {name for name in catalog.datasets() if not name.startswith("shapes")}
    assert shipped == set(WRITERS)


@pytest.mark.parametrize("name", SOME)
def test_every_written_split_is_read_and_perfect_answers_are_perfect(name, tmp_path):
    WRITERS[name](tmp_path)
    splits = list(written_splits(name, tmp_path))
    assert splits
    assert splits[0].split == catalog.dataset(name).split()[0]
    for dataset in splits:
        samples = list(dataset)
        for task in dataset.tasks:
            meter = tasks.task(task).meters(dataset.vocabulary, CARD)[0]
            seen = Accumulator(meter)
            for sample in samples:
                seen.update(PERFECT[task](sample.truths[task]), sample.truths[task])
            # CIDEr of a single image is 0: all its words are in every image.
            headline = "BLEU-4" if task == "caption" else tasks.task(task).headline
            score = seen.compute()[headline]
            assert score.n > 0
            if task == "semantic":  # void was answered with a class, and costs nothing
                assert score.value == 1
            else:
                assert score.value == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("name", SOME)
def test_a_miniature_is_sound_but_for_its_size(name, tmp_path):
    WRITERS[name](tmp_path)
    report = check(catalog.dataset(name), root=tmp_path)
    problems = [f.what for f in report.findings if f.severity is Severity.PROBLEM]
    assert problems
    assert all("samples, and the spec expects" in what for what in problems)


@pytest.mark.parametrize("name", WRITERS)
def test_a_missing_dataset_is_told_with_where_to_get_it(name, tmp_path):
    spec = catalog.dataset(name)
    with pytest.raises(DataMissing) as caught:
        opened(name, tmp_path)
    assert spec.source.page in str(caught.value)


@pytest.mark.parametrize("name", TABLE_8)
def test_sizes_are_those_of_table_8(name):
    _, split = catalog.dataset(name).split()
    assert split.size == TABLE_8[name]


@pytest.mark.parametrize("name", CLASSES)
def test_class_counts_are_those_of_the_datasets(name):
    assert len(catalog.vocabulary(catalog.dataset(name).vocabulary).classes) == CLASSES[name]


def test_the_suite_of_the_paper_has_16_numbers_in_16_columns():
    columns = []
    for member in catalog.suite("openvocab").members:
        spec = catalog.dataset(member.dataset)
        for task in member.tasks or tuple(spec.split()[1].truth):
            headline = tasks.task(task).headline
            columns.append(spec.columns.get(f"{task} {headline}") or spec.columns[headline])
    assert len(columns) == len(set(columns)) == 16


# --- each coding ---------------------------------------------------------------------------------


def test_what_mask2former_derives_of_ade20k_is_the_same_truth(tmp_path):
    WRITERS["ade20k-150"](tmp_path)
    own, derived = opened("ade20k-150", tmp_path), opened("ade20k-150", tmp_path, "val-derived")
    for one, other in zip(own, derived, strict=True):
        pair = one.truths["panoptic"], other.truths["panoptic"]
        found = [
            sorted((s.label, np.flatnonzero(truth.ids == s.id).tolist()) for s in truth.segments)
            for truth in pair
        ]
        assert found[0] == found[1]
        assert len(found[0]) == 4
        found = [
            sorted((i.label, i.mask.counts.tolist()) for i in truth.instances)
            for truth in (one.truths["instance"], other.truths["instance"])
        ]
        assert found[0] == found[1]
        assert np.array_equal(one.truths["semantic"], other.truths["semantic"])
        # A bed that is no object of its own is void among segments, and a bed among labels.
        assert ((pair[0].ids == 0) & (one.truths["semantic"] == 7)).any()


def test_an_object_of_two_classes_is_refused(tmp_path):
    WRITERS["ade20k-150"](tmp_path)
    folder = tmp_path / "ADEChallengeData2016/annotations_instance/validation"
    path = folder / "ADE_val_00000001.png"
    pixels = np.array(Image.open(path))
    pixels[pixels[..., 1] == 2, 1] = 3
    Image.fromarray(pixels).save(path)
    with pytest.raises(DataError, match="object 3 is of class 1, 5, and an object has one class"):
        opened("ade20k-150", tmp_path).load("ADE_val_00000001")


def test_of_the_full_ade20k_only_the_847_are_scored(tmp_path):
    WRITERS["ade20k-847"](tmp_path)
    dataset = opened("ade20k-847", tmp_path)
    assert dataset.ids == ("urban/street/ADE_val_00000001", "work_place/office/ADE_val_2")
    top = dataset.load(dataset.ids[0]).truths["semantic"][0, ::4]
    assert top.tolist() == [-1, -1, 0, 1]
    derived = opened("ade20k-847", tmp_path, "val-derived")
    pairs = zip(dataset, sorted(derived, key=lambda s: s.id), strict=True)
    for own, theirs in pairs:
        assert np.array_equal(own.truths["semantic"], theirs.truths["semantic"])


def test_background_is_void_among_20_classes_and_the_first_of_21(tmp_path):
    WRITERS["voc-20"](tmp_path)
    twenty, more = (opened(name, tmp_path).load("2007_000033") for name in ("voc-20", "voc-21"))
    assert twenty.truths["semantic"][0, ::4].tolist() == [-1, 0, 14, 19]
    assert more.truths["semantic"][0, ::4].tolist() == [0, 1, 15, 20]
    assert -1 in more.truths["semantic"]


def test_context_is_read_from_matlab_files_by_number(tmp_path):
    WRITERS["context-59"](tmp_path)
    few, all_ = (opened(n, tmp_path) for n in ("context-59", "context-459"))
    row = few.load("2008_000002").truths["semantic"].reshape(3, 4, 4, 4)[:, 0, :, 0].ravel()
    names = ["?" if label < 0 else few.vocabulary.names[label] for label in row[:5]]
    assert names == ["?", "aeroplane", "bag", "diningtable", "?"]
    row = all_.load("2008_000002").truths["semantic"].reshape(3, 4, 4, 4)[:, 0, :, 0].ravel()
    assert row[:5].tolist() == [0, 1, 8, 396, 458]


def test_label_maps_go_with_images_by_their_order(tmp_path):
    WRITERS["sunrgbd-37"](tmp_path)
    dataset = opened("sunrgbd-37", tmp_path)
    fifth = [dataset.load(id).truths["semantic"][4, 0] for id in ("img-000001", "img-000002")]
    assert fifth == [0, 1]  # the fifth value of each map is its image's number
    (tmp_path / "sun_rgbd/label37/test/00005002.png").unlink()
    with pytest.raises(DataError, match=r"2 images .* and 1 label maps"):
        opened("sunrgbd-37", tmp_path)


def test_only_frames_of_the_listed_scenes_are_read(tmp_path):
    WRITERS["scannet-20"](tmp_path)
    dataset = opened("scannet-20", tmp_path)
    assert dataset.ids == ("scene0568_00/000000", "scene0568_00/000100")
    sample = dataset.load(dataset.ids[0])
    assert sample.truths["semantic"][0, ::4].tolist() == [-1, 0, -1, 19]
    segments = {s.id - 1: s for s in sample.truths["panoptic"].segments}
    names = dataset.vocabulary.names
    assert names[segments[5001].label] == names[segments[5002].label] == "chair"
    assert names[segments[1].label] == "wall"
    assert not segments[1].crowd
    assert opened("scannet-41", tmp_path).load(dataset.ids[0]).truths["semantic"][0, 8] == 12


@pytest.mark.parametrize("name", ["scannet-20", "scannet-41"])
def test_frames_and_scans_hold_the_same_labels(name, tmp_path):
    WRITERS[name](tmp_path)
    frames, scans = opened(name, tmp_path), opened(name, tmp_path, "val-scans")
    assert frames.ids == scans.ids
    for one, other in zip(frames, scans, strict=True):
        assert np.array_equal(one.truths["semantic"], other.truths["semantic"])
    table = tmp_path / "scannet_frames_25k/scannetv2-labels.combined.tsv"
    table.write_text("id\traw_category\tnyu40id\n5\tchair\t5\n")
    with pytest.raises(DataError, match=r"has the raw id 1040, and .* ends at 5"):
        opened(name, tmp_path, "val-scans").load(scans.ids[0])


def test_what_the_tools_of_cityscapes_derive_is_the_same_truth(tmp_path):
    write_cityscapes(tmp_path)
    own, derived = opened("cityscapes", tmp_path), opened("cityscapes", tmp_path, "val-derived")
    for one, other in zip(own, derived, strict=True):
        assert one.id.endswith(other.id)
        assert np.array_equal(one.truths["semantic"], other.truths["semantic"])
        pair = one.truths["panoptic"], other.truths["panoptic"]
        assert np.array_equal(*((truth.ids > 0) for truth in pair))
        segments = [
            [(s.id - shift, s.label, s.crowd) for s in truth.segments]
            for truth, shift in zip(pair, (1, 0), strict=True)
        ]
        assert segments[0] == segments[1]


def test_what_the_tool_of_bdd_derives_is_the_same_truth(tmp_path):
    WRITERS["bdd-pano"](tmp_path)
    own, derived = opened("bdd-pano", tmp_path), opened("bdd-pano", tmp_path, "val-derived")
    for one, other in zip(own, derived, strict=True):
        assert np.array_equal(one.truths["panoptic"].ids, other.truths["panoptic"].ids)
        assert one.truths["panoptic"].segments == other.truths["panoptic"].segments


# --- Segmentation in the Wild --------------------------------------------------------------------


@pytest.mark.parametrize("name", SEGINW)
def test_bundle_and_export_hold_the_same_truth(name, tmp_path):
    short = name.removeprefix("seginw-")
    write_seginw(tmp_path / "bundle", short)
    write_seginw(tmp_path / "export", short, bundle=False)
    bundle, export = (opened(name, tmp_path / each) for each in ("bundle", "export"))
    for one, other in zip(bundle, export, strict=True):
        assert one.truths == other.truths
    assert bundle.notes == ()
    assert any("read valid/_annotations.coco.json: no valid/_annot" in n for n in export.notes)
    assert len(opened(name, tmp_path / "bundle", "train_10shot")) == 2
    with pytest.raises(DataMissing, match="train_10shot"):
        opened(name, tmp_path / "export", "train_10shot")


def test_the_suite_has_the_25_with_a_mean_and_the_sizes_of_table_12():
    suite = catalog.suite("seginw")
    assert sorted(m.dataset for m in suite.members) == SEGINW
    assert suite.mean_of == ("AP",)
    sizes = [catalog.dataset(name).splits for name in SEGINW]
    assert len(SEGINW) == 25
    assert sum(splits["val"].size for splits in sizes) == 2331
    assert sum(splits["train"].size for splits in sizes) == 12597
    classes = [len(catalog.vocabulary(name).classes) for name in SEGINW]
    assert sum(classes) == 85


def test_projects_are_pinned_where_the_paper_names_them():
    pins = {name: catalog.dataset(name).source.roboflow for name in SEGINW}
    unnamed = {name for name, pin in pins.items() if pin is None}
    assert unnamed == {"seginw-Elephants", "seginw-Fruits"}
    assert pins["seginw-Trash"].model_dump() == {
        "workspace": "sara-najafi", "project": "trash_segmentation2", "version": 2,
    }  # fmt: skip
    versionless = {name for name, pin in pins.items() if pin and pin.version is None}
    assert len(versionless) == 4


# --- vocabularies --------------------------------------------------------------------------------


def test_every_other_wording_is_of_its_datasets_classes():
    """A vocabulary `x-…` prompts the classes of `x` with other words."""
    names = list(catalog.vocabularies())
    for name in names:
        of = [n for n in names if name.startswith(f"{n}-") and n != name]
        # `seginw-Hand` is no beginning of `seginw-Hand-Metal`, which is a dataset of its own.
        if name in WRITERS or not of:
            continue
        own = catalog.vocabulary(max(of, key=len)).vocabulary()
        other = catalog.vocabulary(name).vocabulary()
        assert other.names == own.names, name
        assert other.things == own.things, name
        assert other.prompts != own.prompts, name


def test_prompts_are_those_of_the_released_evaluation():
    prompts = {
        name: dict(zip(v.names, (p[0] for p in v.prompts), strict=True))
        for name in ("ade20k-150", "ade20k-847", "sunrgbd-37", "scannet-20", "scannet-41")
        for v in [catalog.vocabulary(name).vocabulary()]
    }
    assert prompts["ade20k-150"]["plane"] == "airplane"
    assert len(set(prompts["ade20k-847"].values())) == 837
    assert prompts["sunrgbd-37"]["fridge"] == "refridgerator"
    assert prompts["scannet-20"]["refrigerator"] == "refrigerator"
    assert prompts["scannet-41"]["refridgerator"] == "refridgerator"
    assert all(word == word.strip() for of in prompts.values() for word in of.values())


def test_a_suite_can_ask_with_other_words(tmp_path):
    write_seginw(tmp_path, "Strawberry")
    member = next(
        m for m in catalog.suite("seginw-uninext").members if m.dataset == "seginw-Strawberry"
    )
    dataset = opened(member.dataset, tmp_path, vocabulary=catalog.vocabulary(member.vocabulary))
    assert dataset.vocabulary.names == ("R_strawberry", "people")
    assert dataset.vocabulary.prompts == (("R strawberry",), ("people",))


def test_one_card_reaches_every_dataset_of_the_suite():
    """No name in a card is misspelled: each stands for a dataset."""
    names = set(catalog.datasets())
    for card in catalog.protocols():
        for pattern in catalog.protocol(card).datasets:
            assert any(fnmatchcase(name, pattern) for name in names), (card, pattern)
