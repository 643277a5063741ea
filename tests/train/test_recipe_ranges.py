"""A number that no training could use is refused when it is set, in one sentence that names it."""

import pytest

from bench.errors import UsageError
from bench.recipe import changed
from models.xdecoder.recipes import RECIPES

REFUSED = {
    "nano": (
        *("average=nan", "average=-1", "average=1", "seed=-1", f"seed={2**64}", "accumulate=0"),
        *("steps=0", "steps=-1", "epochs=0", "epochs=inf", "epochs=nan"),
        *(f"optimiser.rate={rate}" for rate in ("inf", "nan", "-1", "0")),
        *(f"optimiser.clip={clip}" for clip in ("nan", "-1", "0")),
        *("optimiser.decay=nan", "optimiser.decay=-1", "optimiser.betas=[1,1]"),
        *('optimiser.shares=[["text.",-1]]', 'optimiser={"rate":-1}'),
        *("schedule.warm_up=-1", "schedule.last=nan"),
        *("supervision.points=0", "supervision.points=-1", "supervision.oversampling=0.1"),
        *("supervision.importance=2", "supervision.importance=nan"),
        *("supervision.top.captioning=-1", "supervision.top.referred=0", "supervision.top.masks=2"),
        *("supervision.weights.captioning=nan", "supervision.weights.background=-1"),
        *("supervision.weights.image_to_text=2", "supervision.costs.bce=inf", "supervision=x"),
        *("parts.0.batch=0", "parts.1.batched.phrases=-1"),
        *(
            "model=xdecoder-L",
            "model.decoder=3",
            "model.decoder.queries=1",
            "model.decoder.width=2",
        ),
        *("model.decoder.heads=3", "model.decoder.heads=0", "model.decoder.layers=0"),
        *("model.text.heads=5", "model.text.context=2", "model.pixel_decoder.width=40"),
        *("model.backbone.drop_path=1", "model.backbone.focal_window=2", "before.average=2"),
        *("model.backbone.dims=[0,8,8,8]", "model.backbone.mlp_ratio=nan"),
    ),
    "pretrain-T": (
        *("schedule.at=[2]", "schedule.factor=-1", "parts.0.batched.phrases=-1"),
        *("parts.0.data.view.size=0", "parts.0.data.view.scales=[2,1]", "parts.0.data.view.flip=2"),
        *("parts.1.data.view.size=0", 'parts.1.data.without=[{"dataset":"coco","spilt":"val"}]'),
    ),
    "pretrain-B": ("model.backbone.heads=[3,8,16,32]", "model.backbone.window=0"),
    "vqa": ("parts.0.data.answers=0",),
}


@pytest.mark.parametrize(
    ("recipe", "setting"), [(name, setting) for name, all_ in REFUSED.items() for setting in all_]
)
def test_what_no_training_could_use_is_refused(recipe, setting):
    key, _, value = setting.partition("=")
    with pytest.raises(UsageError) as refused:
        changed(RECIPES[recipe], {key: value})
    assert str(refused.value).startswith(f"--set {setting}: ")


@pytest.mark.parametrize(
    "setting",
    [
        *("average=0", "optimiser.clip=inf", "optimiser.decay=0", "optimiser.betas=[0,0]"),
        *("supervision.weights.captioning=0", "supervision.importance=0", "supervision.points=1"),
        *("supervision.oversampling=1", "parts.1.batched.phrases=0", "seed=0"),
        *("supervision.top.masks=100", "model.decoder.queries=2", "schedule.warm_up=0"),
    ],
)
def test_the_ends_of_a_range_can_be_set(setting):
    key, _, value = setting.partition("=")
    changed(RECIPES["nano"], {key: value})


def test_nouns_are_not_read_from_more_layers_than_masks():
    recipe = changed(RECIPES["nano"], {"supervision.top.masks": "1", "supervision.top.noun": "1"})
    assert (recipe.supervision.top.masks, recipe.supervision.top.noun) == (1, 1)
