"""I3D ResNet-50 of 8 frames (as in the code of Wang et al.'s non-local networks): no stride along time in the stem.

28,043,472 parameters with 400 classes and 28.4 GMAC a clip of 8 frames at 224 pixels.
"""

from __future__ import annotations

from . import _resnet as resnet
from ._graph import Builder, Network
from ._model import Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = resnet.i3d(b, 0, resnet.Stem())
    b.linear(b.mean(x, volume=True), "fc", (resnet.FEATURES, classes))
    return b.network()


MODEL = Recipe(
    "I3D ResNet-50, 8 frames, without a stride along time in the stem",
    describe,
    8,
    range(2, 65, 2),
)
