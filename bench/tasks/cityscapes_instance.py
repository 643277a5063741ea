"""Instance segmentation as Cityscapes' own tool scores it: another number than COCO's AP.

What a model is asked and what it answers is the same as for instance segmentation; only truth and
meter differ, so a dataset that is scored on both is asked once.
"""

from bench.metrics.cityscapes_instance import CityscapesInstanceAP
from bench.metrics.meter import Meter
from bench.protocol import Protocol
from bench.tasks.segmentation import INSTANCE
from bench.tasks.task import Task
from bench.types import Vocabulary


def _meters(vocabulary: Vocabulary, protocol: Protocol) -> tuple[Meter, ...]:
    return (CityscapesInstanceAP(vocabulary.names),)


CITYSCAPES_INSTANCE = Task(
    "cityscapes-instance",
    "Instance segmentation, Cityscapes' AP",
    INSTANCE.questions,
    _meters,
    "AP",
)
