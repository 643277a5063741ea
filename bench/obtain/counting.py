"""How much of a dataset is there: samples of each split, against what spec and paper say.

Samples are found as a run finds them, by the split's own readers, and their files are looked for;
none is opened (`bench.data.check` opens them all).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from bench import catalog
from bench.data.dataset import Dataset
from bench.data.images import ImageFiles
from bench.data.opening import open_dataset
from bench.data.pattern import Pattern
from bench.errors import BenchError, DataMissing
from bench.protocol import Protocol
from bench.spec import DatasetSpec, Reading


@dataclass(frozen=True)
class Counted:
    """What is there of one split."""

    split: str
    samples: int | None
    """`None` where it cannot be opened; `reason` says why."""
    expected: int | None
    """As the spec says."""
    published: int | None
    """As the paper's table says."""
    absent: int = 0
    """Files of samples that are listed and not there."""
    example: str = ""
    """One of them."""
    reason: str = ""
    needed: bool = False
    """Whether it is what a run scores where nothing else is asked."""
    extra: bool = False
    """Whether it holds images of another split, and need not be there."""

    @property
    def complete(self) -> bool:
        """Whether it is all there."""
        right = self.expected is None or self.samples == self.expected
        return bool(self.samples) and right and not self.absent

    @property
    def here(self) -> bool:
        """Whether anything of it is there."""
        return self.samples is not None

    def __str__(self) -> str:
        if self.samples is None:
            return self.reason
        said = [f"{self.samples} samples"]
        if self.expected is not None and self.expected != self.samples:
            said.append(f"{self.expected} expected")
        if self.absent:
            said.append(f"{self.absent} files are not there, such as {self.example}")
        return ", ".join(said)


def count(spec: DatasetSpec, *, root: Path, search: catalog.Search = ()) -> tuple[Counted, ...]:
    """Every split of a dataset, the one that is scored first."""
    scored = spec.split()[0]
    order = sorted(spec.splits, key=lambda name: name != scored)
    return tuple(count_split(spec, split, root=root, search=search) for split in order)


def count_split(
    spec: DatasetSpec, split: str, *, root: Path, search: catalog.Search = ()
) -> Counted:
    """One split of a dataset."""
    part = spec.splits[split]
    published = spec.source.published.images.get(split) if spec.source.published else None
    needed, extra = split == spec.split()[0], part.of is not None
    samples, absent, reason = None, [], ""
    try:
        dataset = open_dataset(
            spec, root=root, split=split, protocol=Protocol(name="count"), search=search
        )
        absent = list(_absent(dataset, list(part.truth.values()), root / spec.home))
        samples = len(dataset)
    except DataMissing as error:
        reason = str(error)
    except BenchError as error:
        reason = f"cannot be read: {error}"
    example = absent[0] if absent else ""
    return Counted(
        split, samples, part.size, published, len(absent), example, reason, needed, extra
    )  # fmt: skip


def _absent(dataset: Dataset, truths: list[Reading], home: Path) -> Iterator[str]:
    """The files of samples that are not there."""
    if isinstance(dataset.images, ImageFiles):
        for path in dataset.images.paths.values():
            if not path.is_file():
                yield str(path)
    for reading in truths:
        files = getattr(reading.options, "files", None)
        if files is None or hasattr(reading.options, "images"):
            continue  # one file for all samples, or files that go by their order
        pattern = Pattern(files)
        known = None if pattern.exact else {id for id, _ in pattern.files(home)}
        for id in dataset.ids:
            there = (home / pattern.fill(id)).is_file() if known is None else id in known
            if not there:
                yield f"{files} of {id}"
