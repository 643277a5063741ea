"""Networks of Hugging Face transformers, from the hub's cache on this machine or from a folder.

Nothing is fetched while a model runs: what is missing is named, with the command that gets it.
Image processors are those that work through Pillow: whether torchvision is installed, and how it
resizes, must not change a number.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import DataError, ExtraMissing, WeightsMissing
from bench.types import Image
from models.card import Card, HubRepository, LocalFile

if TYPE_CHECKING:
    from torch import Tensor


def transformers() -> Any:
    """The library; `ExtraMissing` where it is not installed."""
    try:
        import transformers as library
    except ImportError:
        raise ExtraMissing(
            "Baselines run on transformers, which is not installed. "
            "Get it with `pip install 'bench-openvocab[baselines]'`."
        ) from None
    return library


@dataclass(frozen=True)
class Source:
    """Where a network lies: a folder, or a repository of the hub at a revision, in its cache."""

    place: str
    revision: str = ""
    """Empty for a folder."""

    @classmethod
    def of(cls, card: Card, weights: Path | None, part: str = "") -> Source:
        """The card's own weights, or the folder `weights` that is to be used in their place.

        Args:
            card: which model.
            weights: a folder that `save_pretrained` wrote, or its file with the weights.
            part: for a model of several networks, the name of one: its key in `card.parts`, and
                the name of its folder in `weights`.
        """
        if weights is not None:
            folder = weights.parent if weights.is_file() else weights
            return cls(str(folder / part))
        own = card.parts[part] if part else card.weights
        if isinstance(own, LocalFile):
            return cls(str(own.path))
        assert isinstance(own, HubRepository), f"'{card.name}' names no repository"
        return cls(own.repository, own.revision)

    def read(self, load: Callable[..., Any], **settings: Any) -> Any:
        """`load(place, …)`, where `load` is a `from_pretrained`; never over the net.

        Raises:
            WeightsMissing: it is not there; says how to get it.
        """
        if self.revision:
            settings["revision"] = self.revision
        try:
            return load(self.place, local_files_only=True, **settings)
        except (OSError, ValueError) as error:
            raise WeightsMissing(self._advice(str(error))) from error

    def _advice(self, reason: str) -> str:
        reason = reason.strip().splitlines()[0].rstrip(".")
        if not self.revision:
            return (
                f"{self.place} is not a folder that transformers can load: {reason}. "
                "It should be one that `save_pretrained` wrote, with the processor's files."
            )
        return (
            f"{self.place} (revision {self.revision}) is not complete in the cache of the Hugging "
            f"Face hub. Get it with `hf download {self.place} --revision {self.revision}`, or name "
            "a folder with --weights."
        )


def card_of(path: Path, like: Mapping[str, Card]) -> Card | None:
    """The card of a folder that `save_pretrained` wrote, or of its file with the weights.

    Args:
        path: the folder or file.
        like: for each type of network (`model_type`) that can be loaded, the card of another one.

    Returns:
        `None` where it is another type of network, or none at all.
    """
    folder = path.parent if path.is_file() else path
    try:
        kind = json.loads((folder / "config.json").read_text())["model_type"]
        known = like[kind]
    except (OSError, ValueError, LookupError, TypeError):
        return None
    return replace(
        known,
        name=kind,
        title=f"{kind} of {folder.name}",
        weights=LocalFile(folder),
        licence="",
        trained_on=(),
        reported=(),
    )


def network(kind: str, source: Source, device: str, precision: str) -> Any:
    """The network of a class of transformers, with its weights, ready to be asked.

    Raises:
        WeightsMissing: it is not there.
        DataError: the weights are another network's, so that some would be random.
    """
    import torch

    try:
        with _quietly():
            found, report = source.read(
                getattr(transformers(), kind).from_pretrained,
                dtype=getattr(torch, precision),
                output_loading_info=True,
            )
    except RuntimeError as error:  # weights of other shapes than the configuration says
        raise DataError(f"{source.place} holds no {kind}: its weights do not fit it.") from error
    # What only a loss uses is a buffer, and may be missing.
    learned = {name for name, _ in found.named_parameters()}
    if missing := sorted(learned & {*report["missing_keys"]}):
        raise DataError(
            f"{source.place} holds no {kind}: {len(missing)} weights are missing, "
            f"among them {missing[0]}."
        )
    return found.eval().requires_grad_(False).to(device)


def image_processor(source: Source) -> Any:
    """What turns pictures into a network's input, by Pillow."""
    return source.read(transformers().AutoImageProcessor.from_pretrained, backend="pil")


def tokenizer(source: Source) -> Any:
    """What turns texts into a network's input."""
    return source.read(transformers().AutoTokenizer.from_pretrained)


def processor(kind: str, source: Source) -> Any:
    """What prepares pictures and texts together, its pictures by Pillow."""
    with _quietly():
        found = source.read(getattr(transformers(), kind).from_pretrained)
    found.image_processor = image_processor(source)
    return found


@contextmanager
def _quietly() -> Iterator[None]:
    """Without bars and advice on loading: what matters about it is checked and raised."""
    logging = transformers().utils.logging
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        logging.set_verbosity(level)
        if bars:
            logging.enable_progress_bar()


@dataclass(frozen=True, eq=False)
class Pretrained:
    """A network with what prepares its input, as published."""

    network: Any
    processor: Any

    @property
    def device(self) -> Any:
        """Where the network is."""
        return self.network.device

    def parameters(self) -> Iterator[Any]:
        """The network's parameters, for the record."""
        parameters: Iterator[Any] = self.network.parameters()
        return parameters

    def state_dict(self) -> Mapping[str, Any]:
        """The network's weights, for the record."""
        weights: Mapping[str, Any] = self.network.state_dict()
        return weights

    def ask(self, inputs: Mapping[str, Any], method: str = "forward", **settings: Any) -> Any:
        """What a method of the network says to prepared inputs, without gradients."""
        import torch

        with torch.inference_mode():
            return getattr(self.network, method)(**on(self.network, inputs), **settings)


def on(network: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """Prepared inputs where the network is, numbers in its precision."""
    return {
        name: _on(network, value) if hasattr(value, "to") else value
        for name, value in inputs.items()
    }


def _on(network: Any, tensor: Tensor) -> Tensor:
    dtype = network.dtype if tensor.is_floating_point() else None
    return tensor.to(network.device, dtype)


def pictures(images: Sequence[Image]) -> dict[str, Any]:
    """Arguments that hand images to any processor: three rows are not taken for three channels."""
    return {
        "images": list(images),
        "input_data_format": "channels_last",
        "return_tensors": "pt",
    }
