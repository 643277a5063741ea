"""Checkpoints in any of the forms an X-Decoder comes in.

| form | what says its configuration |
|---|---|
| a folder of `save_pretrained`, as training leaves it | its `config.json` |
| our safetensors, as `bench models fetch` stores it | its header |
| an official file (`.pt`, or its tensors as `.safetensors`) | the shapes of its tensors |
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from zipfile import is_zipfile

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from bench.errors import DataError, WeightsMissing
from models.xdecoder.answers import CONFIG_FILE, WEIGHTS_FILE, XDecoder
from models.xdecoder.config import XDecoderConfig
from models.xdecoder.convert import Converted, fill, load_official, read_official, recognised

HEADER = "config"
"""The key of a safetensors file's header under which our files keep their configuration."""
_OFFICIAL = "sem_seg_head."
"""What names in every official file begin with, and none of ours do."""


def load(path: Path, config: XDecoderConfig | None = None) -> XDecoder:
    """The model in a checkpoint.

    Args:
        path: a file or a folder.
        config: for files that do not say their configuration; of official files the number of
            queries is the file's.

    Raises:
        WeightsMissing: there is nothing at that path.
        DataError: it cannot be read as an X-Decoder, or does not fit the configuration.
    """
    stated = stated_config(path)
    if path.is_dir():
        path = path / WEIGHTS_FILE
    if path.suffix != ".safetensors":
        return load_official(path, config)
    weights = _tensors(path)
    if stated is None and any(name.startswith(_OFFICIAL) for name in weights):
        return load_official(path, config)
    if stated is None and config is None:
        raise DataError(
            f"{path} does not say which X-Decoder it is: its header has no '{HEADER}' and no "
            f"{CONFIG_FILE} lies beside it. Give it to a model by name: --model NAME --weights "
            f"{path.name}."
        )
    return fill(stated or config, Converted(weights, ()), source=str(path))  # type: ignore[arg-type]


def save(model: XDecoder, path: Path, dtype: torch.dtype | None = None) -> None:
    """One safetensors file with the weights under our names, and the configuration as header.

    Args:
        model: whose weights.
        path: the file.
        dtype: what floating-point weights are rounded to; absent: as they are.

    Raises:
        DataError: a weight is too large for that type.
    """
    weights = {}
    for name, tensor in model.state_dict().items():
        rounded = tensor.to(dtype or tensor.dtype) if tensor.is_floating_point() else tensor
        if tensor.isfinite().all() and not rounded.isfinite().all():
            raise DataError(f"{name} has a weight too large for {dtype}: keep float32.")
        weights[name] = rounded.contiguous()
    header = {HEADER: json.dumps(model.config.to_dict(), ensure_ascii=False)}
    save_file(weights, path, metadata=header)


def config_of(path: Path) -> XDecoderConfig | None:
    """The configuration of a checkpoint, or `None` where it is no X-Decoder's.

    Raises:
        DataError: it is a pickle that needs more than plain tensors, or is damaged.
    """
    stated = stated_config(path)
    if stated is not None or path.is_dir():
        return stated
    if path.suffix == ".safetensors":
        weights: Mapping[str, Tensor] = _shapes(path)
    elif _is_saved_by_torch(path):
        weights = read_official(path)
    else:
        return None
    return recognised(weights) if any(name.startswith(_OFFICIAL) for name in weights) else None


def stated_config(path: Path) -> XDecoderConfig | None:
    """What a folder's `config.json` or a safetensors header says; `None` where they say nothing."""
    if path.suffix == ".safetensors" and not path.is_dir():
        header = _header(path)
        if HEADER in header:
            return _parsed(header[HEADER], path)
    if not path.is_dir() and path.name != WEIGHTS_FILE:
        return None
    described = (path if path.is_dir() else path.parent) / CONFIG_FILE
    return _parsed(described.read_text("utf-8"), described) if described.is_file() else None


def _parsed(text: str, where: Path) -> XDecoderConfig | None:
    """A configuration from JSON; `None` for another model's `config.json`."""
    try:
        content = json.loads(text)
        if not isinstance(content, dict) or not {"backbone", "decoder"} <= content.keys():
            return None
        return XDecoderConfig.from_dict(content)
    except (ValueError, TypeError) as error:
        raise DataError(f"{where} does not describe an X-Decoder: {error}.") from error


def _is_saved_by_torch(path: Path) -> bool:
    """Whether a file begins as torch's archives do, or as the pickles it wrote before them."""
    with path.open("rb") as file:
        return file.read(2) == b"\x80\x02" or is_zipfile(path)


def _header(path: Path) -> dict[str, str]:
    with _opened(path) as file:
        return dict(file.metadata() or {})


def _shapes(path: Path) -> dict[str, Tensor]:
    """The tensors of a file without their content."""
    with _opened(path) as file:
        return {
            name: torch.empty(file.get_slice(name).get_shape(), device="meta")
            for name in file.keys()  # noqa: SIM118 # it is no mapping
        }


def _tensors(path: Path) -> dict[str, Tensor]:
    with _opened(path):
        return load_file(path)


def _opened(path: Path) -> Any:
    if not path.is_file():
        raise WeightsMissing(f"There is no checkpoint at {path}.")
    try:
        return safe_open(path, framework="pt")
    except SafetensorError as error:
        raise DataError(f"{path} is damaged, or no safetensors file: {error}.") from error
