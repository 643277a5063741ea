"""Expressions and the objects they refer to: RefCOCO, RefCOCO+ and RefCOCOg.

Their authors ship a pickle of references beside COCO's JSON file of the objects. A pickle may run
code when it is read, so only plain data is let through: anything that names a class is refused.
"""

import pickle
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Any

from bench.data.coco_instances import check_size, mask_of
from bench.data.coco_json import CocoFile, ListedImage, read_coco
from bench.data.images import ImageFiles, require_some
from bench.data.source import Home, Opening, Reader, contents
from bench.errors import DataError
from bench.protocol import Expressions, ReferringRule, Strict
from bench.types import Mask

PLAIN = frozenset({"set", "frozenset", "list", "dict", "tuple", "str", "int", "float", "bool"})
"""What of `builtins` a pickle may name: protocols below 4 write sets so."""


class RefsOptions(Strict):
    """Options of the reader `refs`."""

    refs: str
    """The pickle, such as `refcocog/refs(umd).p`."""
    objects: str
    """COCO's JSON file of the objects, such as `refcocog/instances.json`."""
    folder: str
    """Where the images are."""
    part: str
    """The references of which split: `val`, `testA`, …"""


@dataclass(frozen=True)
class Referred:
    """One object and what was said of it."""

    annotation: int
    """Its id among the objects."""
    expressions: tuple[str, ...]
    """All that was said, in the order of the file."""
    first: str
    """The one that stands for it where one does: the first of its last reference.

    X-Decoder keeps references by object, so that of two to one object the later one remains.
    """

    def asked(self, rule: ReferringRule) -> tuple[str, ...]:
        """The phrases to ask under a protocol."""
        match rule.expressions:
            case Expressions.FIRST:
                chosen: tuple[str, ...] = (self.first,)
            case Expressions.ALL:
                chosen = self.expressions
            case Expressions.CONCATENATED:
                chosen = (" ".join(self.expressions),)
        return tuple(text.lower() for text in chosen) if rule.lower_case else chosen


class _PlainUnpickler(pickle.Unpickler):
    """Reads containers, text and numbers; refuses whatever else a pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        if module in ("builtins", "__builtin__") and name in PLAIN:
            return super().find_class("builtins", name)
        raise pickle.UnpicklingError(
            f"it names {module}.{name}, and only containers, text and numbers are read, since a "
            "pickle may run any code"
        )


def read_pickle(path: Path) -> Any:
    """The plain data of a pickle, whichever Python wrote it.

    Raises:
        DataError: the file is missing or broken, or holds more than plain data.
    """
    try:
        with path.open("rb") as file:
            return _PlainUnpickler(file, encoding="utf-8").load()
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    except Exception as error:  # a broken pickle raises what it pleases
        raise DataError(f"{path} is not a pickle that is read here: {error}.") from error


@dataclass(frozen=True)
class Refs:
    """The objects that are referred to in one part, by sample id."""

    refs: Path
    coco: CocoFile
    objects: Mapping[str, tuple[Referred, ...]]
    images: Mapping[str, ListedImage]


def read_refs(refs: Path, objects: Path, part: str, home: Home) -> Refs:
    """The references of one part; objects in the order in which they are first referred to."""
    rows = home.once(read_pickle, refs)
    coco = home.once(read_coco, objects)
    listed = {image.id: image for image in coco.images}
    found: dict[str, dict[int, Referred]] = {}
    parts = set()
    for row in _rows(refs, rows):
        parts.add(row["split"])
        if row["split"] != part:
            continue
        if row["image_id"] not in listed:
            raise DataError(f"{refs}: a reference is to image {row['image_id']}, not in {objects}.")
        id = Path(listed[row["image_id"]].file_name).stem
        of_image = found.setdefault(id, {})
        said = tuple(sentence["raw"].strip() for sentence in row["sentences"])
        before = of_image.get(row["ann_id"])
        of_image[row["ann_id"]] = Referred(
            row["ann_id"], (*(before.expressions if before else ()), *said), said[0]
        )
    if not found:
        raise DataError(f"{refs} has no part '{part}': it has {', '.join(sorted(parts))}.")
    images = {Path(image.file_name).stem: image for image in coco.images}
    by_id = {id: tuple(found[id].values()) for id in sorted(found)}
    return Refs(refs, coco, MappingProxyType(by_id), MappingProxyType(images))


def _rows(path: Path, rows: Any) -> Iterator[dict[str, Any]]:
    if not isinstance(rows, list):
        raise DataError(f"{path} is not a list of references but a {type(rows).__name__}.")
    for row in rows:
        try:
            sound = isinstance(row["split"], str) and all(
                isinstance(sentence["raw"], str) for sentence in row["sentences"]
            )
            sound = sound and bool(row["sentences"]) and {"image_id", "ann_id"} <= row.keys()
        except (KeyError, TypeError, AttributeError):
            sound = False
        if not sound:
            raise DataError(
                f"{path}: a reference needs image_id, ann_id, split and sentences with their raw "
                f"text, found {str(row)[:80]}."
            )
        yield row


@dataclass(frozen=True)
class ReferredMasks:
    """The mask of every phrase, in the order in which phrases are asked."""

    refs: Refs
    rule: ReferringRule

    def read(self, id: str, size: tuple[int, int]) -> tuple[Mask, ...]:
        """One mask a phrase: that of its object, all its polygons together."""
        image = self.refs.images[id]
        check_size(self.refs.coco.path, image, size)
        rows = {row.get("id"): row for row in self.refs.coco.annotations.get(image.id, ())}
        masks = []
        for referred in self.refs.objects[id]:
            mask = self._mask(rows.get(referred.annotation), referred.annotation, size)
            masks += [mask] * len(referred.asked(self.rule))
        return tuple(masks)

    def count(self, truth: tuple[Mask, ...]) -> int:
        """How many phrases are asked."""
        return len(truth)

    @property
    def notes(self) -> tuple[str, ...]:
        """How many objects and phrases there are."""
        objects = [referred for of_image in self.refs.objects.values() for referred in of_image]
        phrases = sum(len(referred.asked(self.rule)) for referred in objects)
        return (f"{len(objects)} objects are referred to, {phrases} phrases are asked",)

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the file of objects."""
        return contents([self.refs.coco.path])

    def _mask(self, row: Mapping[str, Any] | None, annotation: int, size: tuple[int, int]) -> Mask:
        try:
            if row is None:
                raise ValueError("it is not among the objects of its image")
            return mask_of(row.get("segmentation"), size)
        except (ValueError, TypeError) as error:
            raise DataError(
                f"{self.refs.coco.path}: annotation {annotation}, which an expression refers to, "
                f"cannot be read: {error}."
            ) from error


@dataclass(frozen=True)
class Phrases:
    """The phrases to ask about each image."""

    refs: Refs
    rule: ReferringRule

    def read(self, id: str) -> tuple[str, ...]:
        """The phrases of an image, object by object."""
        return tuple(text for found in self.refs.objects[id] for text in found.asked(self.rule))

    def fingerprint(self, ids: Sequence[str]) -> Iterator[bytes]:
        """The bytes of the pickle."""
        return contents([self.refs.refs])


def _opened(options: RefsOptions, home: Home) -> Refs:
    refs, objects = home.file(options.refs), home.file(options.objects)
    return home.once(read_refs, refs, objects, options.part, home)


def _images(options: RefsOptions, home: Home) -> ImageFiles:
    refs, folder = _opened(options, home), home.folder(options.folder)
    paths = {id: folder / refs.images[id].file_name for id in refs.objects}
    return ImageFiles(MappingProxyType(require_some(paths, home)))


def _masks(options: RefsOptions, opening: Opening) -> ReferredMasks:
    return ReferredMasks(_opened(options, opening.home), opening.protocol.referring)


def _phrases(options: RefsOptions, opening: Opening) -> Phrases:
    return Phrases(_opened(options, opening.home), opening.protocol.referring)


REFS = Reader(
    "expressions and the objects they refer to, as RefCOCO's authors ship them",
    RefsOptions,
    images=_images,
    truths={"referring": _masks},
    prompts=_phrases,
)
