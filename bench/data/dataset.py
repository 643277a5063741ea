"""A dataset: samples by id, each with its image, its prompt and its truths.

What a runner needs and no more. How the files are laid out is the readers' business
(`bench.data.source`), what they are called is the spec's (`bench.spec`); `bench.data.opening`
brings the two together.
"""

import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from itertools import chain
from typing import Any

from bench.data.source import Derived, ImageSource, PromptSource, TruthSource
from bench.types import Sample, Vocabulary


@dataclass(frozen=True, repr=False)
class Dataset:
    """One split of a dataset under one vocabulary: loads samples by id.

    Loading is safe from several threads. Nothing is kept between loads.
    """

    name: str
    split: str
    vocabulary: Vocabulary
    images: ImageSource
    truths: Mapping[str, TruthSource | Derived]
    """One for each task, and those that a derived one follows from."""
    prompts: PromptSource | None = None
    """What is asked per image; the vocabulary where absent."""
    spec_digest: str = ""
    """Digest of the spec this was opened from; part of the fingerprint."""
    notes: tuple[str, ...] = ()
    """What the readers decided about the files, a sentence each."""
    tasks: tuple[str, ...] = ()
    """The tasks it is scored on: a truth of each is in every sample. All of `truths` by default."""
    ids: tuple[str, ...] = ()
    """The samples, unique, in a stable order. All of `images` by default."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "tasks", self.tasks or tuple(self.truths))
        object.__setattr__(self, "ids", self.ids or tuple(self.images.ids))

    def __repr__(self) -> str:
        return (
            f"Dataset({self.name!r}, split={self.split!r}: {len(self)} samples, "
            f"{len(self.vocabulary.names)} classes, tasks={self.tasks})"
        )

    def __len__(self) -> int:
        return len(self.ids)

    def __iter__(self) -> Iterator[Sample]:
        return (self.load(id) for id in self.ids)

    def load(self, id: str) -> Sample:
        """Read one sample: the image once, and the truths of all tasks.

        Raises:
            DataError: the image or an annotation is missing, truncated or corrupt; the message
                names the file and the reason.
        """
        image = self.images.read(id)
        prompt = self.vocabulary if self.prompts is None else self.prompts.read(id)
        height, width = image.shape[:2]
        return Sample(id, image, prompt, self.truths_of(id, (height, width)))

    def truths_of(self, id: str, size: tuple[int, int]) -> dict[str, Any]:
        """The truths of all tasks for an image of that height and width, nothing read twice."""
        read: dict[str, Any] = {}

        def truth(task: str) -> Any:
            if task not in read:
                source = self.truths[task]
                if isinstance(source, Derived):
                    read[task] = source.derive(truth(source.origin))
                else:
                    read[task] = source.read(id, size)
            return read[task]

        return {task: truth(task) for task in self.tasks}

    def subset(self, ids: Sequence[str]) -> "Dataset":
        """The same dataset with only these samples, in this order."""
        if not ids:
            raise ValueError("a subset needs at least one sample")
        if unknown := set(ids).difference(self.ids):
            raise ValueError(f"{self.name} {self.split} has no sample {min(unknown)!r}")
        return replace(self, ids=tuple(ids))

    def digest_of(self, id: str) -> str:
        """Hex digest of a sample's image content: how leaks between splits are found."""
        return self.images.digest(id)

    @cached_property
    def fingerprint(self) -> str:
        """Twelve hex digits of what is scored: spec, annotation bytes, image names and sizes, ids.

        A subset has a fingerprint of its own. Computed when first asked for, then kept.
        """
        classes = [self.vocabulary.names, sorted(self.vocabulary.things)]
        header = [self.tasks, self.spec_digest, classes, self.ids]
        content = hashlib.sha256(json.dumps(header).encode())
        answers: list[TruthSource | PromptSource] = []
        answers += [s for s in self.truths.values() if not isinstance(s, Derived)]
        answers += [] if self.prompts is None else [self.prompts]
        parts = [self.images.fingerprint(), *(s.fingerprint(self.ids) for s in answers)]
        for part in chain.from_iterable(parts):
            content.update(hashlib.sha256(part).digest())
        return content.hexdigest()[:12]
