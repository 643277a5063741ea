"""What X-Decoder is trained for: a step's batches to one loss and its named parts (section 3.4).

Each batch is one pass through the network, in the layout of query groups that its kind calls for.
A pass leaves a prediction after every layer; each loss is read from the top layers (`TopLayers`).

    objectives = Objectives(RELEASED)
    losses = objectives(model, (segmentation, pairs), drawn_from(generator), Gathered())
    losses.total.backward()

The network may run in mixed precision, by calling this under `torch.autocast`: the losses
themselves are worked out in float32.
"""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from models.xdecoder.batch import Batch, PairBatch, Phrases, SegmentationBatch
from models.xdecoder.forward_pass import ForwardPass, LayerLosses
from models.xdecoder.gather import Alone, Gather
from models.xdecoder.groups import Layout, Layouts
from models.xdecoder.model import Network
from models.xdecoder.pair_losses import captioning_losses, retrieval_losses
from models.xdecoder.points import Draw
from models.xdecoder.prediction import Text
from models.xdecoder.reading import CaptionTexts, ConceptTexts, PhraseTexts
from models.xdecoder.segmentation_losses import noun_losses, object_losses, referred_losses
from models.xdecoder.weights import Supervision


@dataclass(frozen=True)
class Losses:
    """The outcome of a step."""

    total: Float[Tensor, ""]
    """All parts by their weights: what is trained."""
    parts: Mapping[str, Float[Tensor, ""]]
    """Each loss of each layer, neither weighted nor part of the graph: `mask_bce_0` is the last
    layer's."""


class Objectives:
    """All training objectives of X-Decoder.

    Args:
        supervision: weights, layers, costs and points.
    """

    def __init__(self, supervision: Supervision | None = None) -> None:
        self.supervision = supervision or Supervision()

    def __call__(
        self, model: Network, batches: Sequence[Batch], draw: Draw, gather: Gather | None = None
    ) -> Losses:
        """The losses of one step.

        Args:
            model: in training mode or not, as it is.
            batches: one pass each, on the model's device; their losses add up.
            draw: random numbers for the points at which masks are compared.
            gather: how losses see the other processes' batches; absent: there are none.
        """
        weights = self.supervision.weights
        total = torch.zeros((), device=model.device)
        parts: dict[str, Tensor] = defaultdict(lambda: torch.zeros((), device=model.device))
        for batch in batches:
            values = self._losses(model, batch, draw, gather or Alone())
            for name, by_layer in values.items():
                total = total + getattr(weights, name) * by_layer.sum()
                for layer, value in enumerate(by_layer.detach()):
                    parts[f"{name}_{layer}"] = parts[f"{name}_{layer}"] + value
        return Losses(total, dict(parts))

    def _losses(self, model: Network, batch: Batch, draw: Draw, gather: Gather) -> LayerLosses:
        """The losses of one batch, by name."""
        segmentation, captions, phrases = _contents(batch)
        weights = self.supervision.weights
        if not weights.refers:
            phrases = ()
        spoken = CaptionTexts.read(model, captions) if captions else None
        asked = None
        if any(p.concepts for p in phrases):
            asked = PhraseTexts.read(model, phrases, filling_seen=self.supervision.filling_seen)
        texts: dict[str, Text] = {}
        if asked:
            texts["phrase"] = asked.queries
        if spoken and weights.captioning:
            texts["caption"] = spoken.queries
        image = model.see(batch.images)
        decoding = model.decode(image, _layout(model.layouts, texts), texts)
        of = ForwardPass(model, image, decoding, self.supervision, draw, gather)
        values: LayerLosses = {}
        if spoken and weights.captioning:
            values |= captioning_losses(of, spoken)
        if segmentation:
            values |= self._of_segments(of, segmentation)
        with torch.autocast(model.device.type, enabled=False):
            if asked:
                values |= referred_losses(of, phrases, asked)
            if spoken:
                values |= retrieval_losses(of, spoken)
        return values

    def _of_segments(self, of: ForwardPass, batch: SegmentationBatch) -> LayerLosses:
        """The losses that compare objects with classes and nouns."""
        nouns = batch.nouns if self.supervision.weights.noun else ()
        concepts = (*batch.classes, *(noun for some in nouns for noun in some))
        classes, named = ConceptTexts.read(of.model, concepts).split(len(batch.classes))
        with torch.autocast(of.model.device.type, enabled=False):
            values, matches = object_losses(of, batch.objects, classes)
            if nouns:
                counts = list(map(len, nouns))
                values |= noun_losses(of, counts, named, batch.objects, classes, matches)
        return values


def _contents(
    batch: Batch,
) -> tuple[SegmentationBatch | None, tuple[str, ...], tuple[Phrases, ...]]:
    """The segments, the captions and the phrases that a batch comes with."""
    match batch:
        case SegmentationBatch():
            return batch, (), batch.phrases
        case PairBatch():
            return None, batch.captions, batch.phrases


def _layout(layouts: Layouts, texts: Mapping[str, Text]) -> Layout:
    """The layout in which just these texts enter."""
    return {
        frozenset[str](): layouts.segmenting,
        frozenset({"phrase"}): layouts.referring,
        frozenset({"caption"}): layouts.captioning,
        frozenset({"phrase", "caption"}): layouts.everything,
    }[frozenset(texts)]
