"""The losses of a pass over images with segments: objects, nouns and phrases (section 3.4)."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from models.xdecoder import losses
from models.xdecoder.batch import Objects, Phrases, PhraseSource
from models.xdecoder.forward_pass import ForwardPass, LayerLosses
from models.xdecoder.heads import LENGTH_EPSILON
from models.xdecoder.matcher import Matches, TrueMasks, by_image, mask_costs, match
from models.xdecoder.points import sampled, sampled_masks, uncertain_points
from models.xdecoder.reading import ConceptTexts, PhraseTexts
from models.xdecoder.text import unit


def object_losses(
    of: ForwardPass, objects: Sequence[Objects], classes: ConceptTexts
) -> tuple[LayerLosses, Matches]:
    """Classes and masks of the objects; and which query answers for which segment.

    Args:
        of: the pass.
        objects: the segments of each image.
        classes: what their labels mean, background last.
    """
    layers, head = of.supervision.top.masks, of.model.decoder.classes
    embeddings = of.top(layers, lambda p: p.of("objects").class_embeddings)
    masks = of.top(layers, lambda p: p.of("objects").mask_embeddings)
    logits = head.logits(embeddings.flatten(0, 1), classes.embeddings)
    logits = logits.view(*embeddings.shape[:3], -1)
    true = TrueMasks.of([o.masks for o in objects], of.image.padded_size)
    labels = by_image(torch.cat([o.labels for o in objects]), true.counts)
    with torch.no_grad():
        costs = _mask_costs(of, masks, true) - _likelihood(of, logits.softmax(3), labels)
        matches = match(costs, true.counts)
    truth = torch.full(logits.shape[:3], len(classes.keys) - 1, device=logits.device)
    truth[matches.rows] = labels[matches.images, matches.targets]
    count = of.gather.mean(logits.new_tensor(sum(true.counts)))
    bce, dice = _mask_losses(of, masks, true, matches, count)
    background = of.supervision.weights.background
    return {
        "mask_class": losses.mask_class(logits, truth, background=background),
        "mask_bce": bce,
        "mask_dice": dice,
    }, matches


def noun_losses(
    of: ForwardPass,
    counts: Sequence[int],
    nouns: ConceptTexts,
    objects: Sequence[Objects],
    classes: ConceptTexts,
    taken: Matches,
) -> LayerLosses:
    """Nouns for objects that no segment claimed, and class names for those that one did.

    Args:
        of: the pass.
        counts: how many nouns there are of each image's caption.
        nouns: they all, image after image.
        objects: the segments of each image.
        classes: what their labels mean.
        taken: which query answers for which segment.
    """
    top = of.supervision.top.noun
    rows = unit(of.top(top, lambda p: p.of("objects").class_embeddings), LENGTH_EPSILON)
    taken = taken.top(len(rows))
    labels = torch.cat([o.labels for o in objects])
    with torch.no_grad():
        likely = (of.scale * rows @ nouns.embeddings.T).softmax(3)
        wanted = by_image(torch.arange(len(nouns.keys), device=rows.device), counts)
        matches = match(-_likelihood(of, likely, wanted), counts, taken)
    noun = matches.positions(counts)
    label = labels[taken.positions([len(o.labels) for o in objects])]
    images = of.gathered(torch.cat((rows[matches.rows], rows[taken.rows]), dim=1))
    texts = of.gathered(torch.cat((nouns.embeddings[noun], classes.embeddings[label]), dim=1))
    # One list for all layers: the keys of a pair stand together, layer by layer.
    keys = of.gather.texts(
        [nouns.keys[i] for i in noun.T.flatten().tolist()]
        + [classes.keys[i] for i in label.T.flatten().tolist()]
    )
    share, layers = of.supervision.weights.image_to_text, len(rows)
    values = [
        losses.noun(images[i], texts[i], keys[i::layers], of.scale, image_to_text=share)
        for i in range(layers)
    ]
    return {"noun": torch.stack(values)}


def referred_losses(of: ForwardPass, phrases: Sequence[Phrases], texts: PhraseTexts) -> LayerLosses:
    """Which referred query fits which phrase, and the masks of those that do.

    Args:
        of: the pass, with referred queries.
        phrases: the phrases about each image, and what they point at.
        texts: the same, encoded.
    """
    layers = of.supervision.top.referred
    embeddings = of.top(layers, lambda p: p.of("referred").class_embeddings)
    masks = of.top(layers, lambda p: p.of("referred").mask_embeddings)
    ends = texts.ends.expand(len(embeddings), -1, -1, -1)
    scores = of.model.decoder.classes.scores(embeddings, ends)
    true = TrueMasks.of([p.masks for p in phrases], of.image.padded_size)
    with torch.no_grad():
        costs = _mask_costs(of, masks, true)
        costs -= of.supervision.costs.probability * scores.softmax(2)
        matches = match(costs, true.counts)
        shares = _shares(scores, matches, texts)
    bce, dice = _mask_losses(of, masks, true, matches, scores.new_tensor(len(matches)))
    return {
        "referred_class": losses.referred_class(scores, shares, _phrase_weights(of, phrases)),
        "referred_bce": bce,
        "referred_dice": dice,
    }


def _shares(
    scores: Float[Tensor, "layer batch query phrase"], matches: Matches, texts: PhraseTexts
) -> Float[Tensor, "layer batch query phrase"]:
    """How much of each phrase every query should have: equal phrases share their queries."""
    mine = torch.zeros_like(scores)
    mine[(*matches.rows, matches.targets)] = 1
    together = mine @ texts.equal.to(mine.dtype)
    return together / together.sum(2, keepdim=True).clamp(min=1)


def _phrase_weights(of: ForwardPass, phrases: Sequence[Phrases]) -> Float[Tensor, "batch phrase"]:
    """A mean over the phrases of each image, by their source, and over images with phrases."""
    weights = of.supervision.weights
    factor = {
        PhraseSource.WRITTEN: weights.written_phrase,
        PhraseSource.CLASS_NAMES: weights.class_phrase,
    }
    counts = [len(p.concepts) for p in phrases]
    images = sum(count > 0 for count in counts)
    table = torch.zeros(len(counts), max(counts))
    for row, count, p in zip(table, counts, phrases, strict=True):
        row[:count] = factor[p.source] / (max(count, 1) * images)
    return table.to(of.image.pooled.device)


def _mask_costs(
    of: ForwardPass, masks: Float[Tensor, "layer batch query channel"], true: TrueMasks
) -> Float[Tensor, "layer batch query most"]:
    """What the masks add to the costs of matches."""
    settings = of.supervision
    drawn = [of.draw((1, settings.points, 2)) for _ in true.counts]
    points = torch.cat(drawn).to(masks.device)
    features = of.image.masks.full()
    costs = settings.costs
    return mask_costs(masks, features, true, points, bce=costs.bce, dice=costs.dice)


def _likelihood(
    of: ForwardPass,
    probabilities: Float[Tensor, "layer batch query text"],
    wanted: Int[Tensor, "batch most"],
) -> Float[Tensor, "layer batch query most"]:
    """What classes take from the costs of matches: the probability of each target's text."""
    index = wanted[None, :, None].expand(*probabilities.shape[:3], -1)
    return of.supervision.costs.probability * probabilities.gather(3, index)


def _mask_losses(
    of: ForwardPass,
    masks: Float[Tensor, "layer batch query channel"],
    true: TrueMasks,
    matches: Matches,
    count: Float[Tensor, ""],
) -> tuple[Float[Tensor, " layer"], Float[Tensor, " layer"]]:
    """Cross-entropy and dice of the matched masks, made for them alone, at uncertain points."""
    settings, features = of.supervision, of.image.masks.full()
    chosen = torch.split(masks[matches.rows].to(features.dtype), list(matches.counts), dim=1)
    made = [rows @ places for rows, places in zip(chosen, features.flatten(2), strict=True)]
    logits = torch.cat(made, dim=1).view(len(masks), -1, *features.shape[2:]).float()
    points = uncertain_points(
        logits,
        of.draw,
        count=settings.points,
        oversampling=settings.oversampling,
        importance=settings.importance,
    )
    truth = sampled_masks(true.masks, matches.positions(true.counts), points)
    flat = sampled(logits.flatten(0, 1)[:, None], points.flatten(0, 1))[:, 0]
    found = flat.view_as(truth)
    count = count.clamp(min=1)
    return losses.mask_bce(found, truth, masks=count), losses.mask_dice(found, truth, masks=count)
