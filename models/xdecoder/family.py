"""The family `xdecoder`: from a card, a checkpoint or a seed to a model that can be asked.

Reading the cards imports no torch; `build` and `card_of` do.
"""

from __future__ import annotations

from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from bench.errors import UsageError, WeightsMissing
from models.card import Card, HubFile, LocalFile, ShippedFile
from models.xdecoder.cards import CARDS, variant_of
from models.xdecoder.config import VARIANTS, XDecoderConfig

if TYPE_CHECKING:
    from models.xdecoder.answers import XDecoder

PRECISIONS = ("float32", "bfloat16")
RANDOM = "random weights (seed {seed}): every answer is noise, and no score means anything"
"""What is said of a model that was never trained, wherever its answers or scores are shown."""


def build(
    card: Card,
    *,
    weights: Path | None = None,
    seed: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    compile: bool = False,
    cache: Path | None = None,
) -> XDecoder:
    """The model of a card.

    Args:
        card: from `CARDS` or `card_of`.
        weights: a checkpoint in place of the card's own, in any form that
            `models.xdecoder.checkpoint` reads.
        seed: draw fresh weights from this seed and load none; the model says so in its `notes`.
        device: where it works.
        precision: of weights and activations, one of `PRECISIONS`. Logits leave in float32.
        compile: whether torch compiles backbone and pixel decoder for each size of image.
        cache: a folder in which class embeddings are kept between runs; absent: in memory alone.

    Raises:
        UsageError: both weights and a seed, or an unknown precision.
        WeightsMissing: the card's weights are not there.
        DataError: the checkpoint cannot be read, or is another model's.
    """
    if precision not in PRECISIONS:
        raise UsageError(f"{card.name} runs in {' or '.join(PRECISIONS)}, not in '{precision}'.")
    if weights is not None and seed is not None:
        raise UsageError("Give weights to load or a seed to draw them from, not both.")
    config = _config(card)
    model = _loaded(card, config, weights) if seed is None else _drawn(config, seed)
    return _placed(model, device, precision, compile=compile, cache=cache)


def card_of(path: Path) -> Card | None:
    """The card of a checkpoint by what is in it, `None` where it is no X-Decoder's.

    Raises:
        DataError: it is a pickle that needs more than plain tensors, or is damaged.
    """
    from models.xdecoder.checkpoint import config_of

    config = config_of(path)
    if config is None:
        return None
    known = CARDS.get(config.name)
    title = known.title if known else "X-Decoder"
    answers = CARDS["xdecoder-T"].answers + (("QuestionAnswerer",) if config.answers else ())
    return Card(config.name, title, "xdecoder", answers, weights=LocalFile(path))


def store(card: Card, checkpoint: Path, target: Path, *, half: bool = False) -> None:
    """Write the weights of a checkpoint as our safetensors, with their configuration.

    Args:
        card: what the checkpoint is of.
        checkpoint: a released file, or any other form (`models.xdecoder.checkpoint`).
        target: the file to write.
        half: in float16; a model has them in float32 again when it is loaded.

    Raises:
        DataError: the file cannot be read, lacks weights or has others, or is another variant's.
    """
    import torch

    from models.xdecoder.checkpoint import load, save

    save(load(checkpoint, _config(card)), target, torch.float16 if half else None)


def _config(card: Card) -> XDecoderConfig | None:
    """The configuration that a card's name stands for; a checkpoint's own may be another."""
    known = CARDS.get(card.name)
    return None if known is None else VARIANTS[variant_of(known)]


def _loaded(card: Card, config: XDecoderConfig | None, weights: Path | None) -> XDecoder:
    from models.xdecoder.checkpoint import load

    return load(_own_weights(card) if weights is None else weights, config)


def _own_weights(card: Card) -> Path:
    """Where the card's weights are."""
    otherwise = "give a checkpoint with --weights FILE, or look at noise with --weights random."
    match card.weights:
        case LocalFile(path):
            return path
        case ShippedFile(package, file):
            found = Path(str(files(package).joinpath(file)))
            if found.is_file():
                return found
            raise WeightsMissing(
                f"The weights of {card.name} ({file}) are not installed. Train them with `bench "
                f"train nano` and name the run's folder as the model, {otherwise}"
            )
        case HubFile(repository, file):
            raise WeightsMissing(
                f"{card.name} needs {file} (from {repository} on the Hugging Face hub). Get it "
                f"with `bench models fetch {card.name}`, {otherwise}"
            )
        case _:
            raise WeightsMissing(
                f"No weights of {card.name} were released: train them, {otherwise}"
            )


def _drawn(config: XDecoderConfig | None, seed: int) -> XDecoder:
    """A model as training would begin with it."""
    import torch

    from models.xdecoder.answers import XDecoder

    if config is None:
        raise UsageError("A checkpoint's path has weights: random ones are for models by name.")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = XDecoder(config).eval()
    model.notes = (RANDOM.format(seed=seed),)
    return model


def _placed(
    model: XDecoder, device: str, precision: str, *, compile: bool, cache: Path | None
) -> XDecoder:
    """The same model where it works, in the number format it works in."""
    import torch

    model.to(device, getattr(torch, precision))
    model.habits = replace(model.habits, text_folder=cache)
    if compile:
        model.backbone.compile()
        model.pixel_decoder.compile()
    return model
