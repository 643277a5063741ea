"""The sizes and settings of an X-Decoder, and the variants that have a name.

A configuration is data: every width, depth and head count is a field, so the small model and the
large ones are the same code. Importing this module imports no torch.
"""

import json
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from importlib.resources import files
from math import isfinite
from typing import Any

from bench.errors import UnknownName

CLIP_VOCABULARY = 49408
SPECIAL_TOKENS = 3
"""Start, end and unknown, which a word-level tokenizer adds to its list."""
NORM_GROUPS = 32
"""Of the group norms on the pixel decoder's maps."""


@dataclass(frozen=True)
class FocalConfig:
    """FocalNet (Yang et al. 2022): modulation by depth-wise convolutions in place of attention."""

    dims: tuple[int, int, int, int]
    """Channels of the levels at strides 4, 8, 16 and 32."""
    depths: tuple[int, int, int, int]
    """Blocks of each level."""
    focal_levels: int = 3
    """Chained depth-wise convolutions in a block; the k-th has a kernel of `focal_window` + 2k."""
    focal_window: int = 3
    depthwise_residuals: bool = False
    """Two more 3x3 depth-wise convolutions in a block, and norms on the sums after the modulation
    and after the feed-forward layer, not on the branches: the flavour of the released tiny
    model (its code and the goldens agree)."""
    stem_padding: int = 2
    mlp_ratio: float = 4.0
    drop_path: float = 0.3
    """The last block's rate in training; the rates rise linearly from 0."""

    def __post_init__(self) -> None:
        _check_backbone(self)
        _check_positive(focal_levels=self.focal_levels)
        if self.focal_window < 1 or self.focal_window % 2 == 0:
            raise ValueError(f"focal_window is an odd number above 0, not {self.focal_window}")


@dataclass(frozen=True)
class DaViTConfig:
    """DaViT (Ding et al. 2022): attention within windows, then between channels."""

    dims: tuple[int, int, int, int]
    depths: tuple[int, int, int, int] = (1, 1, 9, 1)
    """Pairs of a spatial and a channel block in each level."""
    heads: tuple[int, int, int, int] = (4, 8, 16, 32)
    """Attention heads, and as many groups of channels."""
    window: int = 7
    downsampling_kernel: int = 3
    """Of the convolutions between levels, of stride 2: 3 is padded by 1, 2 is not padded."""
    mlp_ratio: float = 4.0
    drop_path: float = 0.3

    def __post_init__(self) -> None:
        _check_backbone(self)
        _check_positive(window=self.window)
        for width, heads in zip(self.dims, self.heads, strict=True):
            _check_heads(width, heads)


@dataclass(frozen=True)
class SwinConfig:
    """Swin Transformer (Liu et al. 2021), the backbone of Table 10's first rows."""

    dims: tuple[int, int, int, int] = (96, 192, 384, 768)
    depths: tuple[int, int, int, int] = (2, 2, 6, 2)
    heads: tuple[int, int, int, int] = (3, 6, 12, 24)
    window: int = 7
    mlp_ratio: float = 4.0
    drop_path: float = 0.3

    def __post_init__(self) -> None:
        _check_backbone(self)
        _check_positive(window=self.window)
        for width, heads in zip(self.dims, self.heads, strict=True):
            _check_heads(width, heads)


BackboneConfig = FocalConfig | DaViTConfig | SwinConfig


@dataclass(frozen=True)
class PixelDecoderConfig:
    """From the backbone's four levels to three maps for attention and the mask features."""

    width: int = 512
    """Channels of the three maps."""
    mask_width: int = 512
    """Channels of the mask features."""
    layers: int = 6
    """Transformer layers on the coarsest level (or, deformable, on the three coarsest)."""
    heads: int = 8
    feedforward: int = 2048
    deformable: bool = False
    """Multi-scale deformable attention in place of the plain one (Table 10). The released code
    gives its layers feed-forward layers of 1024, as Mask2Former does, whatever its settings say."""

    def __post_init__(self) -> None:
        _check_heads(self.width, self.heads)
        _check_positive(
            mask_width=self.mask_width, layers=self.layers, feedforward=self.feedforward
        )
        if self.width % NORM_GROUPS:
            raise ValueError(f"width is a multiple of {NORM_GROUPS}, not {self.width}")


@dataclass(frozen=True)
class TextConfig:
    """The causal text encoder (section 3.3, «One Encoder for All Texts»)."""

    words: tuple[str, ...] = ()
    """The list of a word-level tokenizer; empty: CLIP's byte pairs."""
    context: int = 77
    """Positions: a longer text is cut, keeping its end token."""
    width: int = 512
    layers: int = 12
    heads: int = 8
    feedforward: int = 2048

    def __post_init__(self) -> None:
        _check_heads(self.width, self.heads)
        _check_positive(layers=self.layers, feedforward=self.feedforward)
        if self.context < 3:
            raise ValueError(
                f"a text has 3 positions or more, its ends included: not {self.context}"
            )

    @property
    def vocabulary(self) -> int:
        """How many token ids there are."""
        return len(self.words) + SPECIAL_TOKENS if self.words else CLIP_VOCABULARY


class FreedRow(StrEnum):
    """Which query's row of the cross-attention mask is opened, beside its own predicted mask.

    The released weights were trained with a line that means to let the image query see the whole
    image, and addresses one row past it.
    """

    ONE_PAST_IMAGE = "one-past-image"
    """As released: nothing is opened in segmentation; with phrases, the first referred query."""
    IMAGE = "image"
    """What was meant: the image query sees everything."""
    NONE = "none"
    """Every query looks through its own mask."""


@dataclass(frozen=True)
class DecoderConfig:
    """The decoder over query groups (section 3.3) and its heads."""

    width: int = 512
    """Channels of the queries, and of the space shared by images and texts."""
    layers: int = 9
    heads: int = 8
    feedforward: int = 2048
    queries: int = 101
    """Latent queries: the objects, and the image query as the last."""
    freed_row: FreedRow = FreedRow.ONE_PAST_IMAGE
    caption_sees_objects: bool = True
    caption_sees_image: bool = True
    """Both: whether caption tokens attend the latent queries (Table 4, rows 2 and 3)."""
    referred_sees_phrase: bool = True
    """Whether the referred queries attend the phrases (Table 4, last row)."""

    def __post_init__(self) -> None:
        _check_heads(self.width, self.heads)
        _check_positive(layers=self.layers, feedforward=self.feedforward)
        if self.width % 4:
            raise ValueError(f"width is a multiple of 4, as places are coded so: not {self.width}")
        if self.queries < 2:
            raise ValueError(
                f"an X-Decoder has 2 queries or more, of an object and of the image: not "
                f"{self.queries}"
            )


@dataclass(frozen=True)
class XDecoderConfig:
    """One X-Decoder."""

    name: str
    backbone: BackboneConfig
    pixel_decoder: PixelDecoderConfig = field(default_factory=PixelDecoderConfig)
    text: TextConfig = field(default_factory=TextConfig)
    decoder: DecoderConfig = field(default_factory=DecoderConfig)
    answers: tuple[str, ...] = ()
    """The candidate answers of the question answering head; empty: there is no such head."""

    def with_queries(self, queries: int) -> "XDecoderConfig":
        """The same model with another number of latent queries, the image query included."""
        return replace(self, decoder=replace(self.decoder, queries=queries))

    def to_dict(self) -> dict[str, Any]:
        """Plain values for a JSON file; `from_dict` is the inverse."""
        content = asdict(self)
        content["backbone"] = {"kind": _KIND_OF[type(self.backbone)], **content["backbone"]}
        return content

    @classmethod
    def from_dict(cls, content: dict[str, Any]) -> "XDecoderConfig":
        """Read what `to_dict` wrote; an unknown key is a TypeError, a bad value a ValueError.

        >>> XDecoderConfig.from_dict(VARIANTS["xdecoder-T"].to_dict()) == VARIANTS["xdecoder-T"]
        True
        """
        backbone = dict(content["backbone"])
        kind = backbone.pop("kind", None)
        if kind not in _KINDS:
            raise ValueError(f"backbone kind must be one of {sorted(_KINDS)}, found {kind!r}")
        text = dict(content.get("text", {}))
        decoder = dict(content.get("decoder", {}))
        if "words" in text:
            text["words"] = tuple(text["words"])
        if "freed_row" in decoder:
            decoder["freed_row"] = FreedRow(decoder["freed_row"])
        rest = {
            key: value
            for key, value in content.items()
            if key not in {"backbone", "pixel_decoder", "text", "decoder", "answers"}
        }
        return cls(
            backbone=_KINDS[kind](**{key: _hashable(value) for key, value in backbone.items()}),
            pixel_decoder=PixelDecoderConfig(**content.get("pixel_decoder", {})),
            text=TextConfig(**text),
            decoder=DecoderConfig(**decoder),
            answers=tuple(content.get("answers", ())),
            **rest,
        )


_KINDS: dict[str, type[BackboneConfig]] = {
    "focal": FocalConfig,
    "davit": DaViTConfig,
    "swin": SwinConfig,
}
_KIND_OF = {cls: kind for kind, cls in _KINDS.items()}


def _check_positive(**numbers: int) -> None:
    for name, number in numbers.items():
        if number < 1:
            raise ValueError(f"{name} is 1 or more, not {number}")


def _check_heads(width: int, heads: int) -> None:
    _check_positive(width=width, heads=heads)
    if width % heads:
        raise ValueError(f"a width of {width} cannot be shared by {heads} heads; give a divisor")


def _check_backbone(of: BackboneConfig) -> None:
    """Refuse what no backbone can be."""
    _check_positive(dims=min(of.dims), depths=min(of.depths))
    if not (isfinite(of.mlp_ratio) and of.mlp_ratio > 0):
        raise ValueError(f"mlp_ratio is above 0, not {of.mlp_ratio}")
    if not 0 <= of.drop_path < 1:
        raise ValueError(f"drop_path is from 0 to below 1, not {of.drop_path}")


def _hashable(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


FOCAL_T = FocalConfig((96, 192, 384, 768), (2, 2, 6, 2), depthwise_residuals=True, stem_padding=3)
FOCAL_L = FocalConfig((192, 384, 768, 1536), (2, 2, 18, 2), focal_levels=4)
FOCAL_NANO = FocalConfig((32, 64, 128, 256), (1, 1, 3, 1), focal_levels=2, drop_path=0.0)
DAVIT_T = DaViTConfig(
    (96, 192, 384, 768), (1, 1, 3, 1), heads=(3, 6, 12, 24), downsampling_kernel=2
)
DAVIT_D3 = DaViTConfig((128, 256, 512, 1024), heads=(4, 8, 16, 32), downsampling_kernel=2)
DAVIT_D5 = DaViTConfig((256, 512, 1024, 2048), heads=(8, 16, 32, 64))

WORDS = tuple(json.loads(files("models.xdecoder").joinpath("words.json").read_text("utf-8")))
"""What `xdecoder-nano` can read and say."""

NANO = XDecoderConfig(
    "xdecoder-nano",
    FOCAL_NANO,
    PixelDecoderConfig(width=64, mask_width=64, layers=2, heads=4, feedforward=256),
    TextConfig(words=WORDS, context=24, width=128, layers=2, heads=4, feedforward=512),
    DecoderConfig(width=128, layers=4, heads=4, feedforward=512, queries=25),
)

VARIANTS: dict[str, XDecoderConfig] = {
    config.name: config
    for config in (
        XDecoderConfig("xdecoder-T", FOCAL_T),
        XDecoderConfig("xdecoder-B", DAVIT_D3).with_queries(201),
        XDecoderConfig("xdecoder-L", DAVIT_D5).with_queries(201),
        XDecoderConfig("xdecoder-L-IN21K", FOCAL_L).with_queries(201),
        XDecoderConfig("xdecoder-T-davit", DAVIT_T),
        XDecoderConfig("xdecoder-T-swin", SwinConfig()),
        XDecoderConfig(
            "xdecoder-T-swin-deformable",
            SwinConfig(),
            PixelDecoderConfig(feedforward=1024, deformable=True),
        ),
        NANO,
    )
}
"""By name. Released checkpoints of a variant have 101 or 201 queries: loading takes the number from
the checkpoint."""


def variant(name: str) -> XDecoderConfig:
    """The configuration of a named variant.

    >>> variant("xdecoder-T").decoder.queries
    101
    """
    if name not in VARIANTS:
        raise UnknownName("X-Decoder variant", name, VARIANTS)
    return VARIANTS[name]
