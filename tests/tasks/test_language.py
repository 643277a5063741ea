"""Tasks with language, on scenes of the embedded world, by models that know the answers."""

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest
import torch

from bench import catalog
from bench.data.opening import open_dataset
from bench.errors import CannotDo
from bench.evaluation import examine
from bench.protocol import Protocol
from bench.tasks import task
from bench.types import Captioner, ImageTextEncoder, Mask, Proposer, ReferredMask

N = 6
PLAIN = Protocol(name="plain")


def dataset(name, card=PLAIN, n=N, split=None):
    found = open_dataset(catalog.dataset(name), root=Path("."), protocol=card, split=split)
    return found.subset(found.ids[:n])


def scores(model, data, card=PLAIN, batch_size=1):
    asked = examine(model, data, card)
    outcomes = list(asked.outcomes(batch_size=batch_size))
    assert all(outcome.failure is None for outcome in outcomes)
    found = asked.score(outcomes)
    return {task: {name: s.value for name, s in of.items()} for task, of in found.items()}


def key(image):
    return image.tobytes()


@dataclass
class Oracle:
    """Knows every sample of a dataset by its pixels, and does everything."""

    samples: dict[bytes, object] = field(default_factory=dict)
    batches: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, data):
        return cls({key(sample.image): sample for sample in data})

    def refer(self, images, phrases):
        self.batches.append(len(images))
        answers = []
        for image, asked in zip(images, phrases, strict=True):
            sample = self.samples[key(image)]
            assert tuple(asked) == sample.prompt
            answers.append([as_logits(mask) for mask in sample.truths["referring"]])
        return answers

    def embed_images(self, images):
        self.batches.append(len(images))
        return np.stack([vector(self.samples[key(image)].prompt[0]) for image in images])

    def embed_texts(self, texts):
        home = {text: s.prompt[0] for s in self.samples.values() for text in s.prompt}
        return np.stack([vector(home[text]) for text in texts])

    def caption(self, images):
        self.batches.append(len(images))
        return [self.samples[key(image)].truths["caption"][0] for image in images]

    def answer(self, images, questions):
        self.batches.append(len(images))
        return [
            [answers.answers[0] for answers in self.samples[key(image)].truths["vqa"]]
            for image in images
        ]


def as_logits(mask: Mask) -> ReferredMask:
    size = (mask.height, mask.width)
    logits = torch.from_numpy(np.where(mask.decode(), 5.0, -5.0).astype(np.float32))
    return ReferredMask(logits, 1.0, size, size)


def vector(text):
    return np.random.default_rng(list(text.encode())).normal(size=64)


@pytest.mark.parametrize(
    ("name", "task", "headline"),
    [
        ("shapes-referring", "referring", "cIoU"),
        ("shapes-retrieval", "retrieval", "IR@1"),
        ("shapes-vqa", "vqa", "accuracy"),
    ],
)
def test_a_model_that_knows_scores_1(name, task, headline):
    data = dataset(name)
    found = scores(Oracle.of(data), data)[task]
    assert found[headline] == pytest.approx(1, abs=1e-5)


def test_a_caption_that_is_a_reference_agrees_wholly():
    data = dataset("shapes-caption")
    found = scores(Oracle.of(data), data)["caption"]
    assert found["BLEU-4"] == pytest.approx(1, abs=1e-6)
    assert found["ROUGE-L"] == pytest.approx(1, abs=1e-6)
    assert found["CIDEr"] > 2


@pytest.mark.parametrize("name", ["referring", "retrieval", "caption", "vqa"])
def test_images_with_other_prompts_are_asked_together(name):
    data = dataset(f"shapes-{name}")
    alone, together = Oracle.of(data), Oracle.of(data)
    assert scores(alone, data) == scores(together, data, batch_size=4)
    assert set(alone.batches) == {1}
    assert together.batches == [4, 2]


def test_wrong_pictures_are_not_retrieved():
    data = dataset("shapes-retrieval")
    oracle = Oracle.of(data)
    keys, samples = list(oracle.samples), list(oracle.samples.values())
    oracle.samples = dict(zip(keys, samples[1:] + samples[:1], strict=True))
    found = scores(oracle, data)["retrieval"]
    assert found["IR@1"] == found["TR@1"] == 0


def test_every_mask_is_the_visible_part_of_one_segment():
    segmented = dataset("shapes")
    for sample in dataset("shapes-referring"):
        truth = segmented.load(sample.id).truths["panoptic"]
        masks = [Mask.encode(truth.ids == segment.id) for segment in truth.segments]
        known = {mask.counts.tobytes() for mask in masks}
        assert {mask.counts.tobytes() for mask in sample.truths["referring"]} <= known


@pytest.mark.parametrize(
    ("expressions", "times"), [("all", None), ("first", 1), ("concatenated", 1)]
)
def test_the_protocol_says_how_many_phrases_a_thing_gets(expressions, times):
    card = Protocol.model_validate({"name": "card", "referring": {"expressions": expressions}})
    for sample in dataset("shapes-referring", card):
        masks = [mask.counts.tobytes() for mask in sample.truths["referring"]]
        assert len(masks) == len(sample.prompt)
        assert times is None or len(set(masks)) == len(masks)


def test_the_colour_baseline_points_better_than_chance():
    data = dataset("shapes-referring", n=12)
    reference = catalog.model("colour")
    found = scores(reference.build(device="cpu"), data)["referring"]
    assert 0.1 < found["cIoU"] < 1


def test_answers_are_of_the_types_of_vqa():
    kinds = {a.answer_type for s in dataset("shapes-vqa", n=20) for a in s.truths["vqa"]}
    assert kinds == {"yes/no", "number", "other"}


@pytest.mark.parametrize(
    ("name", "protocol"),
    [("retrieval", ImageTextEncoder), ("caption", Captioner), ("instance", Proposer)],
)
def test_a_model_that_cannot_is_told_what_it_would_need(name, protocol):
    with pytest.raises(CannotDo, match=protocol.__name__):
        task(name).question_for(object())


def test_texts_without_vectors_are_a_failure_of_the_model():
    data = dataset("shapes-retrieval")

    class Short(Oracle):
        def embed_texts(self, texts):
            return super().embed_texts(texts)[:-1]

    asked = examine(Short(Oracle.of(data).samples), data, PLAIN)
    with pytest.raises(Exception, match="4 vectors for 5 texts"):
        list(asked.outcomes())
