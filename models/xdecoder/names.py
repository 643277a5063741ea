"""What X-Decoder's weights are called in official checkpoints, and here.

One ordered table: the first row that fits a name applies, in either direction, `*` stands for a
number, and what follows the row's name is kept.
"""

import re
from functools import cache

from bench.errors import DataError
from models.xdecoder.config import DaViTConfig, FocalConfig, SwinConfig, XDecoderConfig

Names = tuple[tuple[str, str], ...]
"""Rows of (official name, our name)."""


def _attention(official: str, ours: str) -> Names:
    """The four parameters of an attention."""
    return (
        (f"{official}.in_proj_weight", f"{ours}.in_proj.weight"),
        (f"{official}.in_proj_bias", f"{ours}.in_proj.bias"),
        (f"{official}.out_proj", f"{ours}.out_proj"),
    )


FOCAL: Names = (
    ("backbone.patch_embed", "backbone.embeddings.0"),
    *((f"backbone.layers.{i}.downsample", f"backbone.embeddings.{i + 1}") for i in range(3)),
    *((f"backbone.norm{i}", f"backbone.norms.{i}") for i in range(4)),
    *(
        (f"backbone.layers.*.blocks.*.{official}", f"backbone.stages.*.*.{ours}")
        for official, ours in (
            ("gamma_1", "scale1"),
            ("gamma_2", "scale2"),
            ("dw1", "local1"),
            ("dw2", "local2"),
            ("modulation.f", "modulation.project_in"),
            ("modulation.h", "modulation.mix"),
            ("modulation.proj", "modulation.project_out"),
            ("modulation.focal_layers.*.0", "modulation.contexts.*"),
            ("mlp.fc1", "feedforward.widen"),
            ("mlp.fc2", "feedforward.narrow"),
            ("norm1", "norm1"),
            ("norm2", "norm2"),
        )
    ),
)

_DEEPEST = 24
"""Pairs of DaViT blocks in a stage that the table has rows for; released models have nine."""

DAVIT: Names = (
    ("backbone.convs", "backbone.embeddings"),
    *(
        (
            f"backbone.blocks.*.{pair}.{view}_block.{official}",
            f"backbone.stages.*.{2 * pair + second}.{ours}",
        )
        for pair in range(_DEEPEST)
        for second, (view, attention) in enumerate(
            (("spatial", "window_attn"), ("channel", "channel_attn"))
        )
        for official, ours in (
            ("conv1.fn.dw", "local1"),
            ("conv2.fn.dw", "local2"),
            (f"{attention}.norm", "norm1"),
            (f"{attention}.fn", "attention"),
            ("ffn.norm", "norm2"),
            ("ffn.fn.net.fc1", "feedforward.widen"),
            ("ffn.fn.net.fc2", "feedforward.narrow"),
        )
    ),
)

PIXEL_DECODER: Names = tuple(
    (f"sem_seg_head.pixel_decoder.{official}", f"pixel_decoder.{ours}")
    for official, ours in (
        ("input_proj", "project"),
        ("mask_features", "mask_conv"),
        *(
            (f"transformer.encoder.layers.*.{official}", f"encoder.*.{ours}")
            for official, ours in (
                *_attention("self_attn", "attention"),
                ("linear1", "widen"),
                ("linear2", "narrow"),
                ("norm1", "norm1"),
                ("norm2", "norm2"),
            )
        ),
        *(
            (f"{official}{part}", f"{ours}{our_part}")
            for official, ours in (
                ("layer_4", "smooth"),
                *((f"adapter_{3 - i}", f"merges.{i}.lateral") for i in range(3)),
                *((f"layer_{3 - i}", f"merges.{i}.smooth") for i in range(3)),
            )
            for part, our_part in ((".norm", ".norm"), (".weight", ".conv.weight"))
        ),
    )
)


TEXT: Names = tuple(
    (f"sem_seg_head.predictor.lang_encoder.{official}", f"text.{ours}")
    for official, ours in (
        ("lang_proj", "projection"),
        ("lang_encoder.token_embedding", "tokens"),
        ("lang_encoder.positional_embedding", "positions"),
        ("lang_encoder.ln_final", "norm"),
        *_attention("lang_encoder.resblocks.*.attn", "blocks.*.attention"),
        ("lang_encoder.resblocks.*.ln_1", "blocks.*.norm1"),
        ("lang_encoder.resblocks.*.ln_2", "blocks.*.norm2"),
        ("lang_encoder.resblocks.*.mlp.c_fc", "blocks.*.widen"),
        ("lang_encoder.resblocks.*.mlp.c_proj", "blocks.*.narrow"),
    )
)

DECODER: Names = (
    ("sem_seg_head.predictor.lang_encoder.logit_scale", "decoder.classes.log_scale"),
    *(
        (f"sem_seg_head.predictor.{official}", f"decoder.{ours}")
        for official, ours in (
            ("input_proj", "project"),
            ("query_feat", "queries"),
            ("query_embed", "query_positions"),
            ("pos_embed_caping", "token_positions"),
            ("level_embed", "level_embedding"),
            ("class_embed", "classes.projection"),
            ("mask_embed", "masks"),
            ("decoder_norm", "norm"),
            *_attention("transformer_self_attention_layers.*.self_attn", "layers.*.among"),
            ("transformer_self_attention_layers.*.norm", "layers.*.among_norm"),
            *_attention("transformer_cross_attention_layers.*.multihead_attn", "layers.*.cross"),
            ("transformer_cross_attention_layers.*.norm", "layers.*.cross_norm"),
            ("transformer_ffn_layers.*.linear1", "layers.*.widen"),
            ("transformer_ffn_layers.*.linear2", "layers.*.narrow"),
            ("transformer_ffn_layers.*.norm", "layers.*.feedforward_norm"),
        )
    ),
    ("sem_seg_head.predictor.caping_embed", "words.projection"),
    ("backbone_proj", "pooled.projection"),
)

NOT_WEIGHTS = frozenset({"sem_seg_head.predictor.self_attn_mask", "criterion.empty_weight"})
"""In official files, and made by the code itself: the table of query groups as a mask, and the
classes' weights in a loss."""


def names(config: XDecoderConfig) -> Names:
    """The table for models of this configuration."""
    match config.backbone:
        case FocalConfig():
            backbone = FOCAL
        case DaViTConfig():
            backbone = DAVIT
        case SwinConfig():
            raise DataError(
                f"{config.name}: no X-Decoder with a Swin backbone was released, so there are no "
                "official names to convert. Load our own files (from_pretrained) instead."
            )
    return backbone + PIXEL_DECODER + TEXT + DECODER


def to_ours(name: str, table: Names) -> str | None:
    """Our name for an official one; `None`: the table has no row for it.

    >>> to_ours("backbone.layers.2.blocks.0.mlp.fc1.bias", FOCAL)
    'backbone.stages.2.0.feedforward.widen.bias'
    """
    return _renamed(name, _compiled(table))


def to_official(name: str, table: Names) -> str | None:
    """The official name for one of ours; `None`: the table has no row for it.

    >>> to_official("backbone.stages.2.0.feedforward.widen.bias", FOCAL)
    'backbone.layers.2.blocks.0.mlp.fc1.bias'
    """
    return _renamed(name, _compiled(tuple((ours, official) for official, ours in table)))


def _renamed(name: str, rows: "tuple[tuple[re.Pattern[str], str], ...]") -> str | None:
    for pattern, target in rows:
        if found := pattern.match(name):
            return target.format(*found.groups()) + name[found.end() :]
    return None


@cache
def _compiled(table: Names) -> "tuple[tuple[re.Pattern[str], str], ...]":
    """Rows as (pattern of the source's beginning, template of the target)."""
    return tuple(
        (re.compile(re.escape(source).replace(r"\*", r"(\d+)") + r"(?=\.|$)"), _template(target))
        for source, target in table
    )


def _template(name: str) -> str:
    return name.replace("*", "{}")
