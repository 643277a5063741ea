"""Printed tables beside what is there: the right runs beside the right numbers, and what lacks."""

import pytest
from kept import of_training, record

from bench import reported
from bench.claims import Surroundings
from bench.measured import Measurements
from bench.reproduction.beside import beside_table, missing_table
from bench.reproduction.comparison import comparison, value_of
from bench.reproduction.counterparts import counterpart, tuned_counterpart
from bench.reproduction.statistics import counted
from bench.store import Store


def found(compared, folder):
    where = [Measurements(Store(folder))]
    every = {at: value_of(line, where) for at, line in compared.by_place.items()}
    return {at: measured for at, measured in every.items() if measured is not None}


def needed(compared, folder):
    table = missing_table(compared, found(compared, folder), Surroundings(folder / "data"))
    return {(row.cells[0], row.cells[1]): row.cells[3] for row in table.rows}


def kept(folder, *records):
    for one in records:
        Store(folder).append(one)


# --- who is asked --------------------------------------------------------------------------------


def test_each_system_of_ours_is_asked_about_its_own_numbers():
    compared = comparison(reported.table("table2"), None, embedded=False)
    jobs = [job for job in compared.jobs(2) if job.model == "xdecoder-T"]
    assert len(jobs) == 11
    (ade,) = (job for job in jobs if job.dataset == "ade20k-150")
    assert set(ade.tasks) == {"panoptic", "instance", "semantic"}
    assert ade.protocol == "xdecoder-2022"
    assert all(line.model != "MSeg (B)" for line in compared.lines)


def test_few_shot_rows_are_drawn_as_often_as_asked():
    compared = comparison(reported.table("table13"), "xdecoder-T", embedded=False)
    jobs = compared.jobs(3)
    rail = [job for job in jobs if job.dataset == "seginw-Rail" and job.tuning]
    assert {job.tuning.shots for job in rail} == {"1", "3", "5", "10", "all"}
    assert {job.tuning.strategy for job in rail} == {"class-embedding"}
    assert len(rail) == 15


def test_a_model_that_is_to_be_trained_first_is_not_run():
    compared = comparison(reported.table("table6"), None, embedded=False)
    assert compared.lines
    assert compared.jobs(2) == ()


def test_a_model_trained_by_a_rows_recipe_is_taken_for_it(tmp_path):
    run = of_training(
        "pretrain-T-no-referring",
        0,
        "coco-caption",
        "test",
        {"caption": {"CIDEr": 0.7}},
    )
    mine = run.model_copy(update={"model": run.model.model_copy(update={"name": "runs/mine"})})
    kept(tmp_path, mine)
    compared = comparison(reported.table("table6"), None, embedded=False, trained=[mine])
    (at,) = found(compared, tmp_path)
    assert reported.table("table6").rows[at[0]].labels == ("- Referring",)
    (job,) = (job for job in compared.jobs(2) if job.dataset == "coco-caption")
    assert job.model == "runs/mine"


def test_a_model_of_ones_own_stands_beside_the_nearest_row():
    compared = comparison(reported.table("table2"), "runs/mine", embedded=False)
    rows = {reported.table("table2").rows[line.row].labels for line in compared.lines}
    assert rows == {("X-Decoder (T)",)}


def test_in_the_embedded_world_the_same_plan_asks_counterparts():
    compared = comparison(reported.table("table2"), "xdecoder-nano", embedded=True)
    assert {job.dataset for job in compared.jobs(2)} == {
        "shapes-pairs",
        "shapes",
        "shapes-colours",
        "shapes-in-the-wild-night-watch",
    }
    tuned = comparison(reported.table("table13"), "xdecoder-nano", embedded=True).jobs(2)
    assert {job.dataset.startswith("shapes-in-the-wild-") for job in tuned} == {True}
    assert len(tuned) == 8 * (1 + 5 * 2)


@pytest.mark.parametrize("find", [counterpart, tuned_counterpart])
def test_nothing_stands_for_what_nothing_is_like(find):
    assert find("context-459", "semantic", "mIoU") is None
    assert find(None, None, None) is None


# --- what is printed -----------------------------------------------------------------------------


def test_what_was_measured_stands_under_its_row_with_the_difference(tmp_path):
    scores = {"semantic": {"mIoU": 0.93}}
    kept(tmp_path, record("xdecoder-T", "voc-20", "val", scores))
    compared = comparison(reported.table("table2"), None, embedded=False)
    table = beside_table(compared, found(compared, tmp_path))
    at = next(n for n, row in enumerate(table.rows) if row.cells[1] == "here")
    paper, here, difference = (
        dict(zip(table.columns, table.rows[at + n].cells, strict=True)) for n in (-1, 0, 1)
    )
    assert (paper["Model"], here["Model"]) == ("X-Decoder (T)", "xdecoder-T")
    assert paper["VOC mIoU"].percent() == "96.2"
    assert here["VOC mIoU"].value == 0.93
    assert difference["VOC mIoU"].percent() == "-3.2"
    assert here["SUN mIoU"] == ""
    assert sum(row.cells[1] == "here" for row in table.rows) == 1


def test_a_partial_run_fills_no_cell(tmp_path):
    scores = {"semantic": {"mIoU": 0.93}}
    kept(tmp_path, record("xdecoder-T", "voc-20", "val", scores, limit=5))
    compared = comparison(reported.table("table2"), None, embedded=False)
    assert found(compared, tmp_path) == {}


def test_a_mean_needs_every_dataset_of_its_suite(tmp_path):
    compared = comparison(reported.table("figure9"), "xdecoder-nano", embedded=True)
    names = sorted({job.dataset for job in compared.jobs(1)})
    scores = {"instance": {"AP": 0.4}}
    kept(tmp_path, *(record("xdecoder-nano", name, "val", scores) for name in names[1:]))
    assert found(compared, tmp_path) == {}
    kept(tmp_path, record("xdecoder-nano", names[0], "val", scores))
    assert {round(m.value, 9) for m in found(compared, tmp_path).values()} == {0.4}


# --- what is missing -----------------------------------------------------------------------------


def test_missing_weights_data_and_trainings_are_said_with_what_to_do(tmp_path):
    missing = needed(comparison(reported.table("table2"), None, embedded=False), tmp_path)
    assert missing["weights", "xdecoder-T"] == "bench models fetch xdecoder-T"
    assert missing["weights", "xdecoder-B"].endswith("bench train pretrain-B --out runs/pretrain-B")
    assert missing["data", "scannet-20"].startswith("bench data get scannet-20; its page: http")
    trainings = needed(comparison(reported.table("table6"), None, embedded=False), tmp_path)
    assert trainings["training", "pretrain-T-no-retrieval"].endswith(
        "then bench run coco ade20k-150 coco-caption refcocog --model runs/pretrain-T-no-retrieval"
    )


def test_a_suite_is_missing_once(tmp_path):
    missing = needed(comparison(reported.table("table13"), None, embedded=False), tmp_path)
    assert [of for kind, of in missing if kind == "data"] == ["seginw"]


def test_what_only_a_server_knows_is_said(tmp_path):
    missing = needed(comparison(reported.table("table9"), None, embedded=False), tmp_path)
    assert "which only a server has" in missing["server", "vqav2"]


# --- tables about datasets -----------------------------------------------------------------------


def test_our_specs_count_what_the_paper_counts_except_where_it_is_misprinted():
    off = {
        (one.row, one.column)
        for name in ("table8", "table12")
        for one in counted(reported.table(name))
        if one.agrees is False
    }
    assert off == {
        ("ScanNet-41", "# Classes"),
        ("House-Parts", "# Classes"),
        ("Trash", "# Classes"),
    }
