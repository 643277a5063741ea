"""Figures: what is drawn, in which order, and that the same records give the same bytes."""

import json
import math

import numpy as np
import pytest
from matplotlib.colors import to_rgba
from sweeps import columns, measured, published, sweep

from bench.errors import UsageError
from bench.report import style
from bench.report.bars import table_bars
from bench.report.figures import shot_curves, zero_shot_bars
from bench.report.sweep import entries
from bench.report.table import Number, Row, Table
from bench.train.plot import losses, plot

THREE = columns("Cows", "Hand", "Rail")
NAMES = [column.dataset for column in THREE]


def zero(**values):
    return [measured("xdecoder-T", f"wild-{label}", value) for label, value in values.items()]


def bars(records, **options):
    found, _ = entries(records, THREE, "AP")
    return zero_shot_bars(found, THREE, "AP", title="Wild", **options).axes[0]


def ticks(axes):
    return [label.get_text() for label in axes.get_xticklabels()]


# --- figure 8 ------------------------------------------------------------------------------------


def test_bars_fall():
    axes = bars(zero(Cows=0.1, Hand=0.5, Rail=0.3))
    assert ticks(axes) == ["Hand", "Rail", "Cows"]
    assert [patch.get_height() for patch in axes.patches] == pytest.approx([50, 30, 10])


def test_what_was_published_decides_the_order_and_is_hatched():
    theirs = [published("X-Decoder (T)", n, v) for n, v in zip(NAMES, (0.9, 0.2, 0.4), strict=True)]
    axes = bars([*theirs, *zero(Cows=0.1, Hand=0.5, Rail=0.3)])
    assert ticks(axes) == ["Cows", "Rail", "Hand"]
    assert [bool(patch.get_hatch()) for patch in axes.patches] == [False] * 3 + [True] * 3


def test_figure_8_of_publications_alone_is_the_papers():
    from bench import catalog
    from bench.report.sweep import columns_of
    from bench.reported import records

    of = columns_of(catalog.suite("seginw"))
    table13 = [r for r in records() if r.source and r.source.endswith("Table 13")]
    found, _ = entries(table13, of, "AP", wholes=["seginw"])
    axes = zero_shot_bars(found, of, "AP", title="SegInW").axes[0]
    assert ticks(axes)[:4] == ["Fruits", "Hand", "Nutterfly-Squireel", "Strawberry"]
    assert ticks(axes)[8:10] == ["Bottles", "Hand-Metal"]  # equal: by name
    assert ticks(axes)[-3:] == ["House-Parts", "Rail", "Brain-Tumor"]
    assert axes.patches[0].get_height() == pytest.approx(79.2)


def test_a_dataset_without_a_run_has_no_bar_and_says_so():
    axes = bars(zero(Cows=0.1, Hand=0.5))
    assert ticks(axes)[-1] == "Rail"
    assert math.isnan(axes.patches[-1].get_height())
    assert "no run" in [text.get_text() for text in axes.texts]


def test_whiskers_are_the_intervals():
    axes = bars(
        zero(Cows=0.1, Hand=0.5, Rail=0.3),
        bounds=lambda record: {("instance", "AP"): (0.25, 0.75)},
    )
    assert [list(line.get_ydata()) for line in axes.lines] == [[25, 75]] * 3


def test_nothing_zero_shot_is_said():
    found, _ = entries([measured("m", "wild-Cows", 0.5, shots=5)], THREE, "AP")
    with pytest.raises(UsageError, match="no zero-shot run"):
        zero_shot_bars(found, THREE, "AP", title="Wild")


# --- figure 9 ------------------------------------------------------------------------------------


def curves(records):
    found, _ = entries(records, THREE, "AP")
    return shot_curves(found, "AP", title="Wild")


def test_a_panel_for_each_way_of_tuning_and_then_for_each_model():
    figure = curves(sweep(NAMES))
    assert [axes.get_title("left") for axes in figure.axes] == [
        "(a) class-embedding (0.26M)",
        "(b) prompt (1.15M)",
        "(c) decoder (39.3M)",
        "(d) small",
        "(e) large",
    ]
    assert [len(axes.lines) for axes in figure.axes] == [2, 2, 2, 3, 3]


def test_curves_begin_at_zero_shot_and_have_the_spread_of_runs_as_band():
    records = list(sweep(NAMES, ["m"], ["prompt"]))
    found, _ = entries(records, THREE, "AP")
    axes = shot_curves(found, "AP", title="Wild").axes[0]
    drawn = axes.lines[0]
    averages = [entry.average for entry in found]
    assert list(drawn.get_ydata()) == pytest.approx([100 * a.mean for a in averages if a])
    (band,) = axes.collections
    heights = band.get_paths()[0].vertices[:, 1]
    tallest = max(100 * (a.mean + (a.sd or 0)) for a in averages if a)
    assert heights.max() == pytest.approx(tallest)
    assert ticks(axes) == ["0", "1", "3", "5", "10", "all"]


def test_an_incomplete_setting_parts_the_curve():
    records = [
        r
        for r in sweep(NAMES, ["m"], ["prompt"])
        if not (r.tuning and r.tuning.shots == "3" and r.dataset.name == "wild-Rail")
    ]
    axes = curves(records).axes[0]
    drawn = axes.lines[0]
    assert list(np.isnan(drawn.get_ydata())) == [False, False, True, False, False, False]


def test_published_curves_are_hollow_and_dotted():
    theirs = [
        published("X", name, 0.3 + 0.01 * shots, shots=shots) for name in NAMES for shots in (0, 5)
    ]
    axes = curves(theirs).axes[0]
    drawn = axes.lines[0]
    assert to_rgba(drawn.get_markerfacecolor()) == to_rgba("white")
    assert not axes.collections


def test_no_complete_setting_is_no_curve():
    with pytest.raises(UsageError, match="No few-shot setting has all its runs"):
        curves([measured("m", "wild-Cows", 0.5, shots=5)])


# --- any table -----------------------------------------------------------------------------------


def test_bars_of_a_table_have_names_values_and_whiskers():
    rows = (
        Row(("ours", "0", Number(0.5, bounds=(0.4, 0.6)))),
        Row(("theirs", "0", Number(0.3)), reported=True),
        Row(("third", "0", Number(math.nan))),
    )
    axes = table_bars(Table(("model", "shots", "PQ"), rows)).axes[0]
    assert [label.get_text() for label in axes.get_yticklabels()] == [
        "ours · 0",
        "theirs · 0",
        "third · 0",
    ]
    assert [patch.get_width() for patch in axes.patches] == [50, 30]
    assert [list(line.get_xdata()) for line in axes.lines] == [[40, 60]]
    with pytest.raises(UsageError, match="no number"):
        table_bars(Table(("model",), (Row(("ours",)),)))


# --- style ---------------------------------------------------------------------------------------


def test_the_same_records_give_the_same_bytes(tmp_path):
    records = list(sweep(NAMES, ["m"], ["prompt", "decoder"], [1, 5]))
    for folder in ("a", "b"):
        style.save(curves(records), tmp_path / folder, "figure")
    for kind in ("png", "svg"):
        first, second = ((tmp_path / f / f"figure.{kind}").read_bytes() for f in ("a", "b"))
        assert first == second


def test_svg_has_text_to_be_read_and_neither_date_nor_version(tmp_path):
    _, svg = style.save(curves(sweep(NAMES, ["m"], ["prompt"], [5])), tmp_path, "figure")
    content = svg.read_text()
    assert ">shots</text>" in content
    assert "<dc:date>" not in content
    assert "matplotlib.org/" not in content


def test_a_persons_own_settings_change_nothing(tmp_path):
    import matplotlib as mpl

    records = list(sweep(NAMES, ["m"], ["prompt"], [5]))
    plain, _ = style.save(curves(records), tmp_path, "plain")
    with mpl.rc_context({"font.size": 20, "axes.facecolor": "black"}):
        own, _ = style.save(curves(records), tmp_path, "own")
    assert plain.read_bytes() == own.read_bytes()


def luminance(colour):
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour[:3]]
    return float(np.dot([0.2126, 0.7152, 0.0722], linear))


def seen_without(colour, cones):
    """A colour as people see it who lack cones of a kind (Machado et al. 2009, severity 1)."""
    return np.clip(np.array(cones) @ np.array(colour[:3]), 0, 1)


PROTAN = [
    [0.152286, 1.052583, -0.204868],
    [0.114503, 0.786281, 0.099216],
    [-0.003882, -0.048116, 1.051998],
]
DEUTAN = [
    [0.367322, 0.860646, -0.227968],
    [0.280085, 0.672501, 0.047413],
    [-0.011820, 0.042940, 0.968881],
]


def test_no_two_of_the_first_series_look_alike_to_anybody():
    first = [to_rgba(style.colour(series)) for series in range(5)]
    for cones in (np.eye(3), PROTAN, DEUTAN):
        seen = [seen_without(colour, cones) for colour in first]
        distances = [np.abs(a - b).max() for i, a in enumerate(seen) for b in seen[:i]]
        assert min(distances) > 0.12
    assert all((1.05 / (luminance(colour) + 0.05)) > 1.9 for colour in first)  # on white
    looks = {(str(style.line(n)["color"]), style.line(n)["marker"]) for n in range(9)}
    assert len(looks) == 9


# --- trainings -----------------------------------------------------------------------------------


def test_a_journal_is_a_panel_for_each_loss(tmp_path):
    lines = [{"step": n, "loss": 1 / (n + 1), "mask_dice": 0.5, "rate": 1e-4} for n in range(40)]
    (tmp_path / "journal.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    figure = losses(tmp_path)
    assert figure is not None
    assert [axes.get_title("left") for axes in figure.axes] == ["loss", "mask dice"]
    path = plot(tmp_path)
    assert path is not None
    assert path.read_text().startswith("<?xml")
    assert plot(tmp_path / "nowhere") is None
