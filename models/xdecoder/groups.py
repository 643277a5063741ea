"""The table of query groups: what differs between X-Decoder's tasks (sections 3.2 and 3.3, Fig. 4).

A task is a `Layout`: the groups of queries that enter the decoder together. Each group says what
its queries start from, whom they see in self-attention, how they look at the image, and what is
read from them in the end. The decoder knows nothing else about tasks.

| group | content | sees | looks at the image | read |
|---|---|---|---|---|
| objects | learned | objects | through its own mask | masks and classes |
| image | learned, one query | image | through its own mask | class and retrieval embedding |
| referred | copy of the objects | referred, phrase | through its own mask | masks and classes |
| phrase | text tokens | referred, phrase | not at all | nothing |
| caption | text tokens in order, causal | objects, image, caption | everywhere | words |
| question | text tokens in order | objects, image, question | everywhere | an answer |

Objects and image query do not see each other, and the referred queries are copies that never see
their originals: this is what the released weights were trained with, where the paper's Fig. 4
leaves it open. The phrases of one image share one group, so they influence one another.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum, auto

import torch
from jaxtyping import Bool
from torch import Tensor

from models.xdecoder.config import DecoderConfig


class Content(Enum):
    """What the queries of a group start from."""

    LEARNED_OBJECTS = auto()
    LEARNED_IMAGE = auto()
    TOKENS = auto()
    """Token embeddings of a text; their order is known only to the text encoder."""
    TOKENS_IN_ORDER = auto()
    """Token embeddings with a learned position each."""


class Looks(Enum):
    """How a group's queries attend the image."""

    THROUGH_OWN_MASK = auto()
    """Only where the query's own mask, as predicted by the layer before, is positive."""
    EVERYWHERE = auto()
    NOWHERE = auto()


class Reads(Enum):
    """What the heads make of a group's queries."""

    MASKS_AND_CLASSES = auto()
    WORDS = auto()
    ANSWER = auto()
    NOTHING = auto()


@dataclass(frozen=True)
class Group:
    """One row of the table."""

    name: str
    content: Content
    sees: frozenset[str]
    """Names of the groups whose queries these attend in self-attention."""
    looks: Looks
    reads: Reads
    causal: bool = False
    """Within the group, a query sees only itself and those before it."""

    def __post_init__(self) -> None:
        has_mask = self.reads is Reads.MASKS_AND_CLASSES
        if (self.looks is Looks.THROUGH_OWN_MASK) != has_mask:
            raise ValueError(f"group {self.name!r}: masks are read exactly where they are looked")

    def not_seeing(self, *names: str) -> "Group":
        """The same group with some groups out of its sight (Table 4)."""
        return replace(self, sees=self.sees - set(names))


def _sees(*names: str) -> frozenset[str]:
    return frozenset(names)


OBJECTS = Group(
    "objects",
    Content.LEARNED_OBJECTS,
    _sees("objects"),
    Looks.THROUGH_OWN_MASK,
    Reads.MASKS_AND_CLASSES,
)
IMAGE = Group(
    "image",
    Content.LEARNED_IMAGE,
    _sees("image"),
    Looks.THROUGH_OWN_MASK,
    Reads.MASKS_AND_CLASSES,
)
REFERRED = Group(
    "referred",
    Content.LEARNED_OBJECTS,
    _sees("referred", "phrase"),
    Looks.THROUGH_OWN_MASK,
    Reads.MASKS_AND_CLASSES,
)
PHRASE = Group(
    "phrase",
    Content.TOKENS,
    _sees("referred", "phrase"),
    Looks.NOWHERE,
    Reads.NOTHING,
)
CAPTION = Group(
    "caption",
    Content.TOKENS_IN_ORDER,
    _sees("objects", "image", "caption"),
    Looks.EVERYWHERE,
    Reads.WORDS,
    causal=True,
)
QUESTION = Group(
    "question",
    Content.TOKENS_IN_ORDER,
    _sees("objects", "image", "question"),
    Looks.EVERYWHERE,
    Reads.ANSWER,
)


@dataclass(frozen=True)
class Layout:
    """The groups that enter the decoder together, in the order of their rows.

    Rows read as masks come first, then others that look at the image, then those that do not: so
    each step of the decoder works on a leading part of the rows.
    """

    groups: tuple[Group, ...]

    def __post_init__(self) -> None:
        order = [(g.looks is Looks.NOWHERE, g.looks is Looks.EVERYWHERE) for g in self.groups]
        if order != sorted(order):
            raise ValueError("groups must come by how they look: own mask, everywhere, nowhere")

    def __contains__(self, group: Group) -> bool:
        return any(group.name == member.name for member in self.groups)

    def rows(self, sizes: Mapping[str, int]) -> "Rows":
        """The same table with the number of queries of each group filled in."""
        return Rows(self, tuple(sizes[group.name] for group in self.groups))


@dataclass(frozen=True)
class Rows:
    """A layout whose groups have sizes, so that each owns a range of rows."""

    layout: Layout
    sizes: tuple[int, ...]

    def of(self, name: str) -> slice:
        """The rows of a group; a KeyError where the layout has no such group."""
        start = 0
        for group, size in zip(self.layout.groups, self.sizes, strict=True):
            if group.name == name:
                return slice(start, start + size)
            start += size
        raise KeyError(name)

    @property
    def masked(self) -> int:
        """How many leading rows have a mask, and look through it."""
        return self._leading(Looks.THROUGH_OWN_MASK)

    @property
    def looking(self) -> int:
        """How many leading rows look at the image."""
        return self._leading(Looks.THROUGH_OWN_MASK, Looks.EVERYWHERE)

    @property
    def total(self) -> int:
        """How many rows there are."""
        return sum(self.sizes)

    def _leading(self, *looks: Looks) -> int:
        pairs = zip(self.layout.groups, self.sizes, strict=True)
        return sum(size for group, size in pairs if group.looks in looks)

    def sight(self, device: torch.device | None = None) -> Bool[Tensor, "row row"]:
        """Who may see whom in self-attention: true where the row's query sees the column's."""
        allowed = torch.zeros(self.total, self.total, dtype=torch.bool, device=device)
        present = {group.name for group in self.layout.groups}
        for group in self.layout.groups:
            for seen in group.sees & present:
                allowed[self.of(group.name), self.of(seen)] = True
            if group.causal:
                own = self.of(group.name)
                allowed[own, own] = allowed[own, own].tril()
        return allowed


@dataclass(frozen=True)
class Layouts:
    """The layout of each task, for one model's config."""

    segmenting: Layout
    referring: Layout
    captioning: Layout
    answering: Layout
    everything: Layout
    """All four training objectives in one pass: no group but its own sees the text."""

    def group(self, name: str) -> Group:
        """A group as this model's settings leave it; a KeyError for an unknown name."""
        for layout in (self.everything, self.answering):
            for group in layout.groups:
                if group.name == name:
                    return group
        raise KeyError(name)


def layouts(config: DecoderConfig) -> Layouts:
    """The table with the ablations of `config` applied."""
    unseen = (() if config.caption_sees_objects else ("objects",)) + (
        () if config.caption_sees_image else ("image",)
    )
    caption, question = CAPTION.not_seeing(*unseen), QUESTION.not_seeing(*unseen)
    referred = REFERRED if config.referred_sees_phrase else REFERRED.not_seeing("phrase")
    return Layouts(
        segmenting=Layout((OBJECTS, IMAGE)),
        referring=Layout((OBJECTS, IMAGE, referred, PHRASE)),
        captioning=Layout((OBJECTS, IMAGE, caption)),
        answering=Layout((OBJECTS, IMAGE, question)),
        everything=Layout((OBJECTS, IMAGE, referred, caption, PHRASE)),
    )
