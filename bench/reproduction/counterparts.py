"""What stands for the paper's datasets in the embedded world: as open as a table can be.

A counterpart asks the same kind of question of a model that was trained on `shapes` as the paper's
column asks of one that was trained on COCO. Its numbers are of another size; what can be compared
is which change moves them, and which way.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Counterpart:
    """A score in the embedded world."""

    dataset: str
    split: str
    task: str
    score: str

    @property
    def title(self) -> str:
        """What tables call it."""
        split = "" if self.split == "val" else f"/{self.split}"
        return f"{self.dataset}{split} {self.score}"


SEGMENTED: dict[str, tuple[str, str, str]] = {
    "coco": ("shapes", "val", "other scenes of the kind that was trained on, the names too"),
    "voc-20": ("shapes", "val", "as for COCO, which has all of VOC's names"),
    "ade20k-150": ("shapes-pairs", "unseen", "things whose names training never gave together"),
    "context-59": ("shapes-colours", "val", "familiar things under coarser names"),
    "cityscapes": ("shapes-in-the-wild-night-watch", "val", "things at night, never trained on"),
}
"""Dataset of the paper, to dataset and split here, and why."""

OTHERS: dict[str, tuple[str, str, str]] = {
    "coco-retrieval": ("shapes-retrieval", "val", "500 scenes of five captions"),
    "flickr30k-retrieval": ("shapes-retrieval", "unseen", "500 scenes rich in unseen pairs"),
    "coco-caption": ("shapes-caption", "val", "500 scenes of five captions"),
    "refcocog": ("shapes-referring", "things", "phrases that each mean one thing of 500 scenes"),
}

SCORES: Mapping[tuple[str, str], tuple[str, ...]] = {
    ("shapes-in-the-wild-night-watch", "instance"): ("AP",),
}
"""Where a counterpart has truth for one task only."""

_TASKS = {"cityscapes-instance": "instance"}
"""Tasks that only one dataset of the paper has, and what they are elsewhere."""


def counterpart(dataset: str | None, task: str | None, score: str | None) -> Counterpart | None:
    """What stands for a column of the paper; `None` where nothing here is like it.

    >>> counterpart("ade20k-150", "semantic", "mIoU").title
    'shapes-pairs/unseen mIoU'
    >>> counterpart("bdd-pano", "panoptic", "PQ") is None
    True
    """
    if dataset is None or task is None or score is None:
        return None
    if dataset == "seginw":
        return tuned_counterpart(dataset, task, score)
    found = (SEGMENTED | OTHERS).get(dataset)
    if found is None:
        return None
    name, split, _ = found
    task = _TASKS.get(task, task)
    only = [which for (of, which) in SCORES if of == name]
    return None if only and task not in only else Counterpart(name, split, task, score)


TUNED: dict[str, str] = {
    "seginw": "shapes-in-the-wild",
    "ade20k-150": "shapes-in-the-wild-orchard",
    "cityscapes": "shapes-in-the-wild-night-watch",
}
"""Dataset of the paper that models are tuned on, to the dataset or suite here, of 40 images each to
tune on; they have truth for instances alone."""


def tuned_counterpart(
    dataset: str | None, task: str | None, score: str | None
) -> Counterpart | None:
    """What stands for a column of the paper where a model is tuned first.

    >>> tuned_counterpart("seginw", "instance", "AP").title
    'shapes-in-the-wild AP'
    """
    task = _TASKS.get(str(task), task)
    if dataset not in TUNED or (task, score) != ("instance", "AP"):
        return None
    return Counterpart(TUNED[dataset], "val", "instance", "AP")


def why(dataset: str, *, tuned: bool = False) -> str:
    """Why a counterpart stands for a dataset of the paper, in a few words."""
    if tuned or dataset == "seginw":
        return "40 images each to tune on, of other looks and names than was trained on"
    return (SEGMENTED | OTHERS)[dataset][2]
