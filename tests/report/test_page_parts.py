"""What a page says is counted right: confusions, galleries, curves, names of runs, commands."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from page_world import INSTANCES, LABELS, all_records, page_of, run_all, run_one, tuned
from typer.testing import CliRunner

from bench.cli import build_app
from bench.command import command
from bench.record import Origin, Setting
from bench.report.page import compose, confusion, render
from bench.report.page.curves import HEIGHT, WIDTH, few_shot_figures
from bench.report.page.gallery import PICTURES, room
from bench.report.page.labels import labels
from bench.report.page.scores import CELLS, class_table
from bench.store import Store
from bench.types import Instances, Mask, Panoptic, Segment, TrueInstance, TrueInstances

# --- confusion -----------------------------------------------------------------------------------

counts = st.tuples(st.integers(1, 40), st.integers(0, 2**32 - 1), st.sampled_from([1, 3, 60])).map(
    lambda drawn: np.random.default_rng(drawn[1]).integers(0, drawn[2], (drawn[0], drawn[0] + 1))
)


@given(counts)
def test_each_row_of_a_matrix_shares_out_all_of_its_class(found):
    names = [f"class {i}" for i in range(len(found))]
    matrix = confusion.confusion_of("run", names, found, "pixels", "")
    if matrix is None:
        assert not found.any()
        return
    assert len(matrix.rows) <= confusion.SHOWN
    for row in matrix.rows:
        assert len(row.shares) == len(matrix.columns)
        assert sum(row.shares) == pytest.approx(100, abs=0.06 * len(row.shares))
        assert row.count == found[names.index(row.name)].sum()
    for mistake in matrix.mistakes:
        assert mistake.true != mistake.said


def test_the_classes_most_often_mistaken_are_shown():
    found = np.zeros((30, 31), np.int64)
    np.fill_diagonal(found, 100)
    found[7, 29] = 50
    matrix = confusion.confusion_of("run", [f"c{i}" for i in range(30)], found, "pixels", "")
    assert {"c7", "c29"} <= {row.name for row in matrix.rows}
    assert [(m.true, m.said, m.count) for m in matrix.mistakes] == [("c7", "c29", 50)]
    assert matrix.mistakes[0].share == pytest.approx(1 / 3)


def square(left: int, label: int, score: float = 1.0) -> tuple[Mask, int, float]:
    mask = np.zeros((8, 30), bool)
    mask[1:7, left : left + 6] = True
    return Mask.encode(mask), label, score


def said(*squares: tuple[Mask, int, float]) -> Instances:
    masks, found, scores = zip(*squares, strict=True)
    return Instances(tuple(masks), np.array(found), np.array(scores, np.float64))


def true(*squares: tuple[Mask, int, float]) -> TrueInstances:
    rows = (TrueInstance(i, label, mask) for i, (mask, label, _) in enumerate(squares))
    return TrueInstances(tuple(rows))


def test_objects_are_matched_whatever_they_are_called():
    truth = true(square(0, 0), square(10, 1), square(20, 1))
    answer = said(
        square(0, 1, 0.9), square(0, 0, 0.8), square(10, 1, 0.7), square(20, 0, 0.2)
    )  # the first takes the place of the second; the last is not sure enough
    found = confusion.of_instances([(answer, truth)], 2)
    assert found.tolist() == [[0, 1, 0], [0, 1, 1], [1, 0, 0]]


def test_images_without_objects_or_answers_are_counted():
    nothing = Instances((), np.zeros(0, np.int64), np.zeros(0))
    found = confusion.of_instances(
        [(nothing, true(square(0, 1))), (said(square(0, 0)), TrueInstances(()))], 2
    )
    assert found.tolist() == [[0, 0, 0], [0, 0, 1], [1, 0, 0]]


def test_pixels_of_panoptic_maps_are_counted_by_class():
    truth = Panoptic(np.array([[0, 7, 7, 900]]), (Segment(7, 0), Segment(900, 1)))
    answer = Panoptic(np.array([[5, 5, 2, 0]]), (Segment(5, 0), Segment(2, 1)))
    found = confusion.of_panoptic([(answer, truth)], 2)
    assert found.tolist() == [[1, 1, 0], [0, 0, 1]]


def test_a_page_counts_confusions_from_statistics_or_from_raw_answers(page):
    by_dataset = {part.name: part.confusions for part in page.datasets}
    pixels, objects = by_dataset[LABELS][0], by_dataset[INSTANCES][0]
    assert (pixels.unit, objects.unit) == ("pixels", "objects")
    assert "raw answers" in objects.source
    assert len(by_dataset[INSTANCES]) == 2  # of the made-up runs nothing was kept
    taken = {(m.true, m.said) for m in objects.mistakes}
    assert len({row.name for row in objects.rows if any(row.name == t for t, _ in taken)}) == 2


# --- galleries -----------------------------------------------------------------------------------


@given(st.integers(1, 1000), st.integers(0, 20))
def test_pictures_have_a_limit_and_every_run_its_place(runs, asked):
    found = room(runs, asked)
    assert (found == 0) == (asked == 0)
    assert found <= asked
    assert found <= 1 or found * runs * 6 <= PICTURES


def test_the_best_images_score_more_than_the_worst(page):
    gallery = page.datasets[0].galleries[0]
    best, worst = [e.score for e in gallery.best], [e.score for e in gallery.worst]
    assert best == sorted(best, reverse=True)
    assert worst == sorted(worst)
    assert min(best) >= max(worst)
    assert min(worst) < max(best)
    ids = [exhibit.id for exhibit in (*gallery.best, *gallery.worst)]
    assert len(set(ids)) == len(ids) == gallery.images
    assert all(exhibit.prediction for exhibit in gallery.best)
    assert gallery.missing == ()


def test_without_raw_answers_images_are_shown_and_the_way_to_answers_is_said(page_folder, tmp_path):
    store = run_all(page_folder, tmp_path / "results", keep_raw=False)
    part = page_of(store, store.records(), images=1).datasets[0]
    for gallery in part.galleries:
        assert [e.prediction for e in (*gallery.best, *gallery.worst)] == [None, None]
        (why,) = gallery.missing
        assert "no raw answers were kept" in why
        assert "--keep-raw" in why
    assert part.confusions == ()


@pytest.mark.parametrize(
    ("model", "dataset", "said"),
    [
        ("page_world:Talker", "shapes-caption", "a red <b>square</b>"),
        ("page_world:Talker", "shapes-vqa", "— yes"),
        ("colour", "shapes-referring", None),
    ],
)
def test_words_and_phrases_are_shown_with_what_is_true(model, dataset, said, tmp_path):
    store = run_one(model, dataset, tmp_path)
    page = page_of(store, store.records())
    (gallery,) = page.datasets[0].galleries
    exhibits = [*gallery.best, *gallery.worst]
    assert len(exhibits) == gallery.images == 3
    assert gallery.missing == ()
    for exhibit in exhibits:
        assert exhibit.prediction is not None
        if said is None:
            assert exhibit.truth.address != exhibit.image.address
            assert exhibit.truth_words == exhibit.words != ()
        else:
            assert said in exhibit.words[0]
            assert exhibit.truth_words
    assert "<b>square" not in render(page)


def test_retrieval_has_no_pictures_of_its_own(tmp_path):
    store = run_one("page_world:Talker", "shapes-retrieval", tmp_path)
    page = page_of(store, store.records())
    assert page.datasets[0].galleries == ()
    assert "Retrieval" in render(page)


def test_a_dataset_that_changed_is_not_shown_as_what_was_asked(page_folder, page_store):
    record = page_store.records()[0]
    other = record.dataset.model_copy(update={"fingerprint": "0" * 12})
    page = page_of(page_store, [record.model_copy(update={"dataset": other})])
    (gallery,) = page.datasets[0].galleries
    assert gallery.best == gallery.worst == ()
    assert any("not the one that was asked about" in why for why in gallery.missing)


def test_a_record_alone_still_makes_a_page(page_store, tmp_path):
    page = compose(page_store.records(), Store(tmp_path / "elsewhere"), data=tmp_path)
    assert [gallery.best for part in page.datasets for gallery in part.galleries] == [()] * 3
    assert page.board.systems


# --- few-shot curves -----------------------------------------------------------------------------


def test_a_curve_begins_at_zero_shots_and_averages_over_seeds(page):
    (figure,) = page.figures
    (line,) = figure.lines
    assert [point.shots for point in line.points] == ["0", "1", "all"]
    assert line.points[1].value == pytest.approx(0.5)
    assert line.points[1].seeds == 2
    assert line.points[1].high == pytest.approx(0.5 + np.std([0.4, 0.6], ddof=1))
    assert figure.averaged


@given(st.lists(st.floats(0, 1), min_size=1, max_size=6))
def test_points_lie_inside_the_figure_the_higher_the_better(values):
    first = BARE.records()[0]
    records = [tuned(first, str(n), value) for n, value in enumerate(values, 1)]
    (figure,) = few_shot_figures(records, lambda record: {})
    points = figure.lines[0].points
    assert all(0 < point.x < WIDTH and 0 < point.y < HEIGHT for point in points)
    assert [p.x for p in points] == sorted(p.x for p in points)
    ups = [tick.at for tick in figure.up]
    assert min(ups) - 0.1 <= min(p.y for p in points)
    assert max(p.y for p in points) <= max(ups) + 0.1
    order = sorted(points, key=lambda point: point.value)
    assert [p.y for p in order] == sorted((p.y for p in order), reverse=True)


class _Bare:
    """The records of the session's store, for tests that hypothesis calls many times."""

    store: Store

    def records(self):
        return self.store.records()


BARE = _Bare()


@pytest.fixture(autouse=True, scope="module")
def bare(page_store):
    BARE.store = page_store


# --- names, commands -----------------------------------------------------------------------------


def test_runs_on_one_dataset_have_names_of_their_own(page_store):
    records = all_records(page_store)
    names = labels(records)
    for dataset in {record.dataset.name for record in records}:
        of_dataset = [names[r.key] for r in records if r.dataset.name == dataset]
        assert len(set(of_dataset)) == len(of_dataset)
    twin = records[0].model_copy(update={"key": "another"})
    assert len(set(labels([records[0], twin]).values())) == 2


def test_a_command_asks_what_a_suite_asked_and_another_card_where_one_is_wanted(page_store):
    record = page_store.records()[0]
    settings = {
        **record.settings,
        "dataset": Setting(value="shapes-pairs", origin=Origin.COMMAND_LINE),
        "split": Setting(value="unseen", origin=Origin.SUITE),
        "protocol": Setting(value="native", origin=Origin.COMMAND_LINE),
        "weights": Setting(value="a b.pt", origin=Origin.COMMAND_LINE),
    }
    asked = command(record.model_copy(update={"settings": settings}), protocol="bench")
    words = shlex.split(asked)
    assert words[words.index("--split") + 1] == "unseen"
    assert words[words.index("--weights") + 1] == "a b.pt"
    assert (words.count("--protocol"), words[-1]) == (1, "bench")


def test_a_rescored_run_is_made_again_with_what_was_changed_of_its_card(page_store):
    record = page_store.records()[0]
    name = 'native, panoptic.overlap_threshold=0.5, templates=["a, b"]'
    card = record.protocol.model_copy(update={"name": name})
    made = record.provenance.model_copy(update={"rescored_from": "0123"})
    rescored = record.model_copy(update={"protocol": card, "provenance": made})
    words = shlex.split(command(rescored))
    assert words[:5] == ["bench", "rescore", "0123", "--protocol", "native"]
    assert words[5:] == ["--set", "panoptic.overlap_threshold=0.5", "--set", 'templates=["a, b"]']


def test_a_command_asks_what_was_asked(page_store):
    record = page_store.records()[0]
    settings = {
        **record.settings,
        "limit": Setting(value=7, origin=Origin.COMMAND_LINE),
        "dataset": Setting(value="my data; rm -rf", origin=Origin.COMMAND_LINE),
        "precision": Setting(value="bfloat16", origin=Origin.CARD),
    }
    words = shlex.split(command(record.model_copy(update={"settings": settings}), keep_raw=True))
    assert words[:3] == ["bench", "run", "my data; rm -rf"]
    assert words[words.index("--limit") + 1] == "7"
    assert "--precision" not in words
    assert words[-1] == "--keep-raw"


def test_a_table_of_classes_has_a_limit(page_store):
    record = page_store.records()[0]
    classes = {f"class {i}": 0.5 for i in range(1000)}
    score = record.scores["instance"]["AP"].model_copy(update={"by_class": classes})
    wide = record.model_copy(update={"scores": {"instance": {"AP": score}}})
    records = [wide.model_copy(update={"key": str(n)}) for n in range(60)]
    table = class_table(records, {str(n): str(n) for n in range(60)})
    assert sum(len(row.values) for row in table.rows) <= CELLS
    assert len(table.runs) + table.left_out == 60


# --- the command ---------------------------------------------------------------------------------


def report(*words: str):
    return CliRunner().invoke(build_app(), ["report", *words])


def test_the_command_writes_the_runs_that_are_named(page_store, tmp_path):
    out = tmp_path / "mine.html"
    key = page_store.records()[1].key
    where = ("--results", str(page_store.folder), "--out", str(out))
    done = report(key[:8], *where, "--images", "0", "--json")
    assert done.exit_code == 0
    said = json.loads(done.stdout)
    assert said == {"file": str(out), "bytes": out.stat().st_size, "runs": [key]}


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["nobody"], "Unknown run 'nobody'"),
        (["--dataset", "elsewhere"], "is on elsewhere"),
    ],
)
def test_what_is_not_there_is_said_in_a_sentence(page_store, words, why):
    done = report(*words, "--results", str(page_store.folder))
    assert done.exit_code == 2
    assert why in done.stderr


def test_a_page_can_be_written_where_there_is_no_run_to_speak_of(tmp_path):
    done = report("--results", str(tmp_path))
    assert done.exit_code == 2
    assert "There is no run" in done.stderr


def test_the_python_of_the_docs_makes_a_page(page_store, tmp_path, monkeypatch):
    text = (Path(__file__).parents[2] / "docs" / "report.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    shutil.copytree(page_store.folder, tmp_path / "bench-results")
    monkeypatch.chdir(tmp_path)
    exec(compile(code, "docs/report.md", "exec"), {})
    assert (tmp_path / "report.html").read_text().startswith("<!DOCTYPE html>")


def test_making_a_page_loads_no_torch_by_itself():
    script = (
        "import sys, bench.report.page;"
        "print([m for m in ('torch', 'matplotlib') if m in sys.modules])"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
