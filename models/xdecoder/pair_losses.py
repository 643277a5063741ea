"""The losses of a pass over images with captions: captioning and retrieval (section 3.4)."""

from models.xdecoder import losses
from models.xdecoder.forward_pass import ForwardPass, LayerLosses
from models.xdecoder.heads import LENGTH_EPSILON
from models.xdecoder.reading import CaptionTexts
from models.xdecoder.text import unit


def captioning_losses(of: ForwardPass, captions: CaptionTexts) -> LayerLosses:
    """The next word at every token of the captions; the pass must have caption queries."""
    states = of.top(of.supervision.top.captioning, lambda p: p.states_of("caption"))
    logits = of.model.words.logits(captions.before_next(states), of.model.text.tokens.weight)
    return {"captioning": losses.captioning(logits.float(), captions.next_ids)}


def retrieval_losses(of: ForwardPass, captions: CaptionTexts) -> LayerLosses:
    """Images against captions: by the image query, by pooled features, by objects and tokens."""
    weights, layers = of.supervision.weights, of.supervision.top.retrieval
    texts = of.gather.rows(unit(captions.ends.float(), LENGTH_EPSILON))
    values: LayerLosses = {}
    if weights.retrieval:
        queries = of.top(layers, lambda p: p.of("image").class_embeddings)[:, :, 0]
        images = of.gathered(unit(queries, LENGTH_EPSILON))
        values["retrieval"] = losses.retrieval(images, texts, of.scale)
    if weights.retrieval_pooled:
        pooled = of.model.pooled(of.image.pooled.float())[None]
        images = of.gathered(unit(pooled, LENGTH_EPSILON))
        values["retrieval_pooled"] = losses.retrieval(images, texts, of.scale)
    if weights.retrieval_tokens:
        values["retrieval_tokens"] = losses.retrieval_tokens(
            of.top(layers, lambda p: p.of("objects").class_embeddings),
            captions.states.float(),
            captions.valid,
            of.scale,
            image_to_text=weights.image_to_text,
        )
    return values
