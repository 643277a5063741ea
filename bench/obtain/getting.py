"""`bench data get`: from a dataset's spec to its files, in place, counted and pinned.

A piece that is pinned and intact is verified and not fetched. Everything else is fetched aside,
compared with what is pinned, counted, and moved in.
"""

import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from bench import catalog
from bench.data.source import INCOMPLETE
from bench.errors import DataError, DataMissing, ExtraMissing, UsageError
from bench.obtain.archive import File, folder_files
from bench.obtain.by_hand import instructions
from bench.obtain.counting import Counted, count_split
from bench.obtain.lock import (
    INSIDE,
    Entry,
    Pins,
    between,
    differences,
    entry_of,
    hashed,
)
from bench.obtain.pieces import Export, Piece, is_drawn, pieces
from bench.obtain.places import (
    Address,
    Downloads,
    FromRoboflow,
    Got,
    Hub,
    Local,
    Place,
    Progress,
    place,
)
from bench.obtain.placing import place as move_in
from bench.obtain.roboflow_export import NoKey
from bench.spec import DatasetSpec

FOUND = "found"
"""The source of what was there before anything was fetched."""
ROBOFLOW_PARTS: Mapping[str, str] = {"val": "valid", "train": "train"}


@dataclass(frozen=True)
class Request:
    """What was asked for."""

    root: Path
    """The data folder."""
    splits: tuple[str, ...] = ()
    """Empty: of an export all, of other datasets the one that is scored."""
    source: str | None = None
    """As `--from` says; `None`: where the spec says."""
    again: bool = False
    """Fetch what is there too, and compare it."""
    other_counts: bool = False
    """Keep a dataset that is not as large as its spec says."""
    search: catalog.Search = ()


@dataclass(frozen=True)
class Outcome:
    """What was done about a dataset."""

    dataset: str
    done: str
    """`drawn`, `verified`, `found` (it was there, and is pinned now) or `fetched`."""
    counts: tuple[Counted, ...] = ()
    sources: tuple[str, ...] = ()
    left: tuple[str, ...] = ()
    """Splits that were not asked for and need more files."""


@dataclass
class Getting:
    """One command's work: its downloads are shared by the datasets it gets."""

    request: Request
    tell: Callable[[str], None] = lambda text: None
    progress: Progress = lambda file, done, of: None

    def __post_init__(self) -> None:
        self.inside = self.request.root / INSIDE
        self.pins = Pins(self.request.root)
        self.downloads = Downloads(
            self.inside / "downloads", self.progress, again=self.request.again
        )

    def get(self, spec: DatasetSpec) -> Outcome:
        """Have a dataset in place.

        Raises:
            DataMissing: it cannot be had, or only by hand: the message says how.
            DataError: what is there, or what came, is not what is pinned or expected.
            UsageError: the request does not fit this dataset.
        """
        if is_drawn(spec):
            return Outcome(spec.name, "drawn")
        splits = self._splits(spec)
        wanted = pieces(spec, splits)
        if not wanted:
            raise DataMissing(instructions(spec, (), self.request.root))
        place = self._place(spec, wanted)
        complete = not self.request.again and self._complete(spec, splits)
        done: dict[str, str] = {}
        by_hand: list[Piece] = []
        failures: list[DataMissing] = []
        for piece in wanted:
            try:
                word = self._kept(piece, spec, complete) or self._fetched(
                    piece, spec, place, splits
                )
            except DataMissing as error:
                failures.append(error)
                continue
            if word is None:
                by_hand.append(piece)
            else:
                done[piece.key] = word
        if by_hand:
            said = [instructions(spec, by_hand, self.request.root), *map(str, failures)]
            raise DataMissing("\n".join(said))
        if failures:
            raise failures[0]
        counts = tuple(self._count(spec, split) for split in splits)
        self._judge(spec, counts)
        return self._outcome(spec, splits, done, counts)

    def _outcome(
        self,
        spec: DatasetSpec,
        splits: Sequence[str],
        done: Mapping[str, str],
        counts: tuple[Counted, ...],
    ) -> Outcome:
        order = ("fetched", "found", "verified")
        word = min(done.values(), key=order.index)
        entries = self.pins.entries()
        sources = dict.fromkeys(entries[key].source for key in done)
        return Outcome(spec.name, word, counts, tuple(sources), _left(spec, splits))

    # --- what is there ---------------------------------------------------------------------------

    def _splits(self, spec: DatasetSpec) -> tuple[str, ...]:
        if self.request.splits:
            return tuple(spec.split(name)[0] for name in self.request.splits)
        own = tuple(name for name, split in spec.splits.items() if split.of is None)
        return (
            own if isinstance(next(iter(pieces(spec, own)), None), Export) else (spec.split()[0],)
        )

    def _complete(self, spec: DatasetSpec, splits: Sequence[str]) -> bool:
        """Whether all that was asked for is there, whoever put it there."""
        if (self.request.root / spec.home / INCOMPLETE).exists():
            return False
        counts = [self._count(spec, split) for split in splits]
        return all(found.complete for found in counts)

    def _kept(self, piece: Piece, spec: DatasetSpec, complete: bool) -> str | None:
        """What was done about a piece that need not be fetched; `None` for one that must be.

        Raises:
            DataError: it is pinned, and has changed since.
        """
        home = self.request.root / spec.home
        entry = self.pins.entries().get(piece.key)
        if entry is None:
            return self._found(piece, home) if complete else None
        files = self.pins.files(piece.key)
        if files is None:  # the lock file came from elsewhere, without the list
            return self._found(piece, home, entry) if complete else None
        self.tell(f"verifying {piece.key}: {len(files)} files")
        wrong = differences(home, files, contents=True)
        if wrong.changed:
            raise DataError(
                f"{home} is not what {self.pins.path} pins ({entry.source}): {wrong}. Delete what "
                "changed, and the same command fetches it again; if the change is meant, delete "
                f"the entry '{piece.key}'."
            )
        marked = (home / INCOMPLETE).exists()
        return None if wrong.missing or marked or self.request.again else "verified"

    def _found(self, piece: Piece, home: Path, entry: Entry | None = None) -> str | None:
        """Pin a piece that was there before, or compare it with what was pinned elsewhere."""
        paths = folder_files(home, piece.given())
        if not paths:
            return None
        self.tell(f"pinning {piece.key}: {len(paths)} files that are there")
        files = hashed(home, paths)
        found = entry_of(files, source=FOUND, archive="")
        if entry is not None:
            if entry.tree != found.tree:
                return None  # a part of it, or other files: what is fetched will tell
            found = entry
        self.pins.pin(piece.key, found, files)
        return "found"

    # --- getting one piece -----------------------------------------------------------------------

    def _place(self, spec: DatasetSpec, wanted: Sequence[Piece]) -> Place | None:
        """What `--from` names; `UsageError` where none of the pieces is there."""
        if self.request.source is None:
            return None
        found = place(self.request.source, spec.source.mirrors)
        if not any(_is_about(found, piece) for piece in wanted):
            raise UsageError(
                f"--from {self.request.source}: {spec.name} is got from "
                f"{', '.join(piece.file for piece in wanted)}, and none of that is there."
            )
        return found

    def _fetched(
        self, piece: Piece, spec: DatasetSpec, place: Place | None, splits: Sequence[str]
    ) -> str | None:
        """Get a piece and put it in place; `None` where only a person can get it."""
        got = self._got(piece, spec, place)
        if got is None:
            return None
        self._put(piece, spec, got, splits)
        return "fetched"

    def _got(self, piece: Piece, spec: DatasetSpec, place: Place | None) -> Got | None:
        """A piece's file or folder; `None` where only a person can get it."""
        if place is not None and _is_about(place, piece):
            self.tell(f"getting {piece.file} from {self.request.source}")
            return place.get(piece.file, self.downloads)
        reasons = []
        for candidate in self._candidates(piece, spec):
            self.tell(f"getting {piece.file} of {spec.name}")
            try:
                return candidate.get(piece.file, self.downloads)
            except (ExtraMissing, NoKey) as error:
                raise type(error)(f"{error} {_otherwise(spec)}") from error
            except DataMissing as error:
                reasons.append(str(error))
        if reasons:
            raise DataMissing(" ".join([*reasons, _otherwise(spec)]))
        return None

    def _candidates(self, piece: Piece, spec: DatasetSpec) -> Iterator[Place]:
        pin = spec.source.roboflow
        if isinstance(piece, Export) and pin is not None:
            yield FromRoboflow(pin, _sizes(spec))
            return
        entry = self.pins.entries().get(piece.key)
        for url in piece.urls:
            if not url.startswith("hf://"):
                yield Address(url)
                continue
            hub = Hub.parse(url)  # at the commit that was pinned, if it was
            pinned = entry is not None and hub.same_repository(entry.source)
            yield Hub.parse(entry.source) if entry is not None and pinned else hub

    def _put(self, piece: Piece, spec: DatasetSpec, got: Got, splits: Sequence[str]) -> None:
        """Unpack a piece aside, compare and count it, move it in, and pin it."""
        archive = self.downloads.digest(got.path)
        if piece.sha256 and archive and archive != piece.sha256:
            raise DataError(
                f"{got.source} is not the {piece.file} that the spec of {spec.name} states: sha256 "
                f"is {archive[:16]}…, not {piece.sha256[:16]}…."
            )
        self.tell(f"unpacking {piece.file}")
        with self._aside(piece) as staged:
            files = self._unpacked(piece, got.path, staged)
            entry = entry_of(files, source=got.source, archive=archive)
            self._compare(piece, entry, files)
            if isinstance(piece, Export):
                aside = spec.model_copy(update={"home": str(staged.resolve())})
                counts = tuple(self._count(aside, split) for split in splits)
                self._judge(spec, counts, staged.resolve())
            move_in(staged, self.request.root / spec.home, files)
        self.pins.pin(piece.key, entry, files)

    @contextmanager
    def _aside(self, piece: Piece) -> Iterator[Path]:
        """An empty folder to unpack a piece into; it does not outlive the work on the piece."""
        staged = self.inside / "staging" / quote(piece.key, safe="")
        shutil.rmtree(staged, ignore_errors=True)  # left by a process that was killed
        staged.mkdir(parents=True)
        try:
            yield staged
        finally:
            shutil.rmtree(staged, ignore_errors=True)

    def _unpacked(self, piece: Piece, source: Path, staged: Path) -> tuple[File, ...]:
        try:
            return piece.unpack(source, staged)
        except DataError:
            if source.parent == self.downloads.folder:
                source.unlink(missing_ok=True)  # a broken download is not gone on with
            raise

    def _compare(self, piece: Piece, entry: Entry, files: Sequence[File]) -> None:
        """Refuse what is not what was pinned."""
        pinned = self.pins.entries().get(piece.key)
        if pinned is None or pinned.tree == entry.tree:
            return
        before = self.pins.files(piece.key)
        if before is not None and pinned.source == FOUND:
            known = {file.path for file in before}  # what was there need not be all of it
            if not between(before, [file for file in files if file.path in known]):
                return
        how = f"{pinned.files} files then, {entry.files} now"
        if before is not None:
            how = str(between(before, files))
        raise DataError(
            f"{piece.file} from {entry.source} is not what {self.pins.path} pins (from "
            f"{pinned.source}): upstream has changed, or it is another form of it: {how}. Nothing "
            f"was moved. If the new one is right, delete the entry '{piece.key}' and the files "
            "that it replaces, and run the same command again."
        )

    # --- counting --------------------------------------------------------------------------------

    def _count(self, spec: DatasetSpec, split: str) -> Counted:
        return count_split(spec, split, root=self.request.root, search=self.request.search)

    def _judge(
        self, spec: DatasetSpec, counts: Sequence[Counted], staged: Path | None = None
    ) -> None:
        """Refuse a dataset that is not as large as it should be."""
        wrong = [found for found in counts if not found.complete]
        known = [found for found in wrong if found.here and found.samples and not found.absent]
        if not wrong or (self.request.other_counts and wrong == known):
            return
        where = "Nothing was moved." if staged is not None else "It is in place all the same."
        said = "; ".join(f"{found.split}: {found}" for found in wrong)
        said = said.replace(str(staged), spec.home) if staged is not None else said
        otherwise = " To keep it all the same: --other-counts." if wrong == known else ""
        raise DataError(
            f"{spec.name} does not fit its spec{_table(spec)}: {said.rstrip('.')}. "
            f"{where}{otherwise}"
        )


def _table(spec: DatasetSpec) -> str:
    return f" (the paper's {spec.source.published.table})" if spec.source.published else ""


def _sizes(spec: DatasetSpec) -> dict[str, int]:
    """Images by Roboflow's names of parts."""
    return {
        part: size
        for split, part in ROBOFLOW_PARTS.items()
        if split in spec.splits and (size := spec.splits[split].size) is not None
    }


def _is_about(place: Place, piece: Piece) -> bool:
    """Whether a place has a piece; of a mirror and the hub nobody knows before it is asked."""
    if isinstance(piece, Export):
        return True  # whatever it is called
    if isinstance(place, Address):
        return place.name == piece.file
    if isinstance(place, Local):
        folder = place.path
        if folder.is_file():
            return folder.name == piece.file
        laid_out = all((folder / path).exists() for path in piece.given())
        return laid_out or (folder / piece.file).is_file()
    return not isinstance(place, FromRoboflow)


def _otherwise(spec: DatasetSpec) -> str:
    """What else can be done where nothing answers."""
    mirrors = "".join(f"--from {name}, or " for name in spec.source.mirrors)
    page = f" (see {spec.source.page})" if spec.source.page else ""
    return f"Elsewhere: {mirrors}--from FILE with what was got by other means{page}."


def _left(spec: DatasetSpec, splits: Sequence[str]) -> tuple[str, ...]:
    """Splits that would need more pieces than those that were asked for."""
    have = {piece.key for piece in pieces(spec, splits)}
    others = [name for name in spec.splits if name not in splits]
    return tuple(name for name in others if {piece.key for piece in pieces(spec, [name])} - have)


__all__ = ["Getting", "Outcome", "Request"]
