"""Getting a dataset: whole or not at all, counted, pinned, and going on where it stopped."""

import errno
import json
import os
import shutil
from pathlib import Path

import pytest
from exports import tarred, write_export, zipped
from layouts import write_picture
from loopback import serving

from bench import catalog
from bench.data.opening import open_dataset
from bench.data.source import INCOMPLETE
from bench.errors import DataError, DataMissing, UsageError
from bench.obtain import placing
from bench.obtain.counting import count_split
from bench.obtain.getting import Getting, Request
from bench.obtain.lock import LOCK, Pins
from bench.obtain.pieces import pieces
from bench.obtain.status import State, status
from bench.protocol import Protocol
from bench.spec import DatasetSpec

POLES = catalog.dataset("seginw-Poles")
"""11 and 3 images in Table 12."""


@pytest.fixture
def root(tmp_path):
    return tmp_path / "data"


@pytest.fixture
def site():
    with serving() as site:
        yield site


def get(spec, root, **request):
    return Getting(Request(root, **request)).get(spec)


def write(folder: Path, **options) -> Path:
    return write_export(folder, "Poles", **options)


def files_of(folder: Path) -> dict[str, bytes]:
    found = (path for path in folder.rglob("*") if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


# --- an export, from wherever it is --------------------------------------------------------------


def test_an_export_comes_from_a_folder_an_archive_an_address_and_a_mirror(site, tmp_path, root):
    plain = write(tmp_path / "plain")
    (tmp_path / "poles.tar.gz").write_bytes(tarred(plain))
    site.files["/Poles.zip"] = site.files["/some.zip"] = zipped(plain)
    sources = [plain, tmp_path / "poles.tar.gz", f"{site.url}/some.zip", f"{site.url}/"]
    for i, source in enumerate(sources):
        home = root / str(i)
        outcome = get(POLES, home, source=str(source))
        assert outcome.done == "fetched"
        assert [(c.split, c.samples) for c in outcome.counts] == [("val", 3), ("train", 11)]
        assert files_of(home / "seginw/Poles") == files_of(plain)
        dataset = open_dataset(POLES, root=home, protocol=Protocol(name="plain"))
        assert len(list(dataset)) == 3


def test_each_dataset_finds_its_own_in_the_official_bundle(tmp_path, root):
    for name in ("Poles", "Puppies"):
        write_export(tmp_path / "seginw" / name, name, bundle=True)
    (tmp_path / "seginw.zip").write_bytes(zipped(tmp_path / "seginw", within="seginw/"))
    getting = Getting(Request(root, source=str(tmp_path / "seginw.zip")))
    for name in ("Poles", "Puppies"):
        getting.get(catalog.dataset(f"seginw-{name}"))
        assert files_of(root / "seginw" / name) == files_of(tmp_path / "seginw" / name)
    few = count_split(POLES, "train_10shot", root=root)
    assert few.samples == 10


def test_a_bundle_without_the_dataset_is_told(tmp_path, root):
    for name in ("Puppies", "Chicken"):
        write_export(tmp_path / "b" / name, name)
    with pytest.raises(DataError, match="holds 2 datasets, and none is called Poles"):
        get(POLES, root, source=str(tmp_path / "b"))
    write_picture(tmp_path / "nothing" / "a.jpg")
    with pytest.raises(DataError, match="no export of 'COCO segmentation'"):
        get(POLES, root, source=str(tmp_path / "nothing"))
    assert not (root / "seginw").exists()


def test_a_download_that_breaks_leaves_no_dataset_and_is_gone_on_with(site, tmp_path, root):
    site.files["/a.zip"] = zipped(write(tmp_path / "plain"))
    site.breaks_after = 5_000
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("bench.obtain.download.download.__kwdefaults__", {
            "progress": lambda done, of: None, "waits": ()})  # fmt: skip
        with pytest.raises(DataMissing, match="goes on"):
            get(POLES, root, source=f"{site.url}/a.zip")
    assert not (root / "seginw").exists()
    assert status(POLES, root=root, contents=True, every_split=False).state is State.MISSING
    assert get(POLES, root, source=f"{site.url}/a.zip").done == "fetched"
    assert site.ranges == [None, "bytes=5000-"]


def test_a_second_get_verifies_and_fetches_nothing(site, tmp_path, root):
    site.files["/a.zip"] = zipped(write(tmp_path / "plain"))
    get(POLES, root, source=f"{site.url}/a.zip")
    before = files_of(root / "seginw")
    outcome = get(POLES, root, source=f"{site.url}/a.zip")
    assert outcome.done == "verified"
    assert outcome.sources == (f"{site.url}/a.zip",)
    assert len(site.asked) == 1
    assert files_of(root / "seginw") == before


def test_a_file_that_went_away_comes_back_and_the_others_stay(site, tmp_path, root):
    site.files["/a.zip"] = zipped(write(tmp_path / "plain"))
    get(POLES, root, source=f"{site.url}/a.zip")
    kept = next((root / "seginw/Poles/train").glob("*.png"))
    lost = next((root / "seginw/Poles/valid").glob("*.png"))
    stamp = kept.stat()
    lost.unlink()
    assert status(POLES, root=root, contents=False, every_split=False).state is State.CHANGED
    assert get(POLES, root, source=f"{site.url}/a.zip").done == "fetched"
    assert files_of(root / "seginw/Poles") == files_of(tmp_path / "plain")
    assert (kept.stat().st_ino, kept.stat().st_mtime_ns) == (stamp.st_ino, stamp.st_mtime_ns)


def test_a_file_that_changed_here_is_an_error_that_names_it(tmp_path, root):
    get(POLES, root, source=str(write(tmp_path / "plain")))
    changed = root / "seginw/Poles/valid/valid-1_jpg.rf.1.png"
    size = changed.stat().st_size
    changed.write_bytes(b"x" * size)
    with pytest.raises(DataError, match=r"1 changed, such as valid/valid-1_jpg\.rf\.1\.png"):
        get(POLES, root, source=str(tmp_path / "plain"))
    quick = status(POLES, root=root, contents=False, every_split=False)
    whole = status(POLES, root=root, contents=True, every_split=False)
    assert (quick.state, whole.state) == (State.VERIFIED, State.CHANGED)


def test_a_changed_upstream_is_an_error_that_says_so(site, tmp_path, root):
    plain = write(tmp_path / "plain")
    site.files["/a.zip"] = zipped(plain)
    get(POLES, root, source=f"{site.url}/a.zip")
    before = files_of(root / "seginw")
    write_picture(plain / "valid/valid-0_jpg.rf.0.png", seed=99)
    site.files["/a.zip"] = zipped(plain)
    with pytest.raises(DataError, match="upstream has changed") as caught:
        get(POLES, root, source=f"{site.url}/a.zip", again=True)
    assert "1 changed, such as valid/valid-0_jpg.rf.0.png" in str(caught.value)
    assert files_of(root / "seginw") == before


def test_a_lock_file_from_elsewhere_pins_what_is_fetched(tmp_path, root):
    plain = write(tmp_path / "plain")
    get(POLES, tmp_path / "theirs", source=str(plain))
    root.mkdir()
    shutil.copy(tmp_path / "theirs" / LOCK, root / LOCK)
    other = write(tmp_path / "other")
    write_picture(other / "valid/valid-0_jpg.rf.0.png", seed=99)
    with pytest.raises(DataError, match=r"is not what .* pins"):
        get(POLES, root, source=str(other))
    assert get(POLES, root, source=str(plain)).done == "fetched"


def test_another_size_than_table_12_is_refused_unless_asked_for(tmp_path, root):
    small = write(tmp_path / "small", missing=1)
    with pytest.raises(DataError) as caught:
        get(POLES, root, source=str(small))
    said = str(caught.value)
    assert "Table 12" in said
    assert "val: 2 samples, 3 expected; train: 10 samples, 11 expected" in said
    assert "--other-counts" in said
    assert not (root / "seginw").exists()
    assert not list((root / ".bench/staging").iterdir())
    assert get(POLES, root, source=str(small), other_counts=True).done == "fetched"


def test_images_that_are_listed_and_not_there_are_refused_whatever_is_asked(tmp_path, root):
    plain = write(tmp_path / "plain")
    (plain / "valid/valid-0_jpg.rf.0.png").unlink()
    with pytest.raises(DataError, match=r"1 files are not there, such as .*valid-0"):
        get(POLES, root, source=str(plain), other_counts=True)
    assert not (root / "seginw").exists()


def test_what_was_there_before_is_pinned_and_not_fetched(tmp_path, root):
    write(root / "seginw/Poles")
    outcome = get(POLES, root, source=str(tmp_path))
    assert (outcome.done, outcome.sources) == ("found", ("found",))
    assert get(POLES, root).done == "verified"


def test_what_was_there_before_is_never_overwritten(tmp_path, root):
    mine = root / "seginw/Poles/valid/valid-0_jpg.rf.0.png"
    write_picture(mine, seed=5)
    before = mine.read_bytes()
    with pytest.raises(DataError, match="Nothing was moved: move them away"):
        get(POLES, root, source=str(write(tmp_path / "plain")))
    assert mine.read_bytes() == before
    assert not (root / "seginw/Poles/train").exists()


def test_a_get_that_is_killed_while_it_moves_files_in_leaves_a_dataset_nobody_reads(
    tmp_path, root, monkeypatch
):
    plain = write(tmp_path / "plain")
    shutil.copytree(plain / "valid", root / "seginw/Poles/valid")
    (root / "seginw/Poles/valid/valid-2_jpg.rf.2.png").unlink()

    def killed(staged, target):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(placing, "_merge", killed)
        with pytest.raises(KeyboardInterrupt):
            get(POLES, root, source=str(plain))
    assert (root / "seginw/Poles" / INCOMPLETE).exists()
    with pytest.raises(DataMissing, match="was stopped while it moved files"):
        open_dataset(POLES, root=root, protocol=Protocol(name="plain"))
    assert get(POLES, root, source=str(plain)).done == "fetched"
    assert files_of(root / "seginw/Poles") == files_of(plain)


@pytest.mark.parametrize("there", [True, False])
def test_a_dataset_may_lie_on_another_disk(tmp_path, root, monkeypatch, there):
    plain, replace = write(tmp_path / "plain"), os.replace
    if there:
        shutil.copytree(plain / "valid", root / "seginw/Poles/valid")
        (root / "seginw/Poles/valid/valid-2_jpg.rf.2.png").unlink()

    def apart(source, target):
        if "staging" in Path(source).parts and "staging" not in Path(target).parts:
            raise OSError(errno.EXDEV, "Invalid cross-device link")
        replace(source, target)

    monkeypatch.setattr(placing.os, "replace", apart)
    assert get(POLES, root, source=str(plain)).done == "fetched"
    assert files_of(root / "seginw/Poles") == files_of(plain)


def test_a_link_to_a_folder_that_is_gone_is_told(tmp_path, root):
    (root / "seginw").mkdir(parents=True)
    (root / "seginw/Poles").symlink_to(tmp_path / "unmounted")
    with pytest.raises(DataError, match=r"is a link to .*unmounted, which is not there"):
        get(POLES, root, source=str(write(tmp_path / "plain")))


def test_two_gets_at_once_keep_out_of_each_others_way(root):
    with (
        Pins(root).alone(),
        pytest.raises(UsageError, match="Another `bench data get`"),
        Pins(root).alone(),
    ):
        pass


def test_the_lock_file_holds_no_path_no_date_and_no_key(site, tmp_path, root):
    site.files["/a.zip"] = zipped(write(tmp_path / "plain"))
    get(POLES, root, source=f"{site.url}/a.zip?key=secret")
    entries = json.loads((root / LOCK).read_text())
    assert set(entries) == {"seginw/Poles:export"}
    assert set(entries["seginw/Poles:export"]) == {"source", "archive", "tree", "files", "bytes"}
    assert "secret" not in (root / LOCK).read_text()
    assert str(tmp_path) not in (root / LOCK).read_text()


@pytest.mark.parametrize("text", ["{", "[]", '{"a": {"sha": 1}}'])
def test_a_lock_file_that_is_not_ours_is_an_error(root, text):
    root.mkdir()
    (root / LOCK).write_text(text)
    with pytest.raises(DataError, match="no lock file of ours"):
        get(POLES, root)


# --- files that distributors offer ---------------------------------------------------------------


READER = "label-map"


def offered(site, **source) -> DatasetSpec:
    labels = "labels/{}/{{id}}.png"
    return DatasetSpec.model_validate(
        {
            "name": "streets",
            "home": "Streets",
            "vocabulary": {"name": "streets", "classes": ["road", "sky"]},
            "splits": {
                split: {
                    "images": {"reader": "files", "files": f"images/{split}/{{id}}.png"},
                    "truth": {"semantic": {"reader": READER, "files": labels.format(split)}},
                    "size": 2,
                }
                for split in ("val", "train")
            },
            "source": {
                "page": "https://example.org/streets",
                "licence": "CC BY 4.0",
                "obtain": [
                    {
                        "file": "images_val.zip", "inside": "Release/images", "into": "images",
                        "urls": [f"{site.url}/gone.zip", f"{site.url}/images_val.zip"],
                        "gives": ["images/val"], "splits": ["val"],
                    },
                    {
                        "file": "images_train.zip", "inside": "Release/images", "into": "images",
                        "urls": [f"{site.url}/images_train.zip"],
                        "gives": ["images/train"], "splits": ["train"],
                    },
                    {
                        "file": "labels.zip", "urls": [f"{site.url}/labels.zip"],
                        "nested": {"deep/labels_val.zip": "labels", "labels_train.zip": "labels"},
                        "gives": ["labels/val", "labels/train"],
                    },
                ],
                **source,
            },
        }
    )  # fmt: skip


def publish(site, folder: Path) -> None:
    """The files that `offered` wants: images a part, and labels as archives in an archive."""
    for part in ("val", "train"):
        for i in range(2):
            write_picture(folder / part / f"{i}.png", seed=i)
        site.files[f"/images_{part}.zip"] = zipped(folder / part, within=f"Release/images/{part}/")
        inner = folder / "labels" / ("deep" if part == "val" else "")
        inner.mkdir(parents=True, exist_ok=True)
        (inner / f"labels_{part}.zip").write_bytes(zipped(folder / part, within=f"{part}/"))
    site.files["/labels.zip"] = zipped(folder / "labels")


def test_what_is_scored_is_fetched_and_the_rest_is_named(site, tmp_path, root):
    publish(site, tmp_path / "made")
    spec = offered(site)
    outcome = get(spec, root)
    assert (outcome.done, outcome.left) == ("fetched", ("train",))
    found = set(files_of(root / "Streets"))
    assert found == {
        *(f"images/val/{i}.png" for i in range(2)),
        *(f"labels/{part}/{i}.png" for part in ("val", "train") for i in range(2)),
    }
    assert "GET /gone.zip" in site.asked  # the first address did not answer
    more = get(spec, root, splits=("train",))
    assert [(c.split, c.samples) for c in more.counts] == [("train", 2)]
    assert sum("labels.zip" in asked for asked in site.asked) == 1
    assert status(spec, root=root, contents=True, every_split=True).state is State.VERIFIED


def test_files_got_by_other_means_are_unpacked_from_their_folder(site, tmp_path, root):
    publish(site, tmp_path / "made")
    (tmp_path / "downloads").mkdir()
    for name, content in site.files.items():
        (tmp_path / "downloads" / name.strip("/")).write_bytes(content)
    asked = len(site.asked)
    assert get(offered(site), root, source=str(tmp_path / "downloads")).done == "fetched"
    assert len(site.asked) == asked


def test_a_folder_in_which_it_lies_already_is_copied(site, tmp_path, root):
    publish(site, tmp_path / "made")
    get(offered(site), tmp_path / "theirs", splits=("val", "train"))
    outcome = get(offered(site), root, source=str(tmp_path / "theirs/Streets"))
    assert outcome.done == "fetched"
    assert status(offered(site), root=root, contents=True, every_split=True).state is (
        State.VERIFIED
    )


def test_a_folder_with_none_of_the_files_is_told(site, tmp_path, root):
    with pytest.raises(UsageError, match=r"got from images_val\.zip, labels\.zip, and none"):
        get(offered(site), root, source=str(tmp_path))


def test_a_hash_that_the_spec_states_must_be_right(site, tmp_path, root):
    publish(site, tmp_path / "made")
    spec = offered(site)
    stated = spec.source.obtain[0].model_copy(update={"sha256": "0" * 64})
    source = spec.source.model_copy(update={"obtain": (stated, *spec.source.obtain[1:])})
    with pytest.raises(DataError, match=r"is not the images_val\.zip that the spec"):
        get(spec.model_copy(update={"source": source}), root)
    assert not (root / "Streets").exists()


def test_an_archive_without_what_it_should_give_is_another_release(site, tmp_path, root):
    publish(site, tmp_path / "made")
    site.files["/images_val.zip"] = zipped(tmp_path / "made/val", within="Release/images/test/")
    with pytest.raises(DataError, match="it gives no images/val"):
        get(offered(site), root)
    assert not (root / "Streets").exists()


def test_what_may_not_be_fetched_is_said_step_by_step(root):
    with pytest.raises(DataMissing) as caught:
        get(catalog.dataset("cityscapes"), root)
    said = str(caught.value)
    for part in (
        "https://www.cityscapes-dataset.com", "register on that page", "no redistribution",
        "leftImg8bit_trainvaltest.zip  →", str(root / "cityscapes"), "gtFine/val",
        "bench data get cityscapes --from",
    ):  # fmt: skip
        assert part in said
    with pytest.raises(DataMissing, match="annotations_ctx59/validation"):
        get(catalog.dataset("context-59-derived"), root)


def test_what_is_by_hand_is_said_though_the_rest_does_not_answer_either(site, root):
    spec = offered(site)
    by_hand = spec.source.obtain[0].model_copy(update={"urls": ()})
    source = spec.source.model_copy(update={"obtain": (by_hand, *spec.source.obtain[1:])})
    with pytest.raises(DataMissing) as caught:
        get(spec.model_copy(update={"source": source}), root)
    assert "images_val.zip  →" in str(caught.value)
    assert f"{site.url}/labels.zip cannot be had: it is not there" in str(caught.value)


# --- the shipped specs ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(catalog.datasets()))
def test_every_shipped_dataset_can_be_got_or_says_why_not(name, root):
    spec = catalog.dataset(name)
    if name.startswith("shapes"):
        assert get(spec, root).done == "drawn"
        return
    found = pieces(spec, spec.splits)
    by_hand = {"context-59-derived", "context-459-derived"}
    assert bool(found) == (name not in by_hand)
    assert spec.source.page
    assert spec.source.licence or name in by_hand
    for piece in found:
        assert all(url.startswith(("http://", "https://", "hf://")) for url in piece.urls)
    missing = [piece for piece in found if not piece.urls]
    if missing and spec.source.roboflow is None:
        assert spec.source.terms, "whoever gets it by hand must know what to accept"


def test_the_labels_of_sun_rgbd_are_told_apart_by_their_numbers():
    from fnmatch import fnmatchcase

    take = {
        o.splits[0]: o.take for o in catalog.dataset("sunrgbd-37").source.obtain if o.take
    }  # fmt: skip
    taken = {
        split: [
            n
            for n in range(1, 10336)
            if any(fnmatchcase(f"labels/img-{n:06}.png", shape) for shape in shapes)
        ]
        for split, shapes in take.items()
    }
    assert taken == {"test": [*range(1, 5051)], "train": [*range(5051, 10336)]}
