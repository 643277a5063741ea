"""Class embeddings, computed once: kept in memory, and on disk by the content they depend on.

They depend on the text encoder's weights and on the sentences alone. So a file is named by a hash
of both, and can be shared by runs, models with one text encoder, and datasets with one vocabulary.
In memory they are kept by class: a name that several vocabularies have is encoded for the first.

Hundreds of classes in dozens of templates take minutes on a processor. How long, and how far it
is, goes to the logger of this module.
"""

import hashlib
import json
import logging
import os
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import NamedTemporaryFile
from time import perf_counter

import torch
from jaxtyping import Float
from safetensors.torch import load, save
from torch import Tensor

from bench.errors import DataError
from bench.types import Vocabulary
from models.xdecoder.text import TextEncoder, class_embedding
from models.xdecoder.tokenizer import Tokenizer

_LOG = logging.getLogger(__name__)
_AT_ONCE = 128
"""Classes encoded between two reports. What their prompts share is encoded once for them, which
saves nothing for a dozen and more than half of the time for a hundred."""
_SECONDS = 10.0
"""With fewer than this nothing is reported."""
_VOCABULARIES = 64
"""How many stay in memory; 64 of ADE20K's full 847 classes are 110 MB."""


class ClassEmbeddings:
    """Looks up or computes the embeddings of vocabularies.

    Args:
        encoder: the text encoder; when its weights change, what was computed is forgotten.
        tokenizer: its tokenizer.
        folder: where to keep them between runs; absent: in memory alone.
    """

    def __init__(
        self, encoder: TextEncoder, tokenizer: Tokenizer, folder: Path | None = None
    ) -> None:
        self.encoder = encoder
        self.tokenizer = tokenizer
        self.folder = folder
        self._known: dict[Vocabulary, Tensor] = {}
        self._columns: dict[tuple[str, ...], Tensor] = {}
        self._versions: tuple[tuple[int, int], ...] = ()
        self._digest: str | None = None

    @torch.inference_mode()
    def __call__(self, vocabulary: Vocabulary) -> Float[Tensor, "column channel"]:
        """One unit vector per column of class logits; see `Vocabulary.columns`."""
        versions = tuple((p.data_ptr(), p._version) for p in self.encoder.parameters())
        if versions != self._versions:
            self._known, self._columns = {}, {}
            self._versions, self._digest = versions, None
        if vocabulary not in self._known:
            if len(self._known) >= _VOCABULARIES:
                del self._known[next(iter(self._known))]
            self._known[vocabulary] = self._looked_up(vocabulary.sentences())
        return self._known[vocabulary]

    def _looked_up(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """From the folder if they are there, else computed and put there."""
        device = self.encoder.projection.device
        if self.folder is None:
            return self._computed(sentences)
        path = self.folder / f"{self._key(sentences)}.safetensors"
        if path.exists():
            return _read(path).to(device, self.encoder.projection.dtype)
        embeddings = self._computed(sentences)
        with suppress(OSError):  # a folder that cannot be written to costs time, nothing else
            _write(path, embeddings)
        return embeddings

    def _computed(self, sentences: Sequence[Sequence[str]]) -> Tensor:
        """The classes in their order; those that no vocabulary had before are encoded."""
        columns = [tuple(column) for column in sentences]
        new = [column for column in dict.fromkeys(columns) if column not in self._columns]
        start, said = perf_counter(), -_SECONDS
        for done in range(0, len(new), _AT_ONCE):
            self._encode(new[done : done + _AT_ONCE])
            seconds, done = perf_counter() - start, min(done + _AT_ONCE, len(new))
            left = seconds / done * (len(new) - done)
            if seconds + left >= _SECONDS and seconds - said >= _SECONDS:
                said = seconds
                _LOG.info(
                    "encoding %d classes in %d sentences: %d are done, %.0f s are left",
                    *(len(new), sum(map(len, new)), done, left),
                )
        empty = self.encoder.projection.new_zeros(0, self.encoder.projection.shape[1])
        return torch.stack([self._columns[c] for c in columns]) if columns else empty

    def _encode(self, columns: Sequence[tuple[str, ...]]) -> None:
        """Every different sentence is encoded once, whatever class it belongs to."""
        different = list(dict.fromkeys(sentence for column in columns for sentence in column))
        position = {sentence: index for index, sentence in enumerate(different)}
        states = self.encoder.sentences(self.tokenizer.encode(different))
        for column in columns:
            self._columns[column] = class_embedding(states[[position[s] for s in column]])

    def _key(self, sentences: Sequence[Sequence[str]]) -> str:
        if self._digest is None:
            self._digest = digest(self.encoder)
        content = json.dumps([self._digest, self.tokenizer.vocabulary, sentences])
        return hashlib.sha256(content.encode()).hexdigest()[:32]


def digest(module: torch.nn.Module) -> str:
    """A hash of all weights of a module, in their own precision."""
    sha = hashlib.sha256()
    for name, tensor in module.state_dict().items():
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        content = tensor.detach().cpu().contiguous().flatten().view(torch.uint8)
        sha.update(content.numpy().data)
    return sha.hexdigest()


def _read(path: Path) -> Tensor:
    try:
        return load(path.read_bytes())["embeddings"]
    except Exception as error:
        raise DataError(
            f"{path} should hold class embeddings and cannot be read ({error}). Delete it: it "
            "will be made again."
        ) from error


def _write(path: Path, embeddings: Tensor) -> None:
    """Put a whole file in place at once: another process may be about to read it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = save({"embeddings": embeddings.cpu().contiguous()})
    with NamedTemporaryFile(dir=path.parent, delete=False) as file:
        file.write(content)
    os.replace(file.name, path)
