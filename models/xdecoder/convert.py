"""Official X-Decoder checkpoints: their names and ours, both ways.

A released file is a plain state dict; training snapshots nest it under `module` or put `module.`
before every name. One ordered table says what is called what: the first row that fits a name
applies, in either direction, `*` stands for a number and what follows the row's name is kept.
"""

import pickle
import re
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import DataError, WeightsMissing
from models.xdecoder.config import (
    VARIANTS,
    DaViTConfig,
    FocalConfig,
    SwinConfig,
    XDecoderConfig,
)
from models.xdecoder.model import XDecoder

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


# --- state dicts ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Converted:
    """An official state dict under our names."""

    weights: dict[str, Tensor]
    unknown: tuple[str, ...]
    """Official names that the table has no row for."""


def convert(official: Mapping[str, Tensor], config: XDecoderConfig) -> Converted:
    """Rename an official state dict; tensors are shared, not copied."""
    table = names(config)
    weights, unknown = {}, []
    for name, tensor in official.items():
        if name in NOT_WEIGHTS:
            continue
        ours = to_ours(name, table)
        if ours is None:
            unknown.append(name)
        else:
            weights[ours] = tensor
    return Converted(weights, tuple(unknown))


def official_state_dict(model: XDecoder) -> dict[str, Tensor]:
    """A model's weights under the official names, as the official code loads them.

    An answer head has no official name and is left out.
    """
    table = names(model.config)
    renamed = ((to_official(name, table), t) for name, t in model.state_dict().items())
    return {name: tensor for name, tensor in renamed if name is not None}


def recognised(official: Mapping[str, Tensor]) -> XDecoderConfig:
    """The configuration of an official state dict: the variant its backbone fits, with its queries.

    Raises:
        DataError: no variant has such a backbone, or there are no latent queries.
    """
    stems = {
        ("backbone.patch_embed.proj.weight", 96): "xdecoder-T",
        ("backbone.patch_embed.proj.weight", 192): "xdecoder-L-IN21K",
        ("backbone.convs.0.proj.weight", 128): "xdecoder-B",
        ("backbone.convs.0.proj.weight", 256): "xdecoder-L",
    }
    for (name, channels), variant in stems.items():
        if name in official and len(official[name]) == channels:
            return _with_its_queries(VARIANTS[variant], official)
    raise DataError(
        "This checkpoint has the backbone of no released X-Decoder (Focal-T, Focal-L, DaViT-d3, "
        f"DaViT-d5). Its first entries are {', '.join(list(official)[:3]) or 'none'}."
    )


def _with_its_queries(
    config: XDecoderConfig, official: Mapping[str, Tensor]
) -> XDecoderConfig:
    """The number of latent queries is the checkpoint's, whatever the variant usually has."""
    queries = official.get("sem_seg_head.predictor.query_feat.weight")
    if queries is None:
        raise DataError(
            "This checkpoint has no latent queries (sem_seg_head.predictor.query_feat.weight): it "
            "holds a backbone or another model, not an X-Decoder."
        )
    return config.with_queries(len(queries))


# --- files ---------------------------------------------------------------------------------------


def read_official(path: Path) -> dict[str, Tensor]:
    """The state dict in an official file, without the wrappers of training snapshots.

    Nothing but tensors and plain containers is unpickled.

    Raises:
        WeightsMissing: there is no such file.
        DataError: it holds something else, or needs code to be read.
    """
    if not path.is_file():
        raise WeightsMissing(f"There is no checkpoint at {path}.")
    if path.suffix == ".safetensors":
        content: object = load_file(path)
    else:
        try:
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=True)
        except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
            reason = str(error).strip().splitlines()[0] if str(error).strip() else repr(error)
            raise DataError(
                f"{path} cannot be read as plain weights, and nothing else is unpickled because "
                f"that would run the file's code. Save its state dict alone. Torch says: {reason}"
            ) from error
    return _unwrapped(content, path)


def _unwrapped(content: object, path: Path) -> dict[str, Tensor]:
    """The mapping of names to tensors inside what a file held."""
    while isinstance(content, Mapping) and not _is_weights(content):
        inner = [content[key] for key in ("module", "model", "state_dict") if key in content]
        if not inner:
            raise DataError(f"{path} holds no state dict, but {', '.join(map(str, content))}.")
        content = inner[0]
    if not isinstance(content, Mapping):
        raise DataError(f"{path} holds a {type(content).__name__}, not a state dict.")
    return {str(name).removeprefix("module."): tensor for name, tensor in content.items()}


def _is_weights(content: Mapping[object, object]) -> bool:
    return bool(content) and all(isinstance(value, Tensor) for value in content.values())


def load_official(path: Path, config: XDecoderConfig | None = None, *, strict: bool = True) -> XDecoder:
    """A model with the weights of an official file.

    Args:
        path: the file.
        config: the variant; recognised from the file where absent. The number of latent queries
            is always the file's.
        strict: stop if the file lacks a weight or has one too many; else warn and keep fresh
            weights for what is missing. A shape that does not fit always stops.

    Raises:
        WeightsMissing, DataError: see `read_official`, and what `strict` says.
    """
    official = read_official(path)
    config = _with_its_queries(config, official) if config else recognised(official)
    converted = convert(official, config)
    return fill(config, converted, source=str(path), strict=strict)


def fill(
    config: XDecoderConfig, converted: Converted, *, source: str, strict: bool = True
) -> XDecoder:
    """A model of `config` with these weights; `source` names them in messages."""
    with torch.device("meta"):
        empty = XDecoder(config)
    expected = empty.state_dict()
    _check_shapes(expected, converted.weights, source)
    missing = sorted(expected.keys() - converted.weights.keys())
    extra = sorted({*converted.unknown, *(converted.weights.keys() - expected.keys())})
    if missing or extra:
        message = f"{source} does not fit {config.name}: {_difference(missing, extra)}"
        if strict:
            raise DataError(f"{message} Load it with strict=False to go on regardless.")
        warnings.warn(message, stacklevel=2)
    weights = {
        name: tensor.to(expected[name].dtype)
        for name, tensor in converted.weights.items()
        if name in expected
    }
    if missing:
        model = XDecoder(config)
        model.load_state_dict(weights, strict=False)
        return model.eval()
    empty.load_state_dict(weights, assign=True)
    return empty.eval()


def _check_shapes(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str
) -> None:
    wrong = [
        f"{name} is {tuple(weights[name].shape)} where {tuple(tensor.shape)} is needed"
        for name, tensor in expected.items()
        if name in weights and weights[name].shape != tensor.shape
    ]
    if wrong:
        raise DataError(f"{source}: {_listed(wrong)}. Is it a checkpoint of another variant?")


def _difference(missing: list[str], extra: list[str]) -> str:
    parts = [
        f"{kind} {len(entries)}: {_listed(entries)}."
        for kind, entries in (("it lacks", missing), ("it has unexpected", extra))
        if entries
    ]
    return " ".join(parts)


def _listed(entries: list[str], shown: int = 8) -> str:
    more = f" and {len(entries) - shown} more" if len(entries) > shown else ""
    return ", ".join(entries[:shown]) + more
