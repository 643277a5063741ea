"""Finetuning on one task (appendix A.2), and tuning few parameters (Table 3).

    bench train retrieval-coco --init xdecoder-T.safetensors --out runs/retrieval --device cuda

What the paper does not state is said to be so here, and taken from pretraining.
"""

from dataclasses import replace

from bench.recipe import (
    Annotated,
    Captioned,
    Drops,
    Exact,
    Jitter,
    Optimiser,
    Part,
    Questions,
    Recipe,
    ShapesQuestions,
    Split,
)
from models.xdecoder.batching import Asked, Paired, Segmented
from models.xdecoder.questions import QuestionSupervision
from models.xdecoder.recipes.nano import NANO
from models.xdecoder.recipes.pretraining import BACKBONE_AND_TEXT, COCO, PRETRAIN
from models.xdecoder.weights import PAPER, LossWeights, Supervision

NOTHING = LossWeights(
    mask_class=0.0,
    mask_bce=0.0,
    mask_dice=0.0,
    noun=0.0,
    referred_class=0.0,
    referred_bce=0.0,
    referred_dice=0.0,
    captioning=0.0,
    retrieval=0.0,
    retrieval_tokens=0.0,
    retrieval_pooled=0.0,
)
"""No loss at all, to add the ones of a task to."""

# --- retrieval and captioning --------------------------------------------------------------------

RETRIEVAL = replace(
    PRETRAIN,
    name="retrieval-coco",
    about="10 epochs at 384 pixels, batch 2048, rate 3e-5 and 3e-6 (A.2); Table 1: IR@1 49.3.",
    parts=(Part(Captioned(Split("coco-retrieval"), Exact(384)), 2048, Paired()),),
    supervision=Supervision(weights=replace(NOTHING, retrieval=PAPER.retrieval)),
    epochs=10,
    optimiser=replace(PRETRAIN.optimiser, rate=3e-5),
)
RETRIEVAL_FLICKR = replace(
    RETRIEVAL,
    name="retrieval-flickr30k",
    about="As for COCO (A.2); Table 1: IR@1 74.4.",
    parts=(Part(Captioned(Split("flickr30k-retrieval"), Exact(384)), 2048, Paired()),),
)
CAPTION = replace(
    PRETRAIN,
    name="caption-coco",
    about="10 epochs at 480 pixels, batch 256, rate 2e-5 and 2e-6 (A.2); Table 1: CIDEr 122.3.",
    parts=(Part(Captioned(Split("coco-caption"), Exact(480)), 256, Paired()),),
    supervision=Supervision(weights=replace(NOTHING, captioning=PAPER.captioning)),
    epochs=10,
    optimiser=replace(PRETRAIN.optimiser, rate=2e-5),
)

VQA = replace(
    PRETRAIN,
    name="vqa",
    about=(
        "10 epochs at 640 pixels, batch 256, rate 1e-4, 1e-5 for backbone and text encoder, 1e-3 "
        "for the new head (A.2). Its number of answers is not stated: 3129 are usual. Table 1: "
        "70.6 on test-dev."
    ),
    parts=(Part(Questions(Split("vqav2"), Exact(640), answers=3129), 256, Asked()),),
    supervision=QuestionSupervision(),
    epochs=10,
    optimiser=replace(
        PRETRAIN.optimiser, rate=1e-4, shares=(*BACKBONE_AND_TEXT, ("answering.", 10.0))
    ),
)
NANO_VQA = replace(
    NANO,
    name="nano-vqa",
    about="xdecoder-nano learns to answer questions about `shapes`; begin from it with --init.",
    parts=(Part(ShapesQuestions(), 32, Asked()),),
    supervision=QuestionSupervision(),
    steps=1500,
    optimiser=replace(NANO.optimiser, rate=3e-4),
    before=None,
)

# --- segmentation --------------------------------------------------------------------------------

SEGMENTING = Supervision(
    weights=replace(
        NOTHING,
        mask_class=PAPER.mask_class,
        mask_bce=PAPER.mask_bce,
        mask_dice=PAPER.mask_dice,
    )
)
AT_21_AND_23 = Drops(at=(21 / 24, 23 / 24), factor=0.1)


def _segment(name: str, data: Annotated, batch: int, about: str) -> Recipe:
    return replace(
        PRETRAIN,
        name=f"segment-{name}",
        about=f"24 epochs, rate 1e-4, a tenth at epochs 21 and 23, batch {batch} (A.2). {about}",
        parts=(Part(data, batch, Segmented(phrases=0)),),
        supervision=SEGMENTING,
        epochs=24,
        schedule=AT_21_AND_23,
    )


SEGMENT_ADE20K = _segment(
    "ade20k",
    Annotated(Split("ade20k-150"), Jitter(size=640)),
    64,
    "640 pixels are not stated: they are what its images are evaluated at. Table 1: PQ 41.6.",
)
SEGMENT_COCO = _segment("coco", replace(COCO, phrases=(), captions=""), 32, "Table 1: PQ 52.6.")
SEGMENT_CITYSCAPES = _segment(
    "cityscapes",
    Annotated(Split("cityscapes"), Jitter(size=1024)),
    32,
    "Neither its batch nor its size are stated: they are COCO's.",
)

# --- few parameters (Table 3) --------------------------------------------------------------------

CLASS_EMBEDDING = ("decoder.classes.projection",)
"""0.26 million parameters."""
MASK_EMBEDDING = (*CLASS_EMBEDDING, "decoder.masks.")
"""1.05 million: class embedding and mask head."""
QUERIES = (*MASK_EMBEDDING, "decoder.queries.", "decoder.query_positions.")
"""1.15 million: these and the latent queries."""
WHOLE_DECODER = ("decoder.",)
"""38.3 million."""

EFFICIENT = {
    "class": CLASS_EMBEDDING,
    "mask": MASK_EMBEDDING,
    "queries": QUERIES,
    "decoder": WHOLE_DECODER,
}


def efficient(recipe: Recipe, which: str) -> Recipe:
    """A recipe that tunes only some parameters, one of `EFFICIENT` (Table 3)."""
    trained = EFFICIENT[which]
    return replace(
        recipe,
        name=f"{recipe.name}-{which}",
        about=f"As {recipe.name}, but only {', '.join(trained)} are trained (Table 3).",
        optimiser=replace(recipe.optimiser, trained=trained),
    )


# --- referring -----------------------------------------------------------------------------------

REFERRING = replace(
    PRETRAIN,
    name="referring-refcocog",
    about=(
        "24 epochs, rate 1e-5, a tenth at epochs 21 and 23, batch 64, a tenth of the rate for the "
        "pixel decoder's transformer too (A.2). Table 1: cIoU 61.9."
    ),
    parts=(
        Part(
            replace(COCO, phrases=(Split("refcocog"),), captions="", only_with_phrases=True),
            64,
            Segmented(phrases=4),
        ),
    ),
    supervision=Supervision(
        weights=replace(
            NOTHING,
            referred_class=PAPER.referred_class,
            referred_bce=PAPER.referred_bce,
            referred_dice=PAPER.referred_dice,
        )
    ),
    epochs=24,
    optimiser=Optimiser(
        rate=1e-5, shares=(*BACKBONE_AND_TEXT, ("pixel_decoder.encoder.", 0.1)), decay=0.05
    ),
    schedule=AT_21_AND_23,
)

FINETUNING = (
    RETRIEVAL,
    RETRIEVAL_FLICKR,
    CAPTION,
    VQA,
    NANO_VQA,
    SEGMENT_ADE20K,
    SEGMENT_COCO,
    SEGMENT_CITYSCAPES,
    REFERRING,
    *(
        efficient(recipe, which)
        for recipe in (SEGMENT_ADE20K, SEGMENT_CITYSCAPES)
        for which in EFFICIENT
    ),
)
