"""`bench table` over all records that are known, and the tables that stand in the README."""

import csv
import io
import json
import shutil
from collections import Counter
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from bench import catalog
from bench.cli import build_app, spread_lists
from bench.cli.inserted import PLACE, printed, renew
from bench.errors import DataMissing, UnknownName, UsageError
from bench.report.query import Grouping, Query, answer
from bench.report.selection import Selection
from bench.report.table import Format
from bench.shelf import Shelf
from bench.store import Store, shipped

ROOT = Path(__file__).parent.parent
TABLE2 = [
    *("ADE-150 PQ", "ADE-150 mAP", "ADE-150 mIoU", "A-847 mIoU", "VOC mIoU", "PC-59 mIoU"),
    *("PC-459 mIoU", "SUN mIoU", "SCAN-20 mIoU", "SCAN-20 PQ", "SCAN-41 mIoU"),
    *("Cityscapes mIoU", "Cityscapes mAP", "Cityscapes PQ", "BDD mIoU", "BDD PQ"),
]


def bench(*words: str) -> Result:
    return CliRunner().invoke(build_app(), spread_lists(["table", *words]))


def rows(*words: str) -> list[dict[str, str]]:
    result = bench(*words, "--format", "csv", "--no-own")
    assert result.exit_code == 0, result.stderr
    return list(csv.DictReader(io.StringIO(result.stdout)))


# --- the README ----------------------------------------------------------------------------------


def test_the_readmes_leaderboard_is_what_the_records_say(tmp_path: Path) -> None:
    copy = tmp_path / "README.md"
    shutil.copy(ROOT / "README.md", copy)
    assert renew(copy) >= 2
    assert copy.read_text() == (ROOT / "README.md").read_text(), "run: make leaderboard"


def test_a_table_that_is_wrong_is_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text("a\n<!-- bench table voc-20 --no-own -->\nold\n<!-- end of table -->\nb\n")
    assert renew(file) == 1
    text = file.read_text()
    assert "old" not in text
    assert "VOC" in text or "voc-20" in text
    assert text.startswith("a\n<!-- bench table voc-20 --no-own -->\n")
    assert text.endswith("<!-- end of table -->\nb\n")
    assert PLACE.search(text)


def test_a_file_without_a_place_is_said(tmp_path: Path) -> None:
    with pytest.raises(DataMissing, match="no file"):
        renew(tmp_path / "gone.md")
    (tmp_path / "page.md").write_text("nothing")
    with pytest.raises(UsageError, match="end of table"):
        renew(tmp_path / "page.md")


def test_a_command_that_fails_in_a_file_says_why() -> None:
    with pytest.raises(UsageError, match="shaps"):
        printed("table shaps")


# --- what ships ----------------------------------------------------------------------------------


def test_shipped_runs_are_whole_small_and_have_their_images() -> None:
    store = shipped()[0]
    records = store.records()
    assert {record.model.name for record in records} == {"colour", "xdecoder-nano"}
    for record in records:
        assert not record.partial
        assert not record.reported
        if "retrieval" not in record.scores:  # whose features are too large to ship
            assert store.statistics(record.key) is not None
    assert all(f.stat().st_size < 1_000_000 for f in store.folder.rglob("*") if f.is_file())


def test_a_whole_sweep_ships_as_records_alone() -> None:
    folders = shipped()[1:]
    records = [record for store in folders for record in store.records()]
    suite = {member.dataset for member in catalog.suite("shapes-in-the-wild").members}
    assert {record.dataset.name for record in records} == suite
    asked = Counter((r.tuning.strategy, r.tuning.shots) for r in records if r.tuning)
    assert set(asked) == set(
        product(("class-embedding", "prompt", "decoder"), ("1", "3", "5", "10"))
    )
    assert set(asked.values()) == {3 * len(suite)}
    sizes = [f.stat().st_size for store in folders for f in store.folder.rglob("*")]
    assert max(sizes) < 1_000_000


def test_records_are_exported_without_images_where_they_are_not_wanted(tmp_path: Path) -> None:
    shelf = Shelf(shipped()[:1], published=False)
    assert shelf.export(shelf.records[:2], tmp_path, images=False) == 2
    assert [file.name for file in tmp_path.iterdir()] == ["records.jsonl"]


def test_exported_runs_are_a_results_folder(tmp_path: Path) -> None:
    shelf = Shelf(shipped()[:1], published=False)
    assert shelf.export(shelf.records[:2], tmp_path) == 2
    copied = Store(tmp_path)
    assert copied.records() == shelf.records[:2]
    again = Shelf((copied,), published=False)
    for record in copied.records():
        assert repr(again.intervals(record)) == repr(shelf.intervals(record))  # NaN is not NaN
    assert again.export(again.records, tmp_path) == 2
    assert len(Store(tmp_path).records()) == 2


def test_a_newer_run_of_a_system_takes_the_place_of_the_exported_one(tmp_path: Path) -> None:
    shelf = Shelf(shipped()[:1], published=False)
    (first, *_) = shelf.records
    old = first.model_copy(update={"key": "0" * 16})
    Store(tmp_path).append(old)
    shelf.export([first], tmp_path)
    assert [record.key for record in Store(tmp_path).records()] == [first.key]


def test_a_partial_run_takes_no_interval_from_the_whole_one(tmp_path: Path) -> None:
    shelf = Shelf(shipped()[:1], published=False)
    whole = next(r for r in shelf.records if (r.model.name, r.dataset.name) == ("colour", "shapes"))
    assert whole.images is not None
    images = whole.images.model_copy(update={"limit": 5})
    part = {"key": "0" * 16, "partial": True, "images": images}
    Store(tmp_path).append(whole.model_copy(update=part))
    both = Shelf((Store(tmp_path), *shipped()[:1]), published=False)
    query = Query(targets=("shapes",), ranks=False)
    rows = {
        name: [row.cells[1:] for row in answer(query, of).tables[0][1].rows]
        for name, of in (("alone", shelf), ("both", both))
    }
    assert rows["alone"] == rows["both"]
    assert all(cell.bounds for row in rows["both"] for cell in row)


def test_of_two_folders_the_first_counts(tmp_path: Path) -> None:
    record = shipped()[0].records()[0]
    changed = record.model_copy(update={"notes": ("mine",)})
    Store(tmp_path).append(changed)
    kept = {r.key: r for r in Shelf((Store(tmp_path), *shipped()), published=False).records}
    assert kept[record.key].notes == ("mine",)


# --- columns -------------------------------------------------------------------------------------


def test_openvocab_has_the_columns_of_table_2_in_their_order() -> None:
    (first, *_) = rows("openvocab", "--shots", "0")
    assert [name for name in first if name in TABLE2] == TABLE2


def test_a_run_of_the_suite_has_them_too(tmp_path: Path) -> None:
    one = shipped()[0].records()[0]
    asked = {"semantic": {"mIoU": one.scores["semantic"]["mIoU"]}}
    made = [
        one.model_copy(
            update={
                "key": name,
                "dataset": one.dataset.model_copy(update={"name": name}),
                "scores": asked,
            }
        )
        for name in ("voc-20", "ade20k-847")
    ]
    shelf = Shelf((Store(tmp_path),), only=tuple(made))
    ((_, table),) = answer(Query(targets=("openvocab",)), shelf).tables
    assert [name for name in table.columns if name in TABLE2] == TABLE2


def test_a_servers_split_is_a_column_of_its_own() -> None:
    (first, *_) = rows("table1", "--model", "VinVL (L)")
    assert any(name.endswith(", test-dev") for name in first)


def test_every_stated_column_is_of_a_task_that_the_dataset_has() -> None:
    from bench.report.columns import _of_spec

    for name in catalog.datasets():
        spec = catalog.dataset(name)
        truth = {task for split in spec.splits.values() for task in split.truth}
        for _, task, _ in _of_spec(name, [], ()):
            assert task in truth, name


# --- which, sorted, grouped ----------------------------------------------------------------------


def test_rows_are_chosen_by_what_they_are() -> None:
    found = rows("openvocab", "--model", "xdecoder-*", "--shots", "0", "--sort", "PC-459 mIoU")
    assert {row["model"].partition("-")[0] for row in found} == {"xdecoder"}
    values = [float(row["PC-459 mIoU"]) for row in found if row["PC-459 mIoU"]]
    assert values == sorted(values, reverse=True)


def test_supervision_is_chosen_by_marks() -> None:
    found = rows("openvocab", "--supervision", "captions,no-pairs")
    assert found
    for row in found:
        said = row.get("trained with", "captions").split(", ")
        assert "captions" in said
        assert "pairs" not in said


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("openvocab", "--model", "xdecodr-T"), "xdecoder-T"),
        (("openvocab", "--task", "semantc"), "semantic"),
        (("openvocab", "--supervision", "mask"), "masks"),
        (("openvocab", "--sort", "ADE PQ"), "ADE-150 PQ"),
        (("shapes", "--score", "PQ", "--sort", "mIoU"), "Unknown column to sort by 'mIoU'"),
        (("openvocb",), "openvocab"),
    ],
)
def test_a_word_that_means_nothing_is_said_with_a_near_one(words: Any, said: str) -> None:
    result = bench(*words, "--no-own")
    assert result.exit_code == 2
    assert said in result.stderr


def test_domains_part_a_table_and_keep_every_number() -> None:
    shelf = Shelf(())
    whole = Query(targets=("openvocab",), selection=Selection(shots=("0",)))
    ((_, table),) = answer(whole, shelf).tables
    parted = Query(targets=("openvocab",), selection=whole.selection, by=Grouping.DOMAIN)
    groups = dict(answer(parted, shelf).tables)
    assert set(groups) == {"everyday", "indoor", "driving"}

    def numbers(text: str) -> int:
        return sum(
            name in TABLE2 and value is not None
            for row in json.loads(text)["rows"]
            for name, value in row.items()
        )

    assert sum(numbers(t.render(Format.JSON)) for t in groups.values()) == numbers(
        table.render(Format.JSON)
    )


def test_tasks_part_a_table() -> None:
    found = rows("cityscapes", "--by", "task")
    assert {row["task"] for row in found} == {"semantic", "cityscapes-instance", "panoptic"}


def test_a_suites_mean_is_of_whole_systems_or_as_published() -> None:
    shelf = Shelf(())
    query = Query(targets=("seginw",), selection=Selection(shots=("0",)))
    ((_, table),) = answer(query, shelf).tables
    assert table.columns[-1] == "mean AP"
    assert any("Means as published" in note for note in table.notes)


def test_nothing_is_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no such record"):
        answer(Query(targets=("shapes",)), Shelf((Store(tmp_path),), published=False))
    with pytest.raises(UnknownName):
        answer(Query(targets=("nowhere",)), Shelf(()))
