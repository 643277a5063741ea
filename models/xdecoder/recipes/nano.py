"""`xdecoder-nano`: a real X-Decoder, small enough to ship, trained on the embedded world `shapes`.

    bench train nano-phrases --out runs/nano --processes 2

The stages are `nano-crops`, `nano` and `nano-phrases`, each one trained before the next.

What was tried before these values were chosen: channels-last and bfloat16 (1.5 times as fast), one
process of one thread a core (1.4 times one process of two threads), all objectives in one pass over
one image batch, rate 1e-3, masked attention from the start, distractors, crops first.
"""

from dataclasses import replace

from bench.recipe import Cosine, Optimiser, Part, Recipe, ShapesCrops, ShapesPool, ShapesScenes
from models.xdecoder.batching import Crops, Everything, Paired, Segmented
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
        "All four objectives in one pass over scenes that come with everything; crops before. "
        "About an hour and a quarter on two cores that do nothing else."
    ),
    model=variant("xdecoder-nano"),
    parts=(Part(ShapesScenes(stuff_phrases=False), 32, Everything()),),
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
    steps=7000,
    optimiser=Optimiser(rate=1e-3),
    schedule=Cosine(),
    average=0.995,
    before=CROPS,
)

PHRASES = replace(
    NANO,
    name="nano-phrases",
    about=(
        "What `nano` has learned, with twice as many phrases an image, of stuff too, at smaller "
        "steps: xdecoder-nano as it is shipped. About 25 minutes on two cores that do nothing else."
    ),
    parts=(Part(ShapesScenes(), 32, Everything(Segmented(phrases=8))),),
    steps=2500,
    optimiser=replace(NANO.optimiser, rate=5e-4),
    before=NANO,
)

SCARCE = replace(
    NANO,
    name="nano-scarce",
    about=(
        "As `nano`, where segments and phrases are scarce and captions are not, as with COCO and "
        "four million image-text pairs (section 4.1): 2,000 scenes have them, and others come "
        "beside with a caption alone. About 50 minutes on two cores that do nothing else."
    ),
    parts=(
        Part(ShapesPool(stuff_phrases=False), 32, Everything()),
        Part(ShapesScenes(), 32, Paired()),
    ),
    steps=3500,
)
