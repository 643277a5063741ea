"""What a dataset is got from, piece by piece: an export, or the files its distributors offer.

A piece is unpacked into a folder aside, laid out as the dataset's own folder is.
"""

import fnmatch
import hashlib
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from bench.data.folder import ROBOFLOW_FILES
from bench.errors import DataError
from bench.obtain.archive import LIMITS, Choose, File, Limits, is_archive, names, unpack
from bench.spec import DatasetSpec, Offered

ARCHIVES = (".zip", ".tar", ".tgz", ".gz", ".bz2", ".xz")


@dataclass(frozen=True)
class Export:
    """The whole of a dataset in Roboflow's layout: an export, or its folder in a bundle."""

    spec: DatasetSpec

    @property
    def key(self) -> str:
        """Its name in the lock file."""
        return f"{self.spec.home}:export"

    @property
    def file(self) -> str:
        """What it is called on a mirror."""
        return f"{Path(self.spec.home).name}.zip"

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it can be had without asking, besides Roboflow."""
        return tuple(url for offered in self.spec.source.obtain for url in offered.urls)

    @property
    def sha256(self) -> str:
        """What it must have; exports have no bytes of their own that could be stated."""
        return ""

    def given(self) -> tuple[str, ...]:
        """Folders below the dataset's own, those that need not be there too."""
        return tuple(dict.fromkeys(str(PurePosixPath(f).parent) for f in annotations(self.spec)))

    def unpack(self, source: Path, target: Path, limits: Limits = LIMITS) -> tuple[File, ...]:
        """Write the dataset below `target`; `DataError` where it is not in there."""
        root = self._root(names(source), source)

        def choose(path: str) -> str | None:
            return path[len(root) :] if path.startswith(root) else None

        return unpack(source, target, choose, limits=limits)

    def _root(self, paths: Sequence[str], source: Path) -> str:
        """The folder in an archive that is the dataset's, with a slash at its end."""
        wanted = annotations(self.spec)
        roots = {
            path.removesuffix(file)
            for path in paths
            for file in wanted
            if path == file or path.endswith("/" + file)
        }
        name = PurePosixPath(self.spec.home).name
        own = [root for root in sorted(roots) if PurePosixPath(root).name == name]
        if own:
            return min(own, key=len)
        if len(roots) == 1:
            return roots.pop()
        if not roots:
            raise DataError(
                f"{source.name} has no {wanted[0]}, here or in a folder: it is no export of "
                "'COCO segmentation', and no bundle of such."
            )
        listed = ", ".join(sorted(root or "." for root in roots)[:5])
        raise DataError(
            f"{source.name} holds {len(roots)} datasets, and none is called {name}: {listed}."
        )


@dataclass(frozen=True)
class Archive:
    """A file that the distributors offer."""

    home: str
    offered: Offered

    @property
    def key(self) -> str:
        """Its name in the lock file."""
        into = "" if self.offered.into == "." else f"/{self.offered.into}"
        return f"{self.home}{into}:{self.offered.file}"

    @property
    def file(self) -> str:
        """What it is called."""
        return self.offered.file

    @property
    def urls(self) -> tuple[str, ...]:
        """Where it can be had without asking."""
        return self.offered.urls

    @property
    def sha256(self) -> str:
        """What it must have; empty where nobody says."""
        return self.offered.sha256

    def given(self) -> tuple[str, ...]:
        """The files and folders that are there when it is in place."""
        return self.offered.gives

    def unpack(self, source: Path, target: Path, limits: Limits = LIMITS) -> tuple[File, ...]:
        """Write what is taken of it below `target`; `DataError` where it is not all in there."""
        files = self._laid_out(source, target, limits) or self._unpacked(source, target, limits)
        absent = [path for path in self.offered.gives if not (target / path).exists()]
        if absent:
            raise DataError(
                f"{source.name} is not what it is taken for: it gives no {', '.join(absent)}. "
                "It may be another release, or the spec's 'inside' or 'gives' is wrong."
            )
        return files

    def _laid_out(self, source: Path, target: Path, limits: Limits) -> tuple[File, ...]:
        """From a folder in which the dataset already lies."""
        if not source.is_dir():
            return ()
        if not all((source / path).exists() for path in self.offered.gives):
            raise DataError(f"{source} has neither {self.file} nor {self.offered.gives[0]}.")
        return unpack(source, target, _below(self.offered.gives), limits=limits)

    def _unpacked(self, source: Path, target: Path, limits: Limits) -> tuple[File, ...]:
        offered = self.offered
        if not offered.file.endswith(ARCHIVES) and not is_archive(source):
            return (_copied(source, target, f"{offered.into}/{offered.file}"),)
        files = list(unpack(source, target, self._choose, limits=limits))
        for member, into in offered.nested.items():
            inner = target.with_name(f"{target.name}.nested") / PurePosixPath(member).name
            unpack(source, inner.parent, _only(member, inner.name), limits=limits)
            files += unpack(inner, target, _under(into), limits=limits)
            shutil.rmtree(inner.parent)
        return tuple(sorted(files, key=lambda file: file.path))

    def _choose(self, path: str) -> str | None:
        offered, inside = self.offered, self.offered.inside.strip("/")
        if inside:
            if not path.startswith(inside + "/"):
                return None
            path = path[len(inside) + 1 :]
        if path in offered.nested:
            return None
        if offered.take and not any(fnmatch.fnmatchcase(path, shape) for shape in offered.take):
            return None
        return f"{offered.into}/{PurePosixPath(path).name if offered.flat else path}"


Piece = Export | Archive


def pieces(spec: DatasetSpec, splits: Iterable[str]) -> tuple[Piece, ...]:
    """What a dataset is got from, for some of its splits."""
    if annotations(spec):
        return (Export(spec),)
    wanted = set(splits)
    return tuple(
        Archive(spec.home, offered)
        for offered in spec.source.obtain
        if not offered.splits or wanted & set(offered.splits)
    )


def annotations(spec: DatasetSpec) -> tuple[str, ...]:
    """The annotation files of a dataset in Roboflow's layout, those of all splits; else nothing.

    The official bundle's file and that of a plain export stand beside each other.
    """
    files: list[str] = []
    for split in spec.splits.values():
        options = split.images.options
        for file in (getattr(options, "json_file", None), getattr(options, "otherwise", None)):
            if file and PurePosixPath(file).name in ROBOFLOW_FILES:
                files.append(file)
    return tuple(dict.fromkeys(files))


def is_drawn(spec: DatasetSpec) -> bool:
    """Whether nothing needs to be got: it is drawn where it is used."""
    drawn = all(split.images.reader.startswith("shapes") for split in spec.splits.values())
    return drawn or spec.generator is not None


def _below(places: Sequence[str]) -> Choose:
    def choose(path: str) -> str | None:
        return (
            path if any(path == p or path.startswith(p.rstrip("/") + "/") for p in places) else None
        )

    return choose


def _under(folder: str) -> Choose:
    return lambda path: f"{folder}/{path}"


def _only(member: str, name: str) -> Choose:
    return lambda path: name if path == member else None


def _copied(source: Path, target: Path, path: str) -> File:
    """A file that is no archive, as it is."""
    place = target / path
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, place)
    content = place.read_bytes()
    return File(PurePosixPath(path).as_posix(), len(content), hashlib.sha256(content).hexdigest())
