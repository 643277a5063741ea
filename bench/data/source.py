"""Where images, questions and truths come from: the contracts between a dataset and its readers.

A reader knows one on-disk format and nothing of datasets. It gives sources; a `Dataset` joins them
by sample id. Generated worlds and outside packages implement the same protocols. `READERS` says
where each reader lives; `reader(name)` imports it when it is used.
"""

import hashlib
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from bench.errors import DataMissing, UnknownName
from bench.protocol import Protocol as Card
from bench.protocol import Strict
from bench.types import Image, Vocabulary

T = TypeVar("T")

READERS = {
    "files": "bench.data.images:FILES",
    "coco-images": "bench.data.coco_json:IMAGES",
    "coco-instances": "bench.data.coco_instances:INSTANCES",
    "coco-panoptic": "bench.data.coco_panoptic:PANOPTIC",
    "from-panoptic": "bench.data.coco_panoptic:FROM_PANOPTIC",
    "panoptic-png": "bench.data.panoptic_png:PANOPTIC_PNG",
    "cityscapes-instance-ids": "bench.data.cityscapes:INSTANCE_IDS",
    "label-map": "bench.data.label_maps:LABEL_MAP",
    "mat-label-map": "bench.data.mat_labels:MAT_LABEL_MAP",
    "paired-label-map": "bench.data.paired_labels:PAIRED_LABEL_MAP",
    "scannet-scans": "bench.data.scannet_scans:SCANS",
    "ade20k-instances": "bench.data.ade20k_instances:INSTANCES",
    "ade20k-panoptic": "bench.data.ade20k_instances:PANOPTIC",
    "ade20k-full": "bench.data.ade20k_full:ADE20K_FULL",
    "refs": "bench.data.refs:REFS",
    "karpathy": "bench.data.captions:KARPATHY",
    "coco-captions": "bench.data.captions:COCO_CAPTIONS",
    "vqa": "bench.data.vqa:VQA_FILES",
    "shapes": "bench.data.generated:SHAPES",
    "shapes-phrases": "bench.data.generated:SHAPES_PHRASES",
    "shapes-captions": "bench.data.generated:SHAPES_CAPTIONS",
    "shapes-questions": "bench.data.generated:SHAPES_QUESTIONS",
}

GENERATORS = {"shapes-in-the-wild": "bench.data.generated:write_wild"}
"""What writes a dataset's files where they are not there yet: a function of its folder."""


INCOMPLETE = ".bench-incomplete"
"""The mark of a dataset's folder that files are being moved into (`bench.obtain.placing`)."""


class ImageSource(Protocol):
    """The images of one split."""

    @property
    def ids(self) -> Sequence[str]:
        """The dataset's own names of its samples, unique, in a stable order."""
        ...

    def read(self, id: str) -> Image:
        """The image, upright; `DataError` naming the file where it is missing or broken."""
        ...

    def digest(self, id: str) -> str:
        """Hex digest of the image's content: equal for equal files, whatever their names."""
        ...

    def fingerprint(self) -> Iterator[bytes]:
        """What tells this list of images from another, cheaply: names and sizes."""
        ...


class TruthSource(Protocol):
    """What is true about each image, for one task."""

    def read(self, id: str, size: tuple[int, int]) -> Any:
        """The truth of one image of the given height and width; `DataError` where unreadable."""
        ...

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The content of the annotation files that these samples need, in a stable order."""
        ...


@runtime_checkable
class Counted(Protocol):
    """A truth source whose truths are not made of the vocabulary's classes."""

    def count(self, truth: Any) -> int:
        """How many true answers a truth holds: phrases, captions, questions."""
        ...


@dataclass(frozen=True)
class Derived:
    """A truth that follows from another task's truth, so that nothing is read twice."""

    origin: str
    """The task whose truth it is computed from."""
    derive: Callable[[Any], Any]


class PromptSource(Protocol):
    """What is asked about each image, where that is not the dataset's vocabulary."""

    def read(self, id: str) -> Any:
        """The prompt of one sample: phrases, questions."""
        ...

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The content of the files that the prompts of these samples come from."""
        ...


@dataclass(frozen=True)
class Home:
    """The folder of one dataset, as its readers see it."""

    dataset: str
    path: Path
    advice: str = ""
    """What to do where a file is not there."""
    _made: dict[Hashable, Any] = field(default_factory=dict, repr=False, compare=False)

    def file(self, relative: str) -> Path:
        """A file that must be there; `DataMissing` where it is not."""
        return self._existing(relative, Path.is_file)

    def either(self, relative: str, otherwise: str | None) -> Path:
        """A file, or where it is not there the other one that may stand for it."""
        if otherwise is not None and not (self.path / relative).is_file():
            other = self.path / otherwise
            if other.is_file():
                return other
        return self.file(relative)

    def folder(self, relative: str) -> Path:
        """A folder that must be there; `DataMissing` where it is not."""
        return self._existing(relative, Path.is_dir)

    def once(self, make: Callable[..., T], *arguments: Hashable) -> T:
        """`make(*arguments)`, made once however many sources of this dataset need it."""
        key = (make, *arguments)
        if key not in self._made:
            self._made[key] = make(*arguments)
        made: T = self._made[key]
        return made

    def missing(self, what: str) -> DataMissing:
        """The error that says what is not here and what to do about it."""
        return DataMissing(
            " ".join(filter(None, [f"Dataset '{self.dataset}' is incomplete: {what}", self.advice]))
        )

    def _existing(self, relative: str, is_there: Callable[[Path], bool]) -> Path:
        path = self.path / relative
        if is_there(path):
            return path
        if not self.path.is_dir():
            raise DataMissing(
                f"Dataset '{self.dataset}' is not at {self.path}: no such folder. {self.advice}"
            )
        raise self.missing(f"no {relative} in {self.path}.")


@dataclass(frozen=True)
class Opening:
    """What the readers of prompts and truths are told besides their options."""

    home: Home
    vocabulary: Vocabulary
    """Truth labels are positions in its names."""
    protocol: Card
    """The card as it applies to the dataset: which expressions of an object are asked."""


OpenTruth = Callable[[Any, Opening], TruthSource | Derived]
"""(options, what it is told) -> the truth of one task."""


@dataclass(frozen=True)
class Reader:
    """One format: what its options are and which sources it can open."""

    about: str
    options: type[Strict]
    images: Callable[[Any, Home], ImageSource] | None = None
    truths: Mapping[str, Callable[[Any, Opening], TruthSource | Derived]] = field(
        default_factory=dict
    )
    """Per task."""
    prompts: Callable[[Any, Opening], PromptSource] | None = None
    vocabulary: Callable[[Any, Home], Vocabulary] | None = None
    """The classes that the files themselves name."""

    @property
    def gives(self) -> tuple[str, ...]:
        """What it can be named for in a spec: `images`, `prompts` or a task's truth."""
        kinds = {"images": self.images, "prompts": self.prompts}
        return (*(kind for kind, opener in kinds.items() if opener), *self.truths)


def reader(name: str) -> Reader:
    """The reader of that name; an unknown name suggests near ones."""
    if name not in READERS:
        raise UnknownName("reader", name, READERS)
    module, _, attribute = READERS[name].partition(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, Reader)
    return found


def generate(name: str, home: Path) -> None:
    """Have the generator of that name write what is not yet in a dataset's folder."""
    module, _, attribute = GENERATORS[name].partition(":")
    getattr(import_module(module), attribute)(home)


def contents(paths: Iterable[Path]) -> Iterator[bytes]:
    """The bytes of files, for a fingerprint; one that is missing counts as such."""
    for path in paths:
        try:
            yield path.read_bytes()
        except OSError:
            yield b"unreadable"


def file_digest(path: Path) -> str:
    """The sha256 of a file's bytes, in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
