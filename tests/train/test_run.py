"""A run lives in a folder, and goes on there whatever stopped it."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from line_task import LINE, LineFamily, Numbers
from toys import room

from bench.errors import Busy, CannotWrite, DataError, UsageError
from bench.train import checkpoint
from bench.train import journal as journals
from bench.train import run as runs
from bench.train.checkpoint import CHECKPOINT_FILE
from bench.train.journal import JOURNAL_FILE
from bench.train.loop import Diverged
from bench.train.plot import losses
from bench.train.run import BEFORE, Run, run
from bench.trained import RECIPE_FILE


@pytest.fixture(autouse=True)
def _numbers(monkeypatch):
    monkeypatch.setattr(runs, "open_source", lambda data, root: Numbers())


def journal(folder):
    lines = (folder / JOURNAL_FILE).read_text().splitlines()
    return [{k: v for k, v in json.loads(line).items() if k != "seconds"} for line in lines]


def finished(recipe, folder, **settings):
    return [*run(recipe, LineFamily(**settings), Run(folder))]


def test_a_finished_run_leaves_model_recipe_and_journal(tmp_path):
    events = finished(LINE, tmp_path)
    assert events[-1].done == LINE.steps
    assert events[-1].saved
    assert [line["step"] for line in journal(tmp_path)] == list(range(1, 13))
    assert {p.name for p in tmp_path.iterdir()} == {
        "checkpoint.pt",
        "recipe.json",
        "journal.jsonl",
        "losses.svg",
        "line.pt",
    }
    assert json.loads((tmp_path / "recipe.json").read_text())["steps"] == 12


@pytest.mark.parametrize("stop", [1, 5, 11, 12])
def test_a_run_that_was_stopped_goes_on_to_the_same_end(tmp_path, stop):
    finished(LINE, tmp_path / "whole", noise=0.3)
    for now in run(LINE, LineFamily(noise=0.3), Run(tmp_path / "cut", seconds_between=0)):
        if now.done == stop:
            break  # nothing more is done, as after kill -9
    torch.rand(17)  # another process has another state of random numbers
    events = finished(LINE, tmp_path / "cut", noise=0.3)
    assert events[0].done == stop
    assert journal(tmp_path / "cut") == journal(tmp_path / "whole")
    whole, cut = (torch.load(tmp_path / name / "line.pt") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_steps_behind_the_checkpoint_are_done_again(tmp_path):
    finished(LINE, tmp_path / "whole")
    place = Run(tmp_path / "cut", seconds_between=0)
    for now in run(LINE, LineFamily(), place):
        if now.done == 4:
            kept = (tmp_path / "cut" / CHECKPOINT_FILE).read_bytes()
        if now.done == 7:
            break
    (tmp_path / "cut" / CHECKPOINT_FILE).write_bytes(kept)
    with (tmp_path / "cut" / JOURNAL_FILE).open("a") as file:
        file.write('{"step": 8, "lo')  # cut off in the middle of a line
    finished(LINE, tmp_path / "cut")
    assert journal(tmp_path / "cut") == journal(tmp_path / "whole")


def test_a_finished_run_is_only_read(tmp_path):
    finished(LINE, tmp_path)
    before = (tmp_path / CHECKPOINT_FILE).stat().st_mtime_ns
    assert [now.done for now in finished(LINE, tmp_path)] == [12]
    assert (tmp_path / CHECKPOINT_FILE).stat().st_mtime_ns == before


def test_another_recipe_in_the_same_folder_is_refused(tmp_path):
    finished(LINE, tmp_path)
    with pytest.raises(UsageError, match=r"other settings \(seed\)"):
        finished(replace(LINE, seed=1), tmp_path)


def test_a_run_of_before_a_switch_existed_goes_on_with_it_off_alone(tmp_path):
    finished(LINE, tmp_path)
    path = tmp_path / RECIPE_FILE
    written = json.loads(path.read_text())
    assert written.pop("recompute") is False
    path.write_text(json.dumps(written))
    assert [now.done for now in finished(LINE, tmp_path)] == [12]
    with pytest.raises(UsageError, match=r"other settings \(recompute\)"):
        finished(replace(LINE, recompute=True), tmp_path)
    path.write_text(json.dumps({**written, "recompute": True}))
    with pytest.raises(UsageError, match=r"other settings \(recompute\)"):
        finished(LINE, tmp_path)


@pytest.mark.parametrize("text", ["{", "[1]"])
def test_a_broken_recipe_is_said(tmp_path, text):
    finished(LINE, tmp_path)
    (tmp_path / RECIPE_FILE).write_text(text)
    with pytest.raises(DataError, match=r"recipe\.json cannot be read .* another --out"):
        finished(LINE, tmp_path)


def test_a_folder_that_cannot_be_made_is_one_sentence(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(CannotWrite, match="Choose another place with --out"):
        finished(LINE, tmp_path / "file" / "out")


@pytest.mark.parametrize("size", [500, 2500])
def test_a_full_disk_is_one_sentence_and_the_same_command_goes_on(tmp_path, size):
    """First the journal does not fit, then the checkpoint."""
    finished(LINE, tmp_path / "whole", noise=0.3)
    with room(size), pytest.raises(CannotWrite, match=r"no space is left .* same command again"):
        finished(LINE, tmp_path / "cut", noise=0.3)
    assert not (tmp_path / "cut" / CHECKPOINT_FILE).exists()
    finished(LINE, tmp_path / "cut", noise=0.3)
    assert journal(tmp_path / "cut") == journal(tmp_path / "whole")


def test_two_trainings_in_one_folder_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.setattr(journals, "PATIENCE", 0.1)
    first = run(LINE, LineFamily(), Run(tmp_path))
    for _ in range(3):
        next(first)
    with pytest.raises(Busy, match=r"The training in .* is being worked on by another process"):
        finished(LINE, tmp_path)
    assert [now.done for now in first][-1] == LINE.steps
    assert len(journal(tmp_path)) == LINE.steps


def test_a_broken_checkpoint_is_said(tmp_path):
    finished(LINE, tmp_path)
    (tmp_path / CHECKPOINT_FILE).write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"checkpoint\.pt"):
        finished(LINE, tmp_path)


def test_what_is_trained_before_is_begun_with(tmp_path):
    first = replace(LINE, name="first", steps=3)
    events = finished(replace(LINE, before=first, steps=1), tmp_path)
    assert [(now.recipe.name, now.done) for now in events] == [
        *(("first", n) for n in range(4)),
        ("line", 0),
        ("line", 1),
    ]
    earlier = torch.load(tmp_path / BEFORE / "line.pt")
    later = torch.load(tmp_path / "line.pt")
    assert all((earlier[name] - later[name]).abs().max() < 0.1 for name in earlier)


def test_what_is_not_finite_stops_with_its_batch_saved(tmp_path):
    with pytest.raises(Diverged):
        finished(LINE, tmp_path, poison=5)
    (saved,) = tmp_path.glob("diverged-5-0.pt")
    ((batch,),) = torch.load(saved, weights_only=False)
    assert batch.x.shape == (8, 1)
    assert len(journal(tmp_path)) == 4


@pytest.mark.parametrize("file", ["line.pt", CHECKPOINT_FILE])
@pytest.mark.parametrize("saves", [1, 12])
def test_a_stop_in_the_middle_of_saving_loses_no_model(tmp_path, monkeypatch, file, saves):
    finished(LINE, tmp_path / "whole")
    place, replace_, count = Run(tmp_path / "cut", seconds_between=0), os.replace, []

    def stopping(source, target):
        count.append(Path(target).name)
        if count.count(file) == saves:
            raise KeyboardInterrupt
        replace_(source, target)

    with monkeypatch.context() as patch:
        patch.setattr(checkpoint.os, "replace", stopping)
        with pytest.raises(KeyboardInterrupt):
            list(run(LINE, LineFamily(), place))
    finished(LINE, tmp_path / "cut")
    whole, cut = (torch.load(tmp_path / name / "line.pt") for name in ("whole", "cut"))
    assert all(torch.equal(whole[name], cut[name]) for name in whole)


def test_a_run_whose_recipe_is_gone_is_said(tmp_path):
    finished(LINE, tmp_path)
    (tmp_path / RECIPE_FILE).unlink()
    with pytest.raises(DataError, match=r"recipe\.json cannot be read"):
        finished(LINE, tmp_path)


def test_processes_that_see_other_checkpoints_do_not_train_together(tmp_path, monkeypatch):
    monkeypatch.setattr(runs, "of_all", lambda step: [step, 5])
    with pytest.raises(UsageError, match=r"from steps 0, 5: .* on a disk that all machines share"):
        finished(LINE, tmp_path)


def test_a_loss_that_some_steps_lack_is_drawn_where_it_is(tmp_path):
    rows = [{"step": 1, "loss": 3.0}, {"step": 2, "loss": 2.0, "phrases": 1.0}]
    (tmp_path / JOURNAL_FILE).write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    panels = losses(tmp_path).axes
    assert [axes.get_title("left") for axes in panels] == ["loss", "phrases"]
    assert panels[1].lines[0].get_xydata().tolist() == [[2.0, 1.0]]


# --- the real thing ------------------------------------------------------------------------------

BENCH = [sys.executable, "-c", "from bench.cli import main; main()"]
CHANGES = (
    "steps=5",
    "before.steps=3",
    "parts.0.batch=2",
    "before.parts.0.batch=4",
    "supervision.points=16",
)
SMALL = [word for change in CHANGES for word in ("--set", change)]
SMALL += ["--threads", "1", "--minutes-between", "0", "--quiet"]


def command(folder):
    return [*BENCH, "train", "nano", "--out", str(folder), *SMALL]


@pytest.mark.slow
@pytest.mark.parametrize("processes", [1, 2])
def test_killed_and_called_again_nano_comes_to_the_same_weights(tmp_path, processes):
    several = ["--processes", str(processes)]
    subprocess.run([*command(tmp_path / "whole"), *several], check=True)
    killed = subprocess.Popen([*command(tmp_path / "cut"), *several], start_new_session=True)
    lines = tmp_path / "cut" / JOURNAL_FILE
    while killed.poll() is None and not (lines.exists() and lines.read_text().count("\n") >= 2):
        time.sleep(0.02)
    os.killpg(killed.pid, signal.SIGKILL)
    killed.wait()
    assert len(journal(tmp_path / "cut")) < 5
    subprocess.run([*command(tmp_path / "cut"), *several], check=True)
    assert journal(tmp_path / "cut") == journal(tmp_path / "whole")
    whole, cut = (tmp_path / name / "model.safetensors" for name in ("whole", "cut"))
    assert whole.read_bytes() == cut.read_bytes()
