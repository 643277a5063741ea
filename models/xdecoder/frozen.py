"""What the frozen parts of an X-Decoder make of images, computed once and kept.

In few-shot tuning the backbone and the pixel decoder stay as they are, so what they make of a view
is the same in every step, for every seed, number of shots and strategy. Where only the class
embedding is tuned, so are the decoder's states, and with them all masks and what they cost.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.utils.rnn import pad_sequence

from models.xdecoder.masks import MaskFeatures
from models.xdecoder.matcher import TrueMasks, mask_costs
from models.xdecoder.model import DIVISOR, Network
from models.xdecoder.prediction import ImageFeatures
from models.xdecoder.tensor_cache import TensorCache, Tensors
from models.xdecoder.views import Shown, digest
from models.xdecoder.weights import Supervision

LEVELS = ("stride32", "stride16", "stride8")
TRAINED_PIXELS = 1024 * 1024
FEWEST = 1024
"""Points at which masks are compared, at least: every place of an image of 128 x 128 pixels."""


@dataclass(frozen=True)
class Decoded:
    """What a finished decoder leaves to the class embedding, of images of any sizes."""

    states: Float[Tensor, "layer batch query width"]
    """Of the objects, normed; the last layer first."""
    costs: Float[Tensor, "layer batch query most"]
    """What masks alone say against a match."""
    labels: tuple[Tensor, ...]
    """Of each image's objects."""


class Frozen:
    """Looks up or computes what a model's frozen parts make of views.

    Args:
        model: whose parts; in evaluation mode.
        cache: where it is kept, shared by all who tune the same weights.
        supervision: which layers are read, and how masks are compared.
    """

    def __init__(self, model: Network, cache: TensorCache, supervision: Supervision) -> None:
        self.model = model
        self.cache = cache
        self.supervision = supervision
        self._image_keys: dict[Shown, str] = {}
        self._decoded_keys: dict[Shown, str] = {}

    def features(self, shown: Sequence[Shown]) -> ImageFeatures:
        """What the decoder is given of views of one size."""
        found = [self.cache.get(self._image_key(of), partial(self._see, of)) for of in shown]
        batch = {name: self._together([f[name] for f in found]) for name in found[0]}
        coarse, middle, fine = (batch[name] for name in LEVELS)
        return ImageFeatures(
            (coarse, middle, fine),
            MaskFeatures.finished(batch["masks"], [batch[f"masks {name}"] for name in LEVELS]),
            batch["pooled"],
            input_size=shown[0].size,
            padded_size=(coarse.shape[2] * DIVISOR, coarse.shape[3] * DIVISOR),
        )

    def decoded(self, shown: Sequence[Shown]) -> Decoded:
        """What the decoder makes of views, and what their masks cost at points of their own."""
        found = [self.cache.get(self._decoded_key(of), partial(self._decode, of)) for of in shown]
        device = self.model.device
        # Objects of fewer images are filled up: axes (batch, most, layer, query) for a moment.
        costs = pad_sequence([f["costs"].permute(2, 0, 1) for f in found], batch_first=True)
        return Decoded(
            torch.stack([f["states"] for f in found], dim=1).to(device),
            costs.permute(2, 0, 3, 1).to(device),
            tuple(f["labels"].to(device) for f in found),
        )

    @torch.no_grad()
    def _see(self, shown: Shown) -> Tensors:
        image = self.model.see(shown.image[None])
        levels = dict(zip(LEVELS, image.levels, strict=True))
        sizes = {name: (level.shape[2], level.shape[3]) for name, level in levels.items()}
        masks = {f"masks {name}": image.masks.at(size) for name, size in sizes.items()}
        return {**levels, "masks": image.masks.full(), **masks, "pooled": image.pooled}

    def _together(self, one_each: Sequence[Tensor]) -> Tensor:
        """Tensors of single images as a batch, on the model's device; a single one as it is."""
        batch = one_each[0] if len(one_each) == 1 else torch.cat(list(one_each))
        return batch.to(self.model.device)

    @torch.no_grad()
    def _decode(self, shown: Shown) -> Tensors:
        image, objects = self.features([shown]), shown.objects
        decoding = self.model.decode(image, self.model.layouts.segmenting)
        top = decoding.predictions[: -self.supervision.top.masks - 1 : -1]
        masks = torch.stack([p.of("objects").mask_embeddings for p in top]).float()
        true = TrueMasks.of([objects.masks.to(masks.device)], image.padded_size)
        points = fitting(self.supervision, image.padded_size).points
        where = shown.draw((1, points, 2)).to(masks.device)
        costs = self.supervision.costs
        table = mask_costs(masks, image.masks.full(), true, where, bce=costs.bce, dice=costs.dice)
        states = torch.stack([p.states_of("objects")[0] for p in top])
        return {"states": states, "costs": table[:, 0], "labels": objects.labels}

    def _image_key(self, shown: Shown) -> str:
        if shown not in self._image_keys:
            seen = (self.model.backbone, self.model.pixel_decoder)
            self._image_keys[shown] = digest(_versions(*seen), shown.digest)
        return self._image_keys[shown]

    def _decoded_key(self, shown: Shown) -> str:
        if shown not in self._decoded_keys:
            masks = [(m.height, m.width, m.counts.tobytes()) for m in shown.lesson.masks]
            self._decoded_keys[shown] = digest(
                self._image_key(shown),
                _versions(self.model.decoder),
                self.model.decoder.config,
                self.supervision,
                (masks, shown.lesson.labels),
            )
        return self._decoded_keys[shown]


def _versions(*modules: nn.Module) -> list[tuple[int, int]]:
    """What changes when a parameter of one of the modules does, while they live."""
    return [(p.data_ptr(), p._version) for module in modules for p in module.parameters()]


def fitting(supervision: Supervision, padded_size: tuple[int, int]) -> Supervision:
    """The same with points as dense as in training, but not fewer than `FEWEST`.

    Training compares masks of 1024 x 1024 pixels, the size of its crops, at all of its points.
    """
    share = padded_size[0] * padded_size[1] / TRAINED_PIXELS
    points = max(round(supervision.points * share), FEWEST)
    return replace(supervision, points=min(points, supervision.points))
