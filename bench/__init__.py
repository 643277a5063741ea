"""The benchmark and evaluation suite for open-vocabulary segmentation.

In a notebook, five names are enough:

>>> import bench
>>> dataset = bench.load_dataset("shapes")
>>> model = bench.load_model("colour")
>>> record = bench.evaluate(model, dataset, tasks=["semantic", "panoptic"], limit=4)
>>> 0 < record.scores["panoptic"]["PQ"].value < 1
True
>>> frame = bench.results()  # a pandas frame of all runs in ./bench-results, and published numbers
>>> {"model", "dataset", "score", "value", "source"} <= set(frame.columns)
True

Importing this package imports neither torch nor pandas.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from bench.report.frame import results
    from bench.workplace import evaluate, load_dataset, load_model

_PLACES = {
    "load_dataset": "bench.workplace",
    "load_model": "bench.workplace",
    "evaluate": "bench.workplace",
    "results": "bench.report.frame",
}

__all__ = ["load_dataset", "load_model", "evaluate", "results"]


def __getattr__(name: str) -> Any:
    """Import a function when it is first used."""
    if name not in _PLACES:
        raise AttributeError(f"module 'bench' has no attribute {name!r}")
    return getattr(import_module(_PLACES[name]), name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
