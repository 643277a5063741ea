"""A closed list of classes read as answers about another vocabulary.

A mask classifier trained on COCO or ADE20K knows its own classes only. Each of them is taken for
the class of the vocabulary that has one of its names, spelled alike or by a synonym; what it says
about the others counts as «none of these», and classes of the vocabulary that none of its own
stands for are never found. Which these are is said in the record's notes (`notes_about`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from bench.types import Proposals, Vocabulary
from models.baselines.hub import Pretrained

if TYPE_CHECKING:
    from torch import Tensor

SYNONYMS = (
    "aeroplane, airplane, plane",
    "bicycle, bike",
    "motorcycle, motorbike, minibike",
    "sofa, couch, lounge",
    "television, tv, television receiver, television set, tvmonitor, tv monitor, crt screen",
    "refrigerator, icebox, fridge",
    "table, dining table, diningtable",
    "plant, potted plant, pottedplant, flora, plant life",
    "sidewalk, pavement",
    "mountain, mount",
    "dirt, earth, ground",
    "cell phone, mobile phone, phone",
    "trash can, ashcan, garbage can, wastebin, dustbin",
    "person, individual, human, pedestrian",
    "car, auto, automobile, motorcar",
    "ship, boat",
    "cabinet, cupboard",
    "stairs, stairway, staircase",
    "microwave, microwave oven",
    "hair drier, hair dryer",
)
"""Words for one thing among the class lists of COCO, ADE20K, Cityscapes, Pascal and ScanNet."""

IMPOSSIBLE = -30.0
"""The logit of a class that is never found: 1e-13 beside one of probability 1."""


def spellings(name: str) -> frozenset[str]:
    """The names in a class name, spelled alike.

    >>> sorted(spellings("wall-other-merged")), sorted(spellings("sidewalk, pavement"))
    (['wall'], ['pavement', 'sidewalk'])
    """
    plain = re.sub(r"-(?:other|merged|stuff)\b", "", name.lower())
    parts = re.split(r"[,;]", plain)
    return frozenset(" ".join(re.split(r"[\s_/-]+", part.strip())) for part in parts) - {""}


def meanings(name: str) -> frozenset[str]:
    """The names in a class name and their synonyms."""
    found = spellings(name)
    groups = (frozenset(line.split(", ")) for line in SYNONYMS)
    return found.union(*(group for group in groups if group & found))


def kinds_of(name: str) -> frozenset[str]:
    """What COCO's hyphenated names are kinds of: `wall-brick` is a wall, `floor-wood` a floor."""
    return meanings(name.split("-")[0])


def assign(own: Sequence[str], vocabulary: Vocabulary) -> tuple[int | None, ...]:
    """The label that each of a network's own classes stands for; `None`: none of them.

    A name spelled alike comes before a synonym, that before what a name is a kind of; and the
    first of several labels counts.

    >>> assign(["couch", "wall-brick", "sky"], Vocabulary(("wall", "sofa"), background=None))
    (1, 0, None)
    """
    ways: tuple[Callable[[str], frozenset[str]], ...] = (
        lambda name: frozenset((name.lower(),)),
        spellings,
        meanings,
        kinds_of,
    )
    asked = [
        [
            frozenset[str]().union(*map(way, (name, *prompts)))
            for name, prompts in zip(vocabulary.names, vocabulary.prompts, strict=True)
        ]
        for way in (*ways[:3], meanings)
    ]
    return tuple(
        next(
            (
                label
                for way, of_labels in zip(ways, asked, strict=True)
                for label, names in enumerate(of_labels)
                if names & way(name)
            ),
            None,
        )
        for name in own
    )


def rest_column(vocabulary: Vocabulary) -> int | None:
    """The column for «none of these»: the background's, or that of a class called so (VOC).

    `None` where there is neither; then only the ratios among the classes are kept.
    """
    if vocabulary.background is not None:
        return len(vocabulary)
    spelled = [name.lower() for name in vocabulary.names]
    return spelled.index("background") if "background" in spelled else None


def recolumned(logits: Tensor, stands_for: Sequence[int | None], vocabulary: Vocabulary) -> Tensor:
    """Class logits in the columns of `vocabulary`.

    Args:
        logits: (query, own class and «no object» last).
        stands_for: from `assign`.
        vocabulary: what was asked.

    Returns:
        (query, column): the logarithm of the summed probability of the own classes that stand for
        each label; «no object» and classes that stand for nothing go to `rest_column`.
    """
    own = logits.float().softmax(dim=-1)
    shares = own.new_zeros(len(stands_for) + 1, vocabulary.columns)
    for index, label in enumerate(stands_for):
        if label is not None:
            shares[index, label] = 1
    rest = rest_column(vocabulary)
    if rest is not None:
        shares[:, rest] += 1 - shares.sum(dim=1)
    return (own @ shares).log().clamp(min=IMPOSSIBLE)


@dataclass(frozen=True, eq=False)
class ClosedClassifier(Pretrained):
    """A mask classifier with classes of its own."""

    @property
    def classes(self) -> tuple[str, ...]:
        """Its own classes, in the order of its columns."""
        names: Mapping[int, str] = self.network.config.id2label
        return tuple(names[index] for index in sorted(names))

    def notes_about(self, vocabulary: Vocabulary) -> tuple[str, ...]:
        """What a reader of its scores on this vocabulary must know."""
        found = {*assign(self.classes, vocabulary), rest_column(vocabulary)}
        absent = [name for label, name in enumerate(vocabulary.names) if label not in found]
        known = len(vocabulary) - len(absent)
        note = f"closed vocabulary: {known} of {len(vocabulary)} classes are among its own"
        return (f"{note}; never found: {', '.join(absent)}" if absent else note,)

    def proposals(
        self,
        class_logits: Tensor,
        mask_logits: Tensor,
        vocabulary: Vocabulary,
        *,
        shown: Sequence[tuple[int, int]],
        padded: tuple[int, int],
    ) -> list[Proposals]:
        """The network's answer to a batch in the columns of `vocabulary`.

        Args:
            class_logits: (image, query, own class and «no object» last).
            mask_logits: (image, query, grid height, grid width).
            vocabulary: what was asked.
            shown: height and width of each image in the padded input.
            padded: height and width of the padded input.
        """
        stands_for = assign(self.classes, vocabulary)
        return [
            Proposals(recolumned(classes, stands_for, vocabulary), masks.float(), size, padded)
            for classes, masks, size in zip(class_logits, mask_logits, shown, strict=True)
        ]


def shown_sizes(pixel_mask: Tensor) -> list[tuple[int, int]]:
    """Height and width of what each image covers of a padded input."""
    return [(int(mask.any(dim=1).sum()), int(mask.any(dim=0).sum())) for mask in pixel_mask.bool()]
