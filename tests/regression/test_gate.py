"""The gate works both ways: what broke fails and is named, and what merely rounds passes."""

import copy
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from small import nano, on_fixed_images

import bench.evaluation
from bench import catalog
from bench.fields import altered
from bench.metrics.semantic import MeanIoU
from bench.postprocess import outputs
from bench.regression.gate import Decision, Gate
from bench.regression.reference import Reference
from bench.regression.score_check import Rules, Verdict
from bench.regression.stage_check import Agreement
from bench.workplace import Workplace
from models.xdecoder import checkpoint
from models.xdecoder.answers import XDecoder
from models.xdecoder.embeddings import ClassEmbeddings


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Workplace:
    return Workplace(tmp_path_factory.mktemp("results"))


@pytest.fixture(scope="module")
def whole(place) -> Reference:
    """Over all of its images."""
    return nano(place)


@pytest.fixture(scope="module")
def reference(whole) -> Reference:
    """Over eight, for what the stages alone decide."""
    return on_fixed_images(whole)


@pytest.fixture(scope="module")
def model(reference, place) -> XDecoder:
    """The reference's model, for its weights."""
    found = place.assign(reference.parts[0].job, "cpu").examination.model
    assert isinstance(found, XDecoder)
    return copy.deepcopy(found)


@pytest.fixture
def saved(model, tmp_path) -> Callable[[XDecoder], str]:
    """Saves a model as a checkpoint and gives its path."""

    def save(changed: XDecoder) -> str:
        checkpoint.save(changed, tmp_path / "changed.safetensors")
        return str(tmp_path / "changed.safetensors")

    return save


def agreements(decision: Decision) -> dict[str, Agreement]:
    return {check.stage: check.agreement for check in decision.stages}


def blamed(decision: Decision) -> str:
    """The stage that a failed gate names, in its sentence too."""
    assert decision.verdict is Verdict.FAILED
    assert decision.blamed is not None
    assert decision.error is not None
    assert decision.error.exit_code == 5
    assert f"first stage that diverged is {decision.blamed.stage}" in str(decision.error)
    return decision.blamed.stage


# --- what passes ---------------------------------------------------------------------------------


def test_the_reference_passes_its_own_gate(whole, place):
    decision = Gate(whole, place).decide()
    assert decision.verdict is Verdict.PASSED, decision.sentence
    assert decision.error is None
    assert not set(agreements(decision).values()) & {Agreement.DIVERGED, Agreement.FOLLOWS}
    assert [check.score for check in decision.scores] == ["PQ", "AP", "mIoU"]


def test_bfloat16_passes_within_its_envelope(whole, place):
    decision = Gate(whole, place, precision="bfloat16").decide()
    assert decision.verdict is Verdict.PASSED, decision.sentence
    assert agreements(decision)["backbone"] is Agreement.ROUNDED
    assert decision.other_weights


def test_bfloat16_is_not_within_the_envelope_of_float32(reference, place):
    (part,) = reference.parts
    narrow = part.model_copy(
        update={"envelopes": {"bfloat16": part.envelopes["float32"]}, "reaches": {}}
    )
    strict = reference.model_copy(update={"parts": (narrow,)})
    decision = Gate(strict, place, precision="bfloat16").decide()
    assert blamed(decision) == "preprocessing"  # the pixels themselves are rounded


def test_weights_written_out_and_read_back_are_the_same(reference, place, model, tmp_path):
    model.save_pretrained(tmp_path / "exported")
    again = checkpoint.load(tmp_path / "exported")
    checkpoint.save(again, tmp_path / "again.safetensors")
    decision = Gate(reference, place, model=str(tmp_path / "again.safetensors")).decide()
    assert decision.verdict is Verdict.PASSED, decision.sentence
    assert not decision.other_weights


@pytest.mark.filterwarnings("ignore:TF32 acceleration")  # torch's, about a switch that is not used
def test_other_kernels_of_the_same_operations_are_within_rounding(reference, place):
    with torch.backends.mkldnn.flags(enabled=False):
        decision = Gate(reference, place).decide()
    assert decision.blamed is None, decision.sentence
    assert agreements(decision)["backbone"] is not Agreement.UNJUDGED


def test_another_number_of_threads_is_within_rounding(reference, place):
    usual = torch.get_num_threads()
    torch.set_num_threads(3)
    try:
        decision = Gate(reference, place).decide()
    finally:
        torch.set_num_threads(usual)
    assert decision.blamed is None, decision.sentence


# --- noise on a weight ---------------------------------------------------------------------------


WEIGHTS = {
    "text.projection": "text",
    "backbone": "backbone",
    "pixel_decoder.mask_conv": "pixel decoder",
    "decoder.queries": "decoder",
    "decoder.masks": "decoder",
}
"""By the beginning of a weight's name, the stage it is in."""


@pytest.mark.parametrize("beginning", WEIGHTS)
def test_noise_on_a_weight_fails_and_names_its_stage(beginning, reference, place, model, saved):
    noisy = copy.deepcopy(model)
    name, weight = next(
        (name, weight)
        for name, weight in noisy.named_parameters()
        if name.startswith(beginning) and weight.ndim > 1
    )
    noise = torch.randn(weight.shape, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weight += 0.05 * weight.std() * noise
    decision = Gate(reference, place, model=saved(noisy)).decide()
    assert blamed(decision) == WEIGHTS[beginning], name
    assert "--new-weights" in decision.sentence


# --- swapped classes -----------------------------------------------------------------------------


def test_embeddings_of_classes_in_another_order_fail_at_the_text(reference, place, monkeypatch):
    usual = ClassEmbeddings.__call__

    def swapped(self, vocabulary):
        rows = list(range(vocabulary.columns))
        rows[0], rows[1] = rows[1], rows[0]
        return usual(self, vocabulary)[rows]

    monkeypatch.setattr(ClassEmbeddings, "__call__", swapped)
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "text"
    assert decision.blamed.array == "classes"


def test_answers_with_classes_in_another_order_fail_at_the_answer(reference, place, monkeypatch):
    usual = XDecoder.propose

    def swapped(self, images, vocabulary):
        columns = [1, 0, *range(2, vocabulary.columns)]
        return [
            replace(answer, class_logits=answer.class_logits[:, columns])
            for answer in usual(self, images, vocabulary)
        ]

    monkeypatch.setattr(XDecoder, "propose", swapped)
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "answer"
    assert agreements(decision)["decoder"] is not Agreement.DIVERGED


def test_a_list_of_classes_in_another_order_fails_before_anything_is_asked(reference, place):
    (part,) = reference.parts
    words = part.record.vocabulary
    assert words is not None
    other = words.model_copy(update={"names": (words.names[1], words.names[0], *words.names[2:])})
    record = part.record.model_copy(update={"vocabulary": other})
    changed = reference.model_copy(update={"parts": (part.model_copy(update={"record": record}),)})
    asked: list[None] = []
    decision = Gate(changed, place).decide(lambda: asked.append(None))
    assert blamed(decision) == "text"
    assert "the classes are in another order" in decision.sentence
    assert not asked


# --- changed thresholds and other rules ----------------------------------------------------------


def change_card(monkeypatch, field: str, value: object) -> None:
    """Let every card, as it applies to the dataset, have another value in a field."""
    usual = catalog.protocol

    def changed(*names):
        return altered(usual(*names).for_dataset("shapes"), {field: value})

    monkeypatch.setattr(catalog, "protocol", changed)


@pytest.mark.parametrize(
    ("field", "value", "stage"),
    [
        ("panoptic.object_mask_threshold", 0.3, "post-processing"),
        ("instance.top_k", 50, "post-processing"),
        ("resize", {"short": 160}, "preprocessing"),
        ("pq.iou_threshold", 0.7, "metric"),
    ],
)
def test_a_changed_card_fails_and_names_what_was_changed(
    field, value, stage, reference, place, monkeypatch
):
    change_card(monkeypatch, field, value)
    decision = Gate(reference, place).decide()
    assert blamed(decision) == stage
    assert f"the card's {field} was" in decision.sentence


def test_scores_by_other_definitions_are_not_compared(reference, place, monkeypatch):
    change_card(monkeypatch, "pq.iou_threshold", 0.7)
    scores = Gate(reference, place).decide().scores
    assert {check.verdict for check in scores} == {Verdict.FAILED}
    assert all(check.difference is None for check in scores)


def test_a_threshold_changed_in_the_code_fails_at_post_processing(reference, place, monkeypatch):
    usual = outputs.pick_segments

    def halving(scores, rule):
        best, labels = scores.probabilities.max(-1)
        middle = float(best[labels < scores.classes].median())
        return usual(scores, rule.model_copy(update={"object_mask_threshold": middle}))

    monkeypatch.setattr(outputs, "pick_segments", halving)
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "post-processing"
    assert decision.blamed.array.startswith("panoptic.")
    assert agreements(decision)["answer"] in (Agreement.EQUAL, Agreement.ROUNDED)


def test_masks_cut_at_another_level_fail_at_post_processing(reference, place, monkeypatch):
    usual = outputs.Grid.over
    monkeypatch.setattr(outputs.Grid, "over", lambda logits, *given: usual(logits - 1, *given))
    assert blamed(Gate(reference, place).decide()) == "post-processing"


def test_a_leap_of_one_prediction_fails_where_the_answer_stayed(reference, place, monkeypatch):
    usual, images = outputs.pick_segments, iter(range(1000))

    def once(scores, rule):
        picks = usual(scores, rule)
        if next(images) != 3:
            return picks
        nothing = usual(scores, rule.model_copy(update={"object_mask_threshold": 1.0}))
        everything = usual(scores, rule.model_copy(update={"object_mask_threshold": 0.0}))
        return nothing if len(picks.queries) else everything

    monkeypatch.setattr(outputs, "pick_segments", once)
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "post-processing"
    assert decision.blamed.outside == 1


# --- half a pixel --------------------------------------------------------------------------------


def halfway(array: torch.Tensor) -> torch.Tensor:
    """Moved by half a cell to the right."""
    return (array + array.roll(1, -1)) / 2


def test_an_image_moved_by_half_a_pixel_fails_at_preprocessing(reference, place, monkeypatch):
    usual = bench.evaluation.resize

    def moved(image, rule):
        shown = torch.from_numpy(usual(image, rule)).float().permute(2, 0, 1)
        return halfway(shown).round().byte().permute(1, 2, 0).contiguous().numpy()

    monkeypatch.setattr(bench.evaluation, "resize", moved)
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "preprocessing"
    assert decision.blamed.array == "image"


def test_pixels_moved_inside_the_model_fail_at_preprocessing(reference, place, monkeypatch):
    import models.xdecoder.model as network

    usual = network.normalised
    monkeypatch.setattr(network, "normalised", lambda *given: halfway(usual(*given)))
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "preprocessing"
    assert decision.blamed.array == "pixels"


def test_masks_moved_by_half_a_cell_fail_at_post_processing(reference, place, monkeypatch):
    usual = outputs.Grid.over
    monkeypatch.setattr(outputs.Grid, "over", lambda logits, *given: usual(halfway(logits), *given))
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "post-processing"


# --- metrics -------------------------------------------------------------------------------------


def test_images_measured_otherwise_fail_at_the_metric(reference, place, monkeypatch):
    usual = MeanIoU.measure

    def forgetful(self, prediction, truth):
        found = dict(usual(self, prediction, truth))
        return {**found, "pixels": found["pixels"] // 2}

    monkeypatch.setattr(MeanIoU, "measure", forgetful)
    decision = Gate(reference, place).decide()
    assert blamed(decision) == "metric"
    assert decision.blamed.array == "semantic.pixels"


def test_scores_computed_otherwise_fail_at_the_metric(whole, place, monkeypatch):
    usual = MeanIoU.compute

    def generous(self, statistics, weights=None):
        scores = dict(usual(self, statistics, weights))
        found = scores["mIoU"]
        return {**scores, "mIoU": type(found)(found.value + 0.01, found.n, found.by_class)}

    monkeypatch.setattr(MeanIoU, "compute", generous)
    decision = Gate(whole, place).decide()
    assert blamed(decision) == "metric"
    assert "the kept statistics give semantic mIoU" in decision.sentence


# --- another model -------------------------------------------------------------------------------


def test_new_weights_are_judged_by_their_scores(reference, place):
    rules = Rules(upper=1.0, margin=1.0, new_weights=True)
    decision = Gate(reference, place, model="xdecoder-nano", weights="random:1", rules=rules)
    found = decision.decide()
    assert found.blamed is None
    assert agreements(found)["preprocessing"] is Agreement.EQUAL
    assert agreements(found)["decoder"] is Agreement.UNJUDGED


def test_a_model_that_shows_no_stages_is_held_against_what_the_suite_sees(place):
    from small import run

    from bench.regression.reference import make

    record = run(place, model="colour", dataset="shapes-colours", limit=12)
    decision = Gate(make("plain", [record], place), place).decide()
    assert agreements(decision) == dict.fromkeys(
        ("preprocessing", "answer", "post-processing", "metric"), Agreement.EQUAL
    )
    assert decision.verdict is Verdict.PASSED


def test_a_dataset_that_changed_is_no_ground_for_a_verdict(reference, place):
    from bench.errors import DataError

    (part,) = reference.parts
    dataset = part.record.dataset.model_copy(update={"fingerprint": "0" * 12})
    record = part.record.model_copy(update={"dataset": dataset})
    changed = reference.model_copy(update={"parts": (part.model_copy(update={"record": record}),)})
    with pytest.raises(DataError, match="is not the one of the reference"):
        Gate(changed, place).decide()
