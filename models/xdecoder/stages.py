"""What an X-Decoder computes between an image and its answer, part by part.

The parts are listened to while they work, so what is shown is what the answer was made of, whatever
was asked.

| stage | arrays |
|---|---|
| preprocessing | `pixels`: normalised and padded |
| text | `classes`, a row a column of class logits; `tokens` of phrases, captions and questions |
| backbone | `res2` to `res5` |
| pixel decoder | the maps at strides 32 to 4, and `mask_features` |
| decoder | `class_embeddings` and `mask_embeddings` after the last layer |
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from torch import Tensor, nn

from models.xdecoder.embeddings import ClassEmbeddings
from models.xdecoder.prediction import Decoding

if TYPE_CHECKING:
    from bench.types import Vocabulary
    from models.xdecoder.answers import XDecoder

Stages = dict[str, dict[str, Tensor]]


@contextmanager
def showing(model: XDecoder) -> Iterator[Stages]:
    """What `model` leaves behind while this is open; of what is made several times, all in turn."""
    stages: Stages = {}

    def note(stage: str, name: str, tensor: Tensor) -> None:
        arrays = stages.setdefault(stage, {})
        earlier = sum(known.split("#")[0] == name for known in arrays)
        arrays[f"{name}#{earlier + 1}" if earlier else name] = tensor

    def seen(module: nn.Module, taken: tuple[Tensor], levels: Any) -> None:
        note("preprocessing", "pixels", taken[0])
        for name, level in levels._asdict().items():
            note("backbone", name, level)

    def refined(module: nn.Module, taken: Any, features: Any) -> None:
        for name, level in features._asdict().items():
            note("pixel decoder", name, level)

    def masked(module: nn.Module, taken: Any, features: Tensor) -> None:
        note("pixel decoder", "mask_features", features)

    def decoded(module: nn.Module, taken: Any, decoding: Decoding) -> None:
        note("decoder", "class_embeddings", decoding.last.class_embeddings)
        note("decoder", "mask_embeddings", decoding.last.mask_embeddings)

    def read(module: nn.Module, taken: Any, states: Tensor) -> None:
        if not classes.at_work:
            note("text", "tokens", states)

    usual = model._class_embeddings
    classes = _Noted(model, note)
    with ExitStack() as listening:
        for part, hear in (
            (model.backbone, seen),
            (model.pixel_decoder, refined),
            (model.pixel_decoder.mask_conv, masked),
            (model.decoder, decoded),
            (model.text, read),
        ):
            listening.callback(part.register_forward_hook(hear).remove)
        listening.callback(setattr, model, "_class_embeddings", usual)
        model._class_embeddings = classes
        yield stages


class _Noted(ClassEmbeddings):
    """Class embeddings that are noted: kept ones too, which no text encoder is asked for."""

    def __init__(self, model: XDecoder, note: Any) -> None:
        super().__init__(model.text, model.tokenizer, model.habits.text_folder)
        self._note = note
        self.at_work = False

    def __call__(self, vocabulary: Vocabulary) -> Tensor:
        self.at_work = True
        found = super().__call__(vocabulary)
        self.at_work = False
        self._note("text", "classes", found)
        return found
