"""Which parameters few-shot tuning changes, and how: the paper's strategies as data.

Table 3 adds up four steps (class, mask and query embeddings, decoder); Tables 13 to 15 use three of
the sums, told apart by how many parameters they have. The paper gives no settings for few-shot
tuning. Those below are its settings of tuned generic segmentation (appendix A.2) as far as they
make sense for ten images; none was chosen by looking at a split that is reported.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from bench.errors import UnknownName
from bench.recipe import Cosine
from models.xdecoder.views import View
from models.xdecoder.weights import LossWeights, Supervision


@dataclass(frozen=True)
class TuningRecipe:
    """How parameters are tuned: AdamW without decay, since few steps decay nothing."""

    rate: float = 1e-4
    """The learning rate (appendix A.2, generic segmentation)."""
    steps: int = 100
    """Steps of the optimiser, at least."""
    epochs: int = 24
    """Where so many passes over the images are more steps, they are made (appendix A.2)."""
    batch: int = 4
    """Images a step, at most: they must have one size."""
    schedule: Cosine = field(default_factory=Cosine)
    """A short rise and half a cosine. Appendix A.2 drops the rate twice near the end instead; with
    a tenth of its steps a smooth end is safer."""
    views: tuple[View, ...] = (View(), View(flip=True), View(scale=0.75), View(True, 0.75))
    """The views of each image: X-Decoder's turning and scaling, at fixed scales so that each view
    is computed once. Smaller, not larger: a view costs less than the image."""
    supervision: Supervision = field(default_factory=lambda: Supervision(LossWeights(noun=0.0)))
    """The training's losses of classes and masks. Segments that are no objects have no annotation
    in instance data and count as background, a tenth of an object, as in training."""
    clip: float = 5.0
    """The largest norm of the whole gradient, as in training."""

    def length(self, images: int) -> int:
        """How many steps are made with so many images.

        >>> TuningRecipe(steps=100, epochs=24, batch=4).length(5)
        100
        >>> TuningRecipe(steps=100, epochs=24, batch=4).length(300)
        1800
        """
        return max(self.steps, -(-self.epochs * images // self.batch))

    def settings(self) -> dict[str, Any]:
        """Every setting as plain values for JSON."""
        content = asdict(self)
        content["views"] = list(content["views"])
        return content


@dataclass(frozen=True)
class Strategy:
    """A choice of parameters and the recipe they are tuned with."""

    about: str
    tuned: tuple[str, ...]
    """Beginnings of their names."""
    recipe: TuningRecipe
    decodes: bool = True
    """Whether what is tuned changes what the decoder does with an image."""


CLASS_EMBEDDING = ("decoder.classes.projection",)
PROMPT = (*CLASS_EMBEDDING, "decoder.masks.", "decoder.queries.", "decoder.query_positions.")
PREDICTOR = (
    *PROMPT,
    *("decoder.layers.", "decoder.norm.", "decoder.project.", "decoder.level_embedding."),
    *("decoder.token_positions.", "words."),
)
"""All of the released predictor but its text encoder, which holds the temperature: the paper's
count has the parameters of captions in it, though masks and classes teach them nothing."""

STRATEGIES: Mapping[str, Strategy] = {
    "class-embedding": Strategy(
        "the projection of queries to the space of class names (0.26M of xdecoder-T)",
        CLASS_EMBEDDING,
        TuningRecipe(rate=1e-3, steps=300),  # they cost next to nothing
        decodes=False,
    ),
    "prompt": Strategy(
        "class and mask embeddings, latent queries and their positions (1.15M)",
        PROMPT,
        TuningRecipe(rate=1e-3),
    ),
    "decoder": Strategy("the whole decoder (39.3M)", PREDICTOR, TuningRecipe(rate=1e-4)),
}


def strategy(name: str) -> Strategy:
    """The strategy of that name; an unknown name suggests near ones."""
    if name not in STRATEGIES:
        raise UnknownName("tuning strategy", name, STRATEGIES)
    return STRATEGIES[name]
