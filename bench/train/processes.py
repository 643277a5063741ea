"""Several processes that train one model together, each on its share of every batch."""

import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import ProcessExitedException, start_processes


@dataclass(frozen=True)
class Share:
    """Which process of how many this is."""

    rank: int = 0
    world: int = 1


ALONE = Share()


@contextmanager
def group(share: Share, device: str, meeting: str = "env://") -> Iterator[None]:
    """Be one of several processes that can exchange gradients; alone, nothing is done.

    Args:
        share: which one.
        device: what it computes on.
        meeting: where they find each other; the default is what `torchrun` sets up.
    """
    if share.world == 1:
        yield
        return
    own = torch.device(device)
    backend = "nccl" if own.type == "cuda" else "gloo"
    if own.type == "cuda":  # or what is exchanged besides gradients goes by way of the first GPU
        torch.cuda.set_device(own.index or 0)
    dist.init_process_group(backend, init_method=meeting, rank=share.rank, world_size=share.world)
    try:
        yield
    finally:
        dist.destroy_process_group()


def meet() -> None:
    """Wait until all processes are here; alone, go on."""
    if dist.is_initialized():
        dist.barrier()


def of_all(value: Any) -> list[Any]:
    """What each process has of something, in the order of their ranks."""
    if not dist.is_initialized():
        return [value]
    found: list[Any] = [None] * dist.get_world_size()
    dist.all_gather_object(found, value)
    return found


def spread(work: Callable[..., None], processes: int, *arguments: Any) -> None:
    """Call `work(rank, meeting, *arguments)` in so many processes, until all are done.

    When one fails the others are ended; this process then ends with its exit code. Whatever ends
    this process ends them too.
    """
    with TemporaryDirectory(prefix="bench-train-") as folder:
        meeting = f"file://{Path(folder) / 'meeting'}"
        try:
            start_processes(  # type: ignore[no-untyped-call]
                _begin, (work, meeting, *arguments), nprocs=processes, start_method="spawn"
            )
        except ProcessExitedException as error:
            sys.exit(error.exit_code)


def _begin(rank: int, work: Callable[..., None], *arguments: Any) -> None:
    """Work, until the process that began this one ends.

    When it does, SIGINT comes (torch asks for that), which commands in the background (`nohup … &`)
    begin by ignoring.
    """
    signal.signal(signal.SIGINT, signal.default_int_handler)
    work(rank, *arguments)


def use_threads(threads: int | None, processes: int) -> None:
    """Let each of the processes of this machine compute with its share of the cores."""
    torch.set_num_threads(threads or max(1, len(os.sched_getaffinity(0)) // processes))
    torch.set_flush_denormal(True)
