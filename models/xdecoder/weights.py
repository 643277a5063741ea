"""How much each loss counts, and from how many layers it is read (section 3.4, released settings).

The first fields of `LossWeights` are the names of the losses everywhere: in logs, recipes, tests.
"""

from dataclasses import dataclass, field, fields
from math import isfinite


def _check_weights(of: "LossWeights | MatchingCosts") -> None:
    """Refuse what would turn a loss or a cost around."""
    for name, value in ((f.name, getattr(of, f.name)) for f in fields(of)):
        if not (isfinite(value) and value >= 0):
            raise ValueError(f"{name} is a number from 0, not {value}")


@dataclass(frozen=True)
class LossWeights:
    """What each loss is multiplied with; a loss of weight 0 is not computed.

    The defaults are those of the released configuration file (yaml). `RELEASED_COMMAND` and
    `PAPER` are the other two sets there are.
    """

    mask_class: float = 2.0
    """Classes of the objects: the paper's L_cls. Yaml: 2."""
    mask_bce: float = 5.0
    """Binary cross-entropy of the objects' masks, the paper's L_bce. Yaml: 5."""
    mask_dice: float = 5.0
    """Overlap of the objects' masks, the paper's L_dice. Yaml: 5."""
    noun: float = 1.0
    """Nouns of captions against objects that no annotation claimed («Seg+», section 4.3 and
    appendix C.3; not among the paper's four losses). Yaml: 1."""
    referred_class: float = 0.4
    """Which referred query fits a phrase: L_cls with phrases for classes. Yaml: 0.4."""
    referred_bce: float = 1.0
    """Binary cross-entropy of the referred masks. Yaml: 1."""
    referred_dice: float = 1.0
    """Overlap of the referred masks. Yaml: 1."""
    captioning: float = 2.0
    """The next word of captions: the paper's L_cap. Yaml: 2, documented command: 8."""
    retrieval: float = 2.0
    """Image query against captions: the paper's L_it, equation 8. Yaml: 2, command: 8."""
    retrieval_tokens: float = 1.0
    """Objects against single tokens of captions; not in the paper. In the released code a half
    inside `retrieval`. Yaml: 2 / 2, command: 8 / 2."""
    retrieval_pooled: float = 8.0
    """The backbone's pooled features against captions; not in the paper. Yaml: 8."""

    background: float = 0.1
    """A factor inside `mask_class`: objects without an annotation. Yaml: 0.1."""
    written_phrase: float = 2.0
    """A factor inside `referred_class`: phrases that people wrote. Released code: 2."""
    class_phrase: float = 0.5
    """A factor inside `referred_class`: class names that stand in for phrases. Released: 0.5."""
    image_to_text: float = 0.7
    """The share of this direction inside `noun` and `retrieval_tokens`; the rest is the other
    direction's. Released: 0.7."""

    def __post_init__(self) -> None:
        _check_weights(self)
        if self.image_to_text > 1:
            raise ValueError(f"image_to_text is from 0 to 1, not {self.image_to_text}")

    @property
    def refers(self) -> bool:
        """Whether anything about referring is trained."""
        return any((self.referred_class, self.referred_bce, self.referred_dice))


RELEASED_COMMAND = LossWeights(captioning=8.0, retrieval=8.0, retrieval_tokens=4.0)
"""The documented training command: the yaml file's weights with these overridden."""

PAPER = LossWeights(noun=0.0, retrieval_tokens=0.0, retrieval_pooled=0.0)
"""The four losses of section 3.4 alone: L_it, L_cls, L_cap and L_mask. The paper states no weights,
so they are the yaml file's. It names no loss of its own for referring: the referred queries have
L_cls, with phrases for classes, and L_mask."""


@dataclass(frozen=True)
class TopLayers:
    """From how many predictions each loss is read, counted from the last layer backwards.

    There is one prediction more than layers: that of the bare queries. A number beyond them means
    all. None may be 0: a loss is switched off by its weight. The defaults are the yaml file's.
    """

    masks: int = 10
    """All of the released nine layers, and the bare queries."""
    noun: int = 3
    referred: int = 3
    captioning: int = 3
    retrieval: int = 3
    """Of `retrieval` and `retrieval_tokens`; the pooled features have one layer."""

    def __post_init__(self) -> None:
        for name, layers in ((f.name, getattr(self, f.name)) for f in fields(self)):
            if layers < 1:
                raise ValueError(
                    f"{name} is read from 1 layer or more, not {layers}; "
                    "a weight of 0 switches a loss off"
                )
        if self.noun > self.masks:
            raise ValueError("nouns go to objects that masks left over: noun may not exceed masks")


RELEASED_LAYERS = TopLayers(referred=6)
"""The documented training command."""


@dataclass(frozen=True)
class MatchingCosts:
    """What each part of the cost of a match is multiplied with, as in Mask2Former."""

    probability: float = 2.0
    """Of the negative probability of the class."""
    bce: float = 5.0
    dice: float = 5.0

    def __post_init__(self) -> None:
        _check_weights(self)


@dataclass(frozen=True)
class Supervision:
    """Everything there is to choose about the losses of X-Decoder."""

    weights: LossWeights = field(default_factory=LossWeights)
    top: TopLayers = field(default_factory=TopLayers)
    costs: MatchingCosts = field(default_factory=MatchingCosts)
    points: int = 12544
    """Points at which masks are compared: 112 x 112 (PointRend, Mask2Former section 3.3)."""
    oversampling: float = 3.0
    """Candidates for each point of a loss."""
    importance: float = 0.75
    """The share of points that are the most uncertain candidates; the others are random."""
    filling_seen: bool = False
    """Whether the zeros that fill up an image's phrases, where another image of the batch has more
    tokens, are seen by its referred queries. In the released training they are, so that what an
    image is taught depends on its neighbours in the batch."""
    own_gradient_only: bool = False
    """Whether contrastive losses over several processes pass gradient to a process's own rows
    alone. In the released training they do, which makes their gradient 1/n of the global batch's
    on n processes; see `models.xdecoder.gather.Gathered`."""

    def __post_init__(self) -> None:
        if self.points < 1:
            raise ValueError(f"masks are compared at 1 point or more, not {self.points}")
        if not (isfinite(self.oversampling) and self.oversampling >= 1):
            raise ValueError(f"oversampling is 1 or more, not {self.oversampling}")
        if not 0 <= self.importance <= 1:
            raise ValueError(f"importance is from 0 to 1, not {self.importance}")


RELEASED = Supervision(RELEASED_COMMAND, RELEASED_LAYERS, filling_seen=True, own_gradient_only=True)
"""What the documented training command of the released code does."""
