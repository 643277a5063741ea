"""From the released network's masks to maps, segments and instances: all equal to its own outputs.

The network runs here with formula weights; its mask logits differ from the released ones in the
fourth digit, so a pixel whose logit is that close to 0 may fall on the other side.
"""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from test_xdecoder_golden import picture, released
from xdecoder_reference import fill
from xdecoder_reference import golden as network_golden

from bench.postprocess import outputs, plain, segment
from bench.postprocess.classes import class_scores
from bench.protocol import BackgroundRule, InstanceRule, PanopticRule, Protocol, ThingFilter
from bench.types import Instances, Panoptic, Proposals, Vocabulary
from models.xdecoder.prediction import Prediction

GOLDEN = Path(__file__).parents[1] / "golden" / "postprocess"
CASES = ("focalt_segmentation", "focalt_postprocess")
FEW = 2e-4
"""The share of pixels that may fall on the other side."""


def golden(case: str) -> dict[str, np.ndarray]:
    with np.load(GOLDEN / f"{case}.npz") as arrays:
        return dict(arrays)


def texts(case: str) -> torch.Tensor:
    """The text embeddings of the case's classes, background last."""
    if case == "focalt_postprocess":
        return torch.from_numpy(fill.unit_vectors(13, tag="text"))
    return torch.from_numpy(network_golden("focalt_segmentation_384x512")["text_embeddings"])


@functools.cache
def last_prediction() -> Prediction:
    """In float64: float32 rounds differently from machine to machine, and thresholds amplify it."""
    model = released(torch.float64)
    with torch.inference_mode():
        image = model.see(picture(384, 512, seed=0))
        return model.decode(image, model.layouts.segmenting).last


def proposals(case: str) -> Proposals:
    last = last_prediction()
    with torch.inference_mode():
        logits = released().decoder.classes.logits(last.class_embeddings.float(), texts(case))
        masks = last.mask_logits[0].float()
    return Proposals(logits[0], masks, (384, 512), (384, 512))


def vocabulary(case: str) -> Vocabulary:
    things = frozenset(golden(case)["thing_ids"].tolist())
    count = len(texts(case)) - 1
    return Vocabulary(tuple(f"class {i}" for i in range(count)), things=things)


@pytest.fixture(params=[pytest.param("plain", marks=pytest.mark.slow), "tiles"])
def predict(request: pytest.FixtureRequest) -> Any:
    """Either way to the predictions."""
    way = {"plain": plain.segment, "tiles": outputs.segment}[request.param]

    def predict(case: str, protocol: Protocol, output: str) -> Any:
        asked = vocabulary(case)
        found = proposals(case)
        scores = class_scores(found.class_logits, asked, protocol.background)
        size = tuple(golden(case)["output_size"].tolist())
        return way(found, scores, asked.things, protocol, size, frozenset({output}))[output]

    return predict


@pytest.mark.parametrize("case", CASES)
def test_label_maps_are_the_released_ones(case: str, predict: Any) -> None:
    arrays = golden(case)
    labels = predict(case, Protocol(name="v2"), "semantic")
    assert np.mean(labels[::2, ::2] != arrays["sem_argmax"]) <= FEW
    counts = np.bincount(labels.ravel(), minlength=len(arrays["sem_argmax_hist"]))
    assert np.abs(counts - arrays["sem_argmax_hist"]).sum() <= FEW * labels.size


@pytest.mark.parametrize(
    ("case", "suffix"),
    [(case, suffix) for case in CASES for suffix in ("", "_low")]
    + [("focalt_postprocess", "_mid")],
)
def test_panoptic_maps_are_the_released_ones(case: str, suffix: str, predict: Any) -> None:
    arrays = golden(case)
    keep, overlap = arrays[f"panoptic_thresholds{suffix}"].tolist()
    rule = PanopticRule(object_mask_threshold=keep, overlap_threshold=overlap)
    found: Panoptic = predict(case, Protocol(name="golden", panoptic=rule), "panoptic")
    things = set(arrays["thing_ids"].tolist())
    assert [[s.id, s.label, s.label in things] for s in found.segments] == arrays[
        f"panoptic_segments{suffix}"
    ].tolist()
    assert np.mean(found.ids[::2, ::2] != arrays[f"panoptic{suffix}"]) <= FEW
    areas = np.bincount(found.ids.ravel(), minlength=len(arrays[f"panoptic_area{suffix}"]))
    assert np.abs(areas - arrays[f"panoptic_area{suffix}"]).sum() <= FEW * found.ids.size


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize(
    ("suffix", "thing_filter"),
    [("_things", ThingFilter.AFTER_TOP_K), ("_all", ThingFilter.NONE)],
)
def test_instances_are_the_released_ones(
    case: str, suffix: str, thing_filter: ThingFilter, predict: Any
) -> None:
    arrays = golden(case)
    rule = InstanceRule(top_k=100, thing_filter=thing_filter)
    found: Instances = predict(case, Protocol(name="golden", instance=rule), "instance")
    assert len(found.masks) == len(arrays[f"instance_scores{suffix}"])
    np.testing.assert_allclose(
        np.sort(found.scores)[::-1], arrays[f"instance_scores{suffix}"], atol=1e-4
    )
    height, width = arrays[f"instance_masks_shape{suffix}"][1:].tolist()
    bits = np.unpackbits(arrays[f"instance_masks{suffix}"], axis=1)[:, : height * width]
    ours = [mask.decode()[::4, ::4].ravel() for mask in found.masks]
    for label, score, area, right in zip(
        arrays[f"instance_classes{suffix}"],
        arrays[f"instance_scores{suffix}"],
        arrays[f"instance_area{suffix}"],
        bits.astype(bool),
        strict=True,
    ):
        like = np.flatnonzero((found.labels == label) & (np.abs(found.scores - score) < 1e-4))
        different, best = min((int(np.sum(ours[i] != right)), i) for i in like)
        assert different <= FEW * right.size
        assert abs(found.masks[best].area - int(area)) <= FEW * 480 * 640


def test_without_a_background_entry_the_last_class_takes_its_part() -> None:
    """The older code on ScanNet and SUN: what background was asked for, the last class gives."""
    case = "focalt_postprocess"
    found, asked = proposals(case), vocabulary(case)
    size = (48, 64)
    named = Vocabulary((*asked.names, "otherprop"), things=asked.things, background=None)
    new = segment(found, asked, Protocol(name="v2"), size)
    old = segment(found, named, Protocol(name="old", background=BackgroundRule.LAST_CLASS), size)
    np.testing.assert_array_equal(old["semantic"], new["semantic"])
    np.testing.assert_array_equal(old["panoptic"].ids, new["panoptic"].ids)
    assert len(named) - 1 not in old["instance"].labels
    np.testing.assert_array_equal(old["instance"].scores, new["instance"].scores)
    assert old["instance"].masks == new["instance"].masks
