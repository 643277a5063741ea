"""The classes that files are scored by, where a file names them."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.errors import DataError, DataMissing
from bench.scoring.files import read_json


@dataclass(frozen=True)
class Classes:
    """The classes of a panoptic truth, in its order."""

    labels: Mapping[int, int]
    """By category id."""
    names: tuple[str, ...]
    things: frozenset[int]
    """Labels of countable classes."""

    @classmethod
    def of(cls, path: Path, rows: Any) -> "Classes":
        """Read the rows of `categories`."""
        try:
            labels = {row["id"]: label for label, row in enumerate(rows)}
            names = tuple(str(row["name"]) for row in rows)
            things = frozenset(labels[row["id"]] for row in rows if row["isthing"])
        except (KeyError, TypeError):
            raise DataError(
                f"{path}: panoptic 'categories' need 'id', 'name' and 'isthing'."
            ) from None
        if len(labels) < len(names):
            raise DataError(f"{path}: two categories have the same id.")
        return cls(labels, names, things)


def read_classes(path: Path) -> Classes:
    """The classes of a JSON file with `categories`, or with a list of them."""
    content = read_json(path, "categories")
    return Classes.of(path, content.get("categories") if isinstance(content, dict) else content)


def read_names(path: Path) -> list[str]:
    """Class names in their order: one a line, or JSON (a list, or COCO's `categories` by id)."""
    if path.suffix.lower() != ".json":
        if not path.is_file():
            raise DataMissing(f"There is no file {path} with class names.")
        return [line.strip() for line in path.read_text().splitlines() if line.strip()]
    content = read_json(path, "class names")
    rows: Any = content.get("categories") if isinstance(content, dict) else content
    if isinstance(rows, list) and all(isinstance(row, str) for row in rows):
        return rows
    try:
        return [str(row["name"]) for row in sorted(rows, key=lambda row: row["id"])]
    except (KeyError, TypeError):
        raise DataError(
            f"{path} should be a list of names, or have 'categories' with 'id' and 'name'."
        ) from None
