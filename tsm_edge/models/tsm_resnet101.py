"""TSM on ResNet-101: bottlenecks, 33 blocks, the shift in every second one; 18 states.

Networks with 23 or more blocks in the third stage are shifted in the blocks 0, 2, 4 … of each stage, as in MIT's and
mmaction2's training code: 42,856,686 parameters and 7.8 GMAC a frame with 174 classes at 224 pixels.
"""

from __future__ import annotations

from ._foreign_keys import resnet_keys
from ._model import Recipe
from ._resnet import bottleneck, resnet
from .description import Layer


def describe(classes: int) -> tuple[Layer, ...]:
    """List the layers."""
    return resnet(bottleneck, (3, 4, 23, 3), classes, shift_every=2)


MODEL = Recipe(
    "ResNet-101 with an online temporal shift in every second residual branch; 18 states", describe, resnet_keys
)
