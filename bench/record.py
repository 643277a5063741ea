"""What is kept of a run: one line of JSON that says what was asked, what came out, and of what.

A record is never edited. A number someone published is a record too, marked `reported`, with its
source and without what nobody knows of it. Fractions throughout; absent is `null`, never 0 or -1.
"""

import math
from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, JsonValue, ValidationError, model_validator

from bench.errors import DataError
from bench.metrics.meter import Score

SCHEMA: Literal[1] = 1
LISTED_FAILURES = 100
"""A record lists this many failed images with their reasons, and counts the rest."""


class Kept(BaseModel):
    """A frozen value that refuses unknown keys, wrong types and infinities."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Origin(StrEnum):
    """Who decided a setting."""

    COMMAND_LINE = "command line"
    """The person who ran it, there or as an argument in Python."""
    CARD = "card"
    """The model's card, or the protocol card."""
    SUITE = "suite"
    """The suite that was run."""
    SPEC = "spec"
    """The dataset's spec."""
    DEFAULT = "default"
    """Nobody: the code's default."""


class Setting(Kept):
    """One resolved setting."""

    value: JsonValue
    """What it was."""
    origin: Origin
    """Who decided it."""


class RecordedScore(Kept):
    """A number with what it rests on."""

    value: float | None
    """A fraction, or unbounded where the metric is (CIDEr); `null`: nothing was there to score."""
    n: int | None = None
    """How many things were counted; `null` in reported records that do not say."""
    by_class: dict[str, float | None] | None = None
    """The same score per class; `null` for a class without anything to score."""
    interval: tuple[float, float] | None = None
    """95 % bounds, where they were computed with the record or published with the number."""
    spread: float | None = None
    """Standard deviation over draws or seeds, published beside a mean; `null` elsewhere."""

    @classmethod
    def of(cls, score: Score, interval: tuple[float, float] | None = None) -> "RecordedScore":
        """A meter's score, as it is kept."""
        by_class = score.by_class
        return cls(
            value=_absent_if_nan(score.value),
            n=int(score.n),
            by_class=None
            if by_class is None
            else {name: _absent_if_nan(value) for name, value in by_class.items()},
            interval=interval,
        )


def _absent_if_nan(value: float) -> float | None:
    return None if math.isnan(value) else float(value)


class Trained(Kept):
    """By what a model was trained here; read off the folder that `bench train` left."""

    recipe: str
    """The recipe's name."""
    digest: str
    """Twelve hex digits over every value of the recipe, as it was trained."""
    seed: int
    """Of fresh weights, and of the order of the data."""
    steps: int
    """Optimiser steps that were done."""
    before: int = 0
    """Steps of the recipe that was trained first; 0: none was."""
    seconds: float
    """How long the steps took, those of the recipe before left out."""


class ModelUsed(Kept):
    """Who answered."""

    name: str
    """As it was asked for: a card's name, a path, or `module:attribute`."""
    family: str | None = None
    """The module that builds it; with its weights, who it is whatever it is called."""
    weights_digest: str | None = None
    """sha256 of the weights; `null`: it has none, or (reported) they are unknown."""
    parameters: int | None = None
    """How many numbers the model has; `null`: unknown."""
    trained: Trained | None = None
    """How it was trained, where that was done here; else `null`."""
    notes: tuple[str, ...] = ()
    """What a reader of the number must know, such as «random weights»."""


class DatasetUsed(Kept):
    """On what."""

    name: str
    """The spec's name, or a folder's."""
    split: str
    """Which part of it."""
    fingerprint: str | None = None
    """Digest of annotations, image names and sizes, and ids; `null` in reported records."""


class ProtocolUsed(Kept):
    """Under which rules."""

    name: str
    """The card's name; «unknown» where a publication does not say."""
    digest: str | None = None
    """Digest of `definition`; `null` where it is unknown."""
    definition: dict[str, JsonValue] | None = None
    """The card as resolved for this dataset: every field that can change a number."""


class VocabularyUsed(Kept):
    """With which words."""

    names: tuple[str, ...]
    """The classes, in the order of their labels, as the dataset gives them."""
    things: tuple[int, ...] = ()
    """The labels of the countable ones."""
    digest: str
    """Digest of names, prompts, things, templates and background word."""
    name: str | None = None
    """The vocabulary's name, where it has one."""


class Tuning(Kept):
    """Few-shot settings: what the model was tuned on before it was asked."""

    shots: str
    """`5`, `10`, … or `all`."""
    strategy: str
    """Which parameters were tuned, by the name of the strategy."""
    unit: str = "images"
    """What a shot counts: images in all, or images per class."""
    draw_seed: int = 0
    """The seed the support set was drawn with."""
    train_seed: int = 0
    """The seed of the training itself."""
    recipe: dict[str, JsonValue] = {}
    """Every setting of the tuning that can change a number."""
    support: str | None = None
    """Digest of the images it was tuned on and their annotations; `null` before it is known, and
    in reported records."""


class Tuned(Kept):
    """What tuning did, found out while running."""

    support: tuple[str, ...]
    """The ids of the images it was tuned on."""
    split: str | None = None
    """The part of the dataset they are from; `null`: unknown."""
    drawn: bool = True
    """Whether they were drawn by us; else they are a released support set."""
    parameters: int
    """How many parameters were tuned, counted."""
    seconds: float
    """How long the tuning took."""


class Publication(Kept):
    """What a publication says about a system beside its numbers."""

    table: str
    """Where the number is printed, by the name that `bench.reported.table` knows."""
    row: str
    """What the row is called there, in the publication's words."""
    page: str
    """An address of the publication."""
    supervision: dict[str, bool] = {}
    """What the system was trained with and is made of, as the X-Decoder paper's Table 2 marks it
    (masks, classes, captions, pairs, …); a mark that is not here is unknown."""
    fully_supervised: bool | None = None
    """Whether it was trained on the datasets it is scored on; `null`: not said."""
    tuned_parameters: int | None = None
    """How many parameters were tuned; `null`: none, or not said."""
    recipe: str | None = None
    """The recipe of ours that trains what the row is about, or finetunes it to the dataset."""
    card: str | None = None
    """The card of ours for the same system; `null`: the model's name is its card's, or none is."""
    released: bool | None = None
    """`false`: no weights were published; `null`: not known here, or as the card says."""


class FailedImage(Kept):
    """An image that could not be scored."""

    id: str
    """The dataset's name for it."""
    reason: str
    """What was wrong with it."""


class Images(Kept):
    """How many images, and what became of them."""

    asked: int
    """How many the run was to score, after `limit`."""
    scored: int
    """How many the scores rest on."""
    failed: int = 0
    """How many could not be read."""
    failures: tuple[FailedImage, ...] = Field((), max_length=LISTED_FAILURES)
    """The first of those, with reasons."""
    limit: int | None = None
    """Only this many of the split were asked for; `null`: all."""

    @model_validator(mode="after")
    def _adds_up(self) -> "Images":
        if self.scored + self.failed != self.asked:
            raise ValueError("scored and failed images must add up to those asked")
        if len(self.failures) != min(self.failed, LISTED_FAILURES):
            raise ValueError(f"the first {LISTED_FAILURES} failures must be listed")
        return self


class Seconds(Kept):
    """Where the time went, summed over images; loading overlaps with the rest."""

    load: float = 0.0
    """Reading image and truth, and resizing."""
    ask: float = 0.0
    """In the network."""
    finish: float = 0.0
    """From the network's answer to predictions at the original size."""
    measure: float = 0.0
    """From prediction and truth to the image's statistics."""

    def __add__(self, other: "Seconds") -> "Seconds":
        return Seconds(
            load=self.load + other.load,
            ask=self.ask + other.ask,
            finish=self.finish + other.finish,
            measure=self.measure + other.measure,
        )


class Session(Kept):
    """One process that worked on a run. There are several where it was killed and continued."""

    started: datetime
    """When, with its offset from UTC."""
    revision: str | None
    """The git commit of the checkout it ran from; `null`: an installed package."""
    dirty: bool | None
    """Whether a tracked file differed from that commit; `null` without one."""
    packages: dict[str, str]
    """Versions of the packages that can change a number."""
    python: str
    """Implementation and version."""
    platform: str
    """Operating system and architecture."""
    device: str
    """What the network ran on."""
    batch_size: int
    """Images of one size asked together, at most."""
    shared_with: tuple[str, ...] = ()
    """The keys of other runs that were scored from the same answers, under their own cards: the
    seconds of loading and asking are theirs too."""


class Provenance(Kept):
    """What produced the scores."""

    sessions: tuple[Session, ...] = Field(min_length=1)
    """The processes that did the work, in order."""
    precision: str
    """The network's number format, as `float32` or `bfloat16`."""
    seeds: dict[str, int] = {}
    """Every seed that anything random was given, by what it was for."""
    seconds: Seconds
    """Where the time went."""
    peak_memory: int
    """The most bytes resident in the last session's process."""
    peak_device_memory: int | None = None
    """The most bytes allocated on the accelerator in the last session; `null` without one."""
    rescored_from: str | None = None
    """The key of the run whose raw answers were scored; `null`: the model itself was asked."""


class Record(Kept):
    """One model on one dataset under one protocol, or a published number."""

    schema_version: Literal[1] = SCHEMA
    """The version of this layout."""
    key: str
    """The job's key, a content hash; for a reported record a name unique to it."""
    reported: bool = False
    """Whether someone else measured it and published the number."""
    source: str | None = None
    """Where it was published; for reported records only."""
    publication: Publication | None = None
    """What the publication says about the system; for reported records only."""
    model: ModelUsed
    """Who answered."""
    dataset: DatasetUsed
    """On what."""
    protocol: ProtocolUsed
    """Under which rules."""
    vocabulary: VocabularyUsed | None = None
    """With which words; `null` in reported records that do not say."""
    tuning: Tuning | None = None
    """Few-shot settings; `null` is zero-shot."""
    tuned: Tuned | None = None
    """What tuning did; present if and only if a measured record has `tuning`."""
    settings: dict[str, Setting] = {}
    """What was asked, resolved, and who decided each."""
    scores: dict[str, dict[str, RecordedScore]]
    """Scores by task and name."""
    unanswered: dict[str, str] = {}
    """Tasks of the dataset that the model cannot do, with the reason."""
    images: Images | None = None
    """How many images, and what became of them; `null` in reported records."""
    partial: bool = False
    """Whether images are missing (`--limit`, unreadable files): never put on a leaderboard."""
    provenance: Provenance | None = None
    """What produced the scores; `null` in reported records."""
    notes: tuple[str, ...] = ()
    """What a reader of the numbers must know: decisions about the files, misprints, doubts."""

    @model_validator(mode="after")
    def _is_whole(self) -> "Record":
        if self.reported != (self.source is not None):
            raise ValueError("reported records, and only they, state their source")
        if self.publication is not None and not self.reported:
            raise ValueError("only a reported record has a publication")
        if not self.reported:
            if self.images is None or self.provenance is None:
                raise ValueError("a measured record needs its images and provenance")
            if (self.tuning is None) != (self.tuned is None):
                raise ValueError("a tuned record says both what was asked and what was done")
        missing = self.images is not None and (self.images.limit is not None or self.images.failed)
        if bool(missing) != self.partial and not self.reported:
            raise ValueError("partial means that images were left out, by a limit or by failing")
        return self

    def line(self) -> str:
        """The record as one line of JSON, without the newline."""
        return self.model_dump_json()

    @classmethod
    def parse(cls, line: str | bytes, where: str) -> "Record":
        """The record on a line; `DataError` naming `where` if it is none of ours."""
        try:
            return cls.model_validate_json(line)
        except ValidationError as error:
            first: Mapping[str, Any] = error.errors(include_url=False)[0]
            key = ".".join(str(part) for part in first["loc"]) or "the line"
            raise DataError(
                f"{where} is not a record of schema {SCHEMA}: {key}: {first['msg']}. "
                "It may come from another version of bench."
            ) from None
