"""What produced a number: code, packages, machine and memory, found out when a run starts.

Nothing here identifies a person or a network: no user, no host name, no path.
"""

import platform
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

DISTRIBUTION = "bench-openvocab"
PACKAGES = (
    DISTRIBUTION,
    "torch",
    "numpy",
    "pillow",
    "hotcoco",
    "pycocotools",
    "scipy",
    "pydantic",
    "tokenizers",
    "safetensors",
    "transformers",
)
"""Packages whose version can change a number."""


@dataclass(frozen=True, slots=True)
class Revision:
    """The commit an installed checkout is at."""

    commit: str
    dirty: bool
    """Whether a tracked file differs from the commit."""


@cache
def revision() -> Revision | None:
    """The commit of the checkout this package runs from; `None` for an installed wheel.

    A virtual environment may lie inside some other project's checkout, so it must be one that
    tracks this very file.
    """
    here = Path(__file__)
    if _git("ls-files", "--error-unmatch", here.name) is None:
        return None
    commit = _git("rev-parse", "HEAD")
    changes = _git("status", "--porcelain", "--untracked-files=no")
    if commit is None or changes is None:
        return None
    return Revision(commit, dirty=bool(changes))


def _git(*arguments: str) -> str | None:
    """What git says in this package's folder; `None` where git or the repository is absent."""
    command = ["git", "-C", str(Path(__file__).parent), *arguments]
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def packages() -> Mapping[str, str]:
    """Versions of the packages that can change a number; those not installed are left out."""
    found = {}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def python() -> str:
    """Implementation and version, as `CPython 3.11.7`."""
    return f"{platform.python_implementation()} {platform.python_version()}"


def device_name(device: str) -> str:
    """The device and what it is: `cuda:0 (NVIDIA A100)`, `cpu (x86_64, 2 threads)`."""
    torch = sys.modules.get("torch")
    if device.startswith("cuda") and torch is not None:
        return f"{device} ({torch.cuda.get_device_name(device)})"
    threads = "" if torch is None else f", {torch.get_num_threads()} threads"
    return f"{device} ({platform.machine()}{threads})"


@dataclass(frozen=True, slots=True)
class PeakMemory:
    """The most memory used at any moment."""

    host: int
    """Bytes resident in this process since it started."""
    device: int | None
    """Bytes allocated on the accelerator since `reset_peak_memory`; `None` without one."""


def reset_peak_memory() -> None:
    """Start counting the accelerator's memory anew. The host's cannot be reset."""
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_initialized():
        torch.cuda.reset_peak_memory_stats()


def peak_memory() -> PeakMemory:
    """The peak so far, on the host and on the accelerator this process uses."""
    import resource

    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    host = used if sys.platform == "darwin" else used * 1024  # Linux counts in KiB
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return PeakMemory(host, None)
    return PeakMemory(host, torch.cuda.max_memory_allocated())
