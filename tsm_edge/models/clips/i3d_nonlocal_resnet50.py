"""Non-local I3D ResNet-50 of 32 frames as mmaction2 builds it: five non-local blocks in a stem that halves time twice.

Its blocks are embedded Gaussians that pool behind phi and g and do not scale the scores, at the places of Wang et al.;
`i3d-nonlocal` is the other form. 35,401,936 parameters with 400 classes, of which 4,096 are biases behind the blocks
that mmaction2 does not have, and 44.34 GMAC a clip at 224 pixels.
"""

from __future__ import annotations

from dataclasses import replace

from . import _resnet as resnet
from ._graph import Builder, Network
from ._model import Recipe
from .i3d_resnet50 import STEM

PLACES = replace(resnet.FAIR_PLACES, pool_first=False)


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = resnet.i3d(b, 0, STEM, non_local=PLACES)
    b.linear(b.mean(x, volume=True), "fc", (resnet.FEATURES, classes))
    return b.network()


MODEL = Recipe(
    "I3D ResNet-50 with five non-local blocks, 32 frames, as in mmaction2",
    describe,
    32,
    range(8, 129, 8),
)
