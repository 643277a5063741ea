"""What a person must do where a dataset may not be fetched: which files go where, and whose terms.

Licences that want a log-in, a form or a signature are accepted by people.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

from bench.obtain.pieces import Piece
from bench.spec import DatasetSpec, Split


def instructions(spec: DatasetSpec, missing: Sequence[Piece], root: Path) -> str:
    """What to do to have a dataset, a step a line.

    `missing` are the pieces that only a person can get; without any, the dataset is not offered as
    files, and what its readers want is said.
    """
    return "\n".join(_lines(spec, missing, root))


def _lines(spec: DatasetSpec, missing: Sequence[Piece], root: Path) -> Iterator[str]:
    source, home = spec.source, root / spec.home
    yield f"{spec.name} cannot be fetched for you{f': {source.licence}' if source.licence else ''}."
    if source.page:
        yield f"  page:   {source.page}"
    if source.terms:
        yield f"  terms:  {source.terms}"
    if missing:
        yield "  files:"
        for piece in missing:
            yield f"    {piece.file}  →  {home}, where it gives {', '.join(piece.given())}"
        yield f"  then:   bench data get {spec.name} --from FOLDER-OF-THESE-FILES"
    else:
        if source.note:
            yield f"  about:  {source.note}"
        yield f"  files:  the split {spec.split()[0]} is read from {home}, from"
        yield from (f"    {path}" for path in read(spec.split()[1]))
        yield f"  then:   bench data check {spec.name}"


_PATHS = (
    *("files", "labels", "list", "within", "json_file", "folder"),
    *("refs", "objects", "questions", "answers", "images"),
)
"""What readers call the options that are paths."""


def read(split: Split) -> tuple[str, ...]:
    """What a split's readers look for below the dataset's folder."""
    readings = [split.images, *split.truth.values(), *([split.prompts] if split.prompts else [])]
    found = [
        value
        for reading in readings
        for key in _PATHS
        if isinstance(value := getattr(reading.options, key, None), str)
    ]
    return tuple(dict.fromkeys(found))
