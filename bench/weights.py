"""Where weights lie, and how a released checkpoint gets there.

The weights folder holds one file a model, under the model's name, in its family's own form, and a
lock file that says where each came from and the sha256 it had. Nothing is fetched while a model
runs: `bench models fetch` does, when a person asks for it.
"""

import hashlib
import json
import os
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import Any, Protocol, runtime_checkable
from urllib.parse import urlsplit

from bench.errors import DataError, DataMissing, UsageError, WeightsMissing
from bench.obtain.download import download

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


# --- fetching ------------------------------------------------------------------------------------

LOCK = "weights.lock.json"
_HERE = ".fetching"

Store = Callable[[Any, Path, Path], None]
"""(card, released file, target): writes the file's weights to the target, in the family's form."""


class Fetchable(Protocol):
    """A card whose weights can be fetched."""

    @property
    def name(self) -> str:
        """The model's."""
        ...

    @property
    def weights(self) -> object:
        """Where they are; fetched from there if it is `Released`."""
        ...


@dataclass(frozen=True)
class Locked:
    """What a model's weights were when they were first fetched."""

    source: str
    """The hub's repository, revision and file, or a URL, or a file's name."""
    sha256: str
    """Of the released file, whatever form it is stored in."""
    size: int
    """Bytes of the released file."""


def fetch(
    card: Fetchable,
    store: Store,
    *,
    folder: Path | None = None,
    sources: Sequence[str] = (),
    again: bool = False,
) -> Path:
    """Get a model's released weights, check them, and store them in the weights folder.

    The first fetch pins the file's sha256 in the folder's lock file, unless the card states one;
    every later one must have the same, wherever it comes from. A download that was cut off goes on
    where it stopped, and nothing is stored before all of it is there and checked.

    Args:
        card: the model's.
        store: its family's way to write weights.
        folder: in place of the weights folder.
        sources: files or URLs, tried in order, in place of the hub.
        again: fetch even if the weights are there.

    Raises:
        UsageError: the card names no released file, and there are no sources.
        WeightsMissing: no source has it, or none can be reached.
        DataError: the file is not the one that was pinned, or not this model's.
    """
    folder = weights_folder() if folder is None else folder
    target = folder / f"{card.name}{SUFFIX}"
    if target.is_file() and not again:
        return target
    if not sources and not isinstance(card.weights, Released):
        raise UsageError(
            f"No released file of {card.name} is known. If you have one: bench models fetch "
            f"{card.name} --from FILE"
        )
    try:
        (folder / _HERE).mkdir(parents=True, exist_ok=True)
        file, source = _obtained(card.weights, sources, folder / _HERE)
        found = Locked(source, _sha256(file), file.stat().st_size)
        _verify(card, found, locked(folder).get(card.name), folder)
        unfinished = folder / _HERE / f"{card.name}.{os.getpid()}{SUFFIX}"
        store(card, file, unfinished)
        unfinished.chmod(0o644)  # the writer of safetensors keeps files to their owner
        os.replace(unfinished, target)
        _lock(folder, card.name, found)
        if file.is_relative_to(folder / _HERE):
            file.unlink()
        _tidy(folder / _HERE)
    except OSError as error:
        raise WeightsMissing(f"{card.name} cannot be stored in {folder}: {error}.") from error
    return target


def _tidy(here: Path) -> None:
    """Remove what downloads leave behind, unless another one is under way."""
    if not any(file.suffix in (".part", ".incomplete") for file in here.rglob("*")):
        rmtree(here, ignore_errors=True)


def locked(folder: Path) -> dict[str, Locked]:
    """What is pinned in a weights folder, by model."""
    path = folder / LOCK
    if not path.is_file():
        return {}
    try:
        content: dict[str, dict[str, Any]] = json.loads(path.read_text("utf-8"))
        return {name: Locked(**entry) for name, entry in content.items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise DataError(f"{path} is no lock file of ours: {error}.") from error


def _lock(folder: Path, name: str, found: Locked) -> None:
    """Pin an entry, and leave the others."""
    entries = {**locked(folder), name: found}
    text = json.dumps({key: asdict(entries[key]) for key in sorted(entries)}, indent=2)
    unfinished = folder / f".{LOCK}.{os.getpid()}"
    unfinished.write_text(text + "\n", "utf-8")
    os.replace(unfinished, folder / LOCK)


def _verify(card: Fetchable, found: Locked, pinned: Locked | None, folder: Path) -> None:
    """Refuse a file that is not the one known."""
    stated = card.weights.sha256 if isinstance(card.weights, Released) else ""
    known = stated or (pinned.sha256 if pinned else "")
    if known and found.sha256 != known:
        who = "its card states" if stated else f"{folder / LOCK} has pinned"
        raise DataError(
            f"{found.source} is not the file of {card.name} that {who}: sha256 is "
            f"{found.sha256[:16]}…, not {known[:16]}…. If the new one is right, delete the entry."
        )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


# --- where files come from -----------------------------------------------------------------------


def _obtained(weights: object, sources: Sequence[str], here: Path) -> tuple[Path, str]:
    """The first source that has the file, as a local file, and what the lock calls it."""
    if not sources:
        assert isinstance(weights, Released)
        return _from_hub(weights, here)
    reasons = []
    for source in sources:
        try:
            if source.startswith(("http://", "https://")):
                return _downloaded(source, here), source
            if Path(source).is_file():
                return Path(source), Path(source).name
            reasons.append(f"There is no file {source}.")
        except DataMissing as error:
            reasons.append(str(error))
    raise WeightsMissing(" ".join(reasons))


def _from_hub(released: Released, here: Path) -> tuple[Path, str]:
    """A file of the hub at the commit its revision stands for now."""
    from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

    url = hf_hub_url(released.repository, released.file, revision=released.revision)
    try:
        commit = get_hf_file_metadata(url).commit_hash or released.revision
        path = hf_hub_download(released.repository, released.file, revision=commit, local_dir=here)
    except Exception as error:  # the hub's client raises its own, its http library's and OSError
        reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
        raise WeightsMissing(
            f"{released.file} cannot be fetched from {released.repository}: "
            f"{reason.rstrip('.')}. Get it from {url} by other means, and then use --from FILE."
        ) from error
    return Path(path), f"{released.repository}@{commit}:{released.file}"


def _downloaded(url: str, here: Path) -> Path:
    """A file from a URL, going on where an earlier try stopped if it is still the same file."""
    stem = hashlib.sha256(url.encode()).hexdigest()[:16]
    # Readers tell the form of a checkpoint by its name's end, which is kept.
    path = here / f"{stem}-{PurePosixPath(urlsplit(url).path).name}"
    download(url, path)
    return path
