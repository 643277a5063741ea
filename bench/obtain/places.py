"""Where files can be had: an address, a mirror, the hub, a folder or file, Roboflow.

`place` reads what a person writes after `--from`. Every place gives a file by the name that its
distributors call it.
"""

import contextlib
import hashlib
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from shutil import rmtree
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from bench.data.source import file_digest
from bench.errors import DataMissing, UnknownName, UsageError
from bench.obtain.download import download, shown
from bench.spec import Roboflow

Progress = Callable[[str, int, int | None], None]
"""(file, bytes so far, bytes in all where known)."""


@dataclass(frozen=True)
class Got:
    """A file or folder that is on this machine now."""

    path: Path
    source: str
    """What the lock file calls it: nothing secret, nothing of this machine."""


@dataclass
class Downloads:
    """What was downloaded in this command: once each, however many datasets are in it."""

    folder: Path
    progress: Progress = lambda file, done, of: None
    again: bool = False
    """Whether what an earlier command left is not good enough."""
    _here: dict[str, Got] = field(default_factory=dict)
    _digests: dict[Path, str] = field(default_factory=dict)

    def once(self, key: str, file: str, fetch: Callable[[Path], str]) -> Got:
        """`fetch(path)` writes the file there and says what the lock file calls its source."""
        if key not in self._here:
            path = self.folder / f"{_slug(key)}-{file}"
            if self.again:
                path.unlink(missing_ok=True)
            self._here[key] = Got(path, fetch(path))
        return self._here[key]

    def from_url(self, url: str, file: str, source: str | None = None) -> Got:
        """The file at an address."""

        def fetch(path: Path) -> str:
            if not path.is_file():
                download(url, path, progress=lambda done, of: self.progress(file, done, of))
            return source or shown(url)

        return self.once(source or url, file, fetch)

    def digest(self, path: Path) -> str:
        """The sha256 of a file, read once however many datasets are in it; empty for a folder."""
        if path not in self._digests:
            self._digests[path] = file_digest(path) if path.is_file() else ""
        return self._digests[path]

    def drop(self) -> None:
        """Remove what was downloaded; what is in place does not need it."""
        for got in self._here.values():
            got.path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):  # something unfinished is still there
            self.folder.rmdir()


def _slug(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()[:12]


class Place(Protocol):
    """Somewhere files can be had."""

    def get(self, file: str, downloads: Downloads) -> Got | None:
        """The file of that name; `None` where this place is about other files."""
        ...


@dataclass(frozen=True)
class Address:
    """One file at an address."""

    url: str

    def get(self, file: str, downloads: Downloads) -> Got | None:
        """The file at the address, whatever it is called there."""
        return downloads.from_url(self.url, unquote(PurePosixPath(urlsplit(self.url).path).name))

    @property
    def name(self) -> str:
        """The file's name, by its address."""
        return unquote(PurePosixPath(urlsplit(self.url).path).name)


@dataclass(frozen=True)
class Mirror:
    """A folder of files at an address that ends with a slash."""

    url: str

    def get(self, file: str, downloads: Downloads) -> Got | None:
        """The file of that name below the address."""
        return downloads.from_url(self.url + quote(file), file)


@dataclass(frozen=True)
class Hub:
    """A file of a repository of the Hugging Face hub; with a path that ends with a slash, several.

    >>> Hub.parse("hf://datasets/owner/name@main/a/b.zip")
    Hub(kind='dataset', repository='owner/name', revision='main', path='a/b.zip')
    """

    kind: str
    """`dataset` or `model`."""
    repository: str
    revision: str
    path: str

    @classmethod
    def parse(cls, text: str) -> "Hub":
        """From `hf://[datasets/]owner/name[@revision]/path`."""
        form = r"hf://(datasets/)?([^/@]+/[^/@]+)(?:@([^/]+))?/(.*)"
        found = re.fullmatch(form, text)
        if found is None:
            raise UsageError(
                f"'{text}' is no file of the hub: hf://datasets/owner/name@revision/path is."
            )
        datasets, repository, revision, path = found.groups()
        return cls("dataset" if datasets else "model", repository, revision or "main", path)

    def same_repository(self, source: str) -> bool:
        """Whether that is a place in this repository too."""
        return source.startswith("hf://") and Hub.parse(source).repository == self.repository

    def get(self, file: str, downloads: Downloads) -> Got | None:
        """The file at the commit that the revision stands for now."""
        path = self.path + file if not self.path or self.path.endswith("/") else self.path
        name = PurePosixPath(path).name
        return downloads.once(str(self), name, lambda target: self._fetch(path, target))

    def _fetch(self, path: str, target: Path) -> str:
        from huggingface_hub import get_hf_file_metadata, hf_hub_download, hf_hub_url

        url = hf_hub_url(self.repository, path, repo_type=self.kind, revision=self.revision)
        try:
            commit = get_hf_file_metadata(url).commit_hash or self.revision
            got = hf_hub_download(
                self.repository, path, repo_type=self.kind, revision=commit,
                local_dir=target.with_suffix(".hub"),
            )  # fmt: skip
        except (
            Exception
        ) as error:  # the hub's client raises its own, its http library's and OSError
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise DataMissing(f"{url} cannot be had: {reason.rstrip('.')}.") from error
        Path(got).replace(target)
        rmtree(target.with_suffix(".hub"))
        datasets = "datasets/" if self.kind == "dataset" else ""
        return f"hf://{datasets}{self.repository}@{commit}/{path}"


@dataclass(frozen=True)
class Local:
    """A file, a folder of files, or a folder in which a dataset already lies."""

    path: Path

    def get(self, file: str, downloads: Downloads) -> Got | None:
        """The file of that name in the folder, or what the path itself is."""
        inner = self.path / file
        path = inner if self.path.is_dir() and inner.is_file() else self.path
        return Got(path, path.name)


@dataclass(frozen=True)
class FromRoboflow:
    """An export of Roboflow."""

    pin: Roboflow
    sizes: Mapping[str, int]
    """Images by Roboflow's names of parts, for a project whose version is not pinned."""

    def get(self, file: str, downloads: Downloads) -> Got | None:
        """The export as COCO segmentation, downloaded."""
        from bench.obtain.roboflow_export import export

        ready = export(self.pin, self.sizes)
        return downloads.from_url(ready.link, file, ready.name)


def place(text: str, mirrors: Mapping[str, str]) -> Place:
    """What `--from TEXT` means.

    Raises:
        UsageError: it is no address, folder, file or name of a mirror.
    """
    text = mirrors.get(text, text)
    if text.startswith("hf://"):
        return Hub.parse(text)
    if text.startswith(("http://", "https://")):
        return Mirror(text) if text.endswith("/") else Address(text)
    if text.startswith("roboflow:"):
        return FromRoboflow(_roboflow(text), {})
    if Path(text).exists():
        return Local(Path(text))
    if "/" not in text and not Path(text).suffix:
        raise UnknownName("mirror, file or folder", text, mirrors)
    raise UsageError(
        f"--from {text}: there is no such file or folder. It takes an archive, a folder, an http "
        "or https address (of an archive, or of a folder of them, ending with a slash), "
        "hf://datasets/owner/name@revision/path, or roboflow:workspace/project/version."
    )


def _roboflow(text: str) -> Roboflow:
    found = re.fullmatch(r"roboflow:([^/]+)/([^/]+)/(\d+)", text)
    if found is None or int(found[3]) < 1:
        raise UsageError(f"'{text}' is no version: roboflow:workspace/project/3 is.")
    return Roboflow(workspace=found[1], project=found[2], version=int(found[3]))
