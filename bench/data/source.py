"""Where images, questions and truths come from: the contracts between a dataset and its readers.

A reader knows one on-disk format and nothing of datasets. It gives sources; a `Dataset` joins them
by sample id. Outside packages and generated worlds implement the same three protocols.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

from bench.types import Image


class ImageSource(Protocol):
    """The images of one split."""

    @property
    def ids(self) -> Sequence[str]:
        """The dataset's own names of its samples, unique, in a stable order."""
        ...

    def read(self, id: str) -> Image:
        """The image, upright; `DataError` naming the file where it is missing or broken."""
        ...

    def digest(self, id: str) -> str:
        """Hex digest of the image's content: equal for equal files, whatever their names."""
        ...

    def fingerprint(self) -> Iterator[bytes]:
        """What tells this list of images from another, cheaply: names and sizes."""
        ...


class TruthSource(Protocol):
    """What is true about each image, for one task."""

    def read(self, id: str, size: tuple[int, int]) -> Any:
        """The truth of one image of the given height and width; `DataError` where unreadable."""
        ...

    def fingerprint(self) -> Iterator[bytes]:
        """The content of the annotation files, in a stable order."""
        ...


class PromptSource(Protocol):
    """What is asked about each image, where that is not the dataset's vocabulary."""

    def read(self, id: str) -> Any:
        """The prompt of one sample: phrases, questions."""
        ...
