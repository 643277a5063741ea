"""Figures of few-shot sweeps: bars by dataset, curves over shots.

`zero_shot_bars` is X-Decoder's Figure 8 and `shot_curves` its Figure 9, for any suite that has a
mean. Each makes a matplotlib figure, which `bench.report.style.save` writes.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np

from bench.errors import UsageError
from bench.record import Record
from bench.report import style
from bench.report.seginw import counted
from bench.report.sweep import (
    ZERO_SHOT,
    Column,
    Entry,
    Run,
    Spread,
    same_model,
    shots_rank,
)

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

Bounds = Callable[[Record], Mapping[tuple[str, str], tuple[float, float]]]
"""record -> 95 % bounds by (task, score)."""


# --- figure 8 ------------------------------------------------------------------------------------


def zero_shot_bars(
    found: Sequence[Entry],
    columns: Sequence[Column],
    score: str,
    *,
    title: str,
    bounds: Bounds | None = None,
) -> "Figure":
    """The zero-shot score on every dataset, best first, with 95 % intervals where they are known.

    Measured models beside what was published of them. Where nothing was measured, the published
    model with the best average, as in the paper's Figure 8. What was published decides the order,
    and else the first model.

    Raises:
        UsageError: there is no zero-shot run.
    """
    shown = _zero_shot(found)
    with style.applied():
        first = next((entry for entry in shown if entry.reported), shown[0])
        order = _falling(first, [column.label for column in columns])
        width = 0.8 / len(shown)
        across = 1.2 + 0.27 * len(order) * max(1.0, len(shown) / 1.5)
        figure = style.blank(min(max(4.0, across), 13.0), 3.0)
        axes = figure.subplots()
        for place, entry in enumerate(shown):
            series = _series(entry, shown)
            at = [spot + (place - (len(shown) - 1) / 2) * width for spot in range(len(order))]
            values = [_percent(entry, label) for label in order]
            axes.bar(
                at,
                values,
                width * 0.92,
                label=_named(entry),
                **style.bar(series, published=entry.reported),
            )
            spans = [_span(entry, label, score, bounds) for label in order]
            _whiskers(axes, at, spans)
            if len(shown) == 1:
                _write_values(axes, at, values, spans)
        axes.set_xticks(range(len(order)), order, rotation=45, ha="right", rotation_mode="anchor")
        axes.tick_params(axis="x", length=0)
        axes.set_xlim(-0.6, len(order) - 0.4)
        axes.set_ylim(0, None)
        axes.set_ylabel(f"mask {score}, %" if score == "AP" else f"{score}, %")
        axes.set_title(
            f"{title}, {ZERO_SHOT}" + (f": {_named(shown[0])}" if len(shown) == 1 else "")
        )
        if len(shown) > 1:
            axes.legend()
    return figure


def _zero_shot(found: Sequence[Entry]) -> list[Entry]:
    """The rows to show: each measured one, and behind it its published one."""
    zero = [entry for entry in found if entry.setting.strategy == ZERO_SHOT]
    measured = [entry for entry in zero if not entry.reported]
    shown = [one for e in measured for one in (e, e.reference) if one is not None]
    published = [entry for entry in zero if entry.average is not None]
    if not shown and published:
        shown = [max(published, key=lambda e: e.average.mean if e.average else 0.0)]
    if not shown:
        raise UsageError(
            "There is no zero-shot run to draw. `bench run` without --shots makes one."
        )
    return shown


def _series(entry: Entry, shown: Sequence[Entry]) -> int:
    """One colour for a model, whoever measured it."""
    models = list(dict.fromkeys(same_model(one.setting.model) for one in shown))
    return models.index(same_model(entry.setting.model))


def _named(entry: Entry) -> str:
    return f"{entry.label} (reported)" if entry.reported else entry.label


def _falling(entry: Entry, labels: Sequence[str]) -> list[str]:
    """Datasets by falling score, equal ones by name, those without a score last."""
    values = {label: entry.scores[label].mean for label in labels if label in entry.scores}
    return sorted(labels, key=lambda label: (-values.get(label, -1.0), label.casefold()))


def _percent(entry: Entry, label: str) -> float:
    spread = entry.spread(label)
    return 100 * spread.mean if spread else math.nan


def _span(
    entry: Entry, label: str, score: str, bounds: Bounds | None
) -> tuple[float, float] | None:
    """The 95 % interval of one run's score, in percent."""
    record = entry.runs.get(label, {}).get(Run(0, 0))
    if record is None:
        return None
    known = bounds(record) if bounds and not record.reported else {}
    for task, of_task in record.scores.items():
        if score in of_task:
            found = known.get((task, score), of_task[score].interval)
            return None if found is None else (100 * found[0], 100 * found[1])
    return None


def _whiskers(
    axes: "Axes", at: Sequence[float], spans: Sequence[tuple[float, float] | None]
) -> None:
    for spot, span in zip(at, spans, strict=True):
        if span is not None:
            axes.plot([spot, spot], span, color=style.DARK, linewidth=0.9)


def _write_values(
    axes: "Axes",
    at: Sequence[float],
    values: Sequence[float],
    spans: Sequence[tuple[float, float] | None],
) -> None:
    for spot, value, span in zip(at, values, spans, strict=True):
        if math.isnan(value):
            axes.annotate("no run", (spot, 0), ha="center", va="bottom", fontsize=6, rotation=90)
            continue
        top = value if span is None else max(value, span[1])
        axes.annotate(
            f"{value:.1f}",
            (spot, top),
            (0, 1.5),
            textcoords="offset points",
            ha="center",
            fontsize=6,
        )


# --- figure 9 ------------------------------------------------------------------------------------


def shot_curves(found: Sequence[Entry], score: str, *, title: str) -> "Figure":
    """The average over shots: a panel for each way of tuning, then one for each model.

    Bands are one standard deviation over runs to each side. Zero-shot is the first point of every
    curve. Incomplete settings have no average, and so no point.

    Raises:
        UsageError: nothing tuned is complete.
    """
    curves = _Curves.of(found)
    strategies, models = curves.strategies, curves.models
    with style.applied():
        figure, panels = _panels(len(strategies) + len(models))
        for axes, letter, strategy in zip(panels, ascii_lowercase, strategies, strict=False):
            axes.set_title(f"({letter}) {strategy}{curves.size_of(strategy)}")
            for series, model in enumerate(models):
                curves.draw(axes, model, strategy, series)
        behind = zip(panels[len(strategies) :], ascii_lowercase[len(strategies) :], strict=False)
        for (axes, letter), model in zip(behind, models, strict=True):
            axes.set_title(f"({letter}) {models[model]}")
            for series, strategy in enumerate(strategies):
                curves.draw(axes, model, strategy, series)
        for axes in panels:
            axes.set_xticks(range(len(curves.shots)), curves.shots)
            axes.set_xlim(-0.3, len(curves.shots) - 0.7)
            axes.set_xlabel("shots")
        for axes in panels[:: style.grid(len(panels))[0]]:
            axes.set_ylabel(f"average {score}, %")
        figure.suptitle(title, x=0.01, ha="left", fontsize=10)
        _legends(figure, list(models.values()), strategies, published=curves.only_published)
        band = "" if curves.only_published else "filled: measured, band: ±1 sd over runs"
        note = "; ".join(filter(None, (band, "hollow: reported" if curves.any_published else "")))
        figure.text(0.99, 0.985, note, ha="right", va="top", fontsize=7, color=style.GREY)
    return figure


@dataclass(frozen=True)
class _Curves:
    """What is drawn, and in which order."""

    entries: Sequence[Entry]
    strategies: Sequence[str]
    models: Mapping[str, str]
    """What each is called, by what is the same however it is spelled; measured names win."""
    shots: Sequence[str]

    @classmethod
    def of(cls, found: Sequence[Entry]) -> "_Curves":
        tuned = [entry for entry in found if entry.setting.strategy != ZERO_SHOT]
        if all(entry.average is None for entry in tuned):
            raise UsageError(
                "No few-shot setting has all its runs on every dataset: no curve can be drawn. "
                "`bench table SUITE --layout paper` says what is missing."
            )
        strategies = dict.fromkeys(entry.setting.strategy for entry in tuned)
        models = {same_model(entry.label): entry.label for entry in tuned}
        models |= {same_model(entry.label): entry.label for entry in tuned if not entry.reported}
        shots = sorted({entry.setting.shots for entry in found}, key=shots_rank)
        return cls(found, list(strategies), models, shots)

    @property
    def any_published(self) -> bool:
        """Whether some of it was measured by others."""
        return any(entry.reported for entry in self.entries)

    @property
    def only_published(self) -> bool:
        """Whether nothing was measured."""
        return all(entry.reported for entry in self.entries)

    def size_of(self, strategy: str) -> str:
        """How many parameters a way of tuning tunes, in brackets."""
        fitting = (e.parameters for e in self.entries if e.setting.strategy == strategy)
        counts = sorted({count for found in fitting for count in found})
        return f" ({counted(counts)})" if counts else ""

    def draw(self, axes: "Axes", model: str, strategy: str, series: int) -> None:
        """A model tuned in one way: what was measured with its band, and what was published."""
        for reported in (True, False):
            points = self._points(model, strategy, reported)
            if not points:
                continue
            at = [self.shots.index(shots) for shots in points]
            means = np.array([100 * spread.mean for spread in points.values()])
            axes.plot(at, means, **style.line(series, published=reported))
            if not reported:
                sds = np.array([100 * (spread.sd or 0.0) for spread in points.values()])
                own = style.colour(series)
                axes.fill_between(at, means - sds, means + sds, color=own, alpha=0.18, linewidth=0)

    def _points(self, model: str, strategy: str, reported: bool) -> dict[str, Spread]:
        """Averages by rising shots; none where the model was not tuned in that way.

        An incomplete setting has NaN, and so parts the curve.
        """
        fitting = [
            entry
            for entry in self.entries
            if same_model(entry.label) == model
            and entry.reported == reported
            and entry.setting.strategy in (ZERO_SHOT, strategy)
        ]
        if all(entry.setting.strategy == ZERO_SHOT for entry in fitting):
            return {}
        fitting.sort(key=lambda entry: shots_rank(entry.setting.shots))
        return {entry.setting.shots: entry.average or Spread(math.nan) for entry in fitting}


def _panels(count: int) -> "tuple[Figure, list[Axes]]":
    """A figure with so many panels, whose vertical axis is one."""
    wide, rows = style.grid(count)
    figure = style.blank(max(5.0, 2.1 * wide), 0.9 + 1.9 * rows)
    every = [*figure.subplots(rows, wide, sharey=True, squeeze=False).ravel()]
    for axes in every[count:]:
        axes.remove()
    return figure, every[:count]


def _legends(
    figure: "Figure", models: Sequence[str], strategies: Sequence[str], *, published: bool
) -> None:
    """Models for the first panels, ways of tuning for the others."""
    from matplotlib.lines import Line2D

    border, end = len(strategies), len(strategies) + len(models)
    for names, left, first, last in (
        (models, True, 0, border - 1),
        (strategies, False, border, end - 1),
    ):
        span = f"({ascii_lowercase[first]})"
        span += f" to ({ascii_lowercase[last]})" if last > first else ""
        lines = [
            Line2D([], [], label=name, **style.line(series, published=published))
            for series, name in enumerate(names)
        ]
        figure.legend(
            handles=lines,
            loc="outside lower left" if left else "outside lower right",
            title=span,
            ncols=2,
            title_fontsize=7.5,
        )
