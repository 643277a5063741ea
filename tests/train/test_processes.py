"""Several processes train one model, as one process with the whole batch would."""

import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
from line_task import LINE, LineLearner, Numbers

from bench.train.loop import begin, distributed, train
from bench.train.mixture import Mixture
from bench.train.processes import ALONE, Share, group, spread, use_threads

ACCUMULATED = replace(LINE, accumulate=2, average=0.0)


def trained(share: Share, meeting: str) -> dict[str, torch.Tensor]:
    """The weights after twelve steps as one of several processes."""
    torch.manual_seed(0)
    with group(share, "cpu", meeting):
        learner = LineLearner()
        state = begin(learner, ACCUMULATED)
        mixture = Mixture(ACCUMULATED.parts, (Numbers(),), ACCUMULATED.accumulate, share=share)
        list(train(distributed(learner), mixture, ACCUMULATED, state))
        return learner.model.state_dict()


def work(rank: int, meeting: str, folder: str) -> None:
    use_threads(1, 2)
    torch.save(trained(Share(rank, 2), meeting), Path(folder) / f"{rank}.pt")


def fail(rank: int, meeting: str) -> None:
    sys.exit(3 if rank else 0)


def test_two_processes_come_to_the_weights_of_one(tmp_path):
    whole = trained(ALONE, "")
    spread(work, 2, str(tmp_path))
    for rank in range(2):
        part = torch.load(tmp_path / f"{rank}.pt")
        for name in whole:
            torch.testing.assert_close(part[name], whole[name], rtol=1e-4, atol=1e-5)


def test_when_one_fails_all_end_with_its_exit_code():
    with pytest.raises(SystemExit) as ended:
        spread(fail, 2)
    assert ended.value.code == 3


def tick(rank: int, meeting: str, folder: str) -> None:
    for count in range(1200):
        (Path(folder) / str(rank)).write_text(str(count))
        time.sleep(0.05)


def test_in_the_background_too_all_end_with_the_process_that_began_them(tmp_path):
    """What `nohup … &` starts ignores SIGINT, and so does whatever it starts."""
    code = (
        "import signal, sys; signal.signal(signal.SIGINT, signal.SIG_IGN); "
        f"sys.path.insert(0, {str(Path(__file__).parent)!r}); import test_processes; "
        f"test_processes.spread(test_processes.tick, 2, {str(tmp_path)!r})"
    )
    begun = subprocess.Popen([sys.executable, "-c", code], cwd=Path(__file__).parents[2])
    ticks = [tmp_path / "0", tmp_path / "1"]
    while begun.poll() is None and not all(tick.exists() for tick in ticks):
        time.sleep(0.05)
    begun.kill()
    begun.wait()
    time.sleep(1)
    last = [tick.read_text() for tick in ticks]
    time.sleep(1)
    assert [tick.read_text() for tick in ticks] == last


@pytest.mark.parametrize(("device", "index"), [("cuda:3", 3), ("cuda", 0)])
def test_each_process_exchanges_by_way_of_its_own_gpu(monkeypatch, device, index):
    said = []
    monkeypatch.setattr(torch.cuda, "set_device", lambda own: said.append(own))
    monkeypatch.setattr(dist, "init_process_group", lambda backend, **_: said.append(backend))
    monkeypatch.setattr(dist, "destroy_process_group", lambda: None)
    with group(Share(3, 4), device):
        assert said == [index, "nccl"]
