"""Published numbers: what others measured and printed, as tables and as records marked `reported`.

Every figure of the X-Decoder paper's Tables 1 to 15 is here, with what its repository prints of the
released checkpoints and what is known of other systems on Segmentation in the Wild. `table` gives a
table as it stands, each number of it with its record; `records` gives all records.

    >>> small = table("table6")
    >>> [column.name for column in small.columns][:2], small.rows[1].labels
    (['COCO PQ', 'COCO mAP'], ('- Retrieval',))
    >>> cell = small.rows[1].cells[0]
    >>> cell.text, cell.value, cell.task, cell.score, cell.record.dataset.name
    ('51.4', 0.514, 'panoptic', 'PQ', 'coco')

«?» (not reported), «-» (cannot be) and «n/a» stay in a table, and make no record. Tables 8 and 12
are about datasets and have none. Figures 8 and 9 draw numbers of Tables 13 to 15: their cells have
the records of those.
"""

from collections.abc import Mapping
from functools import lru_cache
from itertools import chain

from bench.errors import UnknownName
from bench.printed import FOLDER, Cell, Column, PrintedRow, PrintedTable, read_table
from bench.record import Record
from bench.reprints import joined

__all__ = ["Cell", "Column", "PrintedRow", "PrintedTable", "distinct", "names", "records", "table"]


def names() -> tuple[str, ...]:
    """Every table and figure there is: the paper's in order, then the others.

    >>> names()[:2], names()[14:17]
    (('table1', 'table2'), ('table15', 'figure8', 'figure9'))
    """
    stems = [f.name.removesuffix(".yaml") for f in FOLDER.iterdir() if f.name.endswith(".yaml")]
    ours = sorted((n for n in stems if n.startswith("table")), key=lambda n: int(n[5:]))
    return (*ours, *_DRAWN, *sorted(set(stems) - set(ours)))


def table(name: str) -> PrintedTable:
    """A table or figure as it is printed, by one of the `names`; an unknown one suggests near.

    >>> row = table("table6").rows[1]
    >>> row.labels, row.recipe, row.cells[0].text, row.cells[0].value
    (('- Retrieval',), 'pretrain-T-no-retrieval', '51.4', 0.514)
    """
    found = _tables()
    if name not in found:
        raise UnknownName("published table", name, found)
    return found[name]


@lru_cache(maxsize=1)
def records() -> tuple[Record, ...]:
    """Every published number, as records: one for each row of a table and dataset of its columns.

    >>> len({record.key for record in records()}) == len(records()) > 2000
    True
    """
    return tuple(chain.from_iterable(table(n).records() for n in names() if n not in _DRAWN))


@lru_cache(maxsize=1)
def distinct() -> tuple[Record, ...]:
    """The published numbers, what several tables print alike of one system once.

    For tables and plots, where a row for each reprint would only repeat the others.

    >>> [r.source for r in distinct() if (r.model.name, r.dataset.name) == ("xdecoder-L", "voc-20")]
    ['X-Decoder (CVPR 2023), Tables 2, 10 and 11']
    """
    return joined(records())


_MARKED = ("table2", "table11")
"""Tables that mark how systems were supervised; where both do, the first has more marks."""


@lru_cache(maxsize=1)
def _tables() -> Mapping[str, PrintedTable]:
    marked = [read_table(name) for name in reversed(_MARKED)]
    known = {
        record.model.name: record.publication.supervision
        for printed in marked
        for record in printed.records()
        if record.publication
    }
    read = {name: read_table(name, known) for name in names() if name not in _DRAWN}
    return {name: _DRAWN[name](read) if name in _DRAWN else read[name] for name in names()}


# --- figures -------------------------------------------------------------------------------------

_LARGE = "X-Decoder (L)"


def _figure8(printed: Mapping[str, PrintedTable]) -> PrintedTable:
    """Datasets by what X-Decoder (L) scores on them without tuning, best first."""
    source = printed["table13"]
    (row,) = (row for row in source.rows if row.labels == (_LARGE, "0"))
    bars = [
        PrintedRow((column.label,), (cell,), row.model)
        for column, cell in zip(source.columns[2:], row.cells[2:], strict=True)
    ]
    return PrintedTable(
        name="figure8",
        title="Figure 8, zero-shot instance segmentation of X-Decoder (L), dataset by dataset",
        source=source.source,
        page=source.page,
        headings=("Dataset",),
        columns=(Column("mask AP", task="instance", score="AP"),),
        rows=tuple(sorted(bars, key=lambda bar: -(bar.cells[0].value or 0.0))),
        about="The figure's bars are not in the text at hand: these are the numbers of Table 13.",
    )


def _figure9(printed: Mapping[str, PrintedTable]) -> PrintedTable:
    """Mean AP over shots: a panel for each strategy, then one for each model."""
    panels = (("a", "table13"), ("b", "table14"), ("c", "table15"))
    curves = {
        (model, panel): _curve(printed[name], model) for panel, name in panels for model in _MODELS
    }
    strategies = {"a": "class embedding", "b": "prompt", "c": "decoder"}
    rows = [
        PrintedRow((panel, model, strategies[panel]), *curves[model, panel])
        for panel, _ in panels
        for model in _MODELS
    ]
    rows += [
        PrintedRow((own, model, strategies[panel]), *curves[model, panel])
        for own, model in zip("defgh", _MODELS_BY_PANEL, strict=True)
        for panel, _ in panels
    ]
    shots = [row.labels[1] for row in printed["table13"].rows if row.labels[0] == _LARGE]
    return PrintedTable(
        name="figure9",
        title="Figure 9, mean AP on Segmentation in the Wild over shots",
        source="X-Decoder (CVPR 2023), Tables 13 to 15",
        page=printed["table13"].page,
        headings=("Panel", "Model", "Tuned"),
        columns=tuple(Column(n, "Shots", "seginw", "instance", "AP") for n in shots),
        rows=tuple(rows),
        about="The figure's curves are not in the text at hand: these are the means of the tables.",
    )


_MODELS = (
    *("X-Decoder (T)", "X-Decoder-Seg+ (B)", "X-Decoder (B)", "X-Decoder (L-IN21K)"),
    _LARGE,
)
_MODELS_BY_PANEL = (
    *("X-Decoder-Seg+ (B)", "X-Decoder (T)", "X-Decoder (B)", "X-Decoder (L-IN21K)"),
    _LARGE,
)
"""Panels d to h."""


def _curve(source: PrintedTable, model: str) -> tuple[tuple[Cell, ...], str | None]:
    """The means of a model over shots, and who it is."""
    rows = [row for row in source.rows if row.labels[0] == model]
    return tuple(row.cells[1] for row in rows), rows[0].model


_DRAWN = {"figure8": _figure8, "figure9": _figure9}
