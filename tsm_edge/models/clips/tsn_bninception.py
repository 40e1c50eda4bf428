"""TSN on BNInception (Wang et al., ECCV 2016): every frame alone, the mean of their scores.

10,680,240 parameters and 16.25 GMAC a clip of 8 frames with 400 classes at 224 pixels.
"""

from __future__ import annotations

from ._graph import Builder, Network
from ._inception import FEATURES, inception
from ._model import Published, Recipe


def describe(classes: int, frames: int) -> Network:
    """List the operators."""
    b = Builder()
    x = inception(b, 0)
    scores = b.linear(b.space_mean(x), "fc", (FEATURES, classes))
    b.mean(scores)
    return b.network()


MODEL = Recipe(
    "TSN on BNInception: every frame alone, the mean of their scores",
    describe,
    8,
    range(1, 65),
    (Published(19.5, "arXiv:1811.08383, table 2", 8),),
)
