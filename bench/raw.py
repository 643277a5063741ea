"""Raw answers of a network, kept so that they can be scored again under another protocol card.

`encode` turns what a model said about one image into bytes, and `decode` turns them back into the
same arrays and tensors, bit for bit. `RawAnswers` is the file of a run that holds them: one block
an image, only ever added to. A block is a line of JSON (id, size, checksum, numbers) and its bytes.
Whoever is killed while writing one leaves a torn end, which counts as absent and is cut off later.

Every query is kept: under some card each can decide a pixel, for no softmax gives exactly 0. Of the
four bytes of a float32 only the one with sign and exponent can be compressed, so equal bytes of all
numbers lie together, and those that do not shrink are kept as they are. Measured on X-Decoder-T's
answer to a 512 x 512 image (101 masks of 128 x 128 cells): 6.6 MB in memory, 5.5 MB exact, 2.8 MB
with masks in float16.
"""

import errno
import json
import os
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass, replace
from enum import StrEnum
from functools import partial
from math import prod
from pathlib import Path
from typing import Any

import numpy as np

from bench.durable import explained
from bench.errors import CannotDo, DataError
from bench.evaluation import Examination
from bench.metrics.retrieval import Embedded
from bench.protocol import Protocol
from bench.tasks import Question
from bench.types import Instances, Mask, Panoptic, Proposals, ReferredMask, Sample, Segment


class Numbers(StrEnum):
    """How exactly raw answers are kept."""

    EXACT = "exact"
    """Every bit: under the run's own card they give the run's own scores."""
    FLOAT16 = "float16"
    """Mask logits rounded to float16, in half the space; class logits stay exact. A pixel where two
    classes nearly tie may change sides."""


# --- the answers to one image, as bytes ----------------------------------------------------------


KINDS: dict[str, type] = {
    kind.__name__: kind
    for kind in (Proposals, ReferredMask, Instances, Mask, Panoptic, Segment, Embedded)
}
"""What models answer with, besides numbers, texts, arrays, and lists of all these."""

TRIED = 1 << 16
"""So many bytes show whether it is worth compressing them all."""
WORTH = 0.95
"""Bytes that do not shrink below this share of themselves are kept as they are."""
HALF_MAX = float(np.finfo(np.float16).max)


def encode(answers: Mapping[str, Any], numbers: Numbers = Numbers.EXACT) -> bytes:
    """What a model said about an image, by question.

    >>> decode(encode({"Captioner": "a red square"}))
    {'Captioner': 'a red square'}

    Raises:
        CannotDo: an answer is of a type that cannot be kept.
    """
    writer = _Writer(numbers)
    tree = {question: writer.node(answer) for question, answer in answers.items()}
    head = json.dumps(tree, separators=(",", ":")).encode()
    return b"".join([head, b"\n", *writer.parts])


def decode(content: bytes) -> dict[str, Any]:
    """What `encode` was given; tensors come back on the processor, arrays read-only.

    Raises:
        ValueError: the bytes are none of ours.
    """
    head, _, data = content.partition(b"\n")
    reader = _Reader(data)
    try:
        return {question: reader.value(node) for question, node in json.loads(head).items()}
    except (KeyError, TypeError, zlib.error) as error:
        raise ValueError(f"no raw answer: {type(error).__name__}: {error}") from None


class _Writer:
    """Turns values into trees that JSON can hold, and their arrays into bytes beside them."""

    def __init__(self, numbers: Numbers) -> None:
        self._numbers = numbers
        self.parts: list[bytes] = []

    def node(self, value: Any, name: str = "") -> Any:
        """A value of a known type; `name` is the field it is in."""
        if value is None or isinstance(value, str | bool | int | float):
            return value
        if isinstance(value, list | tuple):
            kind = "tuple" if isinstance(value, tuple) else "list"
            return {kind: [self.node(item) for item in value]}
        if isinstance(value, np.ndarray | np.generic) and not value.dtype.hasobject:
            return {"array": self._array(np.asarray(value))}
        if type(value).__module__ == "torch" and type(value).__name__ in ("Tensor", "Parameter"):
            return {"tensor": self._tensor(value, name)}
        if is_dataclass(value) and KINDS.get(type(value).__name__) is type(value):
            content = {f.name: self.node(getattr(value, f.name), f.name) for f in fields(value)}
            return {type(value).__name__: content}
        raise CannotDo(
            f"A raw answer of type {type(value).__name__} cannot be kept; run without --keep-raw."
        )

    def _tensor(self, tensor: Any, name: str) -> dict[str, Any]:
        """A tensor with its own type, which numpy may not have, and the type it is kept in."""
        import torch  # here: whoever has a tensor has loaded it already

        plain, kind = tensor.detach().cpu(), str(tensor.dtype).removeprefix("torch.")
        if self._numbers is Numbers.FLOAT16 and name == "mask_logits" and plain.itemsize > 2:
            plain = plain.clamp(-HALF_MAX, HALF_MAX).half()
        if plain.dtype is torch.bfloat16:
            return {"as": kind, "bits": "bfloat16", **self._array(plain.view(torch.int16).numpy())}
        return {"as": kind, **self._array(plain.numpy())}

    def _array(self, array: np.ndarray) -> dict[str, Any]:
        """Bytes of equal significance together, each lot compressed where that is worth it."""
        size = array.dtype.itemsize
        raw = np.ascontiguousarray(array).reshape(-1).view(np.uint8).reshape(-1, size)
        sizes = []
        for column in range(size):
            plane = raw[:, column].tobytes()
            tried = plane[:TRIED]
            if len(zlib.compress(tried, 1)) < WORTH * len(tried):
                packed = zlib.compress(plane, 1)
                self.parts.append(packed)
                sizes.append([len(packed), 1])
            else:
                self.parts.append(plane)
                sizes.append([len(plane), 0])
        return {"type": array.dtype.str, "shape": list(array.shape), "planes": sizes}


class _Reader:
    """Turns trees back into values, their arrays taken from the bytes in order."""

    def __init__(self, data: bytes) -> None:
        self._data, self._offset = data, 0

    def value(self, node: Any) -> Any:
        """The value that `_Writer.node` was given."""
        if not isinstance(node, dict):
            return node
        ((kind, content),) = node.items()
        if kind in ("list", "tuple"):
            items = [self.value(item) for item in content]
            return items if kind == "list" else tuple(items)
        if kind == "array":
            return self._array(content)
        if kind == "tensor":
            return self._tensor(content)
        return KINDS[kind](**{name: self.value(part) for name, part in content.items()})

    def _tensor(self, content: Mapping[str, Any]) -> Any:
        import torch  # here: captions and vectors need none

        found = torch.from_numpy(self._array(content).copy())
        if "bits" in content:
            found = found.view(getattr(torch, content["bits"]))
        return found.to(getattr(torch, content["as"]))

    def _array(self, content: Mapping[str, Any]) -> np.ndarray:
        planes = []
        for size, packed in content["planes"]:
            part = self._data[self._offset : self._offset + size]
            planes.append(np.frombuffer(zlib.decompress(part) if packed else part, np.uint8))
            self._offset += size
        kind, shape = np.dtype(content["type"]), content["shape"]
        raw = np.ascontiguousarray(np.stack(planes, axis=1)) if prod(shape) else np.empty(0)
        return np.frombuffer(raw.tobytes(), kind).reshape(shape)


# --- the answers of a run, as a file -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Block:
    """Where the bytes of an image lie."""

    start: int
    size: int
    checksum: int
    numbers: Numbers


class RawAnswers:
    """The file of one run. Only the process that holds the run (`Store.run`) may add to it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._blocks: dict[str, _Block] = {}
        self._end = 0
        """Where the last whole block ends."""
        for id, block in _blocks(path):
            self._blocks[id] = block
            self._end = block.start + block.size

    def __len__(self) -> int:
        return len(self._blocks)

    def has(self, id: str, numbers: Numbers | None = None) -> bool:
        """Whether an image's answers are there, as exact as `numbers` wants them."""
        block = self._blocks.get(id)
        return block is not None and numbers in (None, block.numbers, Numbers.FLOAT16)

    @property
    def rounded(self) -> int:
        """Of how many images the masks are kept in float16."""
        return sum(block.numbers is Numbers.FLOAT16 for block in self._blocks.values())

    def questions(self) -> frozenset[str]:
        """The questions that were answered: the same of every image."""
        first = next(iter(self._blocks), None)
        return frozenset() if first is None else frozenset(self.read(first))

    def read(self, id: str) -> dict[str, Any]:
        """An image's answers, by question.

        Raises:
            KeyError: there are none.
            DataError: they are damaged.
        """
        block = self._blocks[id]
        with self.path.open("rb") as file:
            file.seek(block.start)
            content = file.read(block.size)
        if zlib.crc32(content) != block.checksum:
            raise DataError(
                f"The raw answer to {id} in {self.path} is damaged. "
                "Delete that file and run again with --keep-raw."
            )
        return decode(content)

    def append(self, id: str, content: bytes, numbers: Numbers) -> int:
        """Keep what `encode` made; the bytes it takes. What does not fit is taken back whole.

        Raises:
            CannotWrite: it cannot be written.
        """
        row = [id, len(content), zlib.crc32(content), numbers.value]
        head = json.dumps(row).encode() + b"\n"
        with explained(self.path):
            file = os.open(self.path, os.O_WRONLY | os.O_CREAT, 0o644)
            try:
                os.ftruncate(file, self._end)  # whatever a killed process left behind it
                os.lseek(file, self._end, os.SEEK_SET)
                _write(file, head + content)
            except OSError:
                os.ftruncate(file, self._end)
                raise
            finally:
                os.close(file)
        start = self._end + len(head)
        self._blocks[id] = _Block(start, len(content), zlib.crc32(content), numbers)
        self._end = start + len(content)
        return len(head) + len(content)


def _blocks(path: Path) -> Iterator[tuple[str, _Block]]:
    """Whole blocks in order; of an image's several the last counts."""
    if not path.exists():
        return
    with path.open("rb") as file:
        total, end = os.fstat(file.fileno()).st_size, 0
        while (head := file.readline()).endswith(b"\n"):
            try:
                id, size, checksum, numbers = json.loads(head)
                block = _Block(end + len(head), size, checksum, Numbers(numbers))
            except (ValueError, TypeError):
                raise DataError(
                    f"{path} is damaged at byte {end}. Delete it and run again with --keep-raw."
                ) from None
            end = block.start + block.size
            if end > total:
                return
            yield id, block
            file.seek(end)


def _write(file: int, content: bytes) -> None:
    """All of it, or an error."""
    left = memoryview(content)
    while left:
        written = os.write(file, left)
        if not written:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        left = left[written:]


# --- keeping them while a run goes on ------------------------------------------------------------


def question_name(question: Question) -> str:
    """What a question's answers are kept under: the protocol that a model satisfies."""
    return question.protocol.__name__


class Keeping:
    """Notes what a model answers while it is examined, and writes it down image by image."""

    def __init__(self, answers: RawAnswers, numbers: Numbers) -> None:
        self.answers, self.numbers = answers, numbers
        self._noted: dict[str, dict[str, Any]] = {}

    def lacks(self, id: str) -> bool:
        """Whether an image must be asked about for its raw answers."""
        return not self.answers.has(id, self.numbers)

    def noting(self, examination: Examination) -> Examination:
        """The same examination; its answers are noted on their way to predictions."""
        questions = {
            replace(question, finish=partial(self._finish, question)): served
            for question, served in examination.questions.items()
        }
        return replace(examination, questions=questions)

    def _finish(
        self,
        question: Question,
        answer: Any,
        sample: Sample,
        protocol: Protocol,
        wanted: frozenset[str],
    ) -> Mapping[str, Any]:
        self._noted.setdefault(sample.id, {})[question_name(question)] = answer
        return question.finish(answer, sample, protocol, wanted)

    def write(self, id: str) -> int | None:
        """Write down what was answered about an image: its bytes, `None` if it was not asked."""
        noted = self._noted.pop(id, None)
        if noted is None:
            return None
        return self.answers.append(id, encode(noted, self.numbers), self.numbers)
