"""The challenge of Segmentation in the Wild: what it takes, written and checked as its server does.

A submission is one zip with a COCO result file for each dataset, `seginw_<name>_val.json`. Category
ids count from 0 in the order of the classes, as in the `min1cat` annotations of the release.

What the server does (microsoft/X-Decoder, branch seginw, eval_with_json) and this repeats:
- it takes a file's dataset from its name, and anything with `ade` in its path for the optional
  numbers on ADE20K; a file that is no JSON makes it fail;
- it scores masks by pycocotools, which never counts the object with annotation id 0 as found;
- a list without results has no AP, and then the average has none either;
- its average is that of the datasets it finds, be they 25 or fewer. Here fewer have no average.
"""

import json
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, nan
from pathlib import Path
from statistics import mean, median
from typing import Any

import numpy as np

from bench import catalog
from bench.data.coco_instances import InstancesFile, InstancesOptions, open_instances
from bench.data.coco_json import CocoFile, ListedImage, read_coco
from bench.data.opening import home_of, own_vocabulary
from bench.data.pattern import Pattern
from bench.data.source import Opening, generate
from bench.durable import whole
from bench.errors import DataError, DataMissing, UsageError, nearest
from bench.metrics import rle
from bench.metrics.average_precision import MaskAveragePrecision
from bench.protocol import AnnotationZero, AveragePrecision, Protocol
from bench.record import Record
from bench.rescore import card_of, dataset_of, rescoring
from bench.spec import SuiteSpec
from bench.store import Store
from bench.tasks.segmentation import INSTANCE
from bench.types import Instances, Vocabulary

FIELDS = ("image_id", "category_id", "segmentation", "score")
MORE = "ade"
"""What makes the server take a file for numbers on ADE20K, anywhere in its path."""
NUMBERS_ON_ADE = ("ADE150-mIoU", "ADE150-PQ", "ADE150-mAP", "ADE847-mIoU")
LISTED = 3
"""So many faults of one kind of a file are worded; the rest is counted."""
EPOCH = (1980, 1, 1, 0, 0, 0)
"""The date of every file in the zip: the same results are the same bytes."""
ZERO = (AnnotationZero.NEVER_FOUND, AnnotationZero.COUNTED)
"""How the server treats the object with annotation id 0, and how it should."""
SERVER = Protocol(name="server")


# --- what is asked for ---------------------------------------------------------------------------


@dataclass(frozen=True)
class Part:
    """One dataset of the challenge."""

    label: str
    """What the leaderboard calls it."""
    dataset: str
    file: str
    """The name of its results, without the suffix."""
    truth: InstancesFile
    vocabulary: Vocabulary
    images: Mapping[str, ListedImage]
    """By sample id."""
    released: bool
    """Whether the annotations are the release's; in a plain export image ids may be others."""


@dataclass(frozen=True)
class Absent:
    """A dataset whose annotations are not here."""

    label: str
    dataset: str
    file: str
    reason: str


def parts(suite: SuiteSpec, data: Path, search: catalog.Search = ()) -> tuple[Part | Absent, ...]:
    """The datasets of a suite that is laid out as the challenge's are, in its order.

    Raises:
        UsageError: a dataset's objects are not in a COCO file.
        DataError: annotations cannot be read, or number their classes otherwise than the server.
    """
    return tuple(
        _part(suite, member.dataset, member.split, data, search) for member in suite.members
    )


def _part(
    suite: SuiteSpec, dataset: str, split: str | None, data: Path, search: catalog.Search
) -> Part | Absent:
    spec = catalog.dataset(dataset, search)
    split, files = spec.split(split)
    reading = files.truth.get("instance")
    options = None if reading is None else reading.options
    if not isinstance(options, InstancesOptions):
        raise UsageError(f"'{dataset}' has no objects in a COCO file: nothing can be submitted.")
    label = dataset.removeprefix(f"{suite.name}-")
    file = f"{suite.name}_{label}_{split}"
    home = home_of(spec, data)
    try:
        if spec.generator is not None:
            generate(spec.generator, home.path)
        coco = read_coco(home.either(options.json_file, options.otherwise))
    except DataMissing as error:
        return Absent(label, dataset, file, str(error))
    vocabulary = own_vocabulary(spec, files, home, search)
    released = options.otherwise is not None and coco.path == home.path / options.json_file
    if released:
        _check_numbering(coco, vocabulary)
    truth = open_instances(options, Opening(home, vocabulary, SERVER))
    images = coco.by_id(Pattern(options.file_name))
    return Part(label, dataset, file, truth, vocabulary, images, released)


def _check_numbering(coco: CocoFile, vocabulary: Vocabulary) -> None:
    """The release numbers classes from 0; so category ids are positions in the vocabulary."""
    for category in coco.categories:
        place = category.id
        if not 0 <= place < len(vocabulary) or vocabulary.names[place] != category.name:
            raise DataError(
                f"{coco.path} gives '{category.name}' the id {place}, but the challenge counts its "
                f"classes from 0: {', '.join(vocabulary.names)}. It is not the release's file."
            )


# --- checking ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Checked:
    """What the server would make of one dataset's results."""

    label: str
    results: int | None
    """How many there are; `None`: no file."""
    faults: tuple[str, ...] = ()
    score: float = nan
    """AP as a fraction, as the server has it."""
    corrected: float = nan
    """AP with the object of annotation id 0 counted, as bench does otherwise."""


@dataclass(frozen=True)
class Verdict:
    """What the server would make of a submission."""

    path: Path
    datasets: tuple[Checked, ...]
    """All that belong, in the challenge's order."""
    faults: tuple[str, ...] = ()
    """Of the zip itself."""

    @property
    def problems(self) -> tuple[str, ...]:
        """Everything that is wrong, a sentence each."""
        return (*self.faults, *(f"{d.label}: {fault}" for d in self.datasets for fault in d.faults))

    @property
    def complete(self) -> bool:
        """Whether each dataset has its file, and all of it could be scored."""
        return not self.problems

    @property
    def average(self) -> float | None:
        """The server's «Average Score» as a fraction; `None` where one dataset is missing."""
        return mean(d.score for d in self.datasets) if self.complete else None

    @property
    def median(self) -> float | None:
        """Its «Median Score»."""
        return median(d.score for d in self.datasets) if self.complete else None


def check(path: Path, asked: Sequence[Part | Absent]) -> Verdict:
    """Check a zip as the challenge's server reads it, and score it.

    Raises:
        DataMissing: there is no such file.
        DataError: it is no zip.
    """
    try:
        with zipfile.ZipFile(path) as file:
            found, faults = _files(file, asked)
            datasets = tuple(_checked(one, file, found.get(one.file)) for one in asked)
    except FileNotFoundError:
        raise DataMissing(f"There is no file {path}.") from None
    except (zipfile.BadZipFile, OSError) as error:
        raise DataError(f"{path} is no zip file: {error}.") from None
    if path.suffix != ".zip":
        faults.append("The server takes files that end with .zip only.")
    return Verdict(path, datasets, tuple(faults))


def _files(
    file: zipfile.ZipFile, asked: Sequence[Part | Absent]
) -> tuple[dict[str, str], list[str]]:
    """Which entry of the zip is whose, as the server tells, and what is wrong with the others."""
    known = {one.file for one in asked}
    found: dict[str, str] = {}
    faults = []
    for name in file.namelist():
        stem = name.split("/")[-1].split(".")[0]
        if not name.endswith(".json"):
            faults.append(f"'{name}' is no JSON file, which makes the server fail.")
        elif MORE in name:
            faults += _faults_on_ade(file, name, stem in known)
        elif stem not in known:
            near = nearest(stem, known, n=1)
            advice = f"; did you mean {near[0]}.json?" if near else ""
            faults.append(f"'{name}' is of no dataset of the challenge{advice}")
        elif stem in found:
            faults.append(f"'{name}' and '{found[stem]}' are of one dataset.")
        else:
            found[stem] = name
    return found, faults


def _faults_on_ade(file: zipfile.ZipFile, name: str, is_results: bool) -> list[str]:
    """What is wrong with the optional numbers on ADE20K."""
    if is_results:
        return [f"'{name}': the server takes it for numbers on ADE20K, for its path has '{MORE}'."]
    content = _json(file, name)
    strange = (
        not isinstance(content, dict)
        or not set(content) <= set(NUMBERS_ON_ADE)
        or not all(isinstance(value, int | float) for value in content.values())
    )
    expected = ", ".join(NUMBERS_ON_ADE)
    return [f"'{name}' must be an object with numbers for {expected}."] if strange else []


def _json(file: zipfile.ZipFile, name: str) -> Any:
    """The content of an entry; `None` where it is no JSON."""
    try:
        return json.loads(file.read(name))
    except ValueError:
        return None


def _checked(asked: Part | Absent, file: zipfile.ZipFile, name: str | None) -> Checked:
    if name is None:
        return Checked(asked.label, None, (f"there is no {asked.file}.json.",))
    rows = _json(file, name)
    if not isinstance(rows, list):
        return Checked(asked.label, None, (f"'{name}' is no list of results in JSON.",))
    if isinstance(asked, Absent):
        return Checked(asked.label, len(rows), (f"not checked: {asked.reason}",))
    faults = _faults(rows, asked)
    if not rows:
        faults = ["there is no result; the server has no AP for that, and so no average."]
    if faults:
        return Checked(asked.label, len(rows), tuple(faults))
    return Checked(asked.label, len(rows), (), *(_score(rows, asked, rule) for rule in ZERO))


def _faults(rows: Sequence[Any], asked: Part) -> list[str]:
    """What is wrong with results, the first few of each kind and how many more."""
    sizes = {image.id: image.size for image in asked.images.values()}
    found: dict[str, list[str]] = {}
    for place, row in enumerate(rows):
        fault = _fault(row, sizes, len(asked.vocabulary))
        if fault is not None:
            kind, text = fault
            found.setdefault(kind, []).append(f"result {place}: {text}")
    return [
        text if n + 1 < LISTED or len(texts) <= LISTED else f"{text} ({len(texts) - LISTED} more)"
        for texts in found.values()
        for n, text in enumerate(texts[:LISTED])
    ]


def _fault(
    row: Any, sizes: Mapping[int | str, tuple[int, int] | None], classes: int
) -> tuple[str, str] | None:
    """The first thing that is wrong with a result: its kind, and in words."""
    if not isinstance(row, dict):
        return "row", "is no object."
    if lacking := [key for key in FIELDS if key not in row]:
        return "fields", f"has no '{lacking[0]}'."
    image, category, score = row["image_id"], row["category_id"], row["score"]
    if not isinstance(image, int | str) or image not in sizes:
        return "image", f"image {image!r} is not in the annotations."
    if type(category) is not int or not 0 <= category < classes:
        return "category", f"category {category!r} is not in 0 to {classes - 1}."
    if type(score) not in (int, float) or not isfinite(score):
        return "score", f"score {score!r} is no finite number."
    return _mask_fault(row["segmentation"], sizes[image])


def _mask_fault(mask: Any, size: tuple[int, int] | None) -> tuple[str, str] | None:
    if not isinstance(mask, dict) or not isinstance(mask.get("counts"), str):
        return "mask", "its segmentation is no compressed run lengths (size and counts)."
    if size is None or tuple(mask.get("size", ())) != size:
        wanted = "unknown" if size is None else list(size)
        return "size", f"its mask is for {mask.get('size')}, height and width are {wanted}."
    try:
        rle.decompress(mask["counts"], *size)
    except ValueError as error:
        return "counts", f"its run lengths are broken: {error}."
    return None


def _score(rows: Sequence[Mapping[str, Any]], asked: Part, zero: AnnotationZero) -> float:
    """AP of checked results."""
    by_image: dict[int | str, list[Mapping[str, Any]]] = {}
    for row in rows:
        by_image.setdefault(row["image_id"], []).append(row)
    names = asked.vocabulary.names
    rule = AveragePrecision(annotation_zero=zero)
    meter = MaskAveragePrecision(names, tuple(range(len(names))), rule)
    measured = []
    for id, image in asked.images.items():
        assert image.size is not None
        said = _instances(by_image.get(image.id, ()), image.size)
        measured.append(meter.measure(said, asked.truth.read(id, image.size)))
    return float(meter.compute(measured)["AP"].value)


def _instances(rows: Sequence[Mapping[str, Any]], size: tuple[int, int]) -> Instances:
    return Instances(
        tuple(rle.decompress(row["segmentation"]["counts"], *size) for row in rows),
        np.array([row["category_id"] for row in rows], np.int64),
        np.array([row["score"] for row in rows], np.float64),
    )


# --- writing -------------------------------------------------------------------------------------


def results(
    record: Record, store: Store, asked: Part, *, data: Path, specs: Sequence[Path] = ()
) -> Iterator[dict[str, Any]]:
    """A run's kept answers as the challenge takes them, image by image.

    Raises:
        UsageError: no raw answers were kept, or not of every image.
        DataError: the dataset is not the one that was asked about.
    """
    card = card_of(record)
    dataset = dataset_of(record, card, data=data, specs=specs)
    examination = rescoring(record, store, dataset, card).examination
    question = next(q for q, served in examination.questions.items() if INSTANCE in served)
    for id in dataset.ids:
        sample = dataset.load(id)
        found = question.finish(None, sample, card, frozenset({INSTANCE.name}))[INSTANCE.name]
        for mask, label, score in zip(found.masks, found.labels, found.scores, strict=True):
            yield {
                "image_id": asked.images[id].id,
                "category_id": int(label),
                "segmentation": {
                    "size": [mask.height, mask.width],
                    "counts": rle.compress(mask).decode(),
                },
                "score": float(score),
            }


def write(path: Path, files: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Write the zip in one step: results by the name of their file, without its suffix.

    Raises:
        CannotWrite: it cannot be written.
    """
    with (
        whole(path, "--out") as unfinished,
        zipfile.ZipFile(unfinished, "w", zipfile.ZIP_DEFLATED) as file,
    ):
        for name, rows in files.items():
            entry = zipfile.ZipInfo(f"{name}.json", EPOCH)
            entry.compress_type = zipfile.ZIP_DEFLATED
            file.writestr(entry, json.dumps(list(rows)))
