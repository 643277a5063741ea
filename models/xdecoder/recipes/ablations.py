"""The ablations of Tables 4 to 7 and 9 to 11, as changes of a recipe.

A change of objectives or of who sees whom applies to any recipe, so the same tables are made in
miniature of `nano`; changes of data belong to `pretrain-T`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from bench.recipe import Annotated, Part, Recipe
from models.xdecoder.batching import Paired, Segmented
from models.xdecoder.config import variant
from models.xdecoder.recipes.nano import NANO
from models.xdecoder.recipes.pretraining import (
    CC3M,
    COCO_CAPTIONS,
    PAIRS,
    PRETRAIN,
    SBU,
    VISUAL_GENOME,
)

Change = Callable[[Recipe], Recipe]


def _decoder(**changes: Any) -> Change:
    """The same recipe for another decoder."""

    def change(recipe: Recipe) -> Recipe:
        model = recipe.model
        before = recipe.before
        other = replace(model, decoder=replace(model.decoder, **changes))
        # What is trained before has no decoder in it, and no weights that a decoder's rules change.
        return replace(
            recipe, model=other, before=None if before is None else replace(before, model=other)
        )

    return change


def _without(*losses: str) -> Change:
    """The same recipe without some losses, by their names in `LossWeights`."""

    def change(recipe: Recipe) -> Recipe:
        weights = replace(recipe.supervision.weights, **dict.fromkeys(losses, 0.0))
        return replace(recipe, supervision=replace(recipe.supervision, weights=weights))

    return change


RETRIEVAL = ("retrieval", "retrieval_tokens", "retrieval_pooled")
REFERRING = ("referred_class", "referred_bce", "referred_dice")
MASKS = ("mask_class", "mask_bce", "mask_dice")

INTERACTION: Mapping[str, Change] = {
    "text-not-image": _decoder(caption_sees_image=False),
    "text-not-objects": _decoder(caption_sees_objects=False),
    "latent-not-text": _decoder(referred_sees_phrase=False),
}
"""Table 4: whom captions and referred queries see; the rows [yny], [nyy] and [yyn]."""

TASKS: Mapping[str, Change] = {
    "no-retrieval": _without(*RETRIEVAL),
    "no-captioning": _without("captioning"),
    "no-referring": lambda recipe: _without(*REFERRING)(_phrases(recipe, 0)),
}
"""Table 6: one objective left out."""


def _phrases(recipe: Recipe, phrases: int) -> Recipe:
    """The same recipe with at most so many phrases an image."""

    def batched(part: Part) -> Part:
        match part.batched:
            case Segmented() as segmented:
                return replace(part, batched=replace(segmented, phrases=phrases))
            case Paired():
                return replace(part, batched=Paired(phrases))
            case _:
                return part

    return replace(recipe, parts=tuple(map(batched, recipe.parts)))


def segmentation_only(recipe: Recipe, *, nouns: bool = False) -> Recipe:
    """X-Decoder-Seg: segments and class names alone; with `nouns` X-Decoder-Seg+ (section 4.3).

    Seg+ adds the nouns of captions as names of objects that nobody annotated (appendix C.3).
    """
    part = replace(recipe.parts[0], batched=Segmented(phrases=0, nouns=nouns))
    if isinstance(part.data, Annotated):
        part = replace(part, data=replace(part.data, phrases=(), nouns=nouns))
    changed = _without(*RETRIEVAL, *REFERRING, "captioning")(recipe)
    weights = replace(changed.supervision.weights, noun=1.0 if nouns else 0.0)
    return replace(
        changed, parts=(part,), supervision=replace(changed.supervision, weights=weights)
    )


def vision_language_only(recipe: Recipe) -> Recipe:
    """X-Decoder-VL, Table 9: images and captions alone."""
    pairs = tuple(p for p in recipe.parts if isinstance(p.batched, Paired)) or recipe.parts
    parts = tuple(replace(p, batched=Paired()) for p in pairs)
    changed = _without(*MASKS, *REFERRING, "noun")(recipe)
    if not recipe.epochs:
        return replace(changed, parts=parts)
    # As many steps as with segmentation, whose epochs they are: 50 of 104,000 images, 32 a step.
    # Table 9 then compares objectives, not lengths. «Roughly 45 epochs of 10 million image-text
    # pairs» (A.1) would be 440,000 steps of 1024.
    return replace(changed, parts=parts, epochs=0.0, steps=162_500)


def _named(recipe: Recipe, name: str, change: Change, table: str) -> Recipe:
    about = f"{recipe.name} changed as in {table}: {name.replace('-', ' ')}."
    return replace(change(recipe), name=f"{recipe.name}-{name}", about=about)


def _pairs(batch: int | None = None, **changes: Any) -> Change:
    """The same recipe with other image-text pairs."""

    def change(recipe: Recipe) -> Recipe:
        first, pairs = recipe.parts
        data = replace(PAIRS, **changes)
        return replace(recipe, parts=(first, replace(pairs, data=data, batch=batch or pairs.batch)))

    return change


SETS = {"coco": COCO_CAPTIONS, "cc3m": CC3M, "vg": VISUAL_GENOME, "sbu": SBU}

BATCHES: Mapping[str, Change] = {f"pairs-{n}": _pairs(n) for n in (768, 512)}
"""Table 5: fewer pairs in a step."""

DATA: Mapping[str, Change] = {
    f"no-{name}": _pairs(files=tuple(f for f in PAIRS.files if f not in files))
    for name, files in SETS.items()
}
"""Table 7: one set of pairs left out."""


def _model(name: str) -> Change:
    return lambda recipe: replace(recipe, model=variant(name))


ARCHITECTURES: Mapping[str, Change] = {
    "swin": _model("xdecoder-T-swin"),
    "swin-deformable": _model("xdecoder-T-swin-deformable"),
    "davit": _model("xdecoder-T-davit"),
}
"""Table 10: another backbone, and multi-scale deformable attention."""

SEGMENTATION: Mapping[str, Change] = {
    "seg": segmentation_only,
    "seg-plus": lambda recipe: segmentation_only(recipe, nouns=True),
}
"""Table 11: segmentation alone, and with the nouns of captions."""

COCO_PAIRS: Mapping[str, Change] = {"coco-pairs": _pairs(files=COCO_CAPTIONS)}
"""Table 11, third row: no pairs but COCO's own."""

VISION_LANGUAGE: Mapping[str, Change] = {"vl": vision_language_only}
"""Table 9."""

OF_ANY = {
    "Table 4": INTERACTION,
    "Table 6": TASKS,
    "Table 9": VISION_LANGUAGE,
    "Table 11": SEGMENTATION,
}
OF_PRETRAIN = {
    "Table 5": BATCHES,
    "Table 7": DATA,
    "Table 10": ARCHITECTURES,
    "Table 11": COCO_PAIRS,
}

ABLATIONS = tuple(
    _named(recipe, name, change, table)
    for recipe, tables in (
        (NANO, (OF_ANY,)),
        (PRETRAIN, (OF_ANY, OF_PRETRAIN)),
    )
    for group in tables
    for table, changes in group.items()
    for name, change in changes.items()
)
