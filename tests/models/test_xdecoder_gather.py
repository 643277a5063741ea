"""Two processes with parts of a batch, against one with all of it (gloo, on this machine)."""

from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from torch import Tensor, nn

from models.xdecoder import losses
from models.xdecoder.gather import Alone, Gather, Gathered

IMAGES = torch.randn(5, 6, generator=torch.Generator().manual_seed(0))
TEXTS = torch.randn(5, 6, generator=torch.Generator().manual_seed(1))
KEYS = ["dog", "cat", "dog", "tree", "cat"]
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


def test_with_own_gradients_alone_the_gradient_is_a_half(outcomes) -> None:
    loss, gradients = single()
    for outcome in outcomes:
        torch.testing.assert_close(outcome["own"][0], loss)
        torch.testing.assert_close(outcome["own"][1], [gradient / 2 for gradient in gradients])


def test_numbers_are_averaged(outcomes) -> None:
    assert [outcome["mean"].item() for outcome in outcomes] == [1.5, 1.5]
