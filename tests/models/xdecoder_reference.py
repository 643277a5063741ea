"""What the released X-Decoder says, and the weights it says it with.

`tests/golden/xdecoder` holds the state-dict names and shapes of four variants, outputs of the
released code, and `fill.py`, which makes weights and pictures from names alone.
"""

import functools
import importlib.util
import json
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
from torch import Tensor

from models.xdecoder.answers import XDecoder
from models.xdecoder.convert import convert, recognised
from models.xdecoder.convert import fill as filled_model
from models.xdecoder.names import Names, to_ours

GOLDEN = Path(__file__).parents[1] / "golden" / "xdecoder"


def _load_fill() -> ModuleType:
    spec = importlib.util.spec_from_file_location("fill", GOLDEN / "fill.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


fill = _load_fill()


def manifest(variant: str) -> dict[str, tuple[int, ...]]:
    """Names and shapes of a released state dict."""
    entries = json.loads((GOLDEN / "manifests" / f"{variant}.json").read_text())
    return {name: tuple(entry["shape"]) for name, entry in entries.items()}


def renamed(name: str, table: Names) -> str:
    """Our name for an official one."""
    ours = to_ours(name, table)
    assert ours is not None, name
    return ours


def filled(variant: str, official: str, ours: str, table: Names) -> dict[str, Tensor]:
    """Formula weights of the part whose official names begin with `official`, by our names
    without the prefix `ours`."""
    return {
        renamed(name, table).removeprefix(ours): torch.from_numpy(fill.value(name, shape))
        for name, shape in manifest(variant).items()
        if name.startswith(official)
    }


@functools.cache
@torch.inference_mode(False)
def released(dtype: torch.dtype = torch.float32) -> XDecoder:
    """Focal-T with formula weights under official names, converted.

    Whoever asks first, its weights may be trained.
    """
    official = {
        name: torch.from_numpy(np.asarray(fill.value(name, shape)))
        for name, shape in manifest("focalt").items()
        if not fill.keep(name)
    }
    config = recognised(official)
    return filled_model(config, convert(official, config), source="formula weights").to(dtype)


@functools.cache
def golden(name: str) -> dict[str, np.ndarray]:
    """The arrays of one golden file."""
    with np.load(GOLDEN / f"{name}.npz") as arrays:
        return dict(arrays)


def pixels(height: int, width: int, seed: int) -> Tensor:
    """A formula picture as the network sees it, (1, 3, height, width)."""
    image = torch.from_numpy(fill.image(height, width, seed)).float()
    mean = torch.tensor((123.675, 116.28, 103.53))
    std = torch.tensor((58.395, 57.12, 57.375))
    return ((image - mean) / std).permute(2, 0, 1)[None]


def assert_agrees(found: Tensor, arrays: dict[str, np.ndarray], name: str, *strides: int) -> None:
    """Compare a tensor (its batch axis removed) to a golden array that was taken with `strides`.

    The tolerance is 20 times the greatest difference between the official model's runs in float32
    and in float64; mean, deviation and sum of the whole tensor are compared too.
    """
    assert tuple(found.shape) == tuple(arrays[f"{name}__shape"])
    part = found.double().numpy()[tuple(slice(None, None, stride) for stride in strides)]
    tolerance = 20 * arrays[f"{name}__dev64"][0]
    np.testing.assert_allclose(part, arrays[name], rtol=0, atol=tolerance, err_msg=name)
    np.testing.assert_allclose(
        fill.summary(found.numpy()), arrays[f"{name}__sum"], rtol=1e-4, atol=tolerance, err_msg=name
    )
