"""Deterministic weights and inputs for the X-Decoder goldens.

Everything here is a pure function of names and shapes, so an implementation
can rebuild the same weights, images and sampling points without any file from
us.  Only numpy is needed; ``torch`` is imported lazily by ``fill_state_dict``.

Weights
-------
``value(key, shape)`` gives the float32 array for one entry of the *official*
state dict (see ``manifests/*.json`` for names, shapes and order).  The stream
is ``numpy.random.Generator(PCG64(seed))`` with ``seed`` = first 8 bytes
(little endian) of ``sha256(key)``; ``N`` below is ``standard_normal`` drawn in
float32 with the tensor's shape (C order).  First matching rule wins:

====  =========================================================  ==================
rule  applies to                                                 value
====  =========================================================  ==================
0     ``KEEP`` (bool mask, class weights)                        not filled, keep the
                                                                 constructed value
1     0-d tensors (``logit_scale``)                              ``LOGIT_SCALE``
2     name ends ``gamma_1`` / ``gamma_2`` (layer scale)          0.3 + 0.05 N
3     name ends ``bias`` (also ``in_proj_bias``)                 0.02 N
4     1-d tensors (all the norm weights)                         1 + 0.1 N
5     ``token_embedding.weight``                                 0.1 N
6     ``positional_embedding``                                   0.05 N
7     ``query_feat / query_embed``  (``.weight``)                1.0 N
8     ``level_embed / pos_embed_caping``  (``.weight``)          0.1 N
9     residual depth-wise convs, ``.dw.weight / .dw1.weight / .dw2.weight``   0.2 N / sqrt(k*k)
10    2-d, name does not end in ``weight`` (used as ``x @ W``)   N / sqrt(shape[0])
11    ``in_proj_weight``                                         g Z / sqrt(shape[1]), g = 3
                                                                 inside ``lang_encoder``, else 1
12    ``out_proj.weight``                                        g Z / sqrt(shape[1]), g = 0.5
                                                                 inside ``lang_encoder``, else 0.25
13    ``linear2.weight``                                         0.5 Z / sqrt(shape[1])
14    ``mask_embed.layers.2.weight``                             3 Z / sqrt(shape[1])
15    everything else                                            Z / sqrt(prod(shape[1:]))
====  =========================================================  ==================

``Z`` is ``N`` minus its own mean over all axes but the first (float32 mean of
each output row), which keeps constant activations from drowning the rest.  Rule
15 leaves rows of fewer than 32 inputs (other depth-wise convs) as plain ``N``.
"""

import hashlib
import math
import re

import numpy as np

KEEP = ("sem_seg_head.predictor.self_attn_mask", "criterion.empty_weight")
LOGIT_SCALE = math.log(100.0)
_UNIT = re.compile(r"(query_feat|query_embed)\.weight$")
_TENTH = re.compile(r"(level_embed|pos_embed_caping)\.weight$")
_DW = re.compile(r"\.dw[12]?\.weight$")


def _rng(tag):
    digest = hashlib.sha256(tag.encode("utf-8")).digest()
    return np.random.Generator(np.random.PCG64(int.from_bytes(digest[:8], "little")))


def keep(key):
    """True when the entry must keep the value its constructor gave it."""
    return key in KEEP


def value(key, shape):
    """float32 array for the official state-dict entry ``key``."""
    shape = tuple(int(s) for s in shape)
    if len(shape) == 0:
        return np.float32(LOGIT_SCALE)
    n = _rng(key).standard_normal(size=shape, dtype=np.float32)
    if key.endswith(("gamma_1", "gamma_2")):
        return (0.3 + 0.05 * n).astype(np.float32)
    if key.endswith("bias"):
        return (0.02 * n).astype(np.float32)
    if len(shape) == 1:
        return (1.0 + 0.1 * n).astype(np.float32)
    if key.endswith("token_embedding.weight"):
        return (0.1 * n).astype(np.float32)
    if key.endswith("positional_embedding"):
        return (0.05 * n).astype(np.float32)
    if _UNIT.search(key):
        return n
    if _TENTH.search(key):
        return (0.1 * n).astype(np.float32)
    if _DW.search(key):
        return (0.2 / math.sqrt(float(np.prod(shape[1:]))) * n).astype(np.float32)
    if len(shape) == 2 and not key.endswith("weight"):
        return (n / math.sqrt(float(shape[0]))).astype(np.float32)
    fan_in = int(np.prod(shape[1:]))
    if fan_in >= 32:
        n = n - n.mean(axis=tuple(range(1, len(shape))), keepdims=True, dtype=np.float32)
    text = "lang_encoder" in key
    gain = 1.0
    if key.endswith("in_proj_weight"):
        gain = 3.0 if text else 1.0
    elif key.endswith("out_proj.weight"):
        gain = 0.5 if text else 0.25
    elif key.endswith("linear2.weight"):
        gain = 0.5
    elif key.endswith("mask_embed.layers.2.weight"):
        gain = 3.0
    return (gain / math.sqrt(float(fan_in)) * n).astype(np.float32)


def fill_state_dict(state_dict):
    """Fill a torch state dict (official names) in place; returns it."""
    import torch

    with torch.no_grad():
        for key, t in state_dict.items():
            if keep(key) or not t.is_floating_point():
                continue
            t.copy_(torch.from_numpy(np.asarray(value(key, t.shape))))
    return state_dict


def image(height, width, seed=0):
    """uint8 RGB test picture, (height, width, 3): smooth waves, four flat
    rectangles / a disc and +-12 levels of uniform noise."""
    y, x = np.meshgrid(np.arange(height) / height, np.arange(width) / width, indexing="ij")
    s = float(seed)
    chans = [
        128 + 70 * np.sin(2 * np.pi * (1.5 * x + 0.7 * y + 0.13 * s)),
        128 + 70 * np.sin(2 * np.pi * (0.6 * x - 1.3 * y + 0.29 * s) + 1.0),
        128 + 70 * np.cos(2 * np.pi * (2.1 * x * y + 0.4 * x + 0.17 * s)),
    ]
    img = np.stack(chans, axis=-1)
    boxes = [
        (0.08, 0.10, 0.35, 0.40, (220, 40, 30)),
        (0.55, 0.15, 0.90, 0.45, (30, 60, 210)),
        (0.20, 0.60, 0.48, 0.92, (40, 190, 60)),
    ]
    for i, (y0, x0, y1, x1, col) in enumerate(boxes):
        dx = 0.03 * ((seed + i) % 3)
        m = (y >= y0) & (y < y1) & (x >= x0 + dx) & (x < x1 + dx)
        img[m] = 0.3 * img[m] + 0.7 * np.array(col, dtype=np.float64)
    disc = (y - 0.72) ** 2 + (x - 0.72 + 0.02 * (seed % 4)) ** 2 < 0.15**2
    img[disc] = 0.2 * img[disc] + 0.8 * np.array((235, 220, 40), dtype=np.float64)
    noise = _rng(f"image:{height}:{width}:{seed}").integers(-12, 13, size=img.shape)
    return np.clip(np.rint(img) + noise, 0, 255).astype(np.uint8)


def box_mask(height, width, box):
    """bool (height, width) mask of a box given as fractions (y0, x0, y1, x1):
    rows floor(y0*H)..floor(y1*H)-1, columns likewise."""
    y0, x0, y1, x1 = box
    m = np.zeros((height, width), dtype=bool)
    m[int(y0 * height) : int(y1 * height), int(x0 * width) : int(x1 * width)] = True
    return m


def det_rand(*shape):
    """Stand-in for ``torch.rand`` in the matcher and the point losses: uniform
    [0, 1) float32 that depends on the requested shape only, so the order of the
    calls is irrelevant.  Official shapes: (1, P, 2) in the matcher, (M, 3P, 2)
    and (M, P/4, 2) in the mask losses, with P = 12544 points and M matched
    masks in the whole batch; the last axis is (x, y)."""
    return _rng("rand:" + "x".join(str(int(s)) for s in shape)).random(size=shape, dtype=np.float32)


def summary(array):
    """[mean, std (population), sum of absolute values], float64, of a whole array."""
    a = np.asarray(array, dtype=np.float64)
    return np.array([a.mean(), a.std(), np.abs(a).sum()])


def unit_vectors(n, dim=512, tag="text"):
    """(n, dim) float32 rows of norm 1: stand-in text embeddings that give varied
    class scores (used by the *_postprocess goldens, last row = background)."""
    v = np.stack([_rng(f"{tag}:{i}").standard_normal(dim) for i in range(n)])
    return (v / np.linalg.norm(v, axis=1, keepdims=True)).astype(np.float32)
