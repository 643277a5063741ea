"""What folders and files are called, and the split that is meant."""

import re
from collections.abc import Collection, Sequence
from pathlib import Path

from bench.errors import DataError

SPLIT_WORDS = {
    "valid": "val", "validation": "val", "val": "val", "train": "train", "training": "train",
    "test": "test", "testing": "test",
}  # fmt: skip
DEFAULT_ORDER = ("val", "test", "train")
"""The split that is scored is the first of these that is there."""


def split_of(name: str, otherwise: str = "all") -> str:
    """The split that a file's or folder's name speaks of.

    >>> split_of("instances_val2017"), split_of("train_10shot"), split_of("bottles")
    ('val', 'train', 'all')
    """
    words = re.findall(r"[a-z]+", name.lower())
    return next((SPLIT_WORDS[word] for word in words if word in SPLIT_WORDS), otherwise)


def split_called(name: str, otherwise: str) -> str:
    """The split that a folder's whole name stands for.

    >>> split_called("Valid", "none"), split_called("train_10shot", "none")
    ('val', 'none')
    """
    return SPLIT_WORDS.get(name.lower(), otherwise)


def default_split(splits: Collection[str]) -> str:
    """The split that is scored where none is named."""
    return next((split for split in DEFAULT_ORDER if split in splits), next(iter(splits)))


def folders_in(folder: Path) -> list[Path]:
    """The folders in a folder, in the order of names, without hidden ones."""
    return sorted(
        child for child in folder.iterdir() if child.is_dir() and not child.name.startswith(".")
    )


def parts_with(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """A file of one of these names in a folder itself and in each folder in it, by split.

    A folder that is called like no split is a split of its own name.

    Raises:
        DataError: two folders stand for the same split; names both.
    """
    found: dict[str, Path] = {}
    for part in (folder, *folders_in(folder)):
        file = next((part / name for name in names if (part / name).is_file()), None)
        if file is None:
            continue
        split = split_called(part.name, "all" if part == folder else part.name)
        if split in found:
            raise DataError(
                f"{found[split].parent} and {part} both stand for the split '{split}': move one of "
                "them away, or rename it, or write a spec that says which is meant."
            )
        found[split] = file
    return found
