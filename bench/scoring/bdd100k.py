"""BDD100K's panoptic bitmasks: class, attributes and id of every pixel in one RGBA file.

Its labels run from 1 to 40: 30 stuff classes (its «void» group among them) and then 10 things; 0 is
unlabelled. Objects marked as crowd or ignored excuse predictions, as a crowd of COCO does.
"""

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from bench.data.images import open_image
from bench.data.panoptic_png import Encoding, PanopticPngs
from bench.data.pattern import Pattern
from bench.data.values import Values
from bench.errors import DataMissing
from bench.scoring.classes import Classes
from bench.scoring.files import check_ids
from bench.types import Panoptic, Vocabulary

_STUFF = """
    dynamic, ego vehicle, ground, static, parking, rail track, road, sidewalk, bridge, building,
    fence, garage, guard rail, tunnel, wall, banner, billboard, lane divider, parking sign, pole,
    polegroup, street light, traffic cone, traffic device, traffic light, traffic sign,
    traffic sign frame, terrain, vegetation, sky
"""
_THINGS = "person, rider, bicycle, bus, car, caravan, motorcycle, trailer, train, truck"


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(","))


CLASSES = Classes(
    {label + 1: label for label in range(40)},
    (*_names(_STUFF), *_names(_THINGS)),
    frozenset(range(30, 40)),
)


def pairs(
    truth: Path, predictions: Path, classes: Classes
) -> Iterator[tuple[Panoptic, Panoptic, Path]]:
    """The prediction and the truth of each image, and the prediction's file."""
    pattern = Pattern("{id}.png")
    true_files, said_files = (dict(pattern.files(folder)) for folder in (truth, predictions))
    if not true_files:
        raise DataMissing(f"There is no folder {truth} with PNG files.")
    check_ids(true_files, said_files, thing="image", answer="bitmask", path=predictions)
    named = dict(zip(classes.labels, classes.names, strict=True))
    table = Values(values={0: None, **named}).table(Vocabulary(classes.names))
    every = frozenset(range(len(classes.names)))
    true, said = (
        PanopticPngs(folder, pattern, Encoding.BDD_BITMASK, table, every)
        for folder in (truth, predictions)
    )
    for id, path in true_files.items():
        width, height = open_image(path).size
        size = height, width
        yield _without_crowds(said.read(id, size)), true.read(id, size), said_files[id]


def _without_crowds(prediction: Panoptic) -> Panoptic:
    """Segments that a prediction marks as crowd or ignored do not count, as void does not."""
    ignored = [segment.id for segment in prediction.segments if segment.crowd]
    if not ignored:
        return prediction
    ids = np.where(np.isin(prediction.ids, ignored), 0, prediction.ids)
    return Panoptic(ids, tuple(s for s in prediction.segments if not s.crowd))
