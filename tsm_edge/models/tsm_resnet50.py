"""TSM on ResNet-50 (stride on the 3x3, as in torchvision): bottlenecks, 16 blocks, 16 states.

The backbone of the paper's tables: 24,327,632 parameters and 4.1 GMAC a frame with 400 classes at 224 pixels.
"""

from __future__ import annotations

from ._foreign_keys import resnet_keys
from ._model import Recipe
from ._resnet import bottleneck, resnet
from .description import Layer


def describe(classes: int) -> tuple[Layer, ...]:
    """List the layers."""
    return resnet(bottleneck, (3, 4, 6, 3), classes)


MODEL = Recipe(
    "ResNet-50 with an online temporal shift in every residual branch; 16 states", describe, resnet_keys
)
