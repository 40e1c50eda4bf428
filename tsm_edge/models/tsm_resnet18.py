"""TSM on ResNet-18: two 3x3 convolutions a block, 8 blocks, 8 states."""

from __future__ import annotations

from ._foreign_keys import resnet_keys
from ._model import Recipe
from ._resnet import basic, resnet
from .description import Layer


def describe(classes: int) -> tuple[Layer, ...]:
    """List the layers."""
    return resnet(basic, (2, 2, 2, 2), classes)


MODEL = Recipe(
    "ResNet-18 with an online temporal shift in every residual branch; 8 states", describe, resnet_keys
)
