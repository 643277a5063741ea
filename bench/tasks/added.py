"""Metrics of other packages: meters that score a task's answers beside its own.

A package offers them by entry points of the group `bench.metrics`, each an `Addition`. Wherever it
is installed, records of that task have its scores too; the headline stays what it was.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from importlib.metadata import EntryPoints, entry_points

from bench.errors import UsageError
from bench.metrics.meter import Meter
from bench.protocol import Protocol
from bench.tasks.task import Task
from bench.types import Vocabulary

GROUP = "bench.metrics"
Meters = Callable[[Vocabulary, Protocol], tuple[Meter, ...]]


@dataclass(frozen=True)
class Addition:
    """Meters for a task that exists."""

    task: str
    """Its name, such as `semantic`."""
    meters: Meters
    """Makes them, for the classes of a dataset and the card it is scored under."""


def extended(task: Task) -> Task:
    """The task with the meters that other packages add to it."""
    added = tuple(each.meters for each in _additions(entry_points) if each.task == task.name)
    if not added:
        return task

    def meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
        return tuple(
            meter for make in (task.meters, *added) for meter in make(vocabulary, protocol)
        )

    return replace(task, meters=meters)


@lru_cache(maxsize=1)
def _additions(find: Callable[..., EntryPoints]) -> tuple[Addition, ...]:
    """What is installed, looked for once.

    Raises:
        UsageError: an entry point does not import, or is no `Addition`. A score that silently is
            not there would look like a choice.
    """
    found = []
    for point in find(group=GROUP):
        package = point.dist.name if point.dist else point.value
        try:
            addition = point.load()
        except Exception as error:  # whatever a stranger's module raises
            raise UsageError(
                f"The metric '{point.name}' of the package {package} does not import "
                f"({type(error).__name__}: {error}). Mend or uninstall it."
            ) from error
        if not isinstance(addition, Addition):
            raise UsageError(
                f"The metric '{point.name}' of the package {package} is a "
                f"{type(addition).__name__}, not an Addition of bench.tasks.added."
            )
        found.append(addition)
    return tuple(found)
