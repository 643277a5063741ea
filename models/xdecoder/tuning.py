"""Few-shot tuning: a few parameters learn from a few images (Tables 3 and 13-15, appendix D).

    tuner = model.tuner("class-embedding")
    tuned = tuner.tune(lessons, vocabulary, seed=0)     a new model; `model` is as it was

What is frozen runs once for each view of each image (`models.xdecoder.frozen`); the losses are
those of training, to the last digit, so that a step differs from one that runs the whole network
in its cost alone.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from copy import copy, deepcopy
from dataclasses import dataclass, replace
from typing import Any, Protocol, TypeVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Generator, Tensor, nn

from bench.errors import CannotDo
from bench.types import Lesson, Vocabulary
from models.xdecoder.forward_pass import ForwardPass, LayerLosses
from models.xdecoder.frozen import Frozen, fitting
from models.xdecoder.gather import Alone
from models.xdecoder.losses import mask_class
from models.xdecoder.matcher import by_image, match
from models.xdecoder.model import Network
from models.xdecoder.points import Draw, drawn_from
from models.xdecoder.reading import ConceptTexts
from models.xdecoder.segmentation_losses import object_losses
from models.xdecoder.strategies import Strategy, TuningRecipe, strategy
from models.xdecoder.tensor_cache import TensorCache
from models.xdecoder.views import Shown
from models.xdecoder.weights import LossWeights

N = TypeVar("N", bound=Network)
Embed = Callable[[Vocabulary], Tensor]
BACKGROUND = "background"
"""What queries without an object learn to say, where the protocol has no word for it."""


@dataclass(frozen=True)
class Step:
    """What one step left behind."""

    model: Network
    """The model that is being tuned, the same one in every step."""
    loss: float
    """Before the step."""


class StrategyTuner:
    """Tunes one model by one strategy; a `bench.types.Tuner`.

    Args:
        model: what is tuned, in evaluation mode; it stays as it is.
        embed: the class embeddings of a vocabulary under the model.
        name: the strategy's name.
        cache: where outputs of frozen parts are kept; absent: for this tuner alone.
        recipe: settings in place of the strategy's own.

    Raises:
        CannotDo: the model's weights are not in float32.
    """

    def __init__(
        self,
        model: Network,
        embed: Embed,
        name: str,
        cache: TensorCache | None = None,
        recipe: TuningRecipe | None = None,
    ) -> None:
        if model.training:
            raise ValueError("what is frozen must run in evaluation mode: call `model.eval()`")
        dtype = model.text.projection.dtype
        if dtype != torch.float32:
            raise CannotDo(f"Few shots are tuned in float32, and the model is in {dtype}.")
        self.model = model
        self.embed = embed
        self.strategy: Strategy = strategy(name)
        self.recipe = recipe or self.strategy.recipe
        self.cache = cache or TensorCache()
        self.names = tuple(
            name for name, _ in model.named_parameters() if name.startswith(self.strategy.tuned)
        )

    @property
    def parameters(self) -> int:
        """How many parameters are tuned, counted."""
        return sum(self.model.get_parameter(name).numel() for name in self.names)

    @property
    def settings(self) -> Mapping[str, Any]:
        """The strategy's parameters and the recipe, as JSON."""
        return {"tuned": list(self.strategy.tuned), **self.recipe.settings()}

    def tune(self, lessons: Sequence[Lesson], vocabulary: Vocabulary, *, seed: int) -> Network:
        """A model that shares all that is frozen with the original."""
        *_, last = self.steps(lessons, vocabulary, seed=seed)
        return last.model

    def steps(
        self, lessons: Sequence[Lesson], vocabulary: Vocabulary, *, seed: int
    ) -> Iterator[Step]:
        """Tune step by step; whoever iterates logs or stops."""
        if not lessons:
            raise ValueError("tuning needs an image")
        self.cache.begin()
        own = with_own(self.model, self.names)
        parameters = [own.get_parameter(name) for name in self.names]
        recipe, count = self.recipe, self.recipe.length(len(lessons))
        optimiser = torch.optim.AdamW(parameters, recipe.rate, weight_decay=0.0)
        course = self.course(own, vocabulary)
        draw = drawn_from(Generator().manual_seed(seed))
        order = batches(lessons, recipe, np.random.default_rng(seed))
        for index in range(count):
            optimiser.param_groups[0]["lr"] = recipe.rate * recipe.schedule.share(index, count)
            optimiser.zero_grad()
            loss = total(course(next(order), draw), recipe.supervision.weights)
            loss.backward()  # type: ignore[no-untyped-call]
            nn.utils.clip_grad_norm_(parameters, recipe.clip)
            optimiser.step()
            yield Step(own, float(loss.detach()))

    def course(self, own: Network, vocabulary: Vocabulary) -> "Course":
        """How the losses of a step are worked out."""
        frozen = Frozen(self.model, self.cache, self.recipe.supervision)
        kind = ThroughDecoder if self.strategy.decodes else PastDecoder
        return kind(own, frozen, self._texts(vocabulary))

    def _texts(self, vocabulary: Vocabulary) -> ConceptTexts:
        """The words as they will be asked, background last."""
        if vocabulary.background is None:
            vocabulary = replace(vocabulary, background=BACKGROUND)
        # A copy: what inference made takes no part in a graph.
        embeddings = self.embed(vocabulary).float().clone()
        return ConceptTexts((*vocabulary.names, BACKGROUND), embeddings)


# --- the losses of a step ------------------------------------------------------------------------


class Course(Protocol):
    """From a step's images, of one size, to its losses by name and layer."""

    def __call__(self, shown: Sequence[Shown], draw: Draw) -> LayerLosses:
        """The losses; `draw` gives the points at which masks are compared."""
        ...


@dataclass(frozen=True, eq=False)
class ThroughDecoder:
    """The losses of classes and masks, where the decoder changes from step to step."""

    model: Network
    frozen: Frozen
    texts: ConceptTexts

    def __call__(self, shown: Sequence[Shown], draw: Draw) -> LayerLosses:
        """See `Course`."""
        image = self.frozen.features(shown)
        decoding = self.model.decode(image, self.model.layouts.segmenting)
        supervision = fitting(self.frozen.supervision, image.padded_size)
        of = ForwardPass(self.model, image, decoding, supervision, draw, Alone())
        objects = [of_image.objects.to(self.model.device) for of_image in shown]
        return object_losses(of, objects, self.texts)[0]


@dataclass(frozen=True, eq=False)
class PastDecoder:
    """The loss of classes, where nothing before the class embedding changes.

    Masks stay what they are and so do their losses, which no gradient reaches. What they add to
    the costs of matches is measured once for each view, at random points of the view's own.
    """

    model: Network
    frozen: Frozen
    texts: ConceptTexts

    def __call__(self, shown: Sequence[Shown], draw: Draw) -> LayerLosses:
        """See `Course`."""
        decoded, head = self.frozen.decoded(shown), self.model.decoder.classes
        layers, batch, queries, _ = decoded.states.shape
        rows = head.logits(head(decoded.states.flatten(0, 1)), self.texts.embeddings)
        logits = rows.view(layers, batch, queries, -1)
        counts = [len(labels) for labels in decoded.labels]
        labels = by_image(torch.cat(decoded.labels), counts)
        truth = torch.full(logits.shape[:3], logits.shape[3] - 1, device=logits.device)
        matches = match(decoded.costs - self._likelihood(logits.detach(), labels), counts)
        truth[matches.rows] = labels[matches.images, matches.targets]
        background = self.frozen.supervision.weights.background
        return {"mask_class": mask_class(logits, truth, background=background)}

    def _likelihood(
        self,
        logits: Float[Tensor, "layer batch query column"],
        labels: Int[Tensor, "batch most"],
    ) -> Float[Tensor, "layer batch query most"]:
        """What classes take from the costs of matches."""
        index = labels[None, :, None].expand(*logits.shape[:3], -1)
        return self.frozen.supervision.costs.probability * logits.softmax(3).gather(3, index)


def total(losses: LayerLosses, weights: LossWeights) -> Float[Tensor, ""]:
    """All losses of all layers by their weights."""
    return torch.stack([getattr(weights, name) * of.sum() for name, of in losses.items()]).sum()


# --- what a step is made of ----------------------------------------------------------------------


def batches(
    lessons: Sequence[Lesson], recipe: TuningRecipe, chance: np.random.Generator
) -> Iterator[tuple[Shown, ...]]:
    """Batches without end: in each round every image once, in a view by chance, by size."""
    shown = [[Shown(lesson, view) for view in recipe.views] for lesson in lessons]
    while True:
        waiting: dict[tuple[int, int], list[Shown]] = defaultdict(list)
        ready: list[tuple[Shown, ...]] = []
        for index in chance.permutation(len(shown)):
            one = shown[index][chance.integers(len(recipe.views))]
            waiting[one.size].append(one)
            if len(waiting[one.size]) == recipe.batch:
                ready.append(tuple(waiting.pop(one.size)))
        ready += [tuple(few) for few in waiting.values()]
        yield from (ready[index] for index in chance.permutation(len(ready)))


def with_own(model: N, names: Collection[str]) -> N:
    """The same model with parameters of its own where they are named, and the others shared.

    Shared ones hold the same memory and take no gradient.
    """
    shared: dict[int, Any] = {
        id(parameter): nn.Parameter(parameter.detach(), requires_grad=False)
        for name, parameter in model.named_parameters()
        if name not in names
    }
    parts = {name.partition(".")[0] for name in names}
    own = copy(model)
    own._modules = {
        name: deepcopy(module, dict(shared)) if name in parts else module
        for name, module in model._modules.items()
    }
    for name in names:
        own.get_parameter(name).requires_grad_(True)
    return own
