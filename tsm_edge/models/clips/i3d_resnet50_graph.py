"""I3D ResNet-50 of 32 frames as Wang and Gupta have it (space-time region graphs, ECCV 2018).

No stride along time in the stem; pool2 leaves 16 frames, and layer4 stays at 14x14 pixels. 28,043,472 parameters and
152.5 GMAC a clip with 400 classes at 224 pixels.
"""

from __future__ import annotations

from . import _resnet as resnet
from ._graph import Builder, Network
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = resnet.i3d(b, 0, resnet.Stem(), last_stride=1)
    b.linear(b.mean(x, volume=True), "fc", (resnet.FEATURES, classes))
    return b.network()


MODEL = Recipe(
    "I3D ResNet-50, 32 frames, 16 of them to the end at 14x14 pixels",
    describe,
    32,
    range(2, 65, 2),
    (Published(41.6, "arXiv:1811.08383, table 2 (two clips)", 32),),
)
