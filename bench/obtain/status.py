"""Whether a dataset is here: counted, compared with what is pinned, and where to get it if not."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from bench import catalog
from bench.errors import BenchError, UnknownName
from bench.obtain.counting import Counted, count, count_split
from bench.obtain.lock import SAME, Difference, Pins, differences
from bench.obtain.pieces import is_drawn, pieces
from bench.spec import DatasetSpec


class State(StrEnum):
    """How much of a dataset is here."""

    DRAWN = "drawn"
    """Nothing needs to be here: it is drawn when it is used."""
    VERIFIED = "verified"
    """The split that is scored is complete, and every file is as it was pinned."""
    PRESENT = "present"
    """The split that is scored is complete; nothing is pinned."""
    CHANGED = "changed"
    """Files are missing or other than pinned."""
    INCOMPLETE = "incomplete"
    """Something is here, and not as much as the spec says."""
    MISSING = "missing"

    @property
    def sound(self) -> bool:
        """Whether it can be scored as it is."""
        return self in (State.DRAWN, State.VERIFIED, State.PRESENT)


@dataclass(frozen=True)
class Status:
    """What is known about a dataset on this machine."""

    spec: DatasetSpec
    state: State
    counts: tuple[Counted, ...] = ()
    """Of the splits that were looked at, the one that is scored first."""
    wrong: Difference = SAME
    """How it differs from what is pinned."""
    sources: tuple[str, ...] = ()
    """Where what is pinned came from."""

    @property
    def how(self) -> str:
        """How to get it."""
        if self.state is State.DRAWN:
            return "nothing to do"
        found = pieces(self.spec, [self.spec.split()[0]])
        pinned = self.spec.source.roboflow is not None
        if not found or not (pinned or all(piece.urls for piece in found)):
            return f"by hand: bench data get {self.spec.name} says how"
        return f"bench data get {self.spec.name}"


def status(
    spec: DatasetSpec,
    *,
    root: Path,
    search: catalog.Search = (),
    contents: bool,
    every_split: bool,
) -> Status:
    """Look at a dataset; `contents` reads every pinned file, otherwise sizes are compared.

    Raises:
        DataError: the lock file or a list of files is not ours.
    """
    if is_drawn(spec):
        return Status(spec, State.DRAWN)
    scored = spec.split()[0]
    if every_split:
        counts = count(spec, root=root, search=search)
    else:
        counts = (count_split(spec, scored, root=root, search=search),)
    home = root / spec.home
    pins, entries = Pins(root), Pins(root).entries()
    pinned = [piece for piece in pieces(spec, spec.splits) if piece.key in entries]
    missing: list[str] = []
    changed: list[str] = []
    for piece in pinned:
        files = pins.files(piece.key) or ()
        found = differences(home, files, contents=contents)
        missing += found.missing
        changed += found.changed
    wrong = Difference(tuple(missing), tuple(changed))
    wanted = pieces(spec, [scored])
    some = any((home / path).exists() for piece in wanted for path in piece.given())
    needed = {piece.key for piece in wanted}
    have = {piece.key for piece in pinned if pins.files(piece.key) is not None}
    sources = tuple(dict.fromkeys(entries[piece.key].source for piece in pinned))
    all_pinned = bool(needed) and needed <= have
    state = _state(counts, wrong, some=some, all_pinned=all_pinned)
    return Status(spec, state, counts, wrong, sources)


def _state(counts: Sequence[Counted], wrong: Difference, *, some: bool, all_pinned: bool) -> State:
    scored, *_ = counts
    here = some or any(found.here for found in counts)
    if wrong:
        return State.CHANGED if here else State.MISSING
    if scored.complete:
        return State.VERIFIED if all_pinned else State.PRESENT
    return State.INCOMPLETE if here else State.MISSING


def class_counts(spec: DatasetSpec, search: catalog.Search = ()) -> str:
    """How many classes the paper's table prints, where the vocabulary has another number."""
    published, vocabulary = spec.source.published, spec.vocabulary
    if published is None or not published.classes or vocabulary is None:
        return ""
    if isinstance(vocabulary, str):
        vocabulary = catalog.vocabulary(vocabulary, search)
    here = len(vocabulary.classes)
    if here in [int(number) for number in published.classes.split("/") if number]:
        return ""
    return f"{published.table} says {published.classes} classes, and there are {here}"


def chosen(targets: Sequence[str], search: catalog.Search = ()) -> tuple[DatasetSpec, ...]:
    """The datasets that names stand for: a dataset, a suite, or a suite's dataset as `seginw/Rail`.

    Raises:
        UnknownName: there is no such dataset or suite.
    """
    names = dict.fromkeys(name for target in targets for name in _names(target, search))
    return tuple(catalog.dataset(name, search) for name in names)


def every(search: catalog.Search = ()) -> tuple[DatasetSpec, ...]:
    """All datasets that can be found; those whose spec is wrong are `bench check`'s business."""
    found = []
    for name in catalog.datasets(search):
        try:
            found.append(catalog.dataset(name, search))
        except BenchError:
            continue
    return tuple(found)


def _names(target: str, search: catalog.Search) -> Iterator[str]:
    suites, datasets = catalog.suites(search), catalog.datasets(search)
    suite, _, member = target.partition("/")
    if target in datasets or target.endswith((".yaml", ".yml")):
        yield target
    elif suite not in suites:
        raise UnknownName("dataset or suite", target, {*datasets, *suites})
    else:
        members = dict.fromkeys(each.dataset for each in catalog.suite(suite, search).members)
        if not member:
            yield from members
            return
        short = {name.removeprefix(f"{suite}-"): name for name in members}
        if member not in short and member not in members:
            raise UnknownName(f"dataset of the suite '{suite}'", member, short)
        yield short.get(member, member)
