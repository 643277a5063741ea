"""Tables as publications print them: `results/reported/*.yaml`, and each number with its record.

A file is laid out as its table is: a column a line, a row's cells as they are printed. A row and a
dataset of its columns make a record, marked `reported`. Nothing is mended: a cell reads as it is
printed, and what is doubtful about it is a note on its record.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files

from pydantic import ValidationError, model_validator

from bench.blame import blame
from bench.document import read_document
from bench.protocol import Strict
from bench.record import (
    DatasetUsed,
    ModelUsed,
    ProtocolUsed,
    Publication,
    Record,
    RecordedScore,
    Tuning,
)

FOLDER = files("results").joinpath("reported")
UNKNOWN = "unknown"
"""The protocol of numbers whose publication and code do not say enough to name a card."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column of figures, or of marks and words about the rows."""

    label: str
    under: str = ""
    """The heading it shares with its neighbours."""
    dataset: str | None = None
    """The dataset's name here; a suite's name over a mean; `None`: no scores, or the row says."""
    task: str | None = None
    score: str | None = None

    @property
    def name(self) -> str:
        """Its label with the heading above it: what tells it from the other columns."""
        return f"{self.under} {self.label}".strip()


@dataclass(frozen=True, slots=True)
class Cell:
    """What is printed at one place, and the record it is a score of."""

    text: str
    """As it is printed: `21.1`, `27.2±26.3`, `?`; empty where nothing is."""
    record: Record | None = None
    """`None`: not a score, or none is reported."""
    task: str = ""
    score: str = ""

    @property
    def number(self) -> RecordedScore | None:
        """The printed number as a score: a fraction, and its spread."""
        return None if self.record is None else self.record.scores[self.task][self.score]

    @property
    def value(self) -> float | None:
        """The printed number as a fraction; CIDEr is printed times 100 too."""
        return None if self.number is None else self.number.value


@dataclass(frozen=True, slots=True)
class PrintedRow:
    """A row: whom it is about, and a cell for each column."""

    labels: tuple[str, ...]
    """What the row is called, under the table's headings."""
    cells: tuple[Cell, ...]
    model: str | None = None
    """Who it is about: a card's name where the system is one of ours; `None`: no system."""
    recipe: str | None = None
    """The recipe of ours that trains it."""
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class PrintedTable:
    """A table or figure of a publication."""

    name: str
    title: str
    source: str
    page: str
    headings: tuple[str, ...]
    """What stands over the rows' labels."""
    columns: tuple[Column, ...]
    rows: tuple[PrintedRow, ...]
    about: str = ""
    notes: tuple[str, ...] = ()
    """Misprints and doubts about the table as a whole."""

    def records(self) -> tuple[Record, ...]:
        """The records behind its cells, in their order, each once."""
        found = (cell.record for row in self.rows for cell in row.cells)
        return tuple({record.key: record for record in found if record}.values())


# --- the files -----------------------------------------------------------------------------------


class _Column(Strict):
    """A column of a file: of scores if it names a dataset or a score, else of text."""

    label: str
    under: str = ""
    mark: str | None = None
    """The mark of supervision that it shows, as ✓ or ✗."""
    dataset: str | None = None
    split: str | None = None
    task: str | None = None
    score: str | None = None
    pretrained: bool = False
    """Whether its numbers are from before the tuning that the row is about."""
    recipe: str | None = None
    """The recipe of ours that finetunes to its dataset."""


class _Common(Strict):
    """What all columns of scores share."""

    split: str
    task: str
    score: str | None = None


class _CellNote(Strict):
    """A remark about the cells of some columns, named as `Column.name` does."""

    at: tuple[str, ...]
    note: str


class _Row(Strict):
    """A row of a file; what it leaves out, the file says."""

    labels: tuple[str, ...]
    cells: str
    """As printed, between blanks; `_` where nothing is."""
    model: str | None = None
    dataset: str | None = None
    source: str | None = None
    protocol: str | None = None
    shots: str | None = None
    strategy: str | None = None
    tuned_parameters: int | None = None
    fully_supervised: bool | None = None
    recipe: str | None = None
    """The recipe of ours that trains the system, before it is tuned."""
    ending: str | None = None
    """What is added to the columns' recipes for the parameters that were tuned."""
    card: str | dict[str, str] | None = None
    """The card of ours for the same system, or one for each dataset, where its name is another."""
    released: bool | None = None
    by_class: dict[str, float] | None = None
    """Percent, of the row's one number."""
    notes: tuple[str, ...] = ()
    cell_notes: tuple[_CellNote, ...] = ()


class TableFile(Strict):
    """What a file holds: a table."""

    title: str
    about: str = ""
    source: str
    page: str
    protocol: str = UNKNOWN
    """The card of released code that is nearest to what was done."""
    fully_supervised: bool | None = None
    notes: tuple[str, ...] = ()
    headings: tuple[str, ...]
    common: _Common | None = None
    columns: tuple[_Column, ...]
    rows: tuple[_Row, ...]

    @model_validator(mode="after")
    def _fits(self) -> "TableFile":
        columns = [_filled(column, self.common) for column in self.columns]
        names = {f"{column.under} {column.label}".strip() for column in columns}
        for row in self.rows:
            if len(row.cells.split()) != len(columns):
                raise ValueError(f"{row.labels} must have {len(columns)} cells")
            if len(row.labels) != len(self.headings):
                raise ValueError(f"{row.labels} must be one label for each heading")
            if (row.shots is None) != (row.strategy is None):
                raise ValueError(f"{row.labels} must have both shots and a strategy, or neither")
            if strange := {name for note in row.cell_notes for name in note.at} - names:
                raise ValueError(f"{row.labels} has no column {sorted(strange)}")
            for column, text in zip(columns, row.cells.split(), strict=True):
                _check_cell(row, column, text)
        return self


def _check_cell(row: _Row, column: _Column, text: str) -> None:
    """Whether a cell is what its column holds; `ValueError` says what it is not."""
    where = f"{row.labels}, {column.under} {column.label}".rstrip()
    if column.mark is not None and text not in _MARKS:
        raise ValueError(f"{where}: a mark is {' or '.join(_MARKS)}, not {text}")
    if not (column.dataset or column.score):
        return
    if None in (column.dataset or row.dataset, column.split, column.task, column.score):
        raise ValueError(f"{where}: a score needs a dataset, split, task and score")
    if not (_NUMBER.fullmatch(text) or text in _NO_NUMBER):
        raise ValueError(f"{where}: {text} is no number, nor one of {' '.join(_NO_NUMBER)}")


_NUMBER = re.compile(r"(\d+(?:\.\d+)?)(?:±(\d+(?:\.\d+)?))?")
_NO_NUMBER = ("?", "-", "n/a", "_")
_MARKS = {"✓": True, "✗": False}


Marks = Mapping[str, bool]
"""What a system was trained with and is made of; see `Publication.supervision`."""


def read_table(name: str, known: Mapping[str, Marks] | None = None) -> PrintedTable:
    """The table of a shipped file.

    Args:
        name: of the file, without its ending.
        known: marks of systems by model, for tables that print none.
    """
    path = FOLDER.joinpath(f"{name}.yaml")
    document = read_document(path.read_text("utf-8"), str(path))
    try:
        file = TableFile.model_validate(document.content)
    except ValidationError as error:
        raise blame(error, TableFile, document) from None
    columns = [_filled(column, file.common) for column in file.columns]
    return PrintedTable(
        name=name,
        title=file.title,
        source=file.source,
        page=file.page,
        headings=file.headings,
        columns=tuple(Column(c.label, c.under, c.dataset, c.task, c.score) for c in columns),
        rows=tuple(_row(name, file, columns, n, known or {}) for n in range(len(file.rows))),
        about=file.about,
        notes=file.notes,
    )


def _filled(column: _Column, common: _Common | None) -> _Column:
    """A column of scores with what all of them share."""
    if common is None or not (column.dataset or column.score):
        return column
    return column.model_copy(
        update={
            "split": column.split or common.split,
            "task": column.task or common.task,
            "score": column.score or common.score,
        }
    )


def _row(
    name: str, file: TableFile, columns: Sequence[_Column], place: int, known: Mapping[str, Marks]
) -> PrintedRow:
    row = file.rows[place]
    model, protocol = row.model or row.labels[0], row.protocol or file.protocol
    texts = ["" if text == "_" else text for text in row.cells.split()]
    marks = {c.mark: _MARKS[t] for c, t in zip(columns, texts, strict=True) if c.mark}
    groups: dict[tuple[str, str, bool], list[int]] = {}
    for index, (column, text) in enumerate(zip(columns, texts, strict=True)):
        if column.score and _NUMBER.fullmatch(text):
            key = (row.dataset or str(column.dataset), str(column.split), column.pretrained)
            groups.setdefault(key, []).append(index)
    cells = [Cell(text) for text in texts]
    for (dataset, split, pretrained), at in groups.items():
        record = Record(
            key="-".join((name, str(place + 1), dataset, split, *(["before"] * pretrained))),
            reported=True,
            source=row.source or file.source,
            publication=Publication(
                table=name,
                row=" · ".join(row.labels),
                page=file.page,
                supervision=dict(marks or known.get(model, {})),
                fully_supervised=_first(row.fully_supervised, file.fully_supervised),
                tuned_parameters=None if pretrained else row.tuned_parameters,
                recipe=_recipe(row, columns[at[0]]),
                card=row.card.get(dataset) if isinstance(row.card, dict) else row.card,
                released=row.released,
            ),
            model=ModelUsed(name=model),
            dataset=DatasetUsed(name=dataset, split=split),
            protocol=ProtocolUsed(name=protocol),
            tuning=None if pretrained else _tuning(row),
            scores=_scores([(columns[i], texts[i]) for i in at], row.by_class),
            notes=(*row.notes, *_notes(row, [columns[i] for i in at]), *_doubt(protocol)),
        )
        for i in at:
            cells[i] = Cell(texts[i], record, str(columns[i].task), str(columns[i].score))
    return PrintedRow(row.labels, tuple(cells), row.model, row.recipe, row.notes)


def _first(one: bool | None, other: bool | None) -> bool | None:
    return other if one is None else one


def _recipe(row: _Row, column: _Column) -> str | None:
    """The last recipe of ours that a number needs."""
    if row.recipe is None or row.shots is None or column.pretrained or column.recipe is None:
        return row.recipe
    return column.recipe if row.ending is None else f"{column.recipe}-{row.ending}"


def _doubt(protocol: str) -> tuple[str, ...]:
    """What to know where a card is named: no publication here states its protocol in full."""
    if protocol == UNKNOWN:
        return ()
    return (f"Protocol: not stated in full; {protocol} is the nearest card of released code.",)


def _tuning(row: _Row) -> Tuning | None:
    if row.shots is None or row.strategy is None:
        return None
    return Tuning(shots=row.shots, strategy=row.strategy)


def _scores(
    printed: Sequence[tuple[_Column, str]], by_class: Mapping[str, float] | None
) -> dict[str, dict[str, RecordedScore]]:
    found: dict[str, dict[str, RecordedScore]] = {}
    for column, text in printed:
        match = _NUMBER.fullmatch(text)
        assert match is not None
        value, spread = match.groups()
        found.setdefault(str(column.task), {})[str(column.score)] = RecordedScore(
            value=_fraction(value),
            spread=None if spread is None else _fraction(spread),
            by_class={n: _fraction(str(v)) for n, v in by_class.items()} if by_class else None,
        )
    return found


def _fraction(percent: str) -> float:
    """A printed percentage as a fraction, without the dust of dividing.

    >>> _fraction("48.36")
    0.4836
    """
    return round(float(percent) / 100, 6)


def _notes(row: _Row, columns: Sequence[_Column]) -> list[str]:
    """The remarks about these cells of a row, each with the column it is about."""
    names = {f"{column.under} {column.label}".strip(): column for column in columns}
    return [
        f"{names[name].score}: {remark.note}"
        for remark in row.cell_notes
        for name in remark.at
        if name in names
    ]
