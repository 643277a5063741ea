"""The self-test of models: it passes what keeps its promises and names what does not."""

from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from typer.testing import CliRunner

from bench.cli import build_app
from bench.promises import difference
from bench.selftest import Verdict, pictures, self_test, sound
from bench.types import Instances, Mask, Panoptic, Proposals, ReferredMask, Segment


def broken(model, claimed=()):
    """The claims that are broken, with what was found."""
    return {c.claim: c.found for c in self_test(model, claimed) if c.verdict is Verdict.BROKEN}


class Segmenter:
    """Keeps all its promises, and answers everything that is asked by vocabulary."""

    def propose(self, images, vocabulary):
        grid = torch.zeros(2, 4, 4)
        return [Proposals(torch.zeros(2, vocabulary.columns), grid, (32, 32), (32, 32))] * len(
            images
        )

    def segment_semantic(self, images, vocabulary):
        return [np.full(image.shape[:2], min(len(vocabulary), 1) - 1) for image in images]

    def segment_instances(self, images, vocabulary):
        masks = [Mask.encode(np.ones(image.shape[:2], bool)) for image in images]
        things = sorted(vocabulary.things)[:1]
        labels = np.array(things, int)
        return [Instances((mask,) * len(labels), labels, np.ones(len(labels))) for mask in masks]

    def segment_panoptic(self, images, vocabulary):
        segments = (Segment(1, 0),) if len(vocabulary) else ()
        return [Panoptic(np.full(i.shape[:2], len(segments)), segments) for i in images]


class Speaker:
    """Keeps all its promises, and answers everything with texts."""

    def refer(self, images, phrases):
        masks = [torch.from_numpy(image[..., 0] - 99.0) for image in images]
        return [
            [ReferredMask(mask, 0.5, mask.shape, mask.shape) for _ in asked]
            for mask, asked in zip(masks, phrases, strict=True)
        ]

    def embed_images(self, images):
        return np.stack([image.mean((0, 1)) for image in images])

    def embed_texts(self, texts):
        return np.ones((len(texts), 3))

    def caption(self, images):
        return ["a picture" for _ in images]

    def caption_regions(self, images, regions):
        return [f"{region.sum()} pixels" for region in regions]

    def answer(self, images, questions):
        return [["yes" for _ in asked] for asked in questions]


@pytest.mark.parametrize("model", [Segmenter(), Speaker()], ids=["segmenter", "speaker"])
def test_a_model_that_keeps_its_promises_passes(model):
    checks = list(self_test(model))
    assert broken(model) == {}
    assert sound(checks)
    assert len(checks) > 20


def test_a_card_must_not_claim_more_than_the_model_is():
    found = broken(Segmenter(), claimed=["Proposer", "Captioner"])
    assert found == {"answers what its card says": "the card claims Captioner, which it is not"}


def test_what_the_card_does_not_claim_is_not_tried():
    tried = {check.protocol for check in self_test(Speaker(), claimed=["Captioner"])}
    assert tried == {"model", "Captioner"}


def test_what_answers_nothing_is_said_to():
    assert "no protocol" in broken(object())["answers what its card says"]


def proposer(change):
    class Proposer:
        def propose(self, images, vocabulary):
            return [change(p, vocabulary) for p in Segmenter().propose(images, vocabulary)]

    return Proposer()


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (lambda p, v: replace(p, class_logits=torch.zeros(2, 3)), "4 columns"),
        (lambda p, v: replace(p, class_logits=torch.zeros(1, v.columns)), "2 masks"),
        (lambda p, v: replace(p, input_size=(64, 32)), "in an input of"),
        (lambda p, v: replace(p, padded_size=(64, 32)), "no squares"),
        (lambda p, v: replace(p, mask_logits=p.mask_logits * torch.nan), "NaN"),
        (lambda p, v: "no proposals", "a str, not Proposals"),
    ],
)
def test_proposals_that_contradict_themselves_are_found(change, found):
    assert found in broken(proposer(change))["answers have the promised shapes"]


@dataclass
class Captions:
    """A captioner with one fault."""

    fault: str
    asked: int = 0
    kept: list = field(default_factory=list)

    def caption(self, images):
        self.asked += 1
        if self.fault == "forgets one":
            return ["a picture"] * (len(images) - 1)
        if self.fault == "numbers":
            return [1.0] * len(images)
        if self.fault == "moody":
            return [f"picture {self.asked}"] * len(images)
        if self.fault == "looks around":
            return [f"one of {len(images)}"] * len(images)
        if self.fault == "needs size" and images[0].shape[0] < 8:
            raise ZeroDivisionError("no patches")
        if self.fault == "hoards" and images[0].shape[0] > 100:
            self.kept.append(np.ones(2**27, np.uint8))
        return ["a picture"] * len(images)


@pytest.mark.parametrize(
    ("fault", "claim", "found"),
    [
        ("forgets one", "answers have the promised shapes", "1 answers to 2 images"),
        ("numbers", "answers have the promised shapes", "a float, not text"),
        ("moody", "the same question has the same answer", "differ"),
        ("looks around", "a batch is answered as its images alone", "differ"),
        ("needs size", "a single pixel is an image", "ZeroDivisionError: no patches"),
        ("hoards", "memory stays what it is", "MiB more"),
    ],
)
def test_each_fault_is_found_and_named(fault, claim, found):
    assert found in broken(Captions(fault))[claim]


class Things:
    """Labels an instance with a class of stuff."""

    def segment_instances(self, images, vocabulary):
        found = Segmenter().segment_instances(images, vocabulary)
        return [replace(f, labels=f.labels + 2) for f in found]


def test_instances_of_what_cannot_be_counted_are_found():
    assert "countable" in broken(Things())["answers have the promised shapes"]


def test_when_time_is_over_checks_are_skipped_and_not_passed():
    checks = list(self_test(Speaker(), seconds=-1))
    assert {check.verdict for check in checks[1:]} == {Verdict.SKIPPED}


def test_pictures_are_the_same_every_time_and_differ_from_each_other():
    one, other = pictures(2, (20, 30)), pictures(2, (20, 30))
    np.testing.assert_array_equal(one, other)
    assert (one[0] != one[1]).any()


def test_differences_are_shares_of_the_largest_number():
    assert difference([torch.tensor([1.0, 100.0])], [torch.tensor([2.0, 100.0])]) == 0.01
    assert difference("a", "a") == 0
    assert difference("a", "b") == difference([1.0], [1.0, 2.0]) == float("inf")
    assert difference(np.array([1, 2]), np.array([1, 3])) == 0.5


def test_the_command_prints_each_check_and_says_so_by_its_exit_code():
    good = CliRunner().invoke(build_app(), ["models", "check", "colour"])
    assert good.exit_code == 0, good.output
    assert "✓ Proposer: a single pixel is an image" in good.output
    assert "0 broken" in good.output
    bad = CliRunner().invoke(build_app(), ["models", "check", "test_selftest:Things", "--json"])
    assert bad.exit_code == 5
    assert '"sound": false' in bad.output
