"""Many small pieces of work on all cores, one piece a core.

A tile is too little work to be split among cores: they would wait for each other more than they
work, and on a busy machine far more. Whole tiles side by side need no waiting, and give the same
values whatever the number of cores.
"""

from collections import deque
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import torch

T = TypeVar("T")


def each(work: Callable[[T], None], items: Iterable[T]) -> None:
    """Call `work` on every item, in any order, on as many threads as torch uses here."""
    left = deque(items)
    count, inference = torch.get_num_threads(), torch.is_inference_mode_enabled()
    if min(count, len(left)) < 2:
        while left:
            work(left.popleft())
        return

    def drain() -> None:
        # Torch counts threads per thread; a new one starts with the number that was set last.
        torch.set_num_threads(1)
        with torch.inference_mode(inference):  # that, too, is per thread
            while left:
                try:
                    item = left.popleft()
                except IndexError:  # another thread took the last one
                    return
                work(item)

    try:
        with ThreadPoolExecutor(min(count, len(left))) as pool:
            for finished in [pool.submit(drain) for _ in range(min(count, len(left)))]:
                finished.result()
    finally:
        torch.set_num_threads(count)
