"""Two processes with parts of a batch, against one with all of it (gloo, on this machine)."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn
from xdecoder_step import draw, tiny

from models.xdecoder import losses
from models.xdecoder.batch import PairBatch
from models.xdecoder.gather import Alone, Gather, Gathered
from models.xdecoder.objectives import Objectives
from models.xdecoder.weights import LossWeights, Supervision

IMAGES = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
TEXTS = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
KEYS = ["dog", "cat", "dog", "tree", "cat"]
PICTURES = torch.randint(
    0, 256, (5, 64, 64, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(3)
)
CAPTIONS = ("a red star", "a ring", "sand", "a blue ring on sand", "the star")
PARTS = (slice(0, 3), slice(3, 5))
"""What each process holds: not equally much."""


def towers() -> nn.ModuleList:
    torch.manual_seed(2)
    return nn.ModuleList((nn.Linear(6, 4), nn.Linear(6, 4)))


def contrastive(model: nn.ModuleList, part: slice, gather: Gather) -> Tensor:
    """A retrieval and a noun loss over whatever `gather` puts together."""
    images, texts = (
        gather.rows(nn.functional.normalize(tower(rows[part]), dim=1))
        for tower, rows in zip(model, (IMAGES, TEXTS), strict=True)
    )
    scale = torch.tensor(5.0)
    keys = gather.texts(KEYS[part])
    noun = losses.noun(images, texts, keys, scale, image_to_text=0.7)
    return losses.retrieval(images[None], texts, scale).sum() + noun


def retrieval_step(part: slice, gather: Gather) -> tuple[Tensor, list[Tensor]]:
    """The contrastive part of a training step, and the gradients of the network."""
    supervision = Supervision(LossWeights(captioning=0.0, retrieval_tokens=0.0))
    model = tiny()
    model.zero_grad()
    loss = Objectives(supervision)(
        model, (PairBatch(PICTURES[part], CAPTIONS[part]),), draw, gather
    )
    loss.total.backward()
    return loss.total.detach(), [p.grad for p in model.parameters() if p.grad is not None]


def process(rank: int, folder: str) -> None:
    """One of two: its loss, and its gradients as DDP averages them."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", f"file://{folder}/meet", rank=rank, world_size=2)
    found: dict[str, object] = {}
    for name, gather in (("all", Gathered()), ("own", Gathered(own_gradient_only=True))):
        model = towers()
        loss = contrastive(model, PARTS[rank], gather)
        loss.backward()
        gradients = [p.grad for p in model.parameters()]
        for gradient in gradients:
            dist.all_reduce(gradient)
        found[name] = (loss.detach(), [gradient / 2 for gradient in gradients])
    loss, gradients = retrieval_step(PARTS[rank], Gathered())
    for gradient in gradients:
        dist.all_reduce(gradient)
    found["step"] = (loss, [gradient / 2 for gradient in gradients])
    found["mean"] = Gathered().mean(torch.tensor(float(rank + 1)))
    torch.save(found, f"{folder}/{rank}.pt")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def outcomes(tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, object]]:
    folder: Path = tmp_path_factory.mktemp("processes")
    mp.spawn(process, args=(str(folder),), nprocs=2)
    return [torch.load(folder / f"{rank}.pt") for rank in range(2)]


def single() -> tuple[Tensor, list[Tensor]]:
    model = towers()
    loss = contrastive(model, slice(None), Alone())
    loss.backward()
    return loss.detach(), [p.grad for p in model.parameters()]


def test_two_processes_have_the_loss_and_the_gradient_of_one(outcomes) -> None:
    loss, gradients = single()
    for outcome in outcomes:
        torch.testing.assert_close(outcome["all"][0], loss)
        torch.testing.assert_close(outcome["all"][1], gradients)


def test_two_processes_take_the_step_of_one(outcomes) -> None:
    loss, gradients = retrieval_step(slice(None), Alone())
    assert len(gradients) > 50
    for outcome in outcomes:
        torch.testing.assert_close(outcome["step"][0], loss)
        torch.testing.assert_close(outcome["step"][1], gradients, rtol=1e-4, atol=1e-5)


def test_with_own_gradients_alone_the_gradient_is_a_half(outcomes) -> None:
    loss, gradients = single()
    for outcome in outcomes:
        torch.testing.assert_close(outcome["own"][0], loss)
        torch.testing.assert_close(outcome["own"][1], [gradient / 2 for gradient in gradients])


def test_numbers_are_averaged(outcomes) -> None:
    assert [outcome["mean"].item() for outcome in outcomes] == [1.5, 1.5]
