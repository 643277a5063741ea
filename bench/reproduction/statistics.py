"""Tables 8 and 12, which count images and classes: beside what our specs of the datasets say."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from bench import catalog
from bench.printed import PrintedTable
from bench.report.table import Cell, Row, Table
from bench.spec import DatasetSpec

DATASETS: Mapping[str, str] = {
    "ADE-150": "ade20k-150",
    "ADE-847": "ade20k-847",
    "Pascal Voc": "voc-20",
    "Pascal Context-59": "context-59",
    "Pascal Context-459": "context-459",
    "SUN RGB-D": "sunrgbd-37",
    "ScanNet-20": "scannet-20",
    "ScanNet-41": "scannet-41",
    "Cityscapes": "cityscapes",
    "BDD": "bdd-sem",
}
"""What Table 8 calls them; Table 12 calls its datasets as they are called here, less `seginw-`."""


@dataclass(frozen=True)
class Counted:
    """A number of images or classes, printed and ours."""

    row: str
    column: str
    printed: str
    here: int | None
    """`None`: our spec does not say."""

    @property
    def agrees(self) -> bool | None:
        """Whether the first printed number is ours; `None` where either is unknown."""
        first = re.match(r"\d+", self.printed)
        return None if first is None or self.here is None else int(first[0]) == self.here


def counted(printed: PrintedTable) -> Iterator[Counted]:
    """Every printed count with ours."""
    for row in printed.rows:
        name = DATASETS.get(row.labels[0], f"seginw-{row.labels[0]}")
        spec = catalog.dataset(name)
        for column, cell in zip(printed.columns, row.cells, strict=True):
            if column.label.startswith("#"):
                yield Counted(row.labels[0], column.label, cell.text, _ours(spec, column.label))


def _ours(spec: DatasetSpec, label: str) -> int | None:
    if label == "# Classes":
        return len(_classes(spec))
    split = "train" if label == "# Train" else None
    if split is not None and split not in spec.splits:
        return None
    return spec.split(split)[1].size


def _classes(spec: DatasetSpec) -> tuple[object, ...]:
    words = spec.vocabulary
    if words is None:
        return ()
    return (catalog.vocabulary(words) if isinstance(words, str) else words).classes


def statistics_table(printed: PrintedTable) -> Table:
    """The counts side by side, those that differ marked."""
    found = list(counted(printed))
    labels = [column.label for column in printed.columns if column.label.startswith("#")]
    header = (
        printed.headings[0],
        *(name for label in labels for name in (f"{label} paper", f"{label} here")),
        "differs",
    )
    rows = []
    for row in dict.fromkeys(one.row for one in found):
        mine = [one for one in found if one.row == row]
        pairs: list[Cell] = []
        for one in mine:
            pairs += [one.printed, "–" if one.here is None else one.here]
        differs = ", ".join(one.column for one in mine if one.agrees is False)
        rows.append(Row((row, *pairs, differs)))
    notes = (f"Paper: {printed.source}. here: what the dataset's spec says.", *printed.notes)
    return Table(header, tuple(rows), printed.title, notes)
