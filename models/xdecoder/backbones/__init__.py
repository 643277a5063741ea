"""The backbones of X-Decoder: FocalNet, DaViT and, for an ablation, Swin."""

from models.xdecoder.backbones.davit import build_davit
from models.xdecoder.backbones.focal import build_focal
from models.xdecoder.backbones.pyramid import Backbone, Levels
from models.xdecoder.backbones.swin import build_swin
from models.xdecoder.config import BackboneConfig, DaViTConfig, FocalConfig, SwinConfig


def build_backbone(config: BackboneConfig, *, recompute: bool = False) -> Backbone:
    """The backbone that `config` describes, with fresh weights.

    With `recompute`, training computes the activations inside a block again on the way back
    instead of keeping them.
    """
    match config:
        case FocalConfig():
            return build_focal(config, recompute=recompute)
        case DaViTConfig():
            return build_davit(config, recompute=recompute)
        case SwinConfig():
            return build_swin(config, recompute=recompute)


__all__ = ["Backbone", "Levels", "build_backbone"]
