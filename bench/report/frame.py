"""Data frames, derived from records and never the other way round.

`scores` is long: one row for each run, task and score, with all that is known of the run. A
`Leaderboard` is wide: one row for each system, one column for each score of each dataset.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from bench.record import Record, RecordedScore
from bench.store import Store, published

Interval = tuple[float, float]
Intervals = Callable[[Record], Mapping[tuple[str, str], Interval]]
"""record -> 95 % bounds by (task, score), for the scores that have any."""

SYSTEM = [
    *("model", "weights", "shots", "strategy", "protocol", "vocabulary", "precision", "source")
]
"""Columns that together say which system a row of a leaderboard is about."""
SEEDS = ["draw_seed", "train_seed"]
"""Columns over whose values a leaderboard averages."""
COLUMN = ["dataset", "task", "score"]
"""What a column of a leaderboard is about."""
MEASURED = "measured"
"""The `source` of a record that was not published elsewhere."""
SUITE = "mean"
"""The `dataset` of a suite's mean."""


def scores(records: Iterable[Record], intervals: Intervals | None = None) -> pd.DataFrame:
    """One row for each run, task and score.

    Columns: run, model, weights, dataset, split, task, score, headline (whether it is the task's
    first), value, n, low, high, shots, strategy, draw_seed, train_seed, protocol, protocol_digest,
    vocabulary (empty: the dataset's own), vocabulary_digest, precision, images, failed, partial,
    source («measured», or where it was published), started, seconds. Values are fractions; absent
    is NaN.
    """
    rows = [
        {
            **_about(record),
            "task": task,
            "score": name,
            "headline": place == 0,
            **_number(score, bounds.get((task, name))),
        }
        for record in records
        for bounds in [intervals(record) if intervals else {}]
        for task, of_task in record.scores.items()
        for place, (name, score) in enumerate(of_task.items())
    ]
    frame = pd.DataFrame(rows, columns=_COLUMNS)
    numbers = ["value", "low", "high", "seconds"]
    counts = ["n", *SEEDS, "images", "failed"]
    return frame.astype(dict.fromkeys(numbers, "float64") | dict.fromkeys(counts, "Int64"))


_COLUMNS = [
    *("run", "model", "weights", "dataset", "split", "task", "score", "headline"),
    *("value", "n", "low", "high", "shots", "strategy", "draw_seed", "train_seed"),
    *("protocol", "protocol_digest", "vocabulary", "vocabulary_digest", "precision"),
    *("images", "failed", "partial", "source", "started", "seconds"),
]


def _about(record: Record) -> dict[str, Any]:
    tuning, images, made = record.tuning, record.images, record.provenance
    return {
        "run": record.key,
        "model": record.model.name,
        "weights": (record.model.weights_digest or "")[:12],
        "dataset": record.dataset.name,
        "split": record.dataset.split,
        "shots": tuning.shots if tuning else "0",
        "strategy": tuning.strategy if tuning else "",
        "draw_seed": tuning.draw_seed if tuning else 0,
        "train_seed": tuning.train_seed if tuning else 0,
        "protocol": record.protocol.name,
        "protocol_digest": record.protocol.digest or "",
        "vocabulary": (record.vocabulary and record.vocabulary.name) or "",
        "vocabulary_digest": record.vocabulary.digest if record.vocabulary else "",
        "precision": made.precision if made else "",
        "images": images.scored if images else None,
        "failed": images.failed if images else None,
        "partial": record.partial,
        "source": record.source or MEASURED,
        "started": made.sessions[0].started if made else None,
        "seconds": sum(made.seconds.model_dump().values()) if made else None,
    }


def _number(score: RecordedScore, bounds: Interval | None) -> dict[str, Any]:
    low, high = bounds or score.interval or (None, None)
    return {"value": score.value, "n": score.n, "low": low, "high": high}


def load(folder: Path | None = None) -> tuple[Record, ...]:
    """The records that ship with the package and those of a results folder, in that order."""
    return (*published(), *(Store(folder).records() if folder else ()))


def results(folder: Path | None = None, *, with_published: bool = True) -> pd.DataFrame:
    """Everything measured into a results folder, and what others published, as `scores` has it.

    The folder is `BENCH_RESULTS`, or `./bench-results`, unless it is given.

    >>> list(results().columns[:6])
    ['run', 'model', 'weights', 'dataset', 'split', 'task']
    """
    from bench.workplace import results_folder

    store = Store(results_folder() if folder is None else folder)
    return scores([*(published() if with_published else ()), *store.records()])


# --- wide ----------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Leaderboard:
    """Systems by what they score. The frames have the same rows and columns."""

    values: pd.DataFrame
    """Fractions, averaged over seeds. Rows as `SYSTEM`, columns as `COLUMN`."""
    low: pd.DataFrame
    """The lower 95 % bound of a single run; NaN where none is known."""
    high: pd.DataFrame
    """The upper one."""
    spread: pd.DataFrame
    """The standard deviation over seeds; NaN for a single run."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def leaderboard(
    long: pd.DataFrame,
    *,
    datasets: Sequence[str] = (),
    names: Sequence[str] = (),
    mean_of: Sequence[str] = (),
    sort_by: str | None = None,
) -> Leaderboard:
    """Systems by scores, from what `scores` gives.

    `datasets` in their order, or all there are. `names` of scores, or each task's headline. For
    each score in `mean_of` a mean over `datasets` is added; a system that lacks one of them has no
    mean. Partial runs are left out. Rows are sorted by the score `sort_by`, or by the last column.
    """
    chosen = long[long["dataset"].isin(datasets)] if datasets else long
    chosen = chosen[chosen["score"].isin(names) if names else chosen["headline"].astype(bool)]
    whole = chosen[~chosen["partial"].astype(bool)]
    latest = whole.drop_duplicates([*SYSTEM, *SEEDS, "split", *COLUMN], keep="last")
    notes = _left_out(chosen, whole, latest)
    latest = _with_splits_told_apart(latest)
    order = list(dict.fromkeys([*datasets, *latest["dataset"]]))
    if mean_of:
        members = list(dict.fromkeys(datasets or latest["dataset"]))
        means = [_suite_means(latest, score, members) for score in mean_of]
        latest = pd.concat([latest, *means], ignore_index=True)
        order.append(SUITE)
    cells = latest.groupby([*SYSTEM, *COLUMN], sort=False, dropna=False)
    single = cells["value"].size() == 1
    columns = _in_order(latest, order)
    values = cells["value"].mean().unstack(COLUMN).reindex(columns=columns)
    rows = _best_first(values, sort_by)

    def wide(cell: "pd.Series[float]") -> pd.DataFrame:
        return cell.unstack(COLUMN).reindex(index=rows, columns=columns)

    return Leaderboard(
        wide(cells["value"].mean()),
        wide(cells["low"].first().where(single)),
        wide(cells["high"].first().where(single)),
        wide(cells["value"].std()),
        notes,
    )


def _left_out(chosen: pd.DataFrame, whole: pd.DataFrame, latest: pd.DataFrame) -> tuple[str, ...]:
    """A note on every run that is partial, and one on those that a later run replaced."""
    partial = chosen[chosen["partial"].astype(bool)].drop_duplicates("run")
    notes = [
        f"Left out: {row.model} on {row.dataset}, of which only {row.images} images were scored."
        for row in partial.itertuples()
    ]
    if older := whole["run"].nunique() - latest["run"].nunique():
        notes.append(f"Left out: {older} older run(s) of a system that was run again.")
    return tuple(notes)


def _with_splits_told_apart(whole: pd.DataFrame) -> pd.DataFrame:
    """`dataset` as `name/split` where several splits of a dataset were run."""
    splits = whole.groupby("dataset")["split"].transform("nunique")
    told = whole["dataset"] + "/" + whole["split"]
    return whole.assign(dataset=whole["dataset"].where(splits <= 1, told))


def _suite_means(whole: pd.DataFrame, score: str, members: Sequence[str]) -> pd.DataFrame:
    """The mean of a score over all members, for each system and seed that has all of them."""
    of_score = whole[(whole["score"] == score) & whole["value"].notna()]
    found = of_score.groupby([*SYSTEM, *SEEDS], sort=False, dropna=False).agg(
        value=("value", "mean"), members=("dataset", "nunique"), task=("task", "first")
    )
    # A system with one seed incomplete has no mean: the seeds that ended are not a fair draw.
    complete = (found["members"] == len(set(members))).groupby(SYSTEM, dropna=False)
    kept = found[complete.transform("all")].reset_index().drop(columns="members")
    return kept.assign(dataset=SUITE, score=score)


def _in_order(latest: pd.DataFrame, datasets: Sequence[str]) -> pd.MultiIndex:
    """Columns by dataset as asked for, then as scores first appear."""
    place = {dataset: index for index, dataset in enumerate(datasets)}

    def rank(column: Sequence[Any]) -> int:
        name = column[0]  # perhaps with its split behind a slash
        return place[name] if name in place else place[name.rpartition("/")[0]]

    found = latest[COLUMN].drop_duplicates().to_numpy().tolist()
    return pd.MultiIndex.from_tuples([tuple(c) for c in sorted(found, key=rank)], names=COLUMN)


def _best_first(values: pd.DataFrame, sort_by: str | None) -> pd.Index:
    """The rows by one score, systems without it last."""
    if not len(values.columns):
        return values.index
    named = [column for column in values.columns if sort_by in (None, column[2])]
    key = named[-1] if named else values.columns[-1]
    return values.sort_values(key, ascending=False, na_position="last", kind="stable").index
