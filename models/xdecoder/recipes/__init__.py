"""How X-Decoders are trained: recipes as values, each field with where it comes from.

| module | recipes |
|---|---|
| `nano` | the shipped model, on `shapes` |
| `pretraining` | the paper's and the released code's |
| `finetuning` | appendix A.2 and Table 3 |
| `ablations` | Tables 4 to 7 and 9 to 11 |
"""

from models.xdecoder.recipes.ablations import ABLATIONS
from models.xdecoder.recipes.finetuning import FINETUNING
from models.xdecoder.recipes.nano import CROPS, NANO
from models.xdecoder.recipes.pretraining import PRETRAIN, PRETRAIN_B, PRETRAIN_L, RELEASED
from models.xdecoder.training import learner

RECIPES = {
    recipe.name: recipe
    for recipe in (
        NANO,
        CROPS,
        PRETRAIN,
        PRETRAIN_B,
        PRETRAIN_L,
        RELEASED,
        *FINETUNING,
        *ABLATIONS,
    )
}

__all__ = ["RECIPES", "learner"]
