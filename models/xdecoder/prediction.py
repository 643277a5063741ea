"""What goes into the decoder, and what can be read of it after each layer."""

from dataclasses import dataclass, field, replace
from functools import cached_property

from jaxtyping import Bool, Float
from torch import Tensor

from models.xdecoder.decoder_layer import LayerMemory
from models.xdecoder.groups import Rows
from models.xdecoder.masks import MaskFeatures


@dataclass(frozen=True)
class ImageFeatures:
    """What the decoder is given of a batch of images."""

    levels: tuple[Tensor, Tensor, Tensor]
    """Maps (batch, channel, height, width) at strides 32, 16 and 8."""
    masks: MaskFeatures
    pooled: Float[Tensor, "batch channel"]
    """The mean of the backbone's coarsest level."""
    input_size: tuple[int, int]
    """Height and width of the images, before padding."""
    padded_size: tuple[int, int]

    def one(self, index: int) -> "ImageFeatures":
        """The features of one image of the batch, still as a batch."""
        at = slice(index, index + 1)
        coarse, middle, fine = (level[at] for level in self.levels)
        return replace(
            self,
            levels=(coarse, middle, fine),
            masks=self.masks.one(index),
            pooled=self.pooled[at],
        )


@dataclass(frozen=True)
class Text:
    """The tokens that one group of queries starts from."""

    states: Float[Tensor, "batch token channel"]
    """Projected states of the text encoder. Content is cut from the graph; the role as position
    carries the gradient to the encoder, as in the released training."""
    valid: Bool[Tensor, "batch token"] | None = None
    """False where a shorter text of the batch is filled up: such rows are seen by nobody."""
    region: Bool[Tensor, "batch height width"] | None = None
    """Where these queries may look, at the size of the padded input; absent: everywhere."""


@dataclass(frozen=True)
class Prediction:
    """What can be read after one layer. Masks are made when they are asked for."""

    rows: Rows
    states: Float[Tensor, "batch row width"]
    """Normed states, with the image query's read as `summary`."""
    class_embeddings: Float[Tensor, "batch masked width"]
    """In the space shared with texts, not normalised: objects, image, and referred if present."""
    mask_embeddings: Float[Tensor, "batch masked mask_channel"]
    masks: MaskFeatures

    @cached_property
    def mask_logits(self) -> Float[Tensor, "batch masked height width"]:
        """Mask logits at stride 4 of the same rows."""
        return self.masks.logits(self.mask_embeddings)

    def of(self, name: str) -> "GroupPrediction":
        """The part of one group that has masks."""
        rows = self.rows.of(name)
        return GroupPrediction(
            self.class_embeddings[:, rows], self.mask_embeddings[:, rows], self.masks
        )

    def states_of(self, name: str) -> Float[Tensor, "batch query width"]:
        """The states of one group."""
        return self.states[:, self.rows.of(name)]


@dataclass(frozen=True)
class GroupPrediction:
    """Class and mask embeddings of the queries of one group."""

    class_embeddings: Float[Tensor, "batch query width"]
    mask_embeddings: Float[Tensor, "batch query mask_channel"]
    masks: MaskFeatures

    @cached_property
    def mask_logits(self) -> Float[Tensor, "batch query height width"]:
        """Mask logits at stride 4."""
        return self.masks.logits(self.mask_embeddings)


@dataclass(frozen=True)
class Decoding:
    """What the decoder leaves behind."""

    predictions: tuple[Prediction, ...]
    """Of the bare queries, then after each layer."""
    memory: tuple[LayerMemory, ...] = field(default=())
    """One a layer, where it was asked for."""

    @property
    def last(self) -> Prediction:
        """The prediction after the last layer."""
        return self.predictions[-1]
