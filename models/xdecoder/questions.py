"""Learning to answer questions (section 4.2, appendix A.2: «a new classification layer»).

A question's tokens enter the decoder like a caption's; the state of its last token is classified
among candidate answers. How well each answer is said to fit is VQA's own score: people's votes
divided by three, at most 1; the loss is binary cross-entropy with these for targets, summed over
answers, as is usual since Teney et al. 2018. The paper states neither loss nor number of answers.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from jaxtyping import Float, UInt8
from torch import Generator, Tensor, nn

from models.xdecoder.answers import XDecoder


@dataclass(frozen=True)
class QuestionBatch:
    """Images with a question each."""

    images: UInt8[Tensor, "batch height width 3"]
    questions: tuple[str, ...]
    scores: Float[Tensor, "batch answer"]
    """How right each of the model's candidate answers is."""

    def to(self, device: torch.device) -> "QuestionBatch":
        """The same batch with its tensors on a device."""
        return replace(self, images=self.images.to(device), scores=self.scores.to(device))


@dataclass(frozen=True)
class QuestionSupervision:
    """Questions have one loss, and nothing to choose about it."""


class QuestionLearner(nn.Module):
    """Learns to answer; a `bench.recipe.Learner`."""

    def __init__(self, model: XDecoder, supervision: QuestionSupervision) -> None:
        super().__init__()
        self.model = model

    def forward(
        self, batches: Sequence[QuestionBatch], draw: Generator
    ) -> tuple[Tensor, Mapping[str, Tensor]]:
        """The loss; and how often the likeliest answer is the best one."""
        (batch,) = batches
        model = self.model
        question = model.read(batch.questions)
        decoding = model.decode(
            model.see(batch.images), model.layouts.answering, {"question": question}
        )
        assert question.valid is not None
        last = question.valid.sum(1) - 1
        states = decoding.last.states_of("question")[torch.arange(len(last)), last]
        logits = model.answering(states).float()
        loss = F.binary_cross_entropy_with_logits(logits, batch.scores, reduction="none").sum(1)
        right = batch.scores.gather(1, logits.argmax(1, keepdim=True)).mean()
        return loss.mean(), {"right": right.detach()}
