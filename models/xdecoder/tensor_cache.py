"""Tensors that are made once: in memory up to a budget, beyond it on disk, beyond that made anew.

A round of use (the tuning of one model on one set of images) goes through its tensors again and
again in random order. So nothing of the running round is ever pushed out: what came first stays
where it is, and what is left of earlier rounds makes room.
"""

from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from shutil import rmtree
from tempfile import mkdtemp
from weakref import finalize

from safetensors.torch import load_file, save_file
from torch import Tensor

Tensors = dict[str, Tensor]
GIB = 2**30


@dataclass
class _Entry:
    size: int
    """Bytes."""
    round: int
    """When it was last used."""
    tensors: Tensors | None
    """`None`: on disk."""


class TensorCache:
    """Groups of tensors by a key that is a hash of all they depend on.

    Args:
        memory: bytes that are kept in memory, at most.
        disk: bytes that are kept in a temporary folder, at most; it vanishes with the cache.
    """

    def __init__(self, memory: int = 2 * GIB, disk: int = 16 * GIB) -> None:
        self.memory, self.disk = memory, disk
        self.made = 0
        """How many groups had to be made."""
        self._entries: dict[str, _Entry] = {}
        self._round = 0
        self._folder: Path | None = None

    def __deepcopy__(self, memo: dict[int, object]) -> "TensorCache":
        """An empty one: who copies a model means to change it."""
        return TensorCache(self.memory, self.disk)

    def begin(self) -> None:
        """Begin a round: what it does not use may go."""
        self._round += 1

    def get(self, key: str, make: Callable[[], Tensors]) -> Tensors:
        """The tensors of that key, on the CPU; made if they are not here."""
        entry = self._entries.get(key)
        if entry is None:
            self.made += 1
            tensors = {name: tensor.cpu().contiguous() for name, tensor in make().items()}
            self._keep(key, tensors)
            return tensors
        entry.round = self._round
        return load_file(self._path(key)) if entry.tensors is None else entry.tensors

    @property
    def in_memory(self) -> int:
        """Bytes in memory."""
        return sum(e.size for e in self._entries.values() if e.tensors is not None)

    @property
    def on_disk(self) -> int:
        """Bytes on disk."""
        return sum(e.size for e in self._entries.values() if e.tensors is None)

    def _keep(self, key: str, tensors: Tensors) -> None:
        size = sum(tensor.nbytes for tensor in tensors.values())
        if self._make_room(size, in_memory=True):
            self._entries[key] = _Entry(size, self._round, tensors)
        elif self._make_room(size, in_memory=False):
            with suppress(OSError):  # a disk that is full costs time, nothing else
                save_file(tensors, self._path(key))
                self._entries[key] = _Entry(size, self._round, None)

    def _make_room(self, size: int, *, in_memory: bool) -> bool:
        """Let entries of earlier rounds go until there is room; false where that is not enough."""
        budget = self.memory if in_memory else self.disk
        here = {k: e for k, e in self._entries.items() if (e.tensors is not None) == in_memory}
        used = sum(e.size for e in here.values())
        past = sorted((k for k in here if here[k].round < self._round), key=lambda k: here[k].round)
        if used - sum(here[k].size for k in past) + size > budget:
            return False
        for key in past:
            if used + size <= budget:
                break
            used -= here[key].size
            if not in_memory:
                self._path(key).unlink()
            del self._entries[key]
        return True

    def _path(self, key: str) -> Path:
        if self._folder is None:
            self._folder = Path(mkdtemp(prefix="bench-frozen-"))
            finalize(self, rmtree, self._folder, ignore_errors=True)
        return self._folder / f"{key}.safetensors"
