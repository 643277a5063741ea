"""Tasks: what each asks of a model, and what it scores the answer with.

`TASKS` says where each task lives; `task(name)` imports it when it is used.
"""

from importlib import import_module

from bench.errors import UnknownName
from bench.tasks.added import Addition, extended
from bench.tasks.task import Question, Task

TASKS = {
    "semantic": "bench.tasks.segmentation:SEMANTIC",
    "instance": "bench.tasks.segmentation:INSTANCE",
    "panoptic": "bench.tasks.segmentation:PANOPTIC",
    "cityscapes-instance": "bench.tasks.cityscapes_instance:CITYSCAPES_INSTANCE",
    "referring": "bench.tasks.referring:REFERRING",
    "retrieval": "bench.tasks.retrieval:RETRIEVAL",
    "caption": "bench.tasks.caption:CAPTION",
    "vqa": "bench.tasks.vqa:VQA",
}


def task(name: str) -> Task:
    """The task of that name, with what other packages score it by; an unknown one suggests near."""
    if name not in TASKS:
        raise UnknownName("task", name, TASKS)
    module, _, attribute = TASKS[name].partition(":")
    found = getattr(import_module(module), attribute)
    assert isinstance(found, Task)
    return extended(found)


__all__ = ["TASKS", "Addition", "Question", "Task", "task"]
