"""I3D_replace: the TSM paper's control, a 3x1x1 convolution in place of every shift of its ResNet-50.

32,986,576 parameters and 47.70 GMAC a clip of 8 frames with 400 classes at 224 pixels.
"""

from __future__ import annotations

from . import _resnet as resnet
from ._graph import Builder, Network
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = resnet.replaced(b, 0)
    b.linear(b.mean(x, volume=True), "fc", (resnet.FEATURES, classes))
    return b.network()


MODEL = Recipe(
    "ResNet-50 with a 3x1x1 convolution in place of every shift",
    describe,
    8,
    range(1, 65),
    (Published(44.9, "arXiv:1811.08383, table 5", 8),),
)
