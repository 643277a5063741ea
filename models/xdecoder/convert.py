"""Official X-Decoder checkpoints, both ways: read into our model, and written for theirs.

A released file is a plain state dict; training snapshots nest it under `module` or put `module.`
before every name. `models.xdecoder.names` says what is called what.
"""

import pickle
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from zipfile import is_zipfile

import torch
from safetensors.torch import load_file
from torch import Tensor

from bench.errors import DataError, WeightsMissing
from models.xdecoder.answers import XDecoder
from models.xdecoder.config import VARIANTS, XDecoderConfig
from models.xdecoder.model import Network
from models.xdecoder.names import NOT_WEIGHTS, names, to_official, to_ours

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


def official_state_dict(model: Network) -> dict[str, Tensor]:
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


def _with_its_queries(config: XDecoderConfig, official: Mapping[str, Tensor]) -> XDecoderConfig:
    """The number of latent queries is the checkpoint's, whatever the variant usually has."""
    queries = official.get("sem_seg_head.predictor.query_feat.weight")
    if queries is None:
        raise DataError(
            "This checkpoint has no latent queries (sem_seg_head.predictor.query_feat.weight): it "
            "holds a backbone or another model, not an X-Decoder."
        )
    return config.with_queries(len(queries))


# --- files ---------------------------------------------------------------------------------------


_UNREADABLE = (
    pickle.UnpicklingError,
    RuntimeError,
    EOFError,
    ValueError,
    LookupError,  # what the unpickler makes of a text
    TypeError,
    AttributeError,
)


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
            mapped = is_zipfile(path)  # files of torch before 1.6 are read whole
            content = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
        except _UNREADABLE as error:
            raise DataError(
                f"{path} cannot be read as plain weights, and nothing else is unpickled because "
                f"that would run the file's code. Save its state dict alone. Torch says: "
                f"{_reason(error)}"
            ) from error
    return _unwrapped(content, path)


def _reason(error: Exception) -> str:
    """What torch could not read. Its first line may be advice to read it unsafely: not repeated."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [repr(error)]
    return next((line for line in lines if "GLOBAL" in line or "Unsupported" in line), lines[0])


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


def load_official(
    path: Path, config: XDecoderConfig | None = None, *, strict: bool = True
) -> XDecoder:
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


def check_fit(
    expected: Mapping[str, Tensor], weights: Mapping[str, Tensor], source: str, name: str
) -> None:
    """Refuse weights of another model than `name`, whose weights are like `expected`.

    Raises:
        DataError: a weight has another shape, or there are other weights.
    """
    _check_shapes(expected, weights, source)
    missing, extra = sorted(expected.keys() - weights), sorted(weights.keys() - expected)
    if missing or extra:
        raise DataError(f"{source} does not fit {name}: {_difference(missing, extra)}")


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
