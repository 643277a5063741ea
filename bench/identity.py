"""Who a model is, to a record: its family, its parameters, and the hash of its weights."""

from hashlib import sha256
from typing import Any
from weakref import WeakKeyDictionary

from bench.record import ModelUsed
from bench.types import Vocabulary


def model_used(name: str, model: Any, vocabulary: Vocabulary | None = None) -> ModelUsed:
    """What a record says about a model: its attributes where it has them, or its parameters.

    A model with classes of its own says by `notes_about(vocabulary)` which of those it cannot find.
    """
    notes = tuple(getattr(model, "notes", ()))
    if vocabulary is not None and hasattr(model, "notes_about"):
        notes += tuple(model.notes_about(vocabulary))
    parameters = [*model.parameters()] if hasattr(model, "parameters") else None
    return ModelUsed(
        name=name,
        family=f"{type(model).__module__}:{type(model).__qualname__}",
        weights_digest=weights_digest(model),
        parameters=sum(p.numel() for p in parameters) if parameters else None,
        notes=notes,
    )


def weights_digest(model: Any) -> str | None:
    """sha256 of the weights: the model's own word for it, or over names, types and numbers.

    Over numbers and not over a file, so that a checkpoint saved in another format is the same
    model. `None` for a model without weights. Computed once for a model, and again once it changed.
    """
    stated: str | None = getattr(model, "weights_digest", None)
    if stated is not None or not hasattr(model, "state_dict"):
        return stated
    versions = tuple((t.data_ptr(), t._version) for t in model.state_dict().values())
    known, digest = _DIGESTS.get(model, ((), ""))
    if not digest or known != versions:
        digest = _digest(model)
        _DIGESTS[model] = versions, digest
    return digest


_DIGESTS: WeakKeyDictionary[Any, tuple[tuple[tuple[int, int], ...], str]] = WeakKeyDictionary()


def _digest(model: Any) -> str:
    import torch  # here: what has a `state_dict` has loaded it already

    content = sha256()
    for name, tensor in sorted(model.state_dict().items()):
        plain = tensor.detach().cpu().contiguous()
        content.update(f"{name}:{plain.dtype}:{tuple(plain.shape)};".encode())
        if plain.numel():
            content.update(plain.reshape(-1).view(torch.uint8).numpy())
    return content.hexdigest()
