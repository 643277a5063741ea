"""`xdecoder-nano`: a real X-Decoder, small enough to ship, trained on the embedded world `shapes`.

    bench train nano --out runs/nano --processes 2

Its backbone and text encoder are trained before, by `nano-crops`.

Chosen after trials: channels-last and bfloat16 (1.5 times as fast), one process of one thread a
core (1.4 times one process of two threads), rate 1e-3, masked attention from the start,
distractors, crops first. With segments for every scene it reached PQ 87, but language added
nothing to segmentation.
"""

from bench.recipe import Cosine, Optimiser, Part, Recipe, ShapesCrops, ShapesPool, ShapesScenes
from models.xdecoder.batching import Crops, Paired, Segmented
from models.xdecoder.config import variant
from models.xdecoder.crops import CropSupervision
from models.xdecoder.weights import LossWeights, Supervision, TopLayers

CROPS = Recipe(
    name="nano-crops",
    about=(
        "Backbone and text encoder alone, on pictures of single things: in place of the UniCL "
        "weights that larger models begin with (section 4.1). About ten minutes on two cores."
    ),
    model=variant("xdecoder-nano"),
    parts=(Part(ShapesCrops(), 96, Crops()),),
    supervision=CropSupervision(),
    steps=4000,
    optimiser=Optimiser(
        rate=1e-3,
        shares=(("pixel_decoder.", 0.0), ("decoder.", 0.0), ("words.", 0.0), ("pooled.", 0.0)),
    ),
    schedule=Cosine(),
)

NANO = Recipe(
    name="nano",
    about=(
        "All four objectives, crops before. As with COCO and the millions of image-text pairs "
        "(section 4.1), segments are scarce and language is not: 3,000 scenes have segments, each "
        "seen 32 times; captions and phrases come with others, none seen twice."
    ),
    model=variant("xdecoder-nano"),
    parts=(
        Part(ShapesPool(scenes=3000), 16, Segmented(phrases=0)),
        Part(ShapesScenes(), 24, Paired(phrases=8)),
    ),
    supervision=Supervision(
        # Without nouns, as the vocabulary has them all, and without the token-wise term, which
        # takes more time than it gives here. Phrases weigh more than in the released settings,
        # where class names stand in for them in most images.
        weights=LossWeights(
            noun=0.0,
            referred_class=1.0,
            referred_bce=2.0,
            referred_dice=2.0,
            retrieval_tokens=0.0,
            retrieval_pooled=1.0,
        ),
        top=TopLayers(masks=5, referred=3, captioning=2, retrieval=2),
        points=512,
    ),
    steps=6000,
    optimiser=Optimiser(rate=1e-3),
    schedule=Cosine(),
    average=0.995,
    before=CROPS,
)
