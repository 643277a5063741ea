"""What the class logits alone decide: which columns are classes, which queries become what.

Nothing here looks at a mask, so both ways of making masks (`plain` and `fast`) share it.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from bench.protocol import BackgroundRule, InstanceRule, PanopticRule, ThingFilter
from bench.types import Vocabulary


@dataclass(frozen=True)
class ClassScores:
    """Class probabilities of every query, and what the background rule makes of the columns."""

    probabilities: Float[Tensor, "query column"]
    """Softmax over all columns, background included."""
    classes: int
    """The first so many columns can be predicted; what follows is «none of these»."""
    competing: int
    """The first so many columns compete for a pixel of the label map; a pixel won by one that is
    no class is void."""


def class_scores(
    logits: Float[Tensor, "query column"], vocabulary: Vocabulary, rule: BackgroundRule
) -> ClassScores:
    """Probabilities in float32, with the columns read as `rule` says."""
    columns = len(vocabulary) + rule.prompts
    if logits.shape[1] != columns:
        raise ValueError(
            f"background rule '{rule}' needs {columns} columns of class logits for "
            f"{len(vocabulary)} names, found {logits.shape[1]}"
        )
    if not bool(torch.isfinite(logits).all()):
        raise ValueError("the class logits hold NaN or infinity: the network has failed")
    dropped = rule in (BackgroundRule.PROMPTED, BackgroundRule.KEPT, BackgroundRule.LAST_CLASS)
    classes = max(columns - dropped, 0)
    competing = columns if rule is BackgroundRule.KEPT else classes
    return ClassScores(logits.detach().float().softmax(-1), classes, competing)


@dataclass(frozen=True)
class Picks:
    """Queries chosen to become instances or segments, each with a label and its class score."""

    queries: Int[Tensor, " pick"]
    labels: Int[Tensor, " pick"]
    scores: Float[Tensor, " pick"]


def pick_instances(scores: ClassScores, things: frozenset[int], rule: InstanceRule) -> Picks:
    """The best pairs of query and class, as many as top-k allows; a query may come several times.

    Among equal scores at the top-k border the choice is arbitrary, as in the released code.
    """
    labels = torch.arange(scores.classes, device=scores.probabilities.device)
    is_thing = torch.tensor([label in things for label in range(scores.classes)], dtype=torch.bool)
    is_thing = is_thing.to(labels.device)
    if rule.thing_filter is ThingFilter.BEFORE_TOP_K:
        labels = labels[is_thing]
    flat = scores.probabilities[:, labels].flatten()
    best, places = flat.topk(min(rule.top_k, flat.numel()))
    queries = places.div(max(len(labels), 1), rounding_mode="floor")
    picked = labels[places.remainder(max(len(labels), 1))]
    if rule.thing_filter is ThingFilter.AFTER_TOP_K:
        kept = is_thing[picked]
        queries, picked, best = queries[kept], picked[kept], best[kept]
    return Picks(queries, picked, best)


def pick_segments(scores: ClassScores, rule: PanopticRule) -> Picks:
    """Queries whose best column is a class and sure enough, in query order."""
    if not scores.probabilities.shape[1]:
        nothing = torch.zeros(0, dtype=torch.long, device=scores.probabilities.device)
        return Picks(nothing, nothing, scores.probabilities.new_zeros(0))
    best, labels = scores.probabilities.max(-1)
    kept = (labels < scores.classes) & (best > rule.object_mask_threshold)
    return Picks(kept.nonzero()[:, 0], labels[kept], best[kept])
