"""The backbones of X-Decoder: FocalNet, DaViT and, for an ablation, Swin."""

from models.xdecoder.backbones.davit import DAVIT_D3, DAVIT_D5, DaViTSettings, build_davit
from models.xdecoder.backbones.focal import FOCAL_L, FOCAL_T, FocalSettings, build_focal
from models.xdecoder.backbones.pyramid import Backbone, Levels
from models.xdecoder.backbones.swin import SWIN_B, SWIN_L, SWIN_T, SwinSettings, build_swin

BackboneSettings = FocalSettings | DaViTSettings | SwinSettings


def build_backbone(settings: BackboneSettings, *, recompute: bool = False) -> Backbone:
    """The backbone that `settings` describe, with fresh weights.

    With `recompute`, training computes the activations inside a block again on the way back
    instead of keeping them.
    """
    match settings:
        case FocalSettings():
            return build_focal(settings, recompute=recompute)
        case DaViTSettings():
            return build_davit(settings, recompute=recompute)
        case SwinSettings():
            return build_swin(settings, recompute=recompute)


__all__ = [
    "DAVIT_D3",
    "DAVIT_D5",
    "FOCAL_L",
    "FOCAL_T",
    "SWIN_B",
    "SWIN_L",
    "SWIN_T",
    "Backbone",
    "BackboneSettings",
    "DaViTSettings",
    "FocalSettings",
    "Levels",
    "SwinSettings",
    "build_backbone",
]
