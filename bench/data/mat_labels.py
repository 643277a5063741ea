"""Label maps in MATLAB files, as Pascal Context has them: one variable, `LabelMap`, a file."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Int

from bench.data.label_maps import require_size
from bench.data.pattern import Pattern
from bench.data.source import Opening, Reader, contents
from bench.data.values import Values, ValueTable
from bench.errors import DataError
from bench.types import LabelMap


class MatOptions(Values):
    """Options of the reader `mat-label-map`."""

    files: str
    """Where the files are, with {id} in place of the sample's id."""
    variable: str = "LabelMap"
    """The variable that holds the map."""


@dataclass(frozen=True)
class MatLabels:
    """Label maps by sample id."""

    root: Path
    pattern: Pattern
    variable: str
    table: ValueTable

    def read(self, id: str, size: tuple[int, int]) -> LabelMap:
        """The label of every pixel, void as -1."""
        path = self.root / self.pattern.fill(id)
        values = read_variable(path, self.variable)
        require_size(path, values, size)
        return self.table.labels(values, path)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the samples' files, in the order of ids."""
        return contents(self.pattern.files_of(self.root, ids))


def read_variable(path: Path, name: str) -> Int[np.ndarray, "height width"]:
    """One matrix of whole numbers out of a MATLAB file (of version 4 to 7.2)."""
    from scipy.io import loadmat  # heavy, and needed for this format only

    try:
        found = loadmat(path, variable_names=[name]).get(name)
    except FileNotFoundError:
        raise DataError(f"{path} is missing.") from None
    except Exception as error:  # scipy raises what it pleases on a broken file
        raise DataError(f"{path} is a broken MATLAB file: {error}.") from error
    if not isinstance(found, np.ndarray) or found.ndim != 2:
        raise DataError(f"{path} has no matrix '{name}' in it.")
    if found.dtype.kind not in "iu":
        if found.dtype.kind != "f" or not bool((found == np.rint(found)).all()):
            raise DataError(f"{path}: '{name}' does not hold whole numbers.")
        found = found.astype(np.int32)
    # MATLAB keeps the byte order of the machine that wrote it.
    return np.ascontiguousarray(found, found.dtype.newbyteorder("="))


def open_mat_labels(options: MatOptions, opening: Opening) -> MatLabels:
    """The MATLAB files that fit a pattern, under a vocabulary."""
    home, pattern = opening.home, Pattern(options.files)
    if not pattern.fits_any(home.path):
        home.folder(".")
        raise home.missing(f"no {options.files} in {home.path}.")
    return MatLabels(home.path, pattern, options.variable, options.table(opening.vocabulary))


MAT_LABEL_MAP = Reader(
    "label maps in MATLAB files, as Pascal Context has them",
    MatOptions,
    truths={"semantic": open_mat_labels},
)
