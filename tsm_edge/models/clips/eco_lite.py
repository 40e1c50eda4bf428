"""ECO-Lite (Zolfaghari et al., ECCV 2018): the beginning of BNInception a frame, then a 3-D ResNet-18.

37,503,856 parameters and 23.24 GMAC a clip of 8 frames with 400 classes at 224 pixels.
"""

from __future__ import annotations

from . import _eco as eco
from ._graph import Builder, Network
from ._model import Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    eco.lite(b, 0, classes)
    return b.network()


MODEL = Recipe(
    "ECO-Lite: BNInception until 28x28, then a 3-D ResNet-18 over the frames",
    describe,
    8,
    range(4, 65, 4),
)
