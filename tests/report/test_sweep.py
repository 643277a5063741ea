"""Few-shot sweeps: what counts as complete, what stands beside it, and how it is printed."""

import csv
import io
import json

import numpy as np
import pytest
from sweeps import COUNTS, columns, measured, published, sweep

from bench import catalog
from bench.report.seginw import counted, frame, tables
from bench.report.sweep import AVERAGE, Spread, columns_of, entries
from bench.report.table import Format, Number

TWO = columns("Cows", "Hand")


def found(records, of=TWO, **options):
    return entries(records, of, "AP", **options)[0]


def only(records, **options):
    (entry,) = found(records, **options)
    return entry


def tuned(values, **options):
    """Runs on both datasets: {label: values by draw}."""
    return [
        measured("m", f"wild-{label}", value, shots=5, draw=draw, **options)
        for label, of in values.items()
        for draw, value in enumerate(of)
    ]


# --- completeness --------------------------------------------------------------------------------


def test_an_average_is_over_the_averages_of_runs():
    entry = only(tuned({"Cows": [0.2, 0.4], "Hand": [0.6, 0.4]}))
    assert entry.average == Spread(pytest.approx(0.4), pytest.approx(0.0, abs=1e-12), 2)
    assert entry.scores["Cows"].sd == pytest.approx(np.std([0.2, 0.4], ddof=1))


def test_a_row_that_lacks_a_dataset_has_no_average_and_says_which():
    entry = only([measured("m", "wild-Cows", 0.5)])
    assert entry.average is None
    assert entry.missing == ("Hand",)


def test_a_row_that_lacks_one_run_has_no_average_and_says_which():
    entry = only(tuned({"Cows": [0.2, 0.4], "Hand": [0.6]}))
    assert entry.average is None
    assert entry.missing == ("Hand (draw 1, training 0)",)


def test_partial_runs_are_left_out_and_said_so():
    records = [measured("m", "wild-Cows", 0.5), measured("m", "wild-Hand", 0.5, limit=10)]
    rows, notes = entries(records, TWO, "AP")
    assert rows[0].missing == ("Hand",)
    assert notes == ("Left out: m on Hand, of which only 10 images were scored.",)


def test_runs_of_another_split_or_with_other_words_are_not_of_the_suite():
    other = {"split": "test"}
    named = {"vocabulary": {"names": ["a"], "digest": "d", "name": "hand-spelled"}}
    for changes in (other, named):
        records = [measured("m", "wild-Cows", 0.5), measured("m", "wild-Hand", 0.5, **changes)]
        assert only(records).missing == ("Hand",)


def test_of_two_runs_that_differ_in_nothing_the_later_counts():
    records = [measured("m", "wild-Cows", value) for value in (0.1, 0.2)]
    assert only(records).scores["Cows"].mean == 0.2


def test_two_protocols_are_two_rows_that_say_so():
    records = [measured("m", "wild-Cows", 0.5, protocol={"name": name}) for name in ("a", "b")]
    assert [entry.label for entry in found(records)] == ["m (a)", "m (b)"]


# --- what was published --------------------------------------------------------------------------


def both(value=0.5):
    ours = [measured("xdecoder-T", f"wild-{label}", 0.4) for label in ("Cows", "Hand")]
    theirs = [published("X-Decoder (T)", f"wild-{label}", value) for label in ("Cows", "Hand")]
    return [*theirs, *ours]


def test_a_complete_row_has_the_published_one_beside_it_and_the_difference():
    entry = next(entry for entry in found(both()) if not entry.reported)
    assert entry.reference is not None
    assert entry.difference("Cows") == pytest.approx(-0.1)
    assert entry.difference(AVERAGE) == pytest.approx(-0.1)


def test_an_incomplete_row_has_no_difference():
    entry = next(entry for entry in found(both()[:3]) if not entry.reported)
    assert entry.reference is None
    assert np.isnan(entry.difference("Cows"))


def test_a_published_average_is_kept_as_it_was_printed():
    records = [*both(), published("X-Decoder (T)", "wild", 0.51)]
    entry = next(e for e in found(records, wholes=["wild"]) if not e.reported)
    assert entry.difference(AVERAGE) == pytest.approx(0.4 - 0.51)


def test_zero_shot_rows_that_three_tables_print_are_one_row():
    tables_of = [
        published("X", f"wild-{label}", 0.5, table=f"Paper, Table {number}")
        for number in (13, 14, 15)
        for label in ("Cows", "Hand")
    ]
    assert len(found(tables_of)) == 1


def test_other_weights_are_not_compared_with_the_published_ones():
    records = [
        measured("xdecoder-T (weights: random)", f"wild-{label}", 0.1) for label in ("Cows", "Hand")
    ]
    rows = found([*records, *both()[:2]])
    assert all(entry.reference is None for entry in rows)


def test_the_papers_tables_are_there_to_stand_beside():
    from bench.reported import records

    seginw = catalog.suite("seginw")
    rows, _ = entries(
        [r for r in records() if r.source and r.source.endswith(("Table 13", "Table 14"))],
        columns_of(seginw),
        "AP",
        wholes=["seginw"],
    )
    table13 = {(e.setting.model, e.setting.strategy, e.setting.shots): e for e in rows}
    large = table13["xdecoder-L", "class-embedding", "10"]
    assert large.average is not None
    assert large.average.mean == pytest.approx(0.403)
    assert large.scores["Hand"] == Spread(pytest.approx(0.937), pytest.approx(0.004))
    assert large.missing == ()
    assert counted(large.parameters) == "0.26M"


def test_columns_are_in_the_order_of_the_papers_tables():
    labels = [column.label for column in columns_of(catalog.suite("seginw"))]
    assert len(labels) == 25
    assert labels[:5] == ["Airplane-Parts", "Bottles", "Brain-Tumor", "Chicken", "Cows"]
    assert labels[10:14] == ["Hand", "Hand-Metal", "House-Parts", "HouseHold-Items"]
    own = [column.label for column in columns_of(catalog.suite("shapes-in-the-wild"))]
    assert "night-watch" in own


# --- as tables -----------------------------------------------------------------------------------


def test_each_way_of_tuning_has_a_table_that_begins_with_zero_shot():
    names = [column.dataset for column in TWO]
    rows, notes = entries(sweep(names, models=["m"]), TWO, "AP")
    made = tables(rows, TWO, title="Wild", notes=notes)
    assert [table.title for table in made] == [f"Wild, tuned: {strategy}" for strategy in COUNTS]
    for table in made:
        shots = table.columns.index("shots")
        assert [row.cells[shots] for row in table.rows] == ["0", "1", "3", "5", "10", "all"]


def test_a_sweep_of_25_datasets_prints_as_the_paper_does():
    of = columns_of(catalog.suite("seginw"))
    rows, _ = entries(sweep([c.dataset for c in of], models=["m"], shots=[1]), of, "AP")
    (first, *_) = tables(rows, of, title="SegInW")
    assert first.columns == ("model", "shots", "tuned", AVERAGE, *(c.label for c in of))
    assert first.rows[1].cells[2] == "0.26M"
    assert "±" in first.render(Format.MARKDOWN)
    latex = first.render(Format.LATEX)
    assert r"$\pm$" in latex
    assert latex.count("&") == 3 * 28


def test_an_incomplete_row_says_under_the_table_what_it_lacks():
    rows = found([measured("m", "wild-Cows", 0.5)])
    (table,) = tables(rows, TWO, title="Wild")
    assert "No average: m, zero-shot, lacks 1 of 2: Hand." in table.notes
    assert [cell.percent() for cell in table.rows[0].cells if isinstance(cell, Number)] == [
        "–",
        "50.0",
        "–",
    ]


def test_differences_have_a_sign_and_stand_below_both():
    (table,) = tables(found(both()), TWO, title="Wild")
    assert [row.cells[1] for row in table.rows] == ["measured", "reported", "difference"]
    assert [row.reported for row in table.rows] == [False, True, False]
    last = table.rows[-1].cells[-1]
    assert isinstance(last, Number)
    assert last.percent() == "-10.0"


def test_programs_get_one_table_with_fractions_and_what_is_missing():
    rows = found([*tuned({"Cows": [0.2, 0.4], "Hand": [0.6]}), measured("m", "wild-Cows", 0.1)])
    (table,) = tables(rows, TWO, title="Wild", to=Format.CSV)
    read = list(csv.DictReader(io.StringIO(table.render(Format.CSV))))
    assert [row["missing"] for row in read] == ["Hand", "Hand (draw 1, training 0)"]
    assert float(read[1]["Cows"]) == pytest.approx(0.3)
    assert float(read[1]["Cows sd"]) == pytest.approx(np.std([0.2, 0.4], ddof=1))
    assert json.loads(table.render(Format.JSON))["rows"][0]["shots"] == "0"


def test_a_frame_has_the_reference_and_the_difference():
    whole = frame(found(both()), TWO)
    ours = whole[(whole["source"] == "measured") & (whole["dataset"] == AVERAGE)].iloc[0]
    assert ours["reference"] == pytest.approx(0.5)
    assert ours["difference"] == pytest.approx(-0.1)
    assert len(whole) == 6
    assert list(frame([], TWO).columns) == list(whole.columns)
