"""I3D ResNet-50 of 32 frames (Carreira and Zisserman; as in Wang et al.'s non-local networks, CVPR 2018).

The stem halves the time twice and pool2 once more: 32, 16, 8, 4 frames. 28,043,472 parameters with 400 classes
(29,272,872 with 1000) and 33.13 GMAC a clip at 224 pixels.
"""

from __future__ import annotations

from . import _resnet as resnet
from ._graph import Builder, Network
from ._model import Recipe

STEM = resnet.Stem(conv_stride=2, pool_kernel=2, pool_stride=2)


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = resnet.i3d(b, 0, STEM)
    b.linear(b.mean(x, volume=True), "fc", (resnet.FEATURES, classes))
    return b.network()


MODEL = Recipe(
    "I3D ResNet-50, 32 frames, whose stem halves the time twice",
    describe,
    32,
    range(8, 129, 8),
)
