"""Whole files are there as they were or as they should be, and a full disk is one sentence."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from toys import room

from bench.durable import whole
from bench.errors import CannotWrite


def by_python(path: Path) -> None:
    path.write_bytes(bytes(50_000))


def by_torch(path: Path) -> None:
    with path.open("wb") as file:
        torch.save(torch.zeros(50_000), file)


def by_safetensors(path: Path) -> None:
    save_file({"zeros": torch.zeros(50_000)}, path)


@pytest.mark.parametrize("write", [by_python, by_torch, by_safetensors])
def test_a_full_disk_is_one_sentence_whoever_writes(tmp_path, write):
    path = tmp_path / "file"
    path.write_text("as it was")
    with room(20_000), pytest.raises(CannotWrite) as caught, whole(path, "--out") as unfinished:
        write(unfinished)
    assert str(caught.value) == (
        f"Cannot write {path}: no space is left there (disk, quota or file size limit). What was "
        "finished is kept; make room and run the same command again."
    )
    assert path.read_text() == "as it was"
    assert [p.name for p in tmp_path.iterdir()] == ["file"]
    with whole(path, "--out") as unfinished:
        write(unfinished)
    assert path.stat().st_size >= 50_000


def test_what_stops_the_writer_leaves_the_file_as_it_was(tmp_path):
    path = tmp_path / "folder" / "file"
    with whole(path) as unfinished:
        unfinished.write_text("as it was")

    def write(stop: BaseException) -> None:
        with whole(path) as unfinished:
            unfinished.write_text("half of")
            raise stop

    for stop in (ValueError("of the writer"), KeyboardInterrupt()):
        with pytest.raises(type(stop)) as caught:
            write(stop)
        assert caught.value is stop
    assert path.read_text() == "as it was"
    assert [p.name for p in path.parent.iterdir()] == ["file"]
