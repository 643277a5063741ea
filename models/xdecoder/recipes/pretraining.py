r"""Pretraining as the paper describes it (sections 3.4, 4.1; appendix A.1), and as it was released.

    torchrun --nnodes 4 --nproc-per-node 8 --no-python \
        bench train pretrain-T --device cuda --out runs/T

Both begin with a backbone and a text encoder that were trained together on image-text pairs (UniCL
for the tiny model, Florence's data for the others); nobody released those, so begin with `--init`
and a released X-Decoder, or from nothing.
"""

from dataclasses import replace

from bench.recipe import (
    Annotated,
    Drops,
    Exact,
    Jitter,
    Optimiser,
    Pairs,
    Part,
    Precision,
    Recipe,
    Split,
)
from models.xdecoder.batching import Paired, Segmented
from models.xdecoder.config import variant
from models.xdecoder.weights import PAPER, Supervision
from models.xdecoder.weights import RELEASED as AS_RELEASED

EVALUATED = (
    Split("refcocog", "val"),
    Split("coco-retrieval", "val"),
    Split("coco-retrieval", "test"),
)
"""Images nobody may train on: «exclude the validation sets of Ref-COCOg UMD and COCO Karpathy»
(section 4.1)."""

COCO = Annotated(
    Split("coco", "train"),
    Jitter(size=1024, scales=(0.1, 2.0), flip=0.5),
    phrases=(Split("refcoco"), Split("refcoco-plus"), Split("refcocog")),
    captions="coco/annotations/captions_train2017.json",
    without=EVALUATED,
)
"""104 thousand images with segments, of which 30 thousand have referring expressions (section
4.1); jitter of 0.1 to 2.0 around 1024 (released code)."""

CC3M = ("vlp/code224_conceptual_caption_train_*.arrow",)
SBU = ("vlp/code224_sbu_*.arrow",)
VISUAL_GENOME = ("vlp/code224_vg.arrow",)
COCO_CAPTIONS = ("vlp/filtcoco2017val_caption_karpathy_*.arrow",)
PAIRS = Pairs((*CC3M, *SBU, *VISUAL_GENOME, *COCO_CAPTIONS), view=Exact(224), without=EVALUATED)
"""«The standard 4M corpora» (section 4.1), as ViLT's scripts write them; 10 million pairs (A.1)."""

BACKBONE_AND_TEXT = (
    ("backbone.", 0.1),
    ("pooled.", 0.1),
    ("text.", 0.1),
    ("decoder.classes.log_scale", 0.1),
)
"""A tenth of the rate for both (released code). By their released names the projection of pooled
features and the temperature belong to them too."""

PRETRAIN = Recipe(
    name="pretrain-T",
    about=(
        "The tiny model with the four losses of the paper. 32 GPUs; zero-shot it should reach "
        "COCO PQ 51.4, ADE20K mIoU 23.4, RefCOCOg cIoU 59.7 (Table 6)."
    ),
    model=variant("xdecoder-T"),
    # Batches of 32 and 1024 (section 4.1, A.1). An epoch is one of the segmentation data, whatever
    # the number of pairs: balanced sampling (section 4.1).
    parts=(Part(COCO, 32, Segmented(phrases=4)), Part(PAIRS, 1024, Paired())),
    supervision=Supervision(weights=PAPER),
    epochs=50,  # A.1
    # Rate 1e-4 (A.1); decay and clipping as released, norms and tables of embeddings not decayed.
    optimiser=Optimiser(rate=1e-4, shares=BACKBONE_AND_TEXT, decay=0.05, clip=5.0),
    schedule=Drops(at=(0.88889, 0.96296), factor=0.1),  # A.1
    precision=Precision.BFLOAT16,
)

RELEASED = replace(
    PRETRAIN,
    name="pretrain-T-released",
    about=(
        "The documented command of the released code: batches of 8 and 256 on 8 GPUs, its weights "
        "and layers of the losses, mixed precision with loss scaling."
    ),
    parts=(
        Part(replace(COCO, nouns=True), 8, Segmented(phrases=4, nouns=True)),
        Part(PAIRS, 256, Paired()),
    ),
    supervision=AS_RELEASED,
    # The released text encoder's norms are of a class of its own, which its rule for what is not
    # decayed does not know.
    optimiser=replace(PRETRAIN.optimiser, decayed_norms=("text.",)),
    precision=Precision.FLOAT16,
)

PRETRAIN_B = replace(PRETRAIN, name="pretrain-B", model=variant("xdecoder-B"))
PRETRAIN_L = replace(PRETRAIN, name="pretrain-L", model=variant("xdecoder-L"), recompute=True)
