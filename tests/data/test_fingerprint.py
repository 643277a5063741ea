"""A fingerprint is of what is scored: of the files of its samples, and of no others."""

import pytest
from distributions import WRITERS
from layouts import write_picture

from bench import catalog
from bench.data.opening import open_dataset
from bench.data.pattern import Pattern
from bench.protocol import Protocol

CARD = Protocol(name="plain")
BY_FILE = sorted(
    name
    for name in WRITERS
    if any(
        hasattr(truth.options, "files") for truth in catalog.dataset(name).split()[1].truth.values()
    )
)
"""Datasets with a file of truth for each sample."""


def test_most_datasets_have_a_file_of_truth_a_sample():
    assert len(BY_FILE) >= 10


def opened(name, root):
    return open_dataset(catalog.dataset(name), root=root, protocol=CARD)


@pytest.mark.parametrize("name", BY_FILE)
def test_the_truth_of_other_samples_is_not_part_of_it(tmp_path, name):
    WRITERS[name](tmp_path)
    first, second = opened(name, tmp_path).ids[:2]

    def seen():
        dataset = opened(name, tmp_path)
        return [dataset.subset([id]).fingerprint for id in (first, second)] + [dataset.fingerprint]

    before = seen()
    spec = catalog.dataset(name)
    truth = next(iter(spec.split()[1].truth.values())).options
    if hasattr(truth, "images"):  # goes by order, not by name
        files = list(dict(Pattern(truth.files).files(tmp_path / spec.home)).values())
        path = files[1]
    else:
        (path,) = Pattern(truth.files).files_of(tmp_path / spec.home, [second])
    path.write_bytes(path.read_bytes() + b"\0")
    after = seen()
    assert [a == b for a, b in zip(before, after, strict=True)] == [True, False, False]


def test_files_of_another_split_in_the_same_folder_change_nothing(tmp_path):
    """Pascal VOC keeps the label maps of training and validation in one folder."""
    WRITERS["voc-20"](tmp_path)
    before = opened("voc-20", tmp_path).fingerprint
    write_picture(tmp_path / "VOCdevkit/VOC2012/SegmentationClass/1999_000001.png")
    assert opened("voc-20", tmp_path).fingerprint == before


def test_files_are_named_in_the_order_of_ids_those_without_one_too(tmp_path):
    for name in ("b.png", "a.jpg"):
        (tmp_path / name).touch()
    exact, loose = Pattern("{id}.png"), Pattern("{id}.*")
    assert [p.name for p in exact.files_of(tmp_path, ["c", "b"])] == ["b.png", "c.png"]
    found = list(loose.files_of(tmp_path, ["b", "c", "a"]))
    assert [p.name for p in found[:2]] == ["a.jpg", "b.png"]
    assert not found[2].exists()
