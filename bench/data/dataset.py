"""A dataset: samples by id, each with its image, its prompt and its truths.

What a runner needs and no more. How the files are laid out is the readers' business
(`bench.data.source`), what they are called is the spec's (`bench.spec`).
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property

from bench.data.source import ImageSource, PromptSource, TruthSource
from bench.types import Sample, Vocabulary


@dataclass(frozen=True)
class Dataset:
    """One split of a dataset under one vocabulary: loads samples by id.

    Loading is safe from several threads. Nothing is kept between loads.
    """

    name: str
    split: str
    vocabulary: Vocabulary
    images: ImageSource
    truths: Mapping[str, TruthSource]
    """One source per task the dataset is scored on."""
    prompts: PromptSource | None = None
    """What is asked per image; the vocabulary where absent."""
    spec_digest: str = ""
    """Digest of the spec this was opened from; part of the fingerprint."""
    ids: Sequence[str] = field(default=())
    """The samples, in a stable order: all of `images` unless given."""

    def __post_init__(self) -> None:
        if not self.ids:
            object.__setattr__(self, "ids", tuple(self.images.ids))

    @property
    def tasks(self) -> tuple[str, ...]:
        """The tasks that have truth."""
        return tuple(self.truths)

    def __len__(self) -> int:
        return len(self.ids)

    def load(self, id: str) -> Sample:
        """Read one sample: the image once, and the truths of all tasks.

        Raises:
            DataError: the image or an annotation is missing, truncated or corrupt; the message
                names the file and the reason.
        """
        image = self.images.read(id)
        height, width = image.shape[:2]
        truths = {task: source.read(id, (height, width)) for task, source in self.truths.items()}
        prompt = self.vocabulary if self.prompts is None else self.prompts.read(id)
        return Sample(id, image, prompt, truths)

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(id) for id in self.ids)

    def subset(self, ids: Sequence[str]) -> "Dataset":
        """The same dataset with only these samples, in this order."""
        known = set(self.ids)
        if unknown := [id for id in ids if id not in known]:
            raise ValueError(f"{self.name} has no sample {unknown[0]!r} in {self.split}")
        if not ids:
            raise ValueError("a subset needs at least one sample")
        return replace(self, ids=tuple(ids))

    def digest_of(self, id: str) -> str:
        """Hex digest of a sample's image content: how leaks between splits are found."""
        return self.images.digest(id)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits of what is scored: spec, annotation bytes, image names and sizes, ids.

        A subset has a fingerprint of its own. Computed when first asked for, then kept.
        """
        content = hashlib.sha256()
        classes = [self.vocabulary.names, sorted(self.vocabulary.things)]
        header = [self.name, self.split, self.spec_digest, classes, list(self.ids)]
        content.update(json.dumps(header).encode())
        for source in (self.images, *self.truths.values()):
            for part in source.fingerprint():
                content.update(hashlib.sha256(part).digest())
        return content.hexdigest()[:12]
