"""Training images with all that several files say of them: segments, phrases, captions.

COCO's images have other names in each release (`000000000139`, `COCO_val2014_000000000139`); the
number at the end is the same. So images are joined, and images to be left out are found, by it.
"""

import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench import catalog
from bench.data.augmentation import shown
from bench.data.captions import KarpathyOptions, read_karpathy
from bench.data.coco_instances import mask_of
from bench.data.coco_json import CocoFile, read_coco
from bench.data.dataset import Dataset
from bench.data.nouns import nouns_of
from bench.data.opening import home_of, open_dataset
from bench.data.order import Order
from bench.data.refs import RefsOptions, read_refs
from bench.errors import DataError, DataMissing, UsageError
from bench.recipe import Annotated, Captioned, Example, Examples, Pointed, Split, View
from bench.types import VOID, LabelMap, Panoptic, Segment

CARD = "bench"
"""The protocol card that says how class names are written for the text encoder, and that all
expressions of an object are used."""

Key = int | str


def key_of(name: str) -> Key:
    """What identifies an image across releases: the twelve digits that end its name, or the name.

    >>> key_of("COCO_val2014_000000000139.jpg"), key_of("000000000139"), key_of("street_left")
    (139, 139, 'street_left')
    """
    stem = Path(name).stem
    number = re.search(r"\d{12}$", stem)
    return int(number.group()) if number else stem


def opened(of: Split, root: Path, tasks: Sequence[str] | None = None) -> Dataset:
    """A split of a dataset for training."""
    return open_dataset(
        catalog.dataset(of.dataset),
        root=root,
        protocol=catalog.protocol(CARD),
        split=of.split,
        tasks=tasks,
    )


@dataclass(frozen=True)
class LeftOut:
    """Images that must not be trained on."""

    keys: Mapping[Split, frozenset[Key]]

    @classmethod
    def of(cls, splits: Iterable[Split], root: Path) -> "LeftOut":
        """All images of some splits."""
        return cls({of: frozenset(map(key_of, _listed(of, root))) for of in splits})

    def __contains__(self, key: Key) -> bool:
        return any(key in keys for keys in self.keys.values())

    def report(self, present: Iterable[Key]) -> tuple[str, ...]:
        """How many images of each split are among those present, a sentence each."""
        there = frozenset(present)
        return tuple(
            f"{len(keys & there)} of {len(keys)} images of {of.dataset} {of.split} were among them "
            "and are left out"
            for of, keys in self.keys.items()
        )


def _listed(of: Split, root: Path) -> Iterable[str]:
    """The names of a split's images, whether or not the images themselves are there."""
    spec = catalog.dataset(of.dataset)
    home, images = home_of(spec, root), spec.split(of.split)[1].images
    match images.options:
        case KarpathyOptions(json_file=file, parts=parts):
            return [i.path for i in read_karpathy(home.file(file)) if i.part in parts]
        case RefsOptions(refs=refs, objects=objects, part=part):
            return read_refs(home.file(refs), home.file(objects), part, home).objects
        case _:
            assert images.format.images is not None  # or the spec would not have been read
            return images.format.images(images.options, home).ids


# --- segments, phrases and captions --------------------------------------------------------------


@dataclass(frozen=True)
class AnnotatedImages:
    """A source (`bench.data.order`) of images with segments and what else is known of them."""

    dataset: Dataset
    """With one truth, panoptic or semantic."""
    view: View
    ids: tuple[str, ...]
    phrases: tuple[Mapping[Key, str], ...]
    """By image, its sample's id in each dataset of expressions."""
    expressions: tuple[Dataset, ...]
    grounding: CocoFile | None
    captions: Mapping[Key, tuple[str, ...]]
    nouns: bool
    notes: tuple[str, ...]

    @classmethod
    def open(cls, data: Annotated, root: Path) -> "AnnotatedImages":
        """Open what `data` names.

        Raises:
            UsageError: the dataset has neither panoptic nor semantic truth.
            DataError: nothing is left to train on.
        """
        truths = catalog.dataset(data.of.dataset).split(data.of.split)[1].truth
        kind = next((task for task in ("panoptic", "semantic") if task in truths), None)
        if kind is None:
            raise UsageError(
                f"{data.of.dataset} {data.of.split} has no panoptic or semantic truth to train on."
            )
        dataset = opened(data.of, root, [kind])
        left_out = LeftOut.of(data.without, root)
        expressions = tuple(opened(of, root, ["referring"]) for of in data.phrases)
        phrases = tuple({key_of(id): id for id in of.ids} for of in expressions)
        grounding = _coco(root, data.grounding) if data.grounding else None
        ids = tuple(id for id in dataset.ids if key_of(id) not in left_out)
        if data.only_with_phrases:
            spoken_of = {key for of in phrases for key in of}
            spoken_of |= grounding.annotations.keys() if grounding else set()
            ids = tuple(id for id in ids if key_of(id) in spoken_of)
        if not ids:
            raise DataError(f"All images of {data.of.dataset} {data.of.split} are left out.")
        captions = _captions(_coco(root, data.captions)) if data.captions else {}
        return cls(
            dataset,
            data.view,
            ids,
            phrases,
            expressions,
            grounding,
            captions,
            data.nouns,
            left_out.report(map(key_of, dataset.ids)),
        )

    def __len__(self) -> int:
        return len(self.ids)

    def order(self, seed: int) -> Order:
        """See `bench.data.order.Source`."""
        return Order(len(self), seed)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> Examples:
        """Those images, each shown anew."""
        return Examples(
            tuple(shown(self._read(self.ids[i]), self.view, chance) for i in places),
            self.dataset.vocabulary,
        )

    def _read(self, id: str) -> Example:
        sample = self.dataset.load(id)
        (truth,) = sample.truths.values()
        ids, segments = _segments(truth)
        key = key_of(id)
        phrases = (*self._phrases(key, sample.size), *self._grounded(key, sample.size))
        captions = self.captions.get(key, ())
        nouns = tuple(map(nouns_of, captions)) if self.nouns else ()
        return Example(sample.image, ids, segments, phrases, captions, nouns)

    def _phrases(self, key: Key, size: tuple[int, int]) -> Iterator[Pointed]:
        """The expressions of each dataset about an image, by object."""
        for dataset, ids in zip(self.expressions, self.phrases, strict=True):
            if key not in ids or dataset.prompts is None:
                continue
            texts = dataset.prompts.read(ids[key])
            masks = dataset.truths_of(ids[key], size)["referring"]
            of_object = defaultdict(list)
            for text, mask in zip(texts, masks, strict=True):
                of_object[id_of(mask)].append((text, mask))
            for said in of_object.values():
                yield Pointed(tuple(text for text, _ in said), said[0][1].decode())

    def _grounded(self, key: Key, size: tuple[int, int]) -> Iterator[Pointed]:
        """The sentences of the grounding file about an image, by annotation."""
        for row in self.grounding.annotations.get(key, ()) if self.grounding else ():
            try:
                texts = tuple(str(sentence["raw"]) for sentence in row["sentences"])
                mask = mask_of(row.get("segmentation"), size).decode()
            except (KeyError, TypeError, ValueError) as error:
                assert self.grounding is not None
                raise DataError(
                    f"{self.grounding.path}: annotation {row.get('id')} has no sentences with "
                    f"their raw text, or no mask: {error}."
                ) from error
            if texts:
                yield Pointed(texts, mask)


id_of = id
"""Of the masks of one image, those of one object are one and the same value."""


def _segments(truth: Panoptic | LabelMap) -> tuple[np.ndarray, tuple[Segment, ...]]:
    """Segments as they are, or the classes of a label map as one segment each."""
    if isinstance(truth, Panoptic):
        return truth.ids, truth.segments
    labels = [int(label) for label in np.unique(truth) if label != VOID]
    return truth + 1, tuple(Segment(label + 1, label) for label in labels)


def _coco(root: Path, relative: str) -> CocoFile:
    path = root / relative
    if not path.is_file():
        raise DataMissing(
            f"There is no {path}, which training reads. BENCH_DATA says where data lie."
        )
    return read_coco(path)


def _captions(coco: CocoFile) -> dict[Key, tuple[str, ...]]:
    """The captions of each image of a COCO file."""
    return {
        key_of(image.file_name): tuple(
            str(row["caption"]).strip() for row in coco.annotations.get(image.id, ())
        )
        for image in coco.images
    }


# --- captions alone ------------------------------------------------------------------------------


@dataclass(frozen=True)
class CaptionedImages:
    """A source of the pairs of an image and a caption of a dataset."""

    dataset: Dataset
    view: View
    pairs: tuple[tuple[str, int], ...]
    """Sample and caption, by number."""
    notes: tuple[str, ...] = ()

    @classmethod
    def open(cls, data: Captioned, root: Path) -> "CaptionedImages":
        """Open what `data` names; `UsageError` where that has no captions."""
        truths = catalog.dataset(data.of.dataset).split(data.of.split)[1].truth
        kind = next((task for task in ("caption", "retrieval") if task in truths), None)
        if kind is None:
            raise UsageError(f"{data.of.dataset} {data.of.split} has no captions to train on.")
        dataset = opened(data.of, root, [kind])
        pairs = (
            (id, number)
            for id in dataset.ids
            for number in range(len(*dataset.truths_of(id, (1, 1)).values()))
        )
        return cls(dataset, data.view, tuple(pairs))

    def __len__(self) -> int:
        return len(self.pairs)

    def order(self, seed: int) -> Order:
        """See `bench.data.order.Source`."""
        return Order(len(self), seed)

    def examples(self, places: Sequence[int], chance: np.random.Generator) -> Examples:
        """Those pairs, each image shown anew."""
        found = (self._pair(*self.pairs[place]) for place in places)
        return Examples(tuple(shown(example, self.view, chance) for example in found))

    def _pair(self, id: str, number: int) -> Example:
        sample = self.dataset.load(id)
        (said,) = sample.truths.values()
        return Example(sample.image, captions=(said[number],))
