"""Tables of trainings: each row has its recipe, each number its place, and no more is claimed."""

import pytest
from kept import of_training

from bench import catalog, reported, tasks
from bench.reproduction.ablation import ablation, measured
from bench.reproduction.findings import FINDINGS
from bench.reproduction.report import findings_table, remarks, scores_table
from bench.reproduction.training import Budget
from bench.reproduction.trial import left, merged
from bench.train import families

MINIATURE = ("table4", "table6", "table9", "table11")
BUDGET = Budget(steps=400, before=1500)


@pytest.fixture(scope="module", params=MINIATURE)
def made(request):
    return ablation(reported.table(request.param), "xdecoder-nano")


@pytest.fixture
def table6():
    return ablation(reported.table("table6"), "xdecoder-nano")


# --- what stands for what ------------------------------------------------------------------------


def test_every_row_has_a_recipe_that_is_there(made):
    assert len(made.variants) >= 2
    assert {variant.recipe for variant in made.variants} <= families.recipes().keys()
    assert made.variant("").recipe == "nano"


def test_every_counterpart_is_a_score_that_its_dataset_has(made):
    for column in filter(None, made.columns):
        _, split = catalog.dataset(column.dataset).split(column.split)
        assert column.task in split.truth
        assert column.task in tasks.TASKS


def test_what_a_row_cannot_do_is_not_asked(table6):
    asked = [measured.task for _, measured in table6.asked(table6.variant("no-captioning"))]
    assert "caption" not in asked
    assert "retrieval" in asked


def test_a_table_without_trainings_is_no_ablation():
    assert ablation(reported.table("table2"), "xdecoder-nano") is None


def test_trainings_that_read_files_are_not_started_on_the_way():
    assert ablation(reported.table("table6"), "xdecoder-T") is None


@pytest.mark.parametrize("table", FINDINGS)
def test_a_finding_is_about_rows_and_columns_that_are_printed(table):
    made = ablation(reported.table(table), "xdecoder-nano")
    columns = {(column.dataset, column.score) for column in made.printed.columns}
    for finding in FINDINGS[table]:
        assert made.variant(finding.row)
        assert made.variant(finding.against)
        assert set(finding.columns) <= columns


def test_what_a_change_leaves_out_or_cuts_makes_the_papers_numbers_worse():
    for table, findings in FINDINGS.items():
        made = ablation(reported.table(table), "xdecoder-nano")
        for finding in findings:
            ours, theirs = (made.variant(of).row for of in (finding.row, finding.against))
            for place, column in enumerate(made.printed.columns):
                if (column.dataset, column.score) in finding.columns:
                    difference = ours.cells[place].value - theirs.cells[place].value
                    better = finding.says.startswith("nouns of captions help")
                    assert (difference > 0) == better, finding


# --- plans ---------------------------------------------------------------------------------------


def test_tables_share_their_trainings():
    made = [ablation(reported.table(name), "xdecoder-nano") for name in ("table6", "table11")]
    plan = merged(one for each in made for one in each.trials(BUDGET, range(2), None))
    names = [one.training.title for one in plan]
    assert len(names) == len(set(names)) == 12
    assert names[:2] == ["nano (seed 0)", "nano (seed 1)"]
    (full,) = (one for one in plan if one.training.title == "nano (seed 0)")
    shapes = [target for target in full.targets if target.dataset == "shapes"]
    assert [set(target.tasks) for target in shapes] == [{"panoptic", "instance", "semantic"}]


def test_what_is_recorded_is_not_done_again(table6):
    plan = table6.trials(BUDGET, [0], None)
    (first,) = (one for one in plan if one.training.recipe == "nano")
    record = of_training("nano", 0, "shapes-caption", "val", {"caption": {"CIDEr": 1.0}})
    (remaining,) = left([first], [record])
    assert {t.dataset for t in first.targets} - {t.dataset for t in remaining.targets} == {
        "shapes-caption"
    }


@pytest.mark.parametrize(
    "other",
    [
        {"steps": 401},
        {"before": 1501},
        {"limit": 7},
        {"seed": 1},
        {"recipe": "nano-seg"},
        {"split": "unseen"},
    ],
)
def test_a_record_of_anything_else_does_not_count(table6, other):
    kinds = {"recipe": "nano", "seed": 0, "dataset": "shapes-caption", "split": "val", **other}
    record = of_training(**kinds, scores={"caption": {"CIDEr": 1.0}})
    first = table6.trials(BUDGET, [0], None)[0]
    assert left([first], [record]) == (first,)


def test_a_limit_that_leaves_nothing_out_is_none(table6):
    (first, *_) = table6.trials(BUDGET, [0], 500)
    assert {target.limit for target in first.targets} == {None}


# --- what is measured ----------------------------------------------------------------------------


def recorded(scores):
    """Records of captioning, by recipe and seed."""
    return [
        of_training(
            recipe,
            seed,
            "shapes-caption",
            "val",
            {"caption": {"CIDEr": value}},
            interval=(value - 0.1, value + 0.1),
        )
        for recipe, values in scores.items()
        for seed, value in enumerate(values)
    ]


SCORES = {
    "nano": (2.0, 2.1),
    "nano-no-retrieval": (1.0, 1.12),
    "nano-no-referring": (2.01, 2.1),
}


@pytest.fixture
def found(table6):
    return measured(table6, recorded(SCORES), BUDGET, range(2), None)


def cells(table, *beginning):
    (row,) = (r for r in table.rows if r.cells[: len(beginning)] == beginning)
    return dict(zip(table.columns, row.cells, strict=True))


def test_a_score_is_the_mean_over_seeds_with_both_kinds_of_luck(found):
    row = cells(scores_table(found), "X-Decoder", "COCO-Karpathy CIDEr")
    assert row["paper"].value == 0.82
    assert row["here"].value == pytest.approx(2.05)
    assert row["here"].bounds == pytest.approx((1.95, 2.15))
    assert row["sd"].value == pytest.approx(0.0707, abs=1e-4)


def test_a_change_is_to_the_full_recipe_with_the_same_seed(found):
    row = cells(scores_table(found), "- Retrieval", "COCO-Karpathy CIDEr")
    assert row["change"].value == pytest.approx(-0.032)
    assert row["change here"].value == pytest.approx(-0.99)
    low, high = row["change here"].bounds
    assert low < -0.99 < high < 0


def test_findings_come_out_whichever_way(found):
    verdicts = {row.cells[0]: row.cells[-1] for row in findings_table(found).rows}
    assert verdicts["retrieval helps captioning"] == "found"
    assert verdicts["referring helps captioning"] == "undecided"
    assert verdicts["captioning helps referring"] == "not measured"


def test_what_is_not_measured_is_a_dash(table6):
    nothing = measured(table6, [], BUDGET, range(2), None)
    row = cells(scores_table(nothing), "- Retrieval", "ADE mIoU")
    assert row["here"].percent() == row["change here"].percent() == "–"
    assert row["change"].percent() == "-1.6"


def test_a_recipe_that_was_changed_since_is_named(found):
    said = " ".join(remarks(found, BUDGET, 2))
    assert "Measured with other values than these recipes have today" in said
    assert "nano-no-retrieval" in said
    assert "shapes-pairs/unseen stands for ade20k-150" in said
