"""A page out of records and a results folder."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import BenchError
from bench.record import Record
from bench.report.frame import leaderboard, scores
from bench.report.page import confusion
from bench.report.page.board import Board, board_of
from bench.report.page.confusion import Confusion, confusion_of
from bench.report.page.curves import Figure, few_shot_figures
from bench.report.page.gallery import Gallery, gallery_of, room
from bench.report.page.labels import labels
from bench.report.page.material import Finder, Material
from bench.report.page.pictures import Painter
from bench.report.page.provenance import Rules, RunCard, run_cards
from bench.report.page.scores import Bounds, ClassTable, TaskScores, class_table, score_tables
from bench.report.page.summary import Summary, sentence, summary_of
from bench.shelf import Shelf
from bench.stats import record_intervals
from bench.store import Store

TITLE = 40
"""Several names in a title take so many letters at most."""
COUNTED = 500
"""Confusions of panoptic and instance segmentation are counted on at most so many images."""


@dataclass(frozen=True)
class DatasetPart:
    """All about one dataset."""

    anchor: str
    name: str
    split: str
    images: int
    classes: int
    runs: tuple[RunCard, ...]
    """The best first."""
    scores: tuple[TaskScores, ...]
    by_class: ClassTable | None
    confusions: tuple[Confusion, ...]
    galleries: tuple[Gallery, ...]
    notes: tuple[str, ...]
    """What was decided about its files, and how runs were scored, a sentence each."""


@dataclass(frozen=True)
class Page:
    """What a page says, section by section."""

    title: str
    summary: Summary
    board: Board
    figures: tuple[Figure, ...]
    datasets: tuple[DatasetPart, ...]
    runs: tuple[RunCard, ...]
    rules: tuple[Rules, ...]
    tasks: tuple[str, ...]
    """The names of all tasks that were scored."""

    @property
    def has_galleries(self) -> bool:
        """Whether any run has images to show."""
        return any(gallery.best for part in self.datasets for gallery in part.galleries)


def compose(
    records: Sequence[Record],
    store: Store,
    *,
    published: Sequence[Record] = (),
    title: str = "",
    images: int = 4,
    data: Path | None = None,
    specs: Sequence[Path] = (),
    done: Callable[[], None] = lambda: None,
) -> Page:
    """A page about measured runs.

    Args:
        records: the runs.
        store: where their statistics and raw answers are.
        published: numbers of others for the leaderboard; those on other datasets are left out.
        title: the heading; what the page is about where empty.
        images: how many best and how many worst images each run shows, if there is room.
        data: where datasets lie.
        specs: folders of a user's own specs.
        done: called after each run.
    """
    names = labels(records)
    bounds = _bounds_of(store)
    on_page = list(dict.fromkeys(record.dataset.name for record in records))
    others = [record for record in published if record.dataset.name in on_page]
    long = scores([*others, *records], bounds)
    found = leaderboard(long, datasets=on_page, sort_by=_first_headline(records))
    board = board_of(found, Shelf((store,)).drawn)
    ordered = _best_first(records)
    runs, rules = run_cards(ordered, names)
    finder = Finder(store, data, specs)
    count = room(len(records), images)
    groups: dict[tuple[str, str], list[RunCard]] = {}
    for run in runs:
        groups.setdefault((run.record.dataset.name, run.record.dataset.split), []).append(run)
    return Page(
        title or _title(records),
        summary_of(records, board, names),
        board,
        few_shot_figures(records, bounds),
        tuple(
            _part(f"data-{index}", group, names, bounds, finder, count, done)
            for index, group in enumerate(groups.values(), 1)
        ),
        runs,
        rules,
        tuple(dict.fromkeys(task for record in records for task in record.scores)),
    )


def _bounds_of(store: Store) -> Bounds:
    """Intervals of each record, computed at most once."""
    known: dict[str, dict[tuple[str, str], tuple[float, float]]] = {}

    def bounds(record: Record) -> Mapping[tuple[str, str], tuple[float, float]]:
        if record.key not in known:
            found = record_intervals(record, store)
            known[record.key] = {
                key: (interval.low, interval.high) for key, interval in found.items()
            }
        return known[record.key]

    return bounds


def _first_headline(records: Sequence[Record]) -> tuple[str, str, str] | None:
    """The column that a reader sees first."""
    for record in records:
        for task, of_task in record.scores.items():
            return record.dataset.name, task, next(iter(of_task))
    return None


def _best_first(records: Sequence[Record]) -> list[Record]:
    """Datasets as they come, and on each the runs with the best headline first."""
    places = list(dict.fromkeys((r.dataset.name, r.dataset.split) for r in records))

    def rank(record: Record) -> tuple[int, float]:
        first = next(iter(next(iter(record.scores.values()), {}).values()), None)
        value = first.value if first else None
        place = places.index((record.dataset.name, record.dataset.split))
        return place, float("inf") if value is None else -value

    return sorted(records, key=rank)


def _title(records: Sequence[Record]) -> str:
    """Who on what, in few words."""
    models = list(dict.fromkeys(record.model.name for record in records))
    datasets = list(dict.fromkeys(record.dataset.name for record in records))
    return f"{_listed(models, 'models')} on {_listed(datasets, 'datasets')}"


def _listed(names: Sequence[str], many: str) -> str:
    """Names in a title: all of them, or how many they are where that would be long."""
    *most, last = names
    text = f"{', '.join(most)} and {last}" if most else last
    return text if len(names) == 1 or len(text) <= TITLE else f"{len(names)} {many}"


# --- one dataset ---------------------------------------------------------------------------------


def _part(
    anchor: str,
    runs: Sequence[RunCard],
    names: Mapping[str, str],
    bounds: Bounds,
    finder: Finder,
    count: int,
    done: Callable[[], None],
) -> DatasetPart:
    records = [run.record for run in runs]
    confusions, galleries, painter = [], [], Painter()
    notes = [sentence(note) for record in records for note in record.notes]
    for run in runs:
        material = finder.of(run.record)
        try:
            found = _confusion(run.name, material)
            confusions += [found] if found else []
        except BenchError as error:
            notes.append(f"The confusion of {run.name} cannot be shown: {error}")
        gallery = gallery_of(run.name, material, count, painter)
        galleries += [gallery] if gallery else []
        done()
    words = [r.vocabulary.names for r in records if r.vocabulary]
    return DatasetPart(
        anchor,
        records[0].dataset.name,
        records[0].dataset.split,
        max((r.images.scored for r in records if r.images), default=0),
        max(map(len, words), default=0),
        tuple(runs),
        score_tables(records, bounds),
        class_table(records, names),
        tuple(confusions),
        tuple(galleries),
        tuple(dict.fromkeys(notes)),
    )


def _confusion(run: str, material: Material) -> Confusion | None:
    """What a run takes for what, from what it kept: statistics, or else raw answers.

    Raises:
        DataError, DataMissing: an image or an answer cannot be read.
    """
    record, outcomes = material.record, material.outcomes
    if record.vocabulary is None or not outcomes:
        return None
    classes = record.vocabulary.names
    if "semantic" in record.scores:
        statistics = [outcome.statistics["semantic"][0] for outcome in outcomes.values()]
        counts = confusion.from_statistics(classes, statistics)
        source = f"Counted over all {len(statistics):,} scored images."
        return confusion_of(run, classes, counts, "pixels", source)
    for task, unit, count in (
        ("panoptic", "pixels", confusion.of_panoptic),
        ("instance", "objects", confusion.of_instances),
    ):
        if task in record.scores and material.kept is not None:
            answered = [id for id in outcomes if material.kept.has(id)][:COUNTED]
            counts = count(_pairs(material, answered, task), len(classes))
            source = f"Counted on {len(answered):,} of {len(outcomes):,} images, from raw answers."
            return confusion_of(run, classes, counts, unit, source)
    return None


def _pairs(material: Material, ids: Sequence[str], task: str) -> Iterator[tuple[Any, Any]]:
    """Predictions and truths of a task."""
    for sample, predictions in material.samples(ids):
        yield predictions[task], sample.truths[task]
