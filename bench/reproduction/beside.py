"""A printed table with what is measured here under each of its rows, and what is missing for it."""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

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
        for theirs, ours, tuned in sorted(pairs):
            yield f"{ours} stands for {theirs}: {why(theirs, tuned=tuned)}."
        yield "Finetuned numbers stand beside those of the model as it is: it is not finetuned."
    if compared.printed.about:
        yield compared.printed.about


# --- what is missing -----------------------------------------------------------------------------


def missing_table(compared: Comparison, found: Found, surroundings: Surroundings) -> Table | None:
    """What is needed for the numbers that were not measured, each thing once; `None`: nothing."""
    left = [line for line in compared.lines if (line.row, line.column) not in found]
    needed: Counter[tuple[str, str, str]] = Counter()
    for line in left:
        needed.update(_needs(line, compared, surroundings))
    order = sorted(needed, key=lambda need: (list(_KINDS).index(need[0]), need[1]))
    rows = [Row((*need[:2], needed[need], need[2])) for need in order]
    if not left:
        return None
    return Table(("needed", "of", "for numbers", "how to get it"), tuple(rows), "What is missing")


_KINDS = ("training", "weights", "data", "server", "run")


def _needs(
    line: Line, compared: Comparison, surroundings: Surroundings
) -> Iterator[tuple[str, str, str]]:
    """What a number needs that is not here, as (kind, name, how to get it)."""
    ready = True
    if line.trained is not None:
        init = f" --init {line.model}.safetensors" if line.claim.record.tuning else ""
        how = f"bench train {line.trained}{init} --out runs/{line.trained}"
        yield "training", line.trained, f"{how}, then bench run {line.asked.dataset} --model it"
        ready = False
    elif line.model in catalog.models() and (missing := surroundings.weights_of(line.model)[0]):
        yield "weights", line.model, missing
        ready = False
    asked = line.asked
    data = "" if compared.embedded else surroundings.data_of(asked.dataset, asked.split)
    if data:
        ready = False
        kind = "server" if data.startswith("the answers") else "data"
        yield kind, line.asked.dataset, _where(line.asked.dataset, data)
    if ready:
        yield "run", f"{line.model} on {line.asked.dataset}", "the same command with --run"


def _where(dataset: str, missing: str) -> str:
    """How a dataset is had, and whose terms it has."""
    if missing.startswith("the answers"):
        return missing
    if dataset in catalog.suites():
        return f"bench data get {dataset}"
    source = catalog.dataset(dataset).source
    page = f"; its page: {source.page}" if source.page else ""
    terms = f" ({source.terms})" if source.terms else ""
    return f"bench data get {dataset}{page}{terms}"
