"""A printed table with what is measured here under each of its rows, and what is missing for it."""

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache

from bench import catalog
from bench.claims import Surroundings
from bench.measured import Measurement
from bench.printed import Cell as PrintedCell
from bench.report.table import Cell, Number, Row, Table
from bench.reproduction.comparison import Comparison, Line
from bench.reproduction.counterparts import why
from bench.reproduction.report import Difference

PRINTED, HERE, DIFFERENCE = "paper", "here", "difference"

Found = Mapping[tuple[int, int], Measurement]
"""What is measured, by row and column."""


@dataclass(frozen=True, slots=True)
class AsPrinted(Number):
    """A cell as it stands in print: `?` and `-` mean different things."""

    text: str = ""

    def percent(self) -> str:
        """For eyes.

        >>> AsPrinted(math.nan, text="?").percent()
        '?'
        """
        return self.text


def beside_table(compared: Comparison, found: Found) -> Table:
    """The table, and under each row that something was measured for, that and the difference."""
    printed = compared.printed
    shown = [n for n in range(len(printed.columns)) if _is_shown(compared, n)]
    header = (*printed.headings, "source", *(printed.columns[n].name for n in shown))
    rows = [
        line
        for place in range(len(printed.rows))
        if not compared.embedded or any(at[0] == place for at in compared.by_place)
        for line in _rows(compared, found, place, shown)
    ]
    return Table(header, tuple(rows), printed.title)


def _is_shown(compared: Comparison, column: int) -> bool:
    """In the embedded world only what has a counterpart."""
    return not compared.embedded or any(at[1] == column for at in compared.by_place)


def _rows(compared: Comparison, found: Found, place: int, shown: Sequence[int]) -> Iterator[Row]:
    row = compared.printed.rows[place]
    yield Row((*row.labels, PRINTED, *(_as_printed(row.cells[n]) for n in shown)), reported=True)
    if not any((place, n) in found for n in shown):
        return
    who = next(line.model for at, line in compared.by_place.items() if at in found)
    labels = (who, *row.labels[1:])
    yield Row((*labels, HERE, *(_here(found.get((place, n))) for n in shown)))
    differences = (_off(found.get((place, n)), row.cells[n]) for n in shown)
    yield Row((*labels, DIFFERENCE, *differences))


def _as_printed(cell: PrintedCell) -> Cell:
    return AsPrinted(math.nan if cell.value is None else cell.value, text=cell.text)


def _here(measured: Measurement | None) -> Cell:
    return "" if measured is None else Number(measured.value, bounds=measured.bounds)


def _off(measured: Measurement | None, cell: PrintedCell) -> Cell:
    if measured is None or cell.value is None:
        return ""
    return Difference(measured.value - cell.value)


def about(compared: Comparison, found: Found) -> Iterator[str]:
    """What a reader of the table must know, in sentences."""
    yield f"Paper: {compared.printed.source}. [..]: 95 % of what is measured here."
    cards = sorted({measured.protocol for measured in found.values()})
    if cards:
        yield f"Measured under {', '.join(cards)}."
    if compared.embedded:
        pairs = {
            (line.claim.record.dataset.name, line.asked.dataset, line.tuning is not None)
            for line in compared.lines
        }
        said = (
            f"{ours} stands for {of}: {why(of, tuned=tuned)}." for of, ours, tuned in sorted(pairs)
        )
        yield from dict.fromkeys(said)
        yield "Finetuned numbers stand beside those of the model as it is: it is not finetuned."
    if compared.printed.about:
        yield compared.printed.about


# --- what is missing -----------------------------------------------------------------------------


def missing_table(compared: Comparison, found: Found, surroundings: Surroundings) -> Table | None:
    """What is needed for the numbers that were not measured, each thing once; `None`: nothing."""
    left = [line for line in compared.lines if (line.row, line.column) not in found]
    cards = frozenset(catalog.models())
    needed: dict[Need, list[str]] = {}
    for line in left:
        for need in _needs(line, compared, surroundings, cards):
            needed.setdefault(need, []).append(line.asked.dataset)
    rows = [
        Row((need.kind, need.of, len(datasets), need.how(datasets)))
        for need, datasets in sorted(_with_suites(needed).items())
    ]
    if not rows:
        return None
    return Table(("needed", "of", "for numbers", "how to get it"), tuple(rows), "What is missing")


@dataclass(frozen=True, order=True)
class Need:
    """Something that is not here."""

    kind: str
    of: str
    get: str

    def how(self, datasets: Sequence[str]) -> str:
        """How to get it, and for a training what then follows."""
        if self.kind != "training":
            return self.get
        then = " ".join(dict.fromkeys(datasets))
        return f"{self.get}, then bench run {then} --model runs/{self.of}"


def _needs(
    line: Line, compared: Comparison, surroundings: Surroundings, cards: frozenset[str]
) -> Iterator[Need]:
    """What one number needs that is not here; or else, that it is to be run."""
    ready, asked = True, line.asked
    begun = line.trained is None or line.claim.record.tuning is not None
    if begun and line.model in cards:
        missing, _ = surroundings.weights_of(line.model)
        if missing:
            ready = False
            yield Need("weights", line.model, _or_train(missing, compared, line))
    if line.trained is not None:
        ready = False
        init = f" --init {line.model}.safetensors" if begun else ""
        get = f"bench train {line.trained}{init} --out runs/{line.trained}"
        yield Need("training", line.trained, get)
    data = "" if compared.embedded else surroundings.data_of(asked.dataset, asked.split)
    if data.startswith("the answers"):
        ready = False
        yield Need("server", asked.dataset, data)
    elif data:
        ready = False
        yield Need("data", asked.dataset, _where(asked.dataset))
    if ready:
        yield Need("run", f"{line.model} on {asked.dataset}", "the same command with --run")


def _or_train(missing: str, compared: Comparison, line: Line) -> str:
    """What to do about weights, and where they were never released the recipe that makes them."""
    recipe = compared.printed.rows[line.row].recipe
    if missing.startswith("bench models") or recipe is None:
        return missing
    return f"{missing}: bench train {recipe} --out runs/{recipe}"


@cache
def _where(dataset: str) -> str:
    """How a dataset is had, and whose terms it has."""
    if dataset in catalog.suites():
        return f"bench data get {dataset} ({len(catalog.suite(dataset).members)} datasets)"
    source = catalog.dataset(dataset).source
    page = f"; its page: {source.page}" if source.page else ""
    terms = f" ({source.terms})" if source.terms else ""
    return f"bench data get {dataset}{page}{terms}"


def _with_suites(needed: Mapping[Need, list[str]]) -> dict[Need, list[str]]:
    """The same, with one need for all datasets of a suite that is called as they begin."""
    data = {need.of: need for need in needed if need.kind == "data"}
    kept = dict(needed)
    for name in catalog.suites():
        if not any(dataset.startswith(f"{name}-") for dataset in data):
            continue
        of_suite = [member.dataset for member in catalog.suite(name).members]
        if all(dataset in data for dataset in of_suite):
            parts = [kept.pop(data[dataset]) for dataset in of_suite]
            whole = Need("data", name, _where(name))
            kept[whole] = kept.get(whole, []) + [dataset for part in parts for dataset in part]
    return kept
