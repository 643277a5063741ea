"""Where weights lie, and how a released checkpoint gets there.

The weights folder holds one file a model, under the model's name, in its family's own form, and a
lock file that says where each came from and the sha256 it had. Nothing is fetched while a model
runs: `bench models fetch` does, when a person asks for it.
"""

import os
import sys
from pathlib import Path
from typing import Protocol, runtime_checkable

SUFFIX = ".safetensors"


@runtime_checkable
class Released(Protocol):
    """Weights in a repository of the Hugging Face hub; `models.card.HubFile` is one."""

    @property
    def repository(self) -> str:
        """As `owner/name`."""
        ...

    @property
    def file(self) -> str:
        """Its path in the repository."""
        ...

    @property
    def revision(self) -> str:
        """A branch, tag or commit."""
        ...

    @property
    def sha256(self) -> str:
        """What the file must have; empty: whatever it has when it is first fetched."""
        ...


def cache_folder() -> Path:
    """Where what can be made again is kept: `BENCH_CACHE`, or `bench` in the platform's place."""
    if stated := os.environ.get("BENCH_CACHE"):
        return Path(stated)
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"), "bench")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "bench"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "bench")


def weights_folder() -> Path:
    """Where fetched weights lie: `BENCH_WEIGHTS`, or `weights` in the cache folder."""
    stated = os.environ.get("BENCH_WEIGHTS")
    return Path(stated) if stated else cache_folder() / "weights"


def stored(model: str, folder: Path | None = None) -> Path | None:
    """The fetched weights of a model, or `None`."""
    path = (weights_folder() if folder is None else folder) / f"{model}{SUFFIX}"
    return path if path.is_file() else None
