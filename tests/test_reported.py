"""Published numbers are those that were published: figure by figure against the tables' files."""

import csv
import json
import re
from collections import defaultdict
from pathlib import Path
from statistics import mean, median

import pytest
from pydantic import ValidationError

from bench import catalog, reported
from bench.printed import UNKNOWN, Cell, PrintedRow, PrintedTable, TableFile
from bench.protocol import Protocol
from bench.tasks import task
from bench.types import Vocabulary

DATASETS = Path(__file__).parents[2] / "shared" / "reference" / "datasets"
TABLES = DATASETS / "paper_tables"

beside = pytest.mark.skipif(
    not TABLES.is_dir(),
    reason="../shared/reference/datasets/paper_tables is not beside the project",
)

ABBREVIATED = {
    "ADE20K": "ade20k-150",
    "ADE20K-150": "ade20k-150",
    "ADE20K-150 (open)": "ade20k-150",
    "ADE20K-847": "ade20k-847",
    "Pascal VOC": "voc-20",
    "Pascal Context-59": "context-59",
    "Pascal Context-459": "context-459",
    "SUN RGB-D": "sunrgbd-37",
    "ScanNet-20": "scannet-20",
    "ScanNet-41": "scannet-41",
    "Cityscapes": "cityscapes",
    "COCO": "coco",
    "RefCOCOg": "refcocog",
    "VQAv2": "vqav2",
    "SegInW average (printed)": "seginw",
}
METRICS = {
    "PQ": ("panoptic", "PQ"),
    "mAP": ("instance", "AP"),
    "mAP val": ("instance", "AP"),
    "mAP test-dev": ("instance", "AP"),
    "mask AP": ("instance", "AP"),
    "mIoU": ("semantic", "mIoU"),
    "cIoU": ("referring", "cIoU"),
    "IR@1": ("retrieval", "IR@1"),
    "TR@1": ("retrieval", "TR@1"),
    "CIDEr": ("caption", "CIDEr"),
    "BLEU-4": ("caption", "BLEU-4"),
    "accuracy test-dev": ("vqa", "accuracy"),
    "accuracy test-std": ("vqa", "accuracy"),
}
STRATEGIES = {
    "finetuned": "finetuned",
    "full finetuning": "finetuned",
    "class embedding": "class-embedding",
    "class+mask embeddings": "class-mask-embeddings",
    "class+mask embeddings+latent queries": "prompt",
    "whole decoder": "decoder",
    "class-embedding": "class-embedding",
    "prompt": "prompt",
    "decoder": "decoder",
}
PRETRAINED_BY_FOOTNOTE = ("table1", "UViM")
SCORED = (
    *("table1", "table2", "table3", "table4", "table5", "table6", "table7", "table9"),
    *("table10", "table11", "table13", "table14", "table15"),
)


def lines(name: str) -> list[dict[str, str]]:
    """The lines of a table's file beside the project."""
    number = int(re.sub(r"\D", "", name))
    stem = f"{'figure' if name.startswith('figure') else 'table'}{number:02d}_"
    (path,) = TABLES.glob(f"{stem}*.csv")
    with path.open(newline="") as file:
        return list(csv.DictReader(file))


def scored(table: PrintedTable) -> list[tuple[PrintedRow, Cell, str | None]]:
    """Rows with their printed cells of scores, and the dataset of each cell's column."""
    return [
        (row, cell, column.dataset)
        for row in table.rows
        for column, cell in zip(table.columns, row.cells, strict=True)
        if column.score and cell.text
    ]


def dataset_of(line: dict[str, str]) -> str:
    name, metric = line["dataset"], line["metric"]
    if name in ABBREVIATED:
        return ABBREVIATED[name]
    if name == "BDD":
        return "bdd-sem" if metric == "mIoU" else "bdd-pano"
    if name.endswith("-Karpathy"):
        kind = "caption" if metric in ("CIDEr", "BLEU-4") else "retrieval"
        return f"{name.removesuffix('-Karpathy').lower()}-{kind}"
    return f"seginw-{name}"


# --- the paper's tables --------------------------------------------------------------------------


@beside
@pytest.mark.parametrize("name", SCORED)
def test_every_figure_of_a_table_is_the_printed_one(name: str) -> None:
    cells, file = scored(reported.table(name)), lines(name)
    assert len(cells) == len(file)
    for (row, cell, dataset), line in zip(cells, file, strict=True):
        where = f"{name}, {row.labels}, {line['dataset']} {line['metric']}"
        value, _, spread = cell.text.partition("±")
        assert (value, spread) == (line["value"] or "n/a", line["std"]), where
        assert dataset == dataset_of(line), where
        if not re.match(r"\d", value):
            assert cell.record is None, where
            continue
        kind, score = METRICS[line["metric"]]
        if (kind, dataset) == ("instance", "cityscapes"):
            kind = "cityscapes-instance"
        assert (cell.task, cell.score) == (kind, score), where
        assert cell.value == pytest.approx(float(value) / 100, abs=1e-9), where
        assert cell.number is not None
        assert cell.number.spread == (pytest.approx(float(spread) / 100) if spread else None)
        assert cell.record is not None
        assert cell.record.source == f"X-Decoder (CVPR 2023), {line['source_table']}"


@beside
@pytest.mark.parametrize("name", SCORED)
def test_every_figure_is_of_the_printed_system_and_tuning(name: str) -> None:
    for (row, cell, _), line in zip(scored(reported.table(name)), lines(name), strict=True):
        if cell.record is None:
            continue
        record, where = cell.record, f"{name}, {row.labels}, {line['dataset']}"
        size = re.split(r",| \+", line["variant"])[0]
        if name not in ("table4", "table5", "table6", "table7"):
            assert record.publication
            assert record.publication.row.startswith(f"{line['model']} ({size})"), where
        else:
            assert line["note"].split("; ")[0].endswith(f": {row.labels[0]}"), where
        tuned = STRATEGIES.get(line["tuning_strategy"])
        if (name, line["model"]) == PRETRAINED_BY_FOOTNOTE:
            tuned = None
        assert (record.tuning.strategy if record.tuning else None) == tuned, where
        if record.tuning and line["shots"]:
            assert record.tuning.shots == line["shots"], where
        elif not record.tuning:
            assert line["shots"] in ("", "0"), where


@beside
@pytest.mark.parametrize("name", ["table3", "table13", "table14", "table15"])
def test_tuned_parameters_are_printed_as_printed_and_recorded_as_captioned(name: str) -> None:
    for (row, cell, _), line in zip(scored(reported.table(name)), lines(name), strict=True):
        if cell.record is None:
            continue
        assert cell.record.publication
        printed = line.get("printed_params", line["tuned_params"])
        assert (printed or "-") in [other.text for other in row.cells]
        known = cell.record.publication.tuned_parameters
        assert (known or 0) == pytest.approx(1e6 * float(line["tuned_params"].strip("M") or 0))
        swapped = printed != line["tuned_params"]
        assert swapped == any("each other's counts" in note for note in cell.record.notes)


@beside
@pytest.mark.parametrize("name", ["table2", "table11"])
def test_marks_of_supervision_are_the_printed_ones(name: str) -> None:
    names = {
        "masks": "coco_mask",
        "classes": "coco_class",
        "captions": "coco_caption",
        "pairs": "image_text_pairs",
    }
    for (row, cell, _), line in zip(scored(reported.table(name)), lines(name), strict=True):
        if cell.record is None:
            continue
        assert cell.record.publication
        marks = dict(mark.split("=") for mark in line["note"].split("; "))
        found = cell.record.publication.supervision
        assert {
            names.get(mark, mark): "yes" if has else "no" for mark, has in found.items()
        } == marks, row.labels


@beside
def test_tables_about_datasets_are_the_printed_ones() -> None:
    marks = {"yes": "✓", "no": "✗"}
    for row, line in zip(reported.table("table8").rows, lines("table8"), strict=True):
        kinds = [marks[line[kind]] for kind in ("semantic", "instance", "panoptic")]
        assert row.labels == (line["dataset"],)
        texts = [cell.text for cell in row.cells]
        assert texts == [line["scene"], *kinds, line["images"], line["classes"]]
    for row, line in zip(reported.table("table12").rows, lines("table12"), strict=True):
        assert row.labels == (line["dataset"], line["categories_as_printed"], line["url"])
        texts = [cell.text for cell in row.cells]
        assert texts == [line["classes"], line["train_images"], line["val_images"]]


@beside
def test_figures_draw_the_tables_numbers() -> None:
    for row, line in zip(reported.table("figure8").rows, lines("figure8"), strict=True):
        assert (row.labels[0], row.cells[0].text) == (line["dataset"], line["mask_ap"])
    drawn = {}
    for row in reported.table("figure9").rows:
        for column, cell in zip(reported.table("figure9").columns, row.cells, strict=True):
            shots = "all" if column.label == "3×All" else column.label
            drawn[row.labels[0], row.labels[1], shots] = cell.text
    file = lines("figure9")
    for line in file:
        panels = line["panel"][0] if line["panel"] != "all" else "abc"
        for panel in panels:
            assert drawn[panel, line["model"], line["shots"]] == line["avg_printed"]
    rows = reported.table("figure9").rows
    by_strategy, by_model = rows[:15], rows[15:]
    assert [row.labels[0] for row in by_model] == sorted("defgh" * 3)
    assert {row.labels[1:]: row.cells for row in by_strategy} == {
        row.labels[1:]: row.cells for row in by_model
    }


# --- what the checks say -------------------------------------------------------------------------

SEGINW = ("table13", "table14", "table15", "seginw-grounded-sam", "seginw-hq-sam2")


@pytest.mark.parametrize("name", SEGINW)
def test_printed_means_are_those_of_the_25_values_or_say_so(name: str) -> None:
    for row in reported.table(name).rows:
        numbers = [cell for cell in row.cells if cell.record is not None]
        average, values = numbers[0], [cell.value for cell in numbers[1:]]
        assert average.record
        assert average.record.dataset.name == "seginw"
        assert len(values) == 25
        assert average.value is not None
        gap = abs(average.value - mean(value for value in values if value is not None))
        noted = any("25 values" in note for note in average.record.notes)
        assert gap < 0.00101 or noted, (name, row.labels, gap)


def test_printed_medians_are_those_of_the_values_that_others_print() -> None:
    by_model = {
        row.labels[0]: median(float(cell.text) for cell in row.cells[1:])
        for row in reported.table("seginw-grounded-sam").rows
    }
    means = {
        (row.labels[0], row.cells[0].text): row.cells[1].text
        for row in reported.table("seginw-means").rows
    }
    assert f"{by_model['OpenSeeD-L']:.1f}" == means["OpenSeeD-L", "36.1"]
    assert f"{by_model['X-Decoder-T']:.1f}" == means["X-Decoder-T", "22.7"]


def test_zero_shot_rows_are_the_same_in_tables_13_to_15() -> None:
    rows = [
        [[cell.text for cell in row.cells] for row in reported.table(name).rows if not tuned(row)]
        for name in ("table13", "table14", "table15")
    ]
    assert len(rows[0]) == 5
    assert rows[0] == rows[1] == rows[2]


def tuned(row: PrintedRow) -> bool:
    return row.labels[1] != "0"


def test_deviations_of_one_shot_that_cannot_be_are_noted() -> None:
    noted = 0
    for name in ("table13", "table14", "table15"):
        zero = {row.labels[0]: row for row in reported.table(name).rows if not tuned(row)}
        for row in reported.table(name).rows:
            for cell, before in zip(row.cells[2:], zero[row.labels[0]].cells[2:], strict=True):
                assert cell.number is not None
                assert cell.record
                odd = row.labels[1] == "1" and cell.value == before.value and cell.number.spread
                assert bool(odd) == any("artefact" in note for note in cell.record.notes)
                noted += bool(odd)
    assert noted == 46


def test_what_the_text_says_of_table_2_is_noted_where_the_table_disagrees() -> None:
    table = reported.table("table2")
    rows = {row.labels[0]: [cell.value for cell in row.cells] for row in table.rows}
    pairs = zip(rows["X-Decoder-Seg+ (B)"], rows["X-Decoder-Seg (B)"], strict=True)
    better = [plus > without for plus, without in pairs if plus is not None and without is not None]
    assert (sum(better), len(better)) == (11, 16)
    assert any("15 metrics" in note and "16 columns" in note for note in table.notes)


@pytest.mark.parametrize(
    ("name", "row", "column", "said"),
    [
        ("table1", "Mask2Former (L)", "ADE mAP", "34.9"),
        ("table3", "Mask2Former (L)", "ADE mAP", "34.2"),
        ("table1", "X-Decoder (L)", "COCO PQ", "56.7"),
        ("table1", "X-Decoder (L)", "g-Ref cIoU pretrained", "64.2"),
        ("table10", "X-Decoder (T)", "COCO-Karpathy CIDEr", "82.0"),
        ("table2", "MSeg (B)", "ADE-150 PQ", "no baseline"),
        ("table2", "X-Decoder (T)", "ADE-150 PQ", "repository prints other numbers"),
        ("table11", "X-Decoder (T)", "VOC mIoU", "Rows 3 and 4"),
        ("table1", "UViM (L)", "COCO PQ", "pretrained"),
        ("table1", "GPV (T)", "COCO-Karpathy CIDEr", "test2014"),
        ("table3", "X-Decoder (L)", "ADE PQ", "39.3M"),
        ("repository-open-vocabulary", "BestSeg Tiny (focal-T)", "ADE mIoU", "29.1"),
        ("repository-latest", "Focal-T", "ADE mIoU", "25.1"),
        ("seginw-grounded-sam", "OpenSeeD-L", "Avg", "36.1"),
        ("table15", "X-Decoder (T)", "Avg", "The 25 values average 25.00"),
        ("table15", "X-Decoder (B)", "Avg", "The 25 values average 40.90"),
        ("seginw-means", "OpenSeeD-L", "Mean", "36.7"),
    ],
)
def test_misprints_and_doubts_are_on_the_record(
    name: str, row: str, column: str, said: str
) -> None:
    table = reported.table(name)
    place = [c.name for c in table.columns].index(column)
    records = [r.cells[place].record for r in table.rows if r.labels[0] == row]
    assert any(record and said in " ".join(record.notes) for record in records)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("table2", "A-857"),
        ("table4", "IR@1 twice"),
        ("table5", "256"),
        ("table6", "18.8"),
        ("table8", "9 datasets"),
        ("table12", "R_strawberry"),
    ],
)
def test_misprints_of_a_whole_table_are_on_the_table(name: str, said: str) -> None:
    assert said in " ".join(reported.table(name).notes)


@beside
def test_all_rows_of_the_checks_are_here() -> None:
    checks = json.loads((TABLES / "checks.json").read_text())
    for check in checks["row_length_checks"]:
        table = reported.table(check["table"].lower().replace(" ", ""))
        assert len(table.rows) == check["rows"], check["table"]


# --- other sources -------------------------------------------------------------------------------


@beside
def test_the_repositorys_numbers_are_the_printed_ones() -> None:
    source = json.loads((DATASETS / "official_repo_results.json").read_text())
    (row,) = reported.table("repository-open-vocabulary").rows
    columns = reported.table("repository-open-vocabulary").columns
    zoo = source["model_zoo_open_vocabulary"]
    printed = {(c.under, c.label): c_.value for c, c_ in zip(columns, row.cells, strict=True)}
    assert printed == {
        (under, label): pytest.approx(value / 100)
        for under, of_dataset in zoo.items()
        if isinstance(of_dataset, dict)
        for label, value in of_dataset.items()
    }
    latest = reported.table("repository-latest")
    for row, entry in zip(latest.rows, source["latest_checkpoints"], strict=True):
        assert row.labels == (entry["backbone"], entry["checkpoint"])
        figures = [
            *(entry[name][score] for name in ("COCO", "ADE") for score in ("PQ", "mAP", "mIoU")),
            *(entry[name] for name in ("RefCOCOg mIoU", "IR@1", "TR@1", "CIDEr")),
        ]
        expected = [None if figure is None else pytest.approx(figure / 100) for figure in figures]
        assert [cell.value for cell in row.cells] == expected
    (issue,) = reported.table("repository-issue-54").records()
    third = source["third_party"]["issue 54"]
    (score,) = issue.scores["semantic"].values()
    assert score.value == pytest.approx(third["ADE mIoU"] / 100)
    assert score.by_class == {
        name: pytest.approx(value / 100) for name, value in third["per_class_examples"].items()
    }
    (finetuned,) = reported.table("repository-finetuned").rows
    ((name, extra),) = source["finetuned_extra"].items()
    assert finetuned.labels == (name,)
    assert [c.text for c in finetuned.cells] == [str(extra[k]) for k in ("PQ", "mAP", "mIoU")]


@beside
def test_other_systems_on_seginw_are_the_published_ones() -> None:
    source = json.loads((DATASETS / "seginw.json").read_text())
    found: dict[tuple[str, str], dict[str, float | None]] = defaultdict(dict)
    for name in reported.names():
        if not name.startswith("seginw"):
            continue
        table = reported.table(name)
        for row in table.rows:
            for column, cell in zip(table.columns, row.cells, strict=True):
                if cell.record is None:
                    continue
                system = row.labels[0] if "log" not in name else str(row.model)
                place = cell.record.dataset.name.removeprefix("seginw-")
                key = place if "log" not in name else f"{place} {column.label}"
                key = "median" if cell.score == "median AP" else key
                found[system, str(cell.record.source)][key] = cell.value
    for entry in source["published_results"]:
        expected = {
            "seginw": entry.get("mean_reported"),
            "median": entry.get("median_reported"),
            **(entry.get("per_dataset") or {}),
            **{
                f"{dataset} {score}": value
                for dataset, of_dataset in entry.get("per_dataset_full", {}).items()
                for score, value in of_dataset.items()
            },
        }
        assert found.pop((entry["system"], entry["source"])) == {
            key: pytest.approx(value / 100) for key, value in expected.items() if value is not None
        }
    assert not found


# --- what they are called here -------------------------------------------------------------------


def test_every_dataset_task_and_score_is_one_of_ours() -> None:
    example = Vocabulary(("thing", "stuff"), things=frozenset({0}))
    known = {
        name: {n for meter in task(name).meters(example, Protocol(name="x")) for n in meter.names}
        for name in {name for record in reported.records() for name in record.scores}
    }
    datasets, suites = catalog.datasets(), catalog.suites()
    used = {record.dataset.name for record in reported.records()} & set(datasets)
    specs = {name: catalog.dataset(name) for name in used}
    splits = {name: set(spec.splits) for name, spec in specs.items()}
    truths = {name: set(spec.split()[1].truth) for name, spec in specs.items()}
    for record in reported.records():
        name = record.dataset.name
        if name in suites:
            assert set(record.scores) == {"instance"}
            assert set(record.scores["instance"]) <= {"AP", "median AP"}
            continue
        assert name in datasets, record.key
        servers = {"test-dev", "test-std"} if name in ("coco", "vqav2") else set()
        assert record.dataset.split in splits[name] | servers, record.key
        for of_task, scores in record.scores.items():
            assert set(scores) <= known[of_task], record.key
        assert set(record.scores) <= truths[name], record.key


def test_published_tables_show_the_columns_of_their_suites() -> None:
    for name in reported.names():
        if name.startswith("table") and name in catalog.suites():
            members = {member.dataset for member in catalog.suite(name).members}
            shown = {c.dataset for c in reported.table(name).columns if c.dataset} - {"seginw"}
            assert shown == members, name


def test_models_strategies_recipes_and_cards_have_names_of_ours() -> None:
    from bench.train.families import recipes
    from models.xdecoder.strategies import STRATEGIES as OURS

    known = {*OURS, "finetuned", "class-mask-embeddings"}
    models, trained, cards = set(catalog.models()), set(recipes()), set(catalog.protocols())
    for record in reported.records():
        publication = record.publication
        assert publication
        if record.model.name.startswith("xdecoder-"):
            assert record.model.name in models, record.key
        if record.tuning:
            assert record.tuning.strategy in known, record.key
        if publication.recipe:
            assert publication.recipe in trained, record.key
        if publication.card:
            assert publication.card in models, record.key
        if record.protocol.name != UNKNOWN:
            assert record.protocol.name in cards, record.key
            assert any(note.startswith("Protocol: not stated") for note in record.notes)


def test_a_cards_reported_numbers_are_among_the_published_ones() -> None:
    published: dict[tuple[str, str, str], set[float | None]] = defaultdict(set)
    for record in reported.records():
        assert record.publication
        system = record.publication.card or record.model.name
        for scores in record.scores.values():
            for name, score in scores.items():
                published[system, record.dataset.name, name].add(score.value)
    known = {system for system, _, _ in published}
    stated = 0
    for name, card in catalog.models().items():
        if name not in known:
            continue  # its numbers are from publications that are not kept here
        for number in getattr(card, "reported", ()):
            assert number.value in published[name, number.dataset, number.score], (name, number)
            stated += 1
    assert stated > 40


def test_sizes_of_datasets_are_those_of_their_specs() -> None:
    names = {
        "ADE-150": ("ade20k-150",),
        "ADE-847": ("ade20k-847",),
        "Pascal Voc": ("voc-20",),
        "SUN RGB-D": ("sunrgbd-37",),
        "BDD": ("bdd-sem", "bdd-pano"),
    }
    for row in reported.table("table8").rows:
        label, images, classes = row.labels[0], row.cells[4].text, row.cells[5].text
        for name in names.get(label, (label.replace("Pascal ", "").lower(),)):
            spec = catalog.dataset(name)
            assert str(spec.split()[1].size) == images, name
            scored_here = len(catalog.vocabulary(spec.vocabulary).vocabulary())
            noted = any("40 classes" in note for note in row.notes)
            assert str(scored_here) in (classes.split("/") if not noted else ["40"]), name
    for row in reported.table("table12").rows:
        classes, train, val = (cell.text for cell in row.cells)
        spec = catalog.dataset(f"seginw-{row.labels[0]}")
        assert (str(spec.splits["train"].size), str(spec.splits["val"].size)) == (train, val)
        real = len(catalog.vocabulary(spec.vocabulary).vocabulary())
        assert (str(real) != classes) == any("swapped" in note for note in row.notes)


def test_every_record_says_where_it_was_published() -> None:
    records = reported.records()
    assert len({record.key for record in records}) == len(records)
    for record in records:
        assert record.reported
        assert record.source
        assert record.publication
        assert record.publication.page.startswith("https://")
        assert record.scores
        assert record.images is None
        assert record.provenance is None
        assert record.publication.table in reported.names()


def test_a_file_whose_rows_do_not_fit_its_columns_is_refused() -> None:
    content = {
        "title": "t",
        "source": "s",
        "page": "https://example.org",
        "headings": ["Model"],
        "columns": [{"label": "PQ", "dataset": "d", "split": "val", "task": "t", "score": "PQ"}],
    }
    row = {"labels": ["x"], "cells": "1.0"}
    assert TableFile.model_validate({**content, "rows": [row]}).rows[0].cells == "1.0"
    for change, said in (
        ({"cells": "1.0 2.0"}, "1 cells"),
        ({"labels": ["x", "y"]}, "one label"),
        ({"shots": "5"}, "both shots"),
        ({"cell_notes": [{"at": ["SQ"], "note": "n"}]}, "no column"),
        ({"cells": "5l.4"}, "no number"),
    ):
        with pytest.raises(ValidationError, match=said):
            TableFile.model_validate({**content, "rows": [row | change]})
    for column, said in (
        ({"label": "PQ", "dataset": "d"}, "split, task and score"),
        ({"label": "m", "mark": "masks"}, "a mark is"),
    ):
        with pytest.raises(ValidationError, match=said):
            TableFile.model_validate({**content, "columns": [column], "rows": [row]})
