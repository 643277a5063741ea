"""What is in a dataset, what is wrong with it, and what each finding means for a score.

Every sample is read once, as a run would read it. Nothing is changed and nothing is guessed: a
finding says what was seen, and what a number computed on this data will or will not mean.
"""

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from enum import StrEnum
from functools import singledispatch
from pathlib import Path
from typing import Any

import numpy as np

from bench import catalog
from bench.data.coco_instances import InstancesFile
from bench.data.dataset import Dataset
from bench.data.opening import open_dataset
from bench.data.source import Counted
from bench.errors import BenchError, DataMissing
from bench.protocol import Protocol
from bench.spec import DatasetSpec
from bench.types import Panoptic, TrueInstances, Vocabulary

DARK = 32
"""An image that has no brighter value was hardly meant to look so."""


class Severity(StrEnum):
    """How much a finding matters."""

    PROBLEM = "problem"
    """Samples cannot be scored, or a score would be wrong."""
    WARNING = "warning"
    """A score is right, and may not mean what one thinks."""
    NOTE = "note"
    """Good to know."""


@dataclass(frozen=True)
class Finding:
    """One thing that was seen."""

    severity: Severity
    where: str
    """The split, or the spec's file."""
    what: str
    meaning: str
    """What it means for a score."""


@dataclass
class Counts:
    """What a split holds."""

    images: int = 0
    unreadable: int = 0
    without_truth: dict[str, int] = field(default_factory=Counter)
    """By task: images of which nothing is annotated."""
    by_class: dict[str, dict[str, int]] = field(default_factory=lambda: defaultdict(Counter))
    """By task: for each class, its objects or segments; for label maps the images it is in."""
    answers: dict[str, int] = field(default_factory=Counter)
    """By task: the true answers of truths that are not made of classes."""
    crowds: int = 0
    objects: int = 0


@dataclass(frozen=True)
class Report:
    """What was found out about a dataset, or about specs."""

    name: str
    counts: dict[str, Counts]
    """By split."""
    findings: tuple[Finding, ...]

    @property
    def sound(self) -> bool:
        """Whether there is no problem."""
        return not any(f.severity is Severity.PROBLEM for f in self.findings)

    def rows(self) -> list[dict[str, str]]:
        """The findings as a table, the gravest first."""
        order = list(Severity)
        return [
            {"severity": f.severity.value, "where": f.where, "what": f.what, "meaning": f.meaning}
            for f in sorted(self.findings, key=lambda f: order.index(f.severity))
        ]

    def count_rows(self) -> list[dict[str, str | int]]:
        """Images per split, and objects or images per class, as a table."""
        rows: list[dict[str, str | int]] = []
        for split, counts in self.counts.items():
            n = counts.images
            rows.append({"split": split, "task": "", "class": "", "n": n, "of": "images"})
            for task, classes in counts.by_class.items():
                of = "images" if task == "semantic" else "objects"
                rows += [
                    {"split": split, "task": task, "class": name, "n": n, "of": of}
                    for name, n in classes.items()
                ]
            rows += [
                {"split": split, "task": task, "class": "", "n": n, "of": "answers"}
                for task, n in counts.answers.items()
            ]
        return rows


# --- a dataset -----------------------------------------------------------------------------------


def check(
    spec: DatasetSpec,
    *,
    root: Path,
    search: catalog.Search = (),
    progress: Callable[[str, int, int], None] = lambda split, done, of: None,
) -> Report:
    """Read every sample of every split of a dataset.

    `progress(split, done, of)` is called after each sample.
    """
    counts: dict[str, Counts] = {}
    findings: list[Finding] = []
    digests: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for split, part in spec.splits.items():
        opened = {}
        for task in part.truth:
            found = _opened(spec, split, task, root, search)
            if isinstance(found, Dataset):
                opened[task] = found
            else:
                findings.append(found)
        if not opened:
            continue
        examined = _Split(split, opened)
        examined.read(progress)
        counts[split] = examined.counts
        findings += examined.findings()
        for id, digest in examined.digests.items():
            digests[digest].append((split, id))
        if part.size is not None and part.size != examined.counts.images:
            what = f"{examined.counts.images} samples, and the spec expects {part.size}"
            findings.append(_problem(split, what, "It is another set than the published one."))
    whole = {split: part.of or split for split, part in spec.splits.items()}
    findings += _duplicates(digests, whole)
    return Report(spec.name, counts, tuple(findings))


def _opened(
    spec: DatasetSpec, split: str, task: str, root: Path, search: catalog.Search
) -> Dataset | Finding:
    card = Protocol(name="check")
    try:
        return open_dataset(
            spec, root=root, split=split, tasks=[task], protocol=card, search=search
        )
    except DataMissing as error:
        needed = split == spec.split()[0]
        severity = Severity.PROBLEM if needed else Severity.NOTE
        return Finding(severity, split, str(error), f"Its {task} truth cannot be scored.")
    except BenchError as error:
        return _problem(split, str(error), f"Its {task} truth cannot be scored.")


class _Split:
    """One split, opened for each of its tasks, and what is seen while it is read."""

    def __init__(self, name: str, opened: dict[str, Dataset]) -> None:
        self.name, self.opened = name, opened
        self.counts = Counts()
        self.digests: dict[str, str] = {}
        self.unreadable: list[str] = []
        self.seen: Counter[str] = Counter()
        self.examples: dict[str, str] = {}

    def read(self, progress: Callable[[str, int, int], None]) -> None:
        first = next(iter(self.opened.values()))
        for done, id in enumerate(first.ids, 1):
            self._read_sample(first, id)
            progress(self.name, done, len(first))

    def _read_sample(self, first: Dataset, id: str) -> None:
        self.counts.images += 1
        try:
            image = first.images.read(id)
            self.digests[id] = first.digest_of(id)
        except BenchError as error:
            return self._cannot_read(error)
        if image.max(initial=0) < DARK:
            self._remark(_DARK, id)
        for task, dataset in self.opened.items():
            try:
                truth = dataset.truths_of(id, (image.shape[0], image.shape[1]))[task]
            except BenchError as error:
                return self._cannot_read(error)
            source = dataset.truths[task]
            if isinstance(source, Counted):
                answers = source.count(truth)
                self.counts.answers[task] += answers
                self.counts.without_truth[task] += not answers
                continue
            labels = _labels(truth)
            if not labels:
                self.counts.without_truth[task] += 1
            for label, n in sorted(labels.items()):
                self.counts.by_class[task][dataset.vocabulary.names[label]] += n
            for remark in _remarks(truth):
                self._remark(remark, id)
            if isinstance(truth, TrueInstances):
                self.counts.objects += len(truth.instances)
                self.counts.crowds += sum(instance.crowd for instance in truth.instances)
        return None

    def _remark(self, remark: str, id: str) -> None:
        self.seen[remark] += 1
        self.examples.setdefault(remark, id)

    def _cannot_read(self, error: BenchError) -> None:
        self.counts.unreadable += 1
        self.unreadable.append(str(error))

    def findings(self) -> Iterator[Finding]:
        if self.unreadable:
            what = f"{len(self.unreadable)} of {self.counts.images} samples cannot be read: "
            yield _problem(
                self.name,
                what + self.unreadable[0],
                "A run goes on without them, lists them, and its record is partial.",
            )
        for remark, n in self.seen.items():
            severity, meaning = _MEANINGS[remark]
            what = f"{remark}: {n}, such as in {self.examples[remark]}"
            yield Finding(severity, self.name, what, meaning)
        yield from self._of_files()
        yield from self._of_classes()
        if self.counts.crowds:
            what = f"{self.counts.crowds} of {self.counts.objects} objects are crowds"
            yield Finding(Severity.NOTE, self.name, what, "Crowds are neither found nor missed.")

    def _of_files(self) -> Iterator[Finding]:
        for dataset in self.opened.values():
            for note in dataset.notes:
                meaning = "Scored is what this report counts."
                yield Finding(Severity.NOTE, self.name, note, meaning)
            for source in dataset.truths.values():
                if isinstance(source, InstancesFile):
                    yield from _of_ids(self.name, source)

    def _of_classes(self) -> Iterator[Finding]:
        for task, dataset in self.opened.items():
            by_class = not isinstance(dataset.truths[task], Counted)
            scored = _scored(dataset.vocabulary, task) if by_class else []
            absent = [name for name in scored if not self.counts.by_class[task].get(name)]
            if absent and len(absent) < len(scored):
                what = f"{len(absent)} of {len(scored)} classes have no {task} truth: "
                meaning = "They have no score of their own and are left out of means over classes."
                if task == "semantic":
                    meaning += (
                        " One that is predicted all the same may count as 0 ('miou.average')."
                    )
                severity = Severity.NOTE
                yield Finding(severity, self.name, what + _some(absent), meaning)
            if n := self.counts.without_truth[task]:
                what = f"{n} of {self.counts.images} images have no {task} truth"
                meaning = "They are scored: whatever is found there counts as false."
                if not by_class:
                    meaning = "Nothing is asked about them."
                elif task != "instance":
                    meaning = "They are void throughout and change no score."
                yield Finding(Severity.NOTE, self.name, what, meaning)


def _of_ids(split: str, source: InstancesFile) -> Iterator[Finding]:
    """What the numbering of a COCO file does to other tools."""
    if 0 in source.labels:
        meaning = "None here; tools that take 0 for background lose that class."
        yield Finding(Severity.NOTE, split, "category ids start at 0", meaning)
    rows = (row for rows in source.coco.annotations.values() for row in rows)
    twice = sum(n > 1 for n in Counter(row.get("id") for row in rows).values())
    if twice:
        what = f"{twice} annotation ids are used more than once"
        meaning = "None here; pycocotools reads the last one of an id in place of the others."
        yield Finding(Severity.WARNING, split, what, meaning)


def _scored(vocabulary: Vocabulary, task: str) -> list[str]:
    """The classes a task is scored on: objects are of countable classes."""
    things_only = task == "instance"
    names = enumerate(vocabulary.names)
    return [name for label, name in names if not things_only or label in vocabulary.things]


def _some(names: list[str], n: int = 5) -> str:
    return ", ".join(names[:n]) + (", …" if len(names) > n else "")


def _problem(where: str, what: str, meaning: str) -> Finding:
    return Finding(Severity.PROBLEM, where, what, meaning)


def _duplicates(
    digests: dict[str, list[tuple[str, str]]], whole: dict[str, str]
) -> Iterator[Finding]:
    """Images that are in two splits, or twice in one; `whole` says what each split is part of."""
    repeated = [places for places in digests.values() if len(places) > 1]
    across = [places for places in repeated if len({whole[split] for split, _ in places}) > 1]
    within = [
        places
        for places in repeated
        if places not in across and len({split for split, _ in places}) < len(places)
    ]
    kinds = (
        (across, "more than one split", "What is tuned on one split is not tested on the other."),
        (within, "one split twice", "They count as often as they are there."),
    )
    for found, where, meaning in kinds:
        if found:
            example = " = ".join(f"{split}/{id}" for split, id in found[0])
            what = f"{len(found)} images are in {where}, such as {example}"
            yield Finding(Severity.WARNING, "", what, meaning)


# --- truths --------------------------------------------------------------------------------------

_ID_ZERO = "an annotation id is 0"
_EMPTY = "masks without a pixel"
_OUTSIDE = "boxes that reach outside the image"
_BOX_AREA = "areas stated that are the box's, not the mask's"
_DARK = f"images without a value of {DARK} or more, of 255"
_NO_PIXEL = "segments listed that the PNG does not show"

_MEANINGS = {
    _DARK: (
        Severity.WARNING,
        "A model sees next to nothing. Of 16 bits the upper 8 are read: files whose numbers use "
        "fewer (12 bits, say) must be stretched first.",
    ),
    _ID_ZERO: (
        Severity.NOTE,
        "It counts like any other; pycocotools never counts it as found. The protocol's "
        "'ap.annotation_zero' reproduces that.",
    ),
    _EMPTY: (Severity.WARNING, "They cannot be found, and lower recall."),
    _OUTSIDE: (Severity.WARNING, "Masks are cut at the image's edge; boxes are scored as written."),
    _BOX_AREA: (
        Severity.NOTE,
        "APs, APm and APl sort objects by them; the protocol's 'ap.area: mask' counts pixels.",
    ),
    _NO_PIXEL: (Severity.WARNING, "They cannot be found, and lower PQ."),
}


@singledispatch
def _labels(truth: Any) -> dict[int, int]:
    """How often each label is in a truth."""
    return {int(label): 1 for label in np.unique(truth) if label >= 0}


@_labels.register
def _(truth: TrueInstances) -> dict[int, int]:
    return Counter(instance.label for instance in truth.instances)


@_labels.register
def _(truth: Panoptic) -> dict[int, int]:
    return Counter(segment.label for segment in truth.segments)


@singledispatch
def _remarks(truth: Any) -> Iterator[str]:
    """What is remarkable about a truth; keys of `_MEANINGS`, one for each time."""
    return iter(())


@_remarks.register
def _(truth: TrueInstances) -> Iterator[str]:
    for instance in truth.instances:
        if instance.id == 0:
            yield _ID_ZERO
        if not instance.mask.area:
            yield _EMPTY
        if instance.box is None:
            continue
        x0, y0, x1, y1 = instance.box
        if min(x0, y0) < -1 or x1 > instance.mask.width + 1 or y1 > instance.mask.height + 1:
            yield _OUTSIDE
        box_area = (x1 - x0) * (y1 - y0)
        stated, pixels = instance.area, instance.mask.area
        if stated and abs(stated - box_area) < 0.01 * box_area and pixels < 0.9 * box_area:
            yield _BOX_AREA


@_remarks.register
def _(truth: Panoptic) -> Iterator[str]:
    shown = set(np.unique(truth.ids).tolist())
    return (_NO_PIXEL for segment in truth.segments if segment.id not in shown)
