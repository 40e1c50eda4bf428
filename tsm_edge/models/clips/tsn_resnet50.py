"""TSN on ResNet-50 (Wang et al., ECCV 2016): every frame alone, the mean of their scores.

24,327,632 parameters and 32.70 GMAC a clip of 8 frames with 400 classes at 224 pixels.
"""

from __future__ import annotations

from .._resnet import bottleneck, resnet
from ._graph import Builder, Network
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = b.frame_layers(0, resnet(bottleneck, (3, 4, 6, 3), classes))
    scores = b.linear(b.space_mean(x), "fc", (2048, classes))
    b.mean(scores)
    return b.network()


MODEL = Recipe(
    "TSN on ResNet-50: every frame alone, the mean of their scores",
    describe,
    8,
    range(1, 65),
    (Published(19.7, "arXiv:1811.08383, table 2 (its authors' implementation)", 8),),
)
