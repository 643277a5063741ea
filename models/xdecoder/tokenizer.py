"""Texts to token ids and back: CLIP's byte pairs, and whole words for the small model.

Both give ragged lists that begin with the start token and stop with the first end token: the text
encoder is causal, so nothing behind that token can matter, and nothing is padded here.
"""

import html
import logging
import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

import ftfy

from bench.errors import ExtraMissing
from models.xdecoder.config import CLIP_VOCABULARY

_START, _END = 49406, 49407
_SPECIAL = re.compile(r"(<\|startoftext\|>|<\|endoftext\|>)", re.IGNORECASE)

_LOG = logging.getLogger(__name__)
SHOWN = 12
"""At most so many words of those that a model does not know are listed."""

_HUB_REPOSITORY = "openai/clip-vit-base-patch32"
_HUB_REVISION = "3d74acf9a28c67741b2f4f2ea7635f0aaf6f0268"


@runtime_checkable
class Tokenizer(Protocol):
    """Splits texts into tokens of a fixed vocabulary."""

    @property
    def vocabulary(self) -> int:
        """How many ids there are."""
        ...

    @property
    def start(self) -> int:
        """The id every text begins with."""
        ...

    @property
    def end(self) -> int:
        """The id every text ends with; also what fills up shorter texts of a batch."""
        ...

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """Ids of each text from the start token to the end token.

        Longer texts than the model's context are cut, and keep their end token.
        """
        ...

    def decode(self, ids: Sequence[int]) -> str:
        """The text before the first end token, without start tokens."""
        ...


class ClipTokenizer:
    """CLIP's lower-casing byte pair encoding (Radford et al. 2021), after its clean-up of texts.

    >>> ClipTokenizer().encode(["a photo of a dog."])
    [[49406, 320, 1125, 539, 320, 1929, 269, 49407]]
    """

    vocabulary = CLIP_VOCABULARY
    start = _START
    end = _END

    def __init__(self, context: int = 77) -> None:
        self.context = context
        self._pairs = _byte_pairs()

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer.encode`."""
        return [self._encode(text) for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`."""
        text: str = self._pairs.decode(_between(ids, self.start, self.end))
        return rejoined(text).strip()

    def _encode(self, text: str) -> list[int]:
        ids = [self.start]
        # The two special tokens are recognised when a text spells them out.
        for piece in _SPECIAL.split(cleaned(text)):
            if _SPECIAL.fullmatch(piece):
                ids.append(self.start if "start" in piece else self.end)
            else:
                ids.extend(self._pairs.encode(piece))
        return _closed(ids, self.end, self.context)


_REJOINED = (" .", " ?", " !", " ,", " n't", " 'm", " 's", " 've", " 're")


def rejoined(text: str) -> str:
    """Words as people write them: no blank before marks and contractions.

    These replacements, in this order, are what `transformers` makes of decoded tokens, and so
    belong to the released captions.

    >>> rejoined("a man , a dog and the dog 's ball .")
    "a man, a dog and the dog's ball."
    """
    for mark in _REJOINED[:4]:
        text = text.replace(mark, mark[1:])
    text = text.replace(" ' ", "'")
    for mark in _REJOINED[4:]:
        text = text.replace(mark, mark[1:])
    return text


def cleaned(text: str) -> str:
    r"""A text as CLIP reads it: mojibake and HTML entities undone, blanks joined, lower case.

    >>> cleaned("  Salt &amp;amp; pepper\n")
    'salt & pepper'
    """
    plain = html.unescape(html.unescape(ftfy.fix_text(text)))
    return re.sub(r"\s+", " ", plain).strip().lower()


class WordTokenizer:
    """Whole lower-case words and punctuation marks of a short list; others are one unknown token.

    Words that are not in the list are logged, each once.

    >>> tokenizer = WordTokenizer(["a", "red", "box"])
    >>> tokenizer.encode(["A red box", "a dog"])
    [[0, 3, 4, 5, 1], [0, 3, 2, 1]]
    >>> tokenizer.decode([0, 3, 4, 5, 1, 1])
    'a red box'
    """

    start = 0
    end = 1
    unknown = 2

    def __init__(self, words: Sequence[str], context: int = 77) -> None:
        from tokenizers import Tokenizer as Pipeline
        from tokenizers import models, normalizers, pre_tokenizers

        self.context = context
        self._missed: set[str] = set()
        self._words = ["<start>", "<end>", "<unknown>", *words]
        ids = {word: id for id, word in enumerate(self._words)}
        if len(ids) != len(self._words):
            raise ValueError("a word of the vocabulary is listed twice")
        self._pipeline = Pipeline(models.WordLevel(ids, unk_token="<unknown>"))
        self._pipeline.normalizer = normalizers.Sequence(
            [normalizers.NFC(), normalizers.Lowercase()]
        )
        self._pipeline.pre_tokenizer = pre_tokenizers.Whitespace()

    @property
    def vocabulary(self) -> int:
        """How many ids there are."""
        return len(self._words)

    def encode(self, texts: Sequence[str]) -> list[list[int]]:
        """See `Tokenizer.encode`."""
        encodings = self._pipeline.encode_batch(list(texts), add_special_tokens=False)
        missed = {
            text[slice(*place)].lower()
            for text, encoding in zip(texts, encodings, strict=True)
            for id, place in zip(encoding.ids, encoding.offsets, strict=True)
            if id == self.unknown
        } - self._missed
        if missed:
            self._missed |= missed
            words = ", ".join(sorted(missed)[:SHOWN]) + (", …" if len(missed) > SHOWN else "")
            _LOG.warning("the model was never taught these words, all are one to it: %s", words)
        return [_closed([self.start, *e.ids], self.end, self.context) for e in encodings]

    def decode(self, ids: Sequence[int]) -> str:
        """See `Tokenizer.decode`."""
        text = " ".join(self._words[id] for id in _between(ids, self.start, self.end))
        return re.sub(r" ([.,!?;:])", r"\1", text)


def _closed(ids: list[int], end: int, context: int) -> list[int]:
    """`ids` up to their first end token, at the latest at position `context`."""
    ids = [*ids[: context - 1], end]
    return ids[: ids.index(end) + 1]


def _between(ids: Sequence[int], start: int, end: int) -> list[int]:
    """The ids before the first end token, without start tokens."""
    ids = [int(id) for id in ids]
    if end in ids:
        ids = ids[: ids.index(end)]
    return [id for id in ids if id != start]


@lru_cache(maxsize=1)
def _byte_pairs() -> Any:
    """CLIP's vocabulary: bundled with a package where that has a wheel, else from the hub, once."""
    try:
        from instant_clip_tokenizer import Tokenizer as InstantTokenizer
    except ImportError:
        return _HubBytePairs()
    return InstantTokenizer()


class _HubBytePairs:
    """The same encoding from the vocabulary file in CLIP's own hub repository."""

    def __init__(self) -> None:
        from huggingface_hub import hf_hub_download
        from tokenizers import Tokenizer as Pipeline

        try:
            path = hf_hub_download(_HUB_REPOSITORY, "tokenizer.json", revision=_HUB_REVISION)
        except Exception as error:
            raise ExtraMissing(
                "CLIP's vocabulary is neither bundled (instant-clip-tokenizer has wheels for "
                "Python 3.11 and 3.12) nor in the Hugging Face cache, and could not be fetched: "
                f"{error}. Fetch it once while online: hf download {_HUB_REPOSITORY} "
                f"tokenizer.json --revision {_HUB_REVISION}"
            ) from error
        self._pipeline = Pipeline.from_file(path)

    def encode(self, text: str) -> list[int]:
        """Ids of a cleaned text, without start and end."""
        ids: list[int] = self._pipeline.encode(text, add_special_tokens=False).ids
        return ids

    def decode(self, ids: Sequence[int]) -> str:
        """The text of ids."""
        text: str = self._pipeline.decode(list(ids), skip_special_tokens=False)
        return text
