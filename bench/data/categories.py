"""From the categories of a file to the labels of a vocabulary.

Exports number their categories as they like: from 0 or 1, with gaps, with a placeholder for the
whole project, with one name twice. Labels are positions in the vocabulary's names; this is where
one becomes the other, and what was decided on the way is kept as notes.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from types import MappingProxyType

from pydantic import Field

from bench.data.coco_json import Category
from bench.errors import DataError, nearest
from bench.protocol import Strict
from bench.types import Vocabulary


class DuplicateNames(StrEnum):
    """What happens to two categories of one name.

    A model is asked with names, so it cannot tell them apart: merging is the default. COCO's own
    tools score by category id and keep them, which holds every answer for one of the two.
    """

    MERGE = "merge"
    """They are one class."""
    KEEP = "keep"
    """They are two classes; the later one is called `name (id)` and prompted as `name`."""


class Unlisted(StrEnum):
    """What happens to truth of a class that the vocabulary does not have."""

    REFUSE = "refuse"
    """It is an error: most often the vocabulary belongs to another dataset."""
    LEAVE_OUT = "leave-out"
    """Its pixels are void, its objects are not there."""


class CategoryOptions(Strict):
    """How the categories of a file are those of the vocabulary."""

    renamed: dict[str, str] = Field(default_factory=dict)
    """The vocabulary's name for categories that the file calls otherwise."""
    first_id: int | None = None
    """The category id of the vocabulary's first class, for files whose categories follow its order
    and are named otherwise; without it, they are found by name."""
    unlisted: Unlisted = Unlisted.REFUSE


@dataclass(frozen=True)
class Categories:
    """The classes that a file names, placeholder left out, and the label of each category id."""

    path: Path
    vocabulary: Vocabulary
    labels: Mapping[int, int]
    notes: tuple[str, ...]


def is_placeholder(category: Category, among: Iterable[Category], used: Collection[int]) -> bool:
    """Whether a category stands for the whole project, as Roboflow's exports have one.

    It has no annotations, its own supercategory is `none`, and every other category's is its name.
    """
    others = [other for other in among if other.id != category.id]
    return (
        category.id not in used
        and category.supercategory == "none"
        and bool(others)
        and all(other.supercategory == category.name for other in others)
    )


def read_categories(
    path: Path,
    categories: tuple[Category, ...],
    used: Collection[int],
    duplicates: DuplicateNames = DuplicateNames.MERGE,
) -> Categories:
    """The classes of a file by its own account; `used` are the category ids with annotations."""
    if len({c.id for c in categories}) < len(categories):
        raise DataError(f"{path}: two categories have the same id.")
    real = [c for c in categories if not is_placeholder(c, categories, used)]
    if not real:
        raise DataError(f"{path} names no category.")
    names: dict[str, int] = {}
    prompts: list[tuple[str, ...]] = []
    things: set[int] = set()
    labels: dict[int, int] = {}
    for category in real:
        name = category.name
        if name in names and duplicates is DuplicateNames.KEEP:
            name = f"{name} ({category.id})"
        if name not in names:
            names[name] = len(names)
            prompts.append((category.name,))
        labels[category.id] = names[name]
        if category.thing is not False:
            things.add(names[name])
    vocabulary = Vocabulary(tuple(names), tuple(prompts), frozenset(things))
    notes = (*_left_out(categories, real), *_repeated(real, duplicates))
    return Categories(path, vocabulary, MappingProxyType(labels), notes)


def _left_out(categories: Iterable[Category], real: list[Category]) -> Iterator[str]:
    for category in categories:
        if category not in real:
            yield (
                f"left out category {category.id} '{category.name}': a placeholder for the whole "
                "export, without annotations"
            )


def _repeated(real: list[Category], duplicates: DuplicateNames) -> Iterator[str]:
    merged = duplicates is DuplicateNames.MERGE
    for name, n in Counter(category.name for category in real).items():
        if n > 1:
            ids = ", ".join(str(category.id) for category in real if category.name == name)
            decision = "they count as one class" if merged else "they are kept apart"
            yield f"categories {ids} are all called '{name}': {decision}"


def labels_of(
    own: Categories, vocabulary: Vocabulary, options: CategoryOptions
) -> dict[int, int | None]:
    """The vocabulary's label of each category id of a file; `None` for one left out."""
    label_of = {name: label for label, name in enumerate(vocabulary.names)}
    found: dict[int, int | None] = {}
    for id, own_label in own.labels.items():
        name = own.vocabulary.names[own_label]
        if options.first_id is None:
            label = label_of.get(options.renamed.get(name, name))
        else:
            place = id - options.first_id
            label = place if 0 <= place < len(vocabulary) else None
        if label is None and options.unlisted is Unlisted.REFUSE:
            raise _not_in_vocabulary(own.path, id, name, label_of, options)
        found[id] = label
    return found


def _not_in_vocabulary(
    path: Path, id: int, name: str, label_of: Mapping[str, int], options: CategoryOptions
) -> DataError:
    if options.first_id is not None:
        reason = f"one of its {len(label_of)} classes, counted from {options.first_id}"
    else:
        near = nearest(name, label_of, n=1)
        reason = "in it" + (f" (nearest: '{near[0]}')" if near else "")
    return DataError(
        f"{path}: category {id} '{name}' does not fit the vocabulary, as it is not {reason}. Name "
        "it in the reader's 'renamed', or leave such categories out with 'unlisted: leave-out'."
    )
