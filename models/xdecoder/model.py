"""X-Decoder assembled: images and texts in, what the query groups hold out.

`XDecoder` (in `models.xdecoder.answers`) adds what is asked of it in words. Training uses the same
three steps and reads every layer:

    image = model.see(pixels)                       backbone and pixel decoder
    texts = {"phrase": Text(model.text(ids), valid)} text encoder
    decoding = model.decode(image, model.layouts.referring, texts)
    for prediction in decoding.predictions: ...     bare queries first, the last layer last

Of each prediction: `of("objects").class_embeddings`, `.mask_logits` (made when asked for),
`of("referred")…`, `states_of("caption")` for `model.words.logits`. Class logits against text
embeddings are `model.decoder.classes.logits`.
"""

from collections.abc import Mapping, Sequence
from functools import cached_property

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from models.xdecoder.backbones import build_backbone
from models.xdecoder.config import XDecoderConfig
from models.xdecoder.decoder import Decoder
from models.xdecoder.decoder_layer import LayerMemory
from models.xdecoder.groups import Layout, Layouts, layouts
from models.xdecoder.heads import PooledHead, WordHead
from models.xdecoder.masks import MaskFeatures
from models.xdecoder.pixel_decoder import build_pixel_decoder
from models.xdecoder.prediction import Decoding, ImageFeatures, Text
from models.xdecoder.text import TextEncoder
from models.xdecoder.tokenizer import ClipTokenizer, Tokenizer, WordTokenizer

PIXEL_MEAN = (123.675, 116.28, 103.53)
PIXEL_STD = (58.395, 57.12, 57.375)
"""Of ImageNet, on red, green and blue from 0 to 255."""
DIVISOR = 32
"""Images are padded to multiples of the coarsest stride."""


class Network(nn.Module):
    """The network of one configuration, with fresh weights.

    Args:
        settings: its sizes.
        recompute: spare memory in training: activations inside the backbone's blocks are computed
            again on the way back.
    """

    def __init__(self, settings: XDecoderConfig, *, recompute: bool = False) -> None:
        super().__init__()
        self.config = config = settings
        width = config.decoder.width
        self.backbone = build_backbone(config.backbone, recompute=recompute)
        self.pixel_decoder = build_pixel_decoder(config.pixel_decoder, self.backbone.channels)
        self.text = TextEncoder(config.text, config.text.vocabulary, width)
        self.decoder = Decoder(
            config.decoder,
            level_width=config.pixel_decoder.width,
            mask_width=config.pixel_decoder.mask_width,
            context=config.text.context,
        )
        self.words = WordHead(width, config.text.width)
        self.pooled = PooledHead(self.backbone.channels[-1], width)
        if config.answers:
            self.answering = nn.Linear(width, len(config.answers))
        self.layouts: Layouts = layouts(config.decoder)

    @cached_property
    def tokenizer(self) -> Tokenizer:
        """What splits texts for this model."""
        text = self.config.text
        if text.words:
            return WordTokenizer(text.words, text.context)
        return ClipTokenizer(text.context)

    @property
    def device(self) -> torch.device:
        """Where the weights are."""
        return self.text.projection.device

    def see(self, images: UInt8[Tensor, "batch height width 3"]) -> ImageFeatures:
        """What the decoder needs of images of one size: all that does not depend on the task."""
        pixels = normalised(images.to(self.device), self.text.projection.dtype)
        levels = self.backbone(pixels)
        features = self.pixel_decoder(levels)
        return ImageFeatures(
            levels=(features.stride32, features.stride16, features.stride8),
            masks=MaskFeatures(features.stride4, self.pixel_decoder.mask_conv),
            pooled=levels.res5.mean((2, 3)),
            input_size=(images.shape[1], images.shape[2]),
            padded_size=(pixels.shape[2], pixels.shape[3]),
        )

    def decode(
        self,
        image: ImageFeatures,
        layout: Layout,
        texts: Mapping[str, Text] | None = None,
        *,
        remember: bool = False,
    ) -> Decoding:
        """Let the queries of `layout` look at images; see `Decoder.forward`."""
        decoding: Decoding = self.decoder(image, layout, texts, remember=remember)
        return decoding

    def read(self, texts: Sequence[str]) -> Text:
        """Texts as what a group of queries starts from, shorter ones filled up at their end."""
        encoded = self.tokenizer.encode(texts)
        longest = max(map(len, encoded))
        filled = [ids + [self.tokenizer.end] * (longest - len(ids)) for ids in encoded]
        valid = [[True] * len(ids) + [False] * (longest - len(ids)) for ids in encoded]
        states = self.text(torch.tensor(filled, device=self.device))
        return Text(states, torch.tensor(valid, device=self.device))

    def answer_logits(
        self, memory: Sequence[LayerMemory], question: Text
    ) -> Float[Tensor, "question answer"]:
        """Logits of the candidate answers, read at the last token of each question.

        Args:
            memory: of the objects and the image query of each question's image.
            question: what is asked, from `read`.
        """
        if question.valid is None:
            raise ValueError("questions need to say which of their tokens are valid: see `read`")
        remembered = len(memory[0].heard)
        sight = F.pad(question.valid, (remembered, 0), value=True)[:, None, None]
        states, _ = self.decoder.follow(memory, question, sight=sight)
        last = question.valid.sum(dim=1) - 1
        logits: Tensor = self.answering(states[torch.arange(len(states)), last])
        return logits


def normalised(
    images: UInt8[Tensor, "batch height width 3"], dtype: torch.dtype = torch.float32
) -> Float[Tensor, "batch 3 padded_height padded_width"]:
    """Images in units of ImageNet's deviations, then filled up with zeros right and below."""
    mean = torch.tensor(PIXEL_MEAN, device=images.device)
    std = torch.tensor(PIXEL_STD, device=images.device)
    pixels = ((images.float() - mean) / std).permute(0, 3, 1, 2)
    right, below = -pixels.shape[3] % DIVISOR, -pixels.shape[2] % DIVISOR
    return F.pad(pixels, (0, right, 0, below)).to(dtype)
