"""Datasets for tests, opened from a few lines of a spec."""

from pathlib import Path
from typing import Any

from bench import catalog
from bench.data.dataset import Dataset
from bench.data.opening import open_dataset
from bench.protocol import Protocol
from bench.spec import DatasetSpec

CARD = Protocol(name="plain")
SAMPLES = Path(__file__).parents[3] / "shared" / "reference" / "samples"


def opened(root: Path, split: dict[str, Any], *, vocabulary: Any = None, **more: Any) -> Dataset:
    """The only split of a dataset at `root`."""
    spec = DatasetSpec.model_validate(
        {"name": "tiny", "vocabulary": vocabulary, "splits": {"val": split}}
    )
    return open_dataset(spec, root=root, protocol=CARD, **more)


def opened_folder(path: Path, split: str | None = None) -> Dataset:
    """A folder without a spec."""
    spec = catalog.dataset(str(path))
    return open_dataset(spec, root=path, protocol=CARD, split=split)
