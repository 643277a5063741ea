"""Data frames, derived from records and never the other way round.

`scores` is long: one row for each run, task and score, with all that is known of the run. A
`Leaderboard` is wide: one row for each system, one column for each score of each dataset.
"""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
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
    *("model", "weights", "shots", "strategy", "protocol", "vocabulary", "precision", "answers"),
    *("supervision", "source"),
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
KEPT = "kept"
"""The `answers` of a run that was scored from another's raw answers; else empty."""
FULL = "full"
"""The mark, in `supervision`, of a system trained on the datasets it is scored on."""
MARKS = ("masks", "classes", "captions", "pairs")
"""The marks of the X-Decoder paper's Table 2 that say what a system was trained with."""


def scores(records: Iterable[Record], intervals: Intervals | None = None) -> pd.DataFrame:
    """One row for each run, task and score.

    Columns: run, model, weights, dataset, split, task, score, headline (whether it is the task's
    first), value, n, low, high, spread (over seeds, as published), shots, strategy, draw_seed,
    train_seed, protocol, protocol_digest, vocabulary (empty: the dataset's own), vocabulary_digest,
    precision, answers («kept» where another run's were scored anew), supervision (marks of Table 2,
    where they are known), fingerprint (of the dataset), images, failed, partial, source
    («measured», or where it was published), started, seconds. Values are fractions; absent is NaN.
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
    numbers = ["value", "low", "high", "spread", "seconds"]
    counts = ["n", *SEEDS, "images", "failed"]
    return frame.astype(dict.fromkeys(numbers, "float64") | dict.fromkeys(counts, "Int64"))


_COLUMNS = [
    *("run", "model", "weights", "dataset", "split", "task", "score", "headline"),
    *("value", "n", "low", "high", "spread", "shots", "strategy", "draw_seed", "train_seed"),
    *("protocol", "protocol_digest", "vocabulary", "vocabulary_digest", "precision", "answers"),
    *("supervision", "fingerprint", "images", "failed", "partial", "source", "started", "seconds"),
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
        "answers": KEPT if made and made.rescored_from else "",
        "supervision": _supervision(record),
        "fingerprint": record.dataset.fingerprint or "",
        "images": images.scored if images else None,
        "failed": images.failed if images else None,
        "partial": record.partial,
        "source": record.source or MEASURED,
        "started": made.sessions[0].started if made else None,
        "seconds": sum(made.seconds.model_dump().values()) if made else None,
    }


def _number(score: RecordedScore, bounds: Interval | None) -> dict[str, Any]:
    low, high = bounds or score.interval or (None, None)
    return {
        "value": score.value,
        "n": score.n,
        "low": low,
        "high": high,
        "spread": score.spread,
    }


def _supervision(record: Record) -> str:
    """What a system was trained with, in words; empty where nobody says."""
    if record.publication is None:
        return ""
    marks = record.publication.supervision
    said = [mark for mark in MARKS if marks.get(mark)]
    return ", ".join([*said, *([FULL] if record.publication.fully_supervised else [])])


def results(folder: Path | str | None = None, *, with_published: bool = True) -> pd.DataFrame:
    """Everything measured into a results folder, and what others published, as `scores` has it.

    The folder is `BENCH_RESULTS`, or `./bench-results`, unless it is given.

    >>> list(results().columns[:6])
    ['run', 'model', 'weights', 'dataset', 'split', 'task']
    """
    from bench.workplace import results_folder

    store = Store(results_folder() if folder is None else Path(folder))
    return scores([*(published() if with_published else ()), *store.records()])


# --- wide ----------------------------------------------------------------------------------------


Column = tuple[str, str, str]
"""A column of a leaderboard: dataset, task and score."""


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
    runs: pd.DataFrame
    """The keys of the runs that a value is of, one a seed; of a mean none."""
    sorted_by: Column | None = None
    """The column that the rows are sorted by; `None` for a table of nothing."""
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def columns_of(index: "pd.Index[Any]") -> list[Column]:
    """The columns of a leaderboard's frames."""
    return [(str(dataset), str(task), str(score)) for dataset, task, score in index]


def number_at(frame: pd.DataFrame, row: int, column: int) -> float:
    """A number of a leaderboard's frame, by place."""
    found: Any = frame.iat[row, column]
    return float(found)


def leaderboard(
    long: pd.DataFrame,
    *,
    datasets: Sequence[str] = (),
    names: Sequence[str] = (),
    columns: Sequence[Column] = (),
    mean_of: Sequence[str] = (),
    means: Collection[str] = (),
    sort_by: str | Column | None = None,
) -> Leaderboard:
    """Systems by scores, from what `scores` gives.

    Args:
        long: one row for each run, task and score.
        datasets: the ones to show, in their order; all there are without.
        names: of the scores to show; each task's headline without.
        columns: exactly what to show, in order, whether or not anybody has it; `names` are then
            not asked for.
        mean_of: scores of which a mean over `datasets` is added. A system that lacks one of them
            has no mean, unless somebody published one.
        means: what publications call the suite that `datasets` are: a number «on» one of these is
            the mean of a system whose single numbers are not all known.
        sort_by: a score, or one column; without it the mean, else the first of `columns`, else the
            last column.

    Partial runs are left out, and runs scored from kept answers where the model itself was asked.
    """
    published = long[long["dataset"].isin(set(means) - set(datasets))]
    chosen = _chosen(long, datasets, names, columns)
    whole = chosen[~chosen["partial"].astype(bool)]
    asked = _without_repeats(whole)
    latest = asked.drop_duplicates([*SYSTEM, *SEEDS, "split", *COLUMN], keep="last")
    notes = [*_partial(chosen), *_repeats(whole, asked), *_replaced(asked, latest)]
    notes += _other_files(latest)
    if not columns:
        latest = _with_splits_told_apart(latest)
    order = list(dict.fromkeys([*datasets, *latest["dataset"]]))
    if mean_of:
        members = list(dict.fromkeys(datasets or latest["dataset"]))
        computed = [_suite_means(latest, score, members) for score in mean_of]
        latest = pd.concat([latest, *computed], ignore_index=True)
        stated = _stated_means(published, latest, mean_of)
        latest = pd.concat([latest, stated], ignore_index=True)
        notes += _on_stated(stated)
        order.append(SUITE)
    cells = latest.groupby([*SYSTEM, *COLUMN], sort=False, dropna=False)
    single = cells["value"].size() == 1
    shown = _in_order(latest, order, columns)
    values = cells["value"].mean().unstack(COLUMN).reindex(columns=shown)
    key = _sorting(shown, sort_by, bool(columns))
    rows = _best_first(values, key)

    def wide(cell: "pd.Series[Any]") -> pd.DataFrame:
        return cell.unstack(COLUMN).reindex(index=rows, columns=shown)

    return Leaderboard(
        wide(cells["value"].mean()),
        wide(cells["low"].first().where(single)),
        wide(cells["high"].first().where(single)),
        wide(cells["value"].std().fillna(cells["spread"].first())),
        wide(cells["run"].agg(lambda runs: tuple(run for run in runs if isinstance(run, str)))),
        key,
        tuple(notes),
    )


def _chosen(
    long: pd.DataFrame,
    datasets: Sequence[str],
    names: Sequence[str],
    columns: Sequence[Column],
) -> pd.DataFrame:
    of_datasets = long[long["dataset"].isin(datasets)] if datasets else long
    if columns:
        wanted = pd.MultiIndex.from_tuples(columns)
        return of_datasets[pd.MultiIndex.from_frame(of_datasets[COLUMN]).isin(wanted)]
    if names:
        return of_datasets[of_datasets["score"].isin(names)]
    return of_datasets[of_datasets["headline"].astype(bool)]


def _without_repeats(whole: pd.DataFrame) -> pd.DataFrame:
    """Without numbers scored from kept answers where the same model was asked under the card."""
    who = [name for name in SYSTEM if name != "answers"]
    asked = pd.MultiIndex.from_frame(whole[whole["answers"] != KEPT][[*who, *SEEDS, *_WHERE]])
    repeated = pd.MultiIndex.from_frame(whole[[*who, *SEEDS, *_WHERE]]).isin(asked)
    return whole[~((whole["answers"] == KEPT).to_numpy() & repeated)]


_WHERE = ["split", "fingerprint", *COLUMN]


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


def _stated_means(
    published: pd.DataFrame, latest: pd.DataFrame, mean_of: Sequence[str]
) -> pd.DataFrame:
    """Means as they were published, of the systems that have none of their own."""
    stated = published[published["score"].isin(mean_of)].assign(dataset=SUITE)
    of_whom = pd.MultiIndex.from_frame(latest[latest["dataset"] == SUITE][SYSTEM])
    return stated[~pd.MultiIndex.from_frame(stated[SYSTEM]).isin(of_whom)]


def _with_splits_told_apart(whole: pd.DataFrame) -> pd.DataFrame:
    """`dataset` as `name/split` where several splits of a dataset were run."""
    splits = whole.groupby("dataset")["split"].transform("nunique")
    told = whole["dataset"] + "/" + whole["split"]
    return whole.assign(dataset=whole["dataset"].where(splits <= 1, told))


def _in_order(
    latest: pd.DataFrame, datasets: Sequence[str], columns: Sequence[Column]
) -> pd.MultiIndex:
    """Columns as they are asked for; else by dataset as asked for, then as scores first appear."""
    place = {dataset: index for index, dataset in enumerate(datasets)}

    def rank(column: Column) -> int:
        name = column[0]  # perhaps with its split behind a slash
        return place[name] if name in place else place[name.rpartition("/")[0]]

    found = [tuple(c) for c in latest[COLUMN].drop_duplicates().to_numpy().tolist()]
    if columns:
        shown = [*columns, *(column for column in found if column[0] == SUITE)]
    else:
        shown = sorted(found, key=rank)
    return pd.MultiIndex.from_tuples(shown, names=COLUMN)


def _sorting(shown: pd.MultiIndex, sort_by: str | Column | None, as_asked: bool) -> Column | None:
    """The column that rows are sorted by."""
    columns = columns_of(shown)
    if not columns:
        return None
    if isinstance(sort_by, str):
        named = [column for column in columns if column[2] == sort_by]
    else:
        named = [column for column in columns if column == sort_by]
    if named:
        return named[-1]
    return columns[0] if as_asked and columns[-1][0] != SUITE else columns[-1]


def _best_first(values: pd.DataFrame, key: Column | None) -> pd.Index:
    """The rows by one column, systems without it last; equal ones by the columns from the first."""
    if key is None:
        return values.index
    by: list[Any] = [key, *(column for column in columns_of(values.columns) if column != key)]
    ordered: pd.DataFrame = values.sort_values(by, ascending=False, na_position="last")
    return ordered.index


# --- what was left out ---------------------------------------------------------------------------


def _partial(chosen: pd.DataFrame) -> list[str]:
    """A note on every partial run."""
    partial = chosen[chosen["partial"].astype(bool)].drop_duplicates("run")
    return [
        f"Left out: {row.model} on {row.dataset}, of which only {row.images} images were scored."
        for row in partial.itertuples()
    ]


def _repeats(whole: pd.DataFrame, asked: pd.DataFrame) -> list[str]:
    """A note on runs scored from kept answers that were also asked, and whether they agree."""
    repeats = whole.drop(asked.index)
    if not len(repeats):
        return []
    who = [*(name for name in SYSTEM if name != "answers"), *SEEDS, *_WHERE]
    pairs = repeats.merge(asked, on=who, suffixes=("", " asked"))
    apart = float((pairs["value"] - pairs["value asked"]).abs().max())
    agree = "with the same scores" if apart == 0 else f"up to {100 * apart:.2g} points apart"
    count = repeats["run"].nunique()
    return [f"Left out: {count} rescored run(s) of which the model was asked too, {agree}."]


def _replaced(asked: pd.DataFrame, latest: pd.DataFrame) -> list[str]:
    """Notes on runs that a later one of the same system replaced, on the same files or others."""
    older = asked[~asked["run"].isin(latest["run"])].drop_duplicates("run")
    shown = latest.drop_duplicates([*SYSTEM, *SEEDS, "split", "dataset"])
    both = older.merge(
        shown, on=[*SYSTEM, *SEEDS, "split", "dataset"], how="left", suffixes=("", " shown")
    )
    other = both["fingerprint"] != both["fingerprint shown"]
    notes = [
        f"Left out: run {row.run} of {row.model} on other files called {row.dataset} "
        f"({row.split}): of one name the last run counts. Two folders need two names."
        for row in both[other].itertuples()
    ]
    same = int((~other).sum())
    return notes + ([f"Left out: {same} older run(s) of a system that was run again."] * bool(same))


def _other_files(latest: pd.DataFrame) -> list[str]:
    """A note on datasets whose files were not the same in all runs."""
    known = latest[latest["fingerprint"] != ""]
    where = known["dataset"] + " (" + known["split"] + ")"
    found = known.groupby(where, sort=False)["fingerprint"].nunique()
    return [
        f"The runs on {where} saw {count} different sets of files."
        for where, count in zip(found.index, found, strict=True)
        if count > 1
    ]


def _on_stated(stated: pd.DataFrame) -> list[str]:
    if not len(stated):
        return []
    models = ", ".join(dict.fromkeys(stated["model"]))
    return [f"Means as published, without all single numbers: {models}."]
