"""Support sets: nested, of annotated images, one for each seed, and never what is scored."""

from itertools import pairwise
from pathlib import Path

import pytest
from data.layouts import annotation, coco, square, write_json, write_picture
from hypothesis import given
from hypothesis import strategies as st

from bench import catalog
from bench.data.dataset import Dataset
from bench.data.opening import open_dataset
from bench.data.support import draw, refuse_leaks, support, truth_of, usable_splits
from bench.errors import DataError, UsageError
from bench.protocol import Protocol
from bench.spec import DatasetSpec

SHOTS = ("1", "3", "5", "10", "all")
UNITS = ("images", "images-per-class")
worlds = st.dictionaries(
    st.text(min_size=1), st.frozensets(st.integers(0, 3), max_size=3), min_size=1, max_size=40
)
"""What is annotated in each image."""


@given(worlds, st.sampled_from(UNITS), st.integers(0, 3))
def test_fewer_shots_are_among_more(world: dict[str, frozenset[int]], unit: str, seed: int) -> None:
    sets = [draw(world, world.__getitem__, shots, unit=unit, seed=seed) for shots in SHOTS]
    for fewer, more in pairwise(sets):
        assert set(fewer) <= set(more)
    assert set(sets[-1]) == {id for id, labels in world.items() if labels}


@given(worlds, st.sampled_from(UNITS), st.randoms())
def test_the_order_of_files_changes_no_draw(
    world: dict[str, frozenset[int]], unit: str, chance: object
) -> None:
    shuffled = list(world)
    chance.shuffle(shuffled)
    one, other = (draw(ids, world.__getitem__, "3", unit=unit, seed=1) for ids in (world, shuffled))
    assert one == other


@given(worlds, st.integers(0, 3))
def test_images_in_all_are_as_many_as_asked_and_every_one_shows_something(
    world: dict[str, frozenset[int]], seed: int
) -> None:
    found = draw(world, world.__getitem__, "3", unit="images", seed=seed)
    assert len(found) == min(3, sum(map(bool, world.values())))
    assert all(world[id] for id in found)


@given(worlds, st.integers(0, 3))
def test_images_per_class_show_every_class_as_often_as_asked(
    world: dict[str, frozenset[int]], seed: int
) -> None:
    found = draw(world, world.__getitem__, "3", unit="images-per-class", seed=seed)
    for label in range(4):
        there = sum(label in labels for labels in world.values())
        assert sum(label in world[id] for id in found) >= min(3, there)


def test_draws_differ_by_seed() -> None:
    ids = [f"{i}.jpg" for i in range(50)]
    sets = {draw(ids, lambda id: frozenset({0}), "5", unit="images", seed=s) for s in range(8)}
    assert len(sets) == 8


def test_no_more_images_are_read_than_needed() -> None:
    read = []

    def labels(id: str) -> frozenset[int]:
        read.append(id)
        return frozenset({0})

    draw(map(str, range(50)), labels, "3", unit="images", seed=0)
    assert len(read) == 3


# --- from files ----------------------------------------------------------------------------------


def part(root: Path, name: str, images: int, empty: int = 0, first: int = 0) -> None:
    """A folder of an export; the last `empty` images have no annotation."""
    names = [f"{name}-{i}.png" for i in range(images)]
    for i, image in enumerate(names):
        write_picture(root / name / image, seed=first + i)
    rows = [annotation(i, i, 1 + i % 2, square(2, 2, 6)) for i in range(images - empty)]
    write_json(root / name / "_annotations.coco.json", coco(names, rows))


def spec_of(root: Path, *splits: str) -> DatasetSpec:
    def split(name: str) -> dict[str, object]:
        file = f"{name}/_annotations.coco.json"
        return {
            "images": {"reader": "coco-images", "json_file": file, "folder": name},
            "truth": {"instance": {"reader": "coco-instances", "json_file": file}},
        }

    return DatasetSpec.model_validate(
        {"name": "tiny", "home": str(root), "splits": {name: split(name) for name in splits}}
    )


def opened(root: Path, name: str) -> Dataset:
    return open_dataset(spec_of(root, name), root=root, protocol=Protocol(name="plain"), split=name)


def test_images_without_an_annotation_are_never_drawn(tmp_path: Path) -> None:
    part(tmp_path, "train", images=8, empty=5)
    found = support(opened(tmp_path, "train"), "3", unit="images", seed=0)
    assert set(found.dataset.ids) == {"train-0.png", "train-1.png", "train-2.png"}
    assert found.drawn
    with pytest.raises(DataError, match=r"only 3 of the 8 images of its split 'train'"):
        support(opened(tmp_path, "train"), "4", unit="images", seed=0)


def test_a_released_set_is_taken_whole_and_drawn_from_for_fewer(tmp_path: Path) -> None:
    part(tmp_path, "train_10shot", images=10)
    dataset = opened(tmp_path, "train_10shot")
    ten, three = (support(dataset, shots, unit="images", seed=7) for shots in ("10", "3"))
    assert (ten.drawn, ten.dataset.ids) == (False, dataset.ids)
    assert three.drawn
    assert len(three.dataset.ids) == 3


def test_a_released_set_comes_first_where_it_counts_what_is_asked(tmp_path: Path) -> None:
    spec = spec_of(tmp_path, "val", "train", "train_10shot")
    assert usable_splits(spec, "10", "images") == ("train_10shot", "train")
    assert usable_splits(spec, "3", "images") == ("train_10shot", "train")
    assert usable_splits(spec, "20", "images") == ("train",)
    assert usable_splits(spec, "all", "images") == ("train",)
    assert usable_splits(spec, "3", "images-per-class") == ("train",)


def test_every_segmentation_in_the_wild_has_images_to_tune_on() -> None:
    for member in catalog.suite("seginw").members:
        spec = catalog.dataset(member.dataset)
        assert usable_splits(spec, "10", "images") == ("train_10shot", "train")
        assert truth_of(spec, "train") == "instance"


def test_a_dataset_without_anything_to_tune_on_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"'tiny' has no images to tune on: .* it has val\."):
        usable_splits(spec_of(tmp_path, "val"), "1", "images")
    captions = catalog.dataset("coco-caption")
    with pytest.raises(UsageError, match="no objects to tune on"):
        truth_of(captions, captions.split()[0])


def test_an_image_that_is_scored_too_is_refused_whatever_it_is_called(tmp_path: Path) -> None:
    part(tmp_path, "train", images=4)
    part(tmp_path, "val", images=3, first=100)
    train, val = opened(tmp_path, "train"), opened(tmp_path, "val")
    refuse_leaks(train, val)
    (tmp_path / "val/val-1.png").write_bytes((tmp_path / "train/train-2.png").read_bytes())
    with pytest.raises(DataError, match=r"'train-2.png'.*'val-1.png' in 'val', which is scored"):
        refuse_leaks(train, val)
    refuse_leaks(train.subset(["train-0.png"]), val)


def test_an_image_that_cannot_be_read_is_not_drawn(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    part(tmp_path, "train", images=4)
    (tmp_path / "train" / "train-2.png").write_bytes(b"cut off")
    ids = {*support(opened(tmp_path, "train"), "3", unit="images", seed=0).dataset.ids}
    assert len(ids) == 3
    assert not any("train-2" in id for id in ids)
    everything = support(opened(tmp_path, "train"), "all", unit="images", seed=0)
    assert {*everything.dataset.ids} == ids
    assert caplog.text.count("is tuned without") == 1, "once, however often it is drawn from"


def test_what_cannot_be_scored_leaks_nothing(tmp_path: Path) -> None:
    part(tmp_path, "train", images=2)
    part(tmp_path, "val", images=2, first=5)
    (tmp_path / "val" / "val-1.png").unlink()
    refuse_leaks(opened(tmp_path, "train"), opened(tmp_path, "val"))
