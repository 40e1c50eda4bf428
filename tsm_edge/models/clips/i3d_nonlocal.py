"""Non-local I3D ResNet-50 of 32 frames: five non-local blocks in layer2 and layer3 (Wang et al., CVPR 2018).

35,401,936 parameters with 400 classes.
"""

from __future__ import annotations

from . import _resnet as resnet
from ._graph import Builder, Network
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = resnet.i3d(b, 0, resnet.Stem(), last_stride=1, non_local=resnet.FAIR_PLACES)
    b.linear(b.mean(x, volume=True), "fc", (resnet.FEATURES, classes))
    return b.network()


MODEL = Recipe(
    "I3D ResNet-50 with five non-local blocks, 32 frames",
    describe,
    32,
    range(2, 65, 2),
    (Published(44.4, "arXiv:1811.08383, table 2 (two clips)", 32),),
)
